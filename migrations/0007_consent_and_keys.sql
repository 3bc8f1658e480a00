-- How far the Owner's consent goes, the links with which it is withdrawn, and changes of the
-- Owner's key on file. Both engines run this file.

-- The one ticket that consent was given for. NULL: until it is withdrawn.
ALTER TABLE org ADD COLUMN consent_ticket TEXT;
-- The few that end by themselves, for whoever looks for what is over.
CREATE INDEX org_consent_ticket ON org (consent_ticket) WHERE consent_ticket IS NOT NULL;

-- A link of a mail about an impersonation, with which the Owner withdraws consent. Only its hash
-- is kept.
CREATE TABLE withdraw_link (
  hash             TEXT PRIMARY KEY,
  org_id           TEXT NOT NULL REFERENCES org (id),
  impersonation_id TEXT NOT NULL REFERENCES impersonation (id),
  -- Who was Owner of record, and where the link went: for nobody else does it work.
  owner_id         TEXT NOT NULL REFERENCES member (id),
  address          TEXT NOT NULL,
  created_at       BIGINT NOT NULL,
  expires_at       BIGINT NOT NULL,
  used_at          BIGINT
);
CREATE INDEX withdraw_link_of_org ON withdraw_link (org_id) WHERE used_at IS NULL;

-- Another key for the Owner: asked for, and used only after a day in which the Owner can object.
CREATE TABLE pgp_key_change (
  id           TEXT PRIMARY KEY,
  org_id       TEXT NOT NULL REFERENCES org (id),
  new_key      TEXT NOT NULL,
  fingerprint  TEXT NOT NULL,
  asked_by     TEXT NOT NULL REFERENCES staff (id),
  asked_at     BIGINT NOT NULL,
  effective_at BIGINT NOT NULL,
  object_hash  TEXT NOT NULL UNIQUE,
  state        TEXT NOT NULL CHECK (state IN ('waiting', 'applied', 'objected', 'cancelled')),
  decided_at   BIGINT
);
CREATE UNIQUE INDEX pgp_key_change_one ON pgp_key_change (org_id) WHERE state = 'waiting';
CREATE INDEX pgp_key_change_due ON pgp_key_change (effective_at) WHERE state = 'waiting';
CREATE INDEX pgp_key_change_of_org ON pgp_key_change (org_id, asked_at, id);
