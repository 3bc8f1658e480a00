-- A session that was replaced by another of the same person at the same browser, when they proved
-- once more that they are there: what goes on after its requests goes on for that one.
ALTER TABLE staff_session ADD COLUMN replaced_by TEXT;
