-- Where in an org's log the newest row stands that says what is on record of the org: a note signed
-- with the key of the logs, anew with each row. Both engines run this file.
ALTER TABLE audit_log ADD COLUMN record_note TEXT;
