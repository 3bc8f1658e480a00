-- Both engines run this file. Instants are microseconds UTC in BIGINT, flags are 0 or 1 in
-- BIGINT, ids are UUIDv7 (or the customer's own) in TEXT, hashes and ciphertext in BYTEA.

-- Staff ----------------------------------------------------------------------------------

CREATE TABLE staff (
  id            TEXT PRIMARY KEY,
  email         TEXT NOT NULL UNIQUE,
  name          TEXT NOT NULL,
  role          TEXT NOT NULL CHECK (role IN ('platform_admin', 'auditor')),
  password_hash TEXT NOT NULL,
  created_at    BIGINT NOT NULL,
  disabled_at   BIGINT
);

CREATE TABLE staff_session (
  id           TEXT PRIMARY KEY,
  staff_id     TEXT NOT NULL REFERENCES staff (id),
  signed_in_at BIGINT NOT NULL,
  proven_at    BIGINT NOT NULL,
  last_seen_at BIGINT NOT NULL,
  expires_at   BIGINT NOT NULL,
  ended_at     BIGINT
);
CREATE INDEX staff_session_of ON staff_session (staff_id, ended_at);

-- What the cookie points at. Holds a pointer to a staff_session and flash messages, never a right.
CREATE TABLE web_session (
  id         TEXT PRIMARY KEY,
  data       TEXT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX web_session_expiry ON web_session (expires_at);

-- The account is a keyed fingerprint of what was typed, which may be a password in the wrong field.
CREATE TABLE sign_in_failure (
  id      TEXT PRIMARY KEY,
  account TEXT NOT NULL,
  network TEXT NOT NULL,
  at      BIGINT NOT NULL
);
CREATE INDEX sign_in_failure_account ON sign_in_failure (account, network, at);
CREATE INDEX sign_in_failure_network ON sign_in_failure (network, at);
CREATE INDEX sign_in_failure_at ON sign_in_failure (at);

-- Customers ------------------------------------------------------------------------------

CREATE TABLE org (
  id                            TEXT PRIMARY KEY,
  slug                          TEXT NOT NULL UNIQUE,
  name                          TEXT NOT NULL,
  allow_platform_impersonation  BIGINT NOT NULL,
  consent_changed_at            BIGINT,
  -- The Owner of record: whom the contract names, and where their mail goes.
  owner_member_id               TEXT,
  owner_since                   BIGINT,
  owner_address                 TEXT,
  owner_unreachable_at          BIGINT,
  owner_unreachable_attempts    TEXT,
  -- The runbook entry: how a new secret reaches the Owner.
  channel                       TEXT CHECK (channel IN ('pgp', 'one_password')),
  pgp_key                       TEXT,
  pgp_key_since                 BIGINT,
  shared_vault_id               TEXT,
  created_at                    BIGINT NOT NULL,
  -- Counted up by every step about the org: the row that concurrent steps wait for.
  step                          BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX org_by_name ON org (name, id);

CREATE TABLE member (
  id         TEXT PRIMARY KEY,
  org_id     TEXT NOT NULL REFERENCES org (id),
  email      TEXT NOT NULL,
  name       TEXT NOT NULL,
  role       TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'operator', 'viewer')),
  standing   TEXT NOT NULL CHECK (standing IN ('active', 'locked_out', 'suspended', 'departed')),
  role_since BIGINT NOT NULL,
  UNIQUE (org_id, email)
);

-- A credential of the org's own, for the REST API. Only its hash is kept.
CREATE TABLE org_credential (
  id         TEXT PRIMARY KEY,
  org_id     TEXT NOT NULL REFERENCES org (id),
  member_id  TEXT NOT NULL REFERENCES member (id),
  token_hash TEXT NOT NULL UNIQUE,
  created_at BIGINT NOT NULL,
  revoked_at BIGINT
);

-- Secrets --------------------------------------------------------------------------------

CREATE TABLE secret (
  id          TEXT PRIMARY KEY,
  org_id      TEXT NOT NULL REFERENCES org (id),
  secret_type TEXT NOT NULL,
  label       TEXT NOT NULL,
  -- Where a webhook's messages go; what a vault token is pinned to; which gateway it is.
  target      TEXT NOT NULL,
  version     BIGINT NOT NULL,
  expires_at  BIGINT,
  created_at  BIGINT NOT NULL
);
CREATE INDEX secret_of_org ON secret (org_id, id);

CREATE TABLE secret_version (
  secret_id   TEXT NOT NULL REFERENCES secret (id),
  version     BIGINT NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('live', 'retiring', 'retired')),
  created_at  BIGINT NOT NULL,
  -- When a retiring version stops being accepted. NULL while that hangs on the handoff.
  retires_at  BIGINT,
  kek_id      TEXT,
  sealed      BYTEA,
  fingerprint TEXT,
  PRIMARY KEY (secret_id, version)
);
CREATE INDEX secret_version_fingerprint ON secret_version (fingerprint);

-- Tickets --------------------------------------------------------------------------------

CREATE TABLE ticket (
  id                TEXT PRIMARY KEY,
  org_id            TEXT NOT NULL REFERENCES org (id),
  subject           TEXT NOT NULL,
  state             TEXT NOT NULL CHECK (state IN ('open', 'pending', 'escalated', 'solved', 'closed')),
  requester_name    TEXT NOT NULL,
  requester_member  TEXT,
  authenticated_how TEXT,
  authenticated_at  BIGINT,
  secret_type       TEXT,
  secret_id         TEXT,
  suspected_leak    BIGINT NOT NULL,
  filed_at          BIGINT NOT NULL
);
CREATE INDEX ticket_queue ON ticket (filed_at, id);
CREATE INDEX ticket_queue_state ON ticket (state, filed_at, id);
CREATE INDEX ticket_of_org ON ticket (org_id, filed_at, id);

CREATE TABLE ticket_message (
  id        TEXT PRIMARY KEY,
  ticket_id TEXT NOT NULL REFERENCES ticket (id),
  author    TEXT NOT NULL,
  kind      TEXT NOT NULL CHECK (kind IN ('customer', 'staff', 'note')),
  body      TEXT NOT NULL,
  at        BIGINT NOT NULL
);
CREATE INDEX ticket_message_of ON ticket_message (ticket_id, at, id);

-- The procedure --------------------------------------------------------------------------

CREATE TABLE impersonation (
  id           TEXT PRIMARY KEY,
  admin_id     TEXT NOT NULL REFERENCES staff (id),
  org_id       TEXT NOT NULL REFERENCES org (id),
  ticket_id    TEXT NOT NULL REFERENCES ticket (id),
  owner_id     TEXT NOT NULL REFERENCES member (id),
  secret_type  TEXT NOT NULL,
  secret_id    TEXT NOT NULL REFERENCES secret (id),
  reason       TEXT NOT NULL,
  scope        TEXT NOT NULL,
  -- The token, sealed, while the impersonation is live; erased when it ends.
  token_kek    TEXT,
  token_sealed BYTEA,
  started_at   BIGINT NOT NULL,
  expires_at   BIGINT NOT NULL,
  ended_at     BIGINT,
  end_cause    TEXT,
  ended_by     TEXT
);
CREATE UNIQUE INDEX impersonation_one_per_admin ON impersonation (admin_id) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX impersonation_one_per_org ON impersonation (org_id) WHERE ended_at IS NULL;
CREATE INDEX impersonation_live ON impersonation (expires_at) WHERE ended_at IS NULL;
CREATE INDEX impersonation_by_start ON impersonation (started_at, id);
CREATE INDEX impersonation_of_ticket ON impersonation (ticket_id, started_at, id);
CREATE INDEX impersonation_of_org ON impersonation (org_id, started_at, id);

CREATE TABLE rotation (
  id               TEXT PRIMARY KEY,
  org_id           TEXT NOT NULL REFERENCES org (id),
  secret_id        TEXT NOT NULL REFERENCES secret (id),
  from_version     BIGINT NOT NULL,
  to_version       BIGINT NOT NULL,
  impersonation_id TEXT UNIQUE REFERENCES impersonation (id),
  actor_id         TEXT NOT NULL,
  suspected_leak   BIGINT NOT NULL,
  overlap_seconds  BIGINT NOT NULL,
  -- Who sent the Idempotency-Key, the key, and what was asked with it.
  idempotency_by   TEXT,
  idempotency_key  TEXT,
  asked            TEXT NOT NULL,
  created_at       BIGINT NOT NULL,
  UNIQUE (secret_id, to_version),
  UNIQUE (idempotency_by, idempotency_key)
);
CREATE INDEX rotation_of_org ON rotation (org_id, created_at, id);

CREATE TABLE handoff (
  id               TEXT PRIMARY KEY,
  rotation_id      TEXT NOT NULL UNIQUE REFERENCES rotation (id),
  impersonation_id TEXT NOT NULL REFERENCES impersonation (id),
  org_id           TEXT NOT NULL REFERENCES org (id),
  channel          TEXT NOT NULL,
  recipient        TEXT NOT NULL,
  recipient_key    TEXT NOT NULL,
  -- Ciphertext to the Owner's key; nobody at the platform can read it.
  message          TEXT NOT NULL,
  state            TEXT NOT NULL CHECK (state IN ('sealed', 'sent', 'acknowledged')),
  created_at       BIGINT NOT NULL,
  sent_at          BIGINT,
  acknowledged_at  BIGINT,
  acknowledged_how TEXT,
  ack_hash         TEXT UNIQUE
);
CREATE INDEX handoff_of_impersonation ON handoff (impersonation_id);

-- The one link that lets the Owner switch consent on. Only its hash is kept.
CREATE TABLE consent_link (
  id         TEXT PRIMARY KEY,
  org_id     TEXT NOT NULL REFERENCES org (id),
  ticket_id  TEXT NOT NULL REFERENCES ticket (id),
  asked_by   TEXT NOT NULL REFERENCES staff (id),
  -- Who was Owner of record, and where the link went: for nobody else does it work.
  owner_id   TEXT NOT NULL REFERENCES member (id),
  address    TEXT NOT NULL,
  hash       TEXT NOT NULL UNIQUE,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at    BIGINT
);

-- What must reach an outside system. Written with the change it belongs to, sealed, sent until
-- it is done, and then erased.
CREATE TABLE outbox (
  id         TEXT PRIMARY KEY,
  kind       TEXT NOT NULL,
  recipient  TEXT NOT NULL,
  about      TEXT NOT NULL,
  kek_id     TEXT NOT NULL,
  sealed     BYTEA,
  created_at BIGINT NOT NULL,
  attempts   BIGINT NOT NULL,
  next_at    BIGINT NOT NULL,
  done_at    BIGINT,
  last_error TEXT
);
CREATE INDEX outbox_due ON outbox (next_at, id) WHERE done_at IS NULL;
CREATE INDEX outbox_about ON outbox (about, created_at);

-- The two audit logs ---------------------------------------------------------------------

-- The head of each log: its size, the frontier of its Merkle tree, its newest signed checkpoint.
CREATE TABLE audit_log (
  id         TEXT PRIMARY KEY,
  org_id     TEXT UNIQUE REFERENCES org (id),
  origin     TEXT NOT NULL UNIQUE,
  size       BIGINT NOT NULL,
  frontier   BYTEA NOT NULL,
  checkpoint TEXT NOT NULL,
  last_at    BIGINT NOT NULL
);

CREATE TABLE audit_entry (
  log_id           TEXT NOT NULL REFERENCES audit_log (id),
  seq              BIGINT NOT NULL,
  id               TEXT NOT NULL UNIQUE,
  at               BIGINT NOT NULL,
  action           TEXT NOT NULL,
  actor_id         TEXT NOT NULL,
  org_id           TEXT,
  impersonation_id TEXT,
  ticket_ref       TEXT,
  secret_type      TEXT,
  -- The leaf: canonical JSON (RFC 8785) with every field, the columns above among them.
  body             TEXT NOT NULL,
  leaf_hash        BYTEA NOT NULL,
  PRIMARY KEY (log_id, seq)
);
CREATE INDEX audit_entry_time ON audit_entry (at, id);
CREATE INDEX audit_entry_org ON audit_entry (org_id, at, id);
CREATE INDEX audit_entry_impersonation ON audit_entry (impersonation_id, at, id);
CREATE INDEX audit_entry_ticket ON audit_entry (ticket_ref, at, id);
CREATE INDEX audit_entry_actor ON audit_entry (actor_id, at, id);
CREATE INDEX audit_entry_action ON audit_entry (action, at, id);

-- Roots of full subtrees of 256, 65,536 … leaves: what a proof needs besides leaf hashes.
CREATE TABLE audit_subtree (
  log_id TEXT NOT NULL REFERENCES audit_log (id),
  level  BIGINT NOT NULL,
  idx    BIGINT NOT NULL,
  hash   BYTEA NOT NULL,
  PRIMARY KEY (log_id, level, idx)
);

-- Checkpoints that are kept: at least one a minute while something is written, and one at each
-- end of an impersonation.
CREATE TABLE audit_checkpoint (
  log_id TEXT NOT NULL REFERENCES audit_log (id),
  size   BIGINT NOT NULL,
  note   TEXT NOT NULL,
  at     BIGINT NOT NULL,
  PRIMARY KEY (log_id, size)
);

-- One row for a person, page and filter in ten minutes: what was already noted.
CREATE TABLE audit_view (
  who  TEXT NOT NULL,
  what TEXT NOT NULL,
  at   BIGINT NOT NULL,
  PRIMARY KEY (who, what)
);
