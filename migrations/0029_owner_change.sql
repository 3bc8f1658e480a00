-- Changes of what leads to the Owner: their key, their address, who they are, the channel. Each
-- waits for the Owner's yes and for a second person. Both engines run this file.

CREATE TABLE owner_change (
  id            TEXT PRIMARY KEY,
  org_id        TEXT NOT NULL REFERENCES org (id),
  kind          TEXT NOT NULL CHECK (kind IN ('pgp_key', 'address', 'owner', 'channel')),
  -- What is to be on file: an armored key, an address, a member's id, or a channel as JSON.
  value         TEXT NOT NULL,
  -- The same in a few words: a fingerprint, a name.
  shown         TEXT NOT NULL,
  -- A member of staff, or the user of the command line.
  asked_by      TEXT NOT NULL,
  asked_by_name TEXT NOT NULL,
  asked_at      BIGINT NOT NULL,
  -- Not before, whoever agrees.
  earliest_at   BIGINT NOT NULL,
  -- The hash of the link with which the Owner says yes or no.
  link_hash     TEXT NOT NULL UNIQUE,
  agreed_at     BIGINT,
  agreed_how    TEXT CHECK (agreed_how IN ('link', 'signature')),
  state         TEXT NOT NULL CHECK (state IN ('waiting', 'applied', 'objected', 'cancelled')),
  decided_at    BIGINT
);
CREATE UNIQUE INDEX owner_change_one ON owner_change (org_id, kind) WHERE state = 'waiting';
CREATE INDEX owner_change_of_org ON owner_change (org_id, asked_at, id);
CREATE INDEX owner_change_waiting ON owner_change (asked_at, id) WHERE state = 'waiting';

-- Platform admins who agree, none of whom asked.
CREATE TABLE owner_change_approval (
  change_id     TEXT NOT NULL REFERENCES owner_change (id),
  staff_id      TEXT NOT NULL REFERENCES staff (id),
  staff_name    TEXT NOT NULL,
  at            BIGINT NOT NULL,
  PRIMARY KEY (change_id, staff_id)
);

-- What waits from before was asked for by another rule, and is asked for again where it is wanted.
INSERT INTO owner_change (id, org_id, kind, value, shown, asked_by, asked_by_name, asked_at, earliest_at,
    link_hash, state, decided_at)
  SELECT c.id, c.org_id, 'pgp_key', c.new_key, c.fingerprint, c.asked_by, COALESCE(s.name, c.asked_by),
    c.asked_at, c.asked_at, c.object_hash,
    CASE WHEN c.state = 'waiting' THEN 'cancelled' ELSE c.state END, COALESCE(c.decided_at, c.asked_at)
  FROM pgp_key_change c LEFT JOIN staff s ON s.id = c.asked_by;
DROP TABLE pgp_key_change;
