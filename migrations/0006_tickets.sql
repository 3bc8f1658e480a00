-- Tickets that a support desk outside keeps, and tickets that programs file here.

-- Which system outside keeps the ticket (NULL: this database does), and when it last told us
-- what stands in this row, which is then a working copy.
ALTER TABLE ticket ADD COLUMN source TEXT;
ALTER TABLE ticket ADD COLUMN fetched_at BIGINT;
-- 1 where the system outside names an org that is none of ours by now: then no org is known.
ALTER TABLE ticket ADD COLUMN org_unknown BIGINT NOT NULL DEFAULT 0;
-- A digest of what a program filed, and of the key it sent with it: the same again is the same
-- ticket.
ALTER TABLE ticket ADD COLUMN filed_as TEXT;
ALTER TABLE ticket ADD COLUMN filed_key TEXT;
CREATE UNIQUE INDEX ticket_filed_key ON ticket (filed_key);

-- The message's id outside: the comment's at the support desk, or the filing program's own.
ALTER TABLE ticket_message ADD COLUMN outside_id TEXT;
-- 1 until the support desk outside has it.
ALTER TABLE ticket_message ADD COLUMN waits BIGINT NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX ticket_message_outside ON ticket_message (ticket_id, outside_id);
