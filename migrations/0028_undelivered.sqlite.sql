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
CREATE TABLE handoff_2 (
  id               TEXT PRIMARY KEY,
  rotation_id      TEXT NOT NULL UNIQUE REFERENCES rotation (id),
  impersonation_id TEXT NOT NULL REFERENCES impersonation (id),
  org_id           TEXT NOT NULL REFERENCES org (id),
  channel          TEXT NOT NULL,
  recipient        TEXT NOT NULL,
  recipient_key    TEXT NOT NULL,
  -- Ciphertext to the Owner's key; nobody at the platform can read it.
  message          TEXT NOT NULL,
  state            TEXT NOT NULL CHECK (state IN ('sealed', 'queued', 'sent', 'undelivered', 'acknowledged')),
  created_at       BIGINT NOT NULL,
  -- When it was handed off, and when the channel had it.
  queued_at        BIGINT,
  sent_at          BIGINT,
  acknowledged_at  BIGINT,
  acknowledged_how TEXT,
  ack_hash         TEXT UNIQUE,
  kek_id           TEXT,
  sealed           BYTEA,
  delivered_at     BIGINT,
  item_id          TEXT
);
INSERT INTO handoff_2 (id, rotation_id, impersonation_id, org_id, channel, recipient, recipient_key, message, state,
  created_at, queued_at, sent_at, acknowledged_at, acknowledged_how, ack_hash, kek_id, sealed, delivered_at, item_id)
SELECT id, rotation_id, impersonation_id, org_id, channel, recipient, recipient_key, message, state,
  created_at, sent_at, sent_at, acknowledged_at, acknowledged_how, ack_hash, kek_id, sealed, delivered_at, item_id
FROM handoff;
DROP TABLE handoff;
ALTER TABLE handoff_2 RENAME TO handoff;
CREATE INDEX handoff_of_impersonation ON handoff (impersonation_id);
CREATE INDEX handoff_unacknowledged ON handoff (queued_at, id) WHERE state IN ('queued', 'sent', 'undelivered');
UPDATE handoff SET state = 'queued', sent_at = NULL WHERE state = 'sent' AND (
  (channel = 'one_password' AND delivered_at IS NULL)
  OR (channel = 'pgp'
    AND EXISTS (SELECT 1 FROM outbox o WHERE o.about = handoff.id AND o.kind = 'mail' AND o.done_at IS NULL)
    AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.about = handoff.id AND o.kind = 'mail' AND o.done_at IS NOT NULL)));
