-- What the overview and the lists count by. All of it is a projection of the two logs: it proves
-- nothing, it is written again from the logs at any time, and a page that shows one impersonation
-- judges it anew. Both engines run this file.

-- How the trail of each impersonation stood when it was last judged.
CREATE TABLE trail_standing (
  impersonation_id TEXT PRIMARY KEY,
  standing         TEXT NOT NULL CHECK (standing IN ('complete', 'open', 'incomplete', 'mismatch', 'tampered')),
  -- 1 where the token was open longer than it had to be: a minute after the handoff, or to its expiry.
  overstayed       BIGINT NOT NULL CHECK (overstayed IN (0, 1)),
  org_id           TEXT,
  admin_id         TEXT,
  ticket_ref       TEXT,
  secret_type      TEXT,
  -- As the platform's log has them.
  opened_at        BIGINT,
  handed_off_at    BIGINT,
  ended_at         BIGINT,
  end_cause        TEXT,
  -- The newest of its rows in either log.
  newest_at        BIGINT NOT NULL,
  newest_id        TEXT NOT NULL,
  judged_at        BIGINT NOT NULL,
  -- When time alone may change the verdict. NULL: only new rows can.
  due_at           BIGINT
);
CREATE INDEX trail_standing_word ON trail_standing (standing, newest_at, newest_id);
CREATE INDEX trail_standing_overstayed ON trail_standing (newest_at, newest_id) WHERE overstayed = 1;
CREATE INDEX trail_standing_due ON trail_standing (due_at, impersonation_id) WHERE due_at IS NOT NULL;
CREATE INDEX trail_standing_opened ON trail_standing (opened_at, impersonation_id, org_id, ended_at, handed_off_at);

-- Refused attempts, by each check that failed.
CREATE TABLE denied_check (
  entry_id     TEXT NOT NULL,
  failed_check TEXT NOT NULL,
  at           BIGINT NOT NULL,
  PRIMARY KEY (entry_id, failed_check)
);
CREATE INDEX denied_check_at ON denied_check (at, failed_check);
CREATE INDEX denied_check_by ON denied_check (failed_check, at, entry_id);

-- Rows that the projection has not taken in yet: only ever added to by steps, so that none of them
-- waits for another here. The id is that of the row, or of whatever is to be looked at again.
CREATE TABLE standing_due (
  id               TEXT PRIMARY KEY,
  impersonation_id TEXT,
  refusal          BIGINT NOT NULL
);
INSERT INTO standing_due (id, impersonation_id, refusal)
  SELECT x.id, x.id, 0 FROM (
    SELECT id FROM impersonation
    UNION SELECT impersonation_id FROM audit_entry WHERE impersonation_id IS NOT NULL
  ) x;
INSERT INTO standing_due (id, impersonation_id, refusal)
  SELECT id, impersonation_id, 1 FROM audit_entry
  WHERE action IN ('platform.impersonation_refused', 'platform.rotation_refused');

-- One instance at a time takes in what is due.
CREATE TABLE standing_turn (
  one         BIGINT PRIMARY KEY CHECK (one = 1),
  holder      TEXT NOT NULL,
  taken_until BIGINT NOT NULL
);
INSERT INTO standing_turn (one, holder, taken_until) VALUES (1, '', 0);

-- When each Owner's key on file expires, as it was read when it was put there.
CREATE TABLE owner_key_expiry (
  org_id     TEXT PRIMARY KEY,
  -- Of the org's row, 0 where it has none: another one means another key.
  key_since  BIGINT NOT NULL,
  -- NULL: it never does.
  expires_at BIGINT,
  read_at    BIGINT NOT NULL
);
CREATE INDEX owner_key_expiry_at ON owner_key_expiry (expires_at, org_id) WHERE expires_at IS NOT NULL;

-- Handoffs that the Owner has not acknowledged.
CREATE INDEX handoff_unacknowledged ON handoff (sent_at, id) WHERE state = 'sent';
