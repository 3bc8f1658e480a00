-- What a system outside will never take, and what is not delivered yet.

-- Whose it is, and what a mail is about: pages and rows name it by that.
ALTER TABLE outbox ADD COLUMN org_id TEXT;
ALTER TABLE outbox ADD COLUMN subject TEXT;
-- Who has taken it until `taken_until`.
ALTER TABLE outbox ADD COLUMN taken_by TEXT;
-- Since when every attempt has failed, and whether somebody has to mend something first.
ALTER TABLE outbox ADD COLUMN failing_since BIGINT;
ALTER TABLE outbox ADD COLUMN to_mend BIGINT NOT NULL DEFAULT 0;
-- Since when it is not tried any more. With `done_at` besides, somebody has set it aside.
ALTER TABLE outbox ADD COLUMN gave_up_at BIGINT;
UPDATE outbox SET failing_since = created_at WHERE done_at IS NULL AND attempts > 0;
DROP INDEX outbox_due;
CREATE INDEX outbox_due ON outbox (kind, next_at, id) WHERE done_at IS NULL AND gave_up_at IS NULL;
CREATE INDEX outbox_gave_up ON outbox (gave_up_at, id) WHERE done_at IS NULL AND gave_up_at IS NOT NULL;

-- A handoff that was made is on its way until the channel has it. What is on its way in an older
-- database is told by the outbox, and by the item that is not there.
ALTER TABLE handoff DROP CONSTRAINT handoff_state_check;
ALTER TABLE handoff ADD CONSTRAINT handoff_state_check
  CHECK (state IN ('sealed', 'queued', 'sent', 'undelivered', 'acknowledged'));
-- When it was handed off; `sent_at` is when the channel had it.
ALTER TABLE handoff ADD COLUMN queued_at BIGINT;
UPDATE handoff SET queued_at = sent_at;
DROP INDEX handoff_unacknowledged;
CREATE INDEX handoff_unacknowledged ON handoff (queued_at, id) WHERE state IN ('queued', 'sent', 'undelivered');
UPDATE handoff SET state = 'queued', sent_at = NULL WHERE state = 'sent' AND (
  (channel = 'one_password' AND delivered_at IS NULL)
  OR (channel = 'pgp'
    AND EXISTS (SELECT 1 FROM outbox o WHERE o.about = handoff.id AND o.kind = 'mail' AND o.done_at IS NULL)
    AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.about = handoff.id AND o.kind = 'mail' AND o.done_at IS NOT NULL)));
