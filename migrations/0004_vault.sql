-- Vault tokens: the embedded vault, and the rotations that are under way in a vault.

-- The embedded vault. Only the hash of a token is kept; the accessor is what it is known by.
CREATE TABLE vault_token (
  accessor                 TEXT PRIMARY KEY,
  token_hash               TEXT NOT NULL UNIQUE,
  -- A JSON array of names.
  policies                 TEXT NOT NULL,
  period_seconds           BIGINT NOT NULL,
  ttl_seconds              BIGINT NOT NULL,
  explicit_max_ttl_seconds BIGINT NOT NULL,
  renewable                BIGINT NOT NULL,
  display_name             TEXT NOT NULL,
  rotation_id              TEXT,
  created_at               BIGINT NOT NULL,
  expires_at               BIGINT NOT NULL,
  revoked_at               BIGINT
);
CREATE INDEX vault_token_of_rotation ON vault_token (rotation_id) WHERE revoked_at IS NULL;

-- A rotation in a vault, written before the vault is asked for anything: whoever finds it after a
-- crash knows what may have been made there. Its id is the rotation's.
CREATE TABLE vault_intent (
  id               TEXT PRIMARY KEY,
  org_id           TEXT NOT NULL REFERENCES org (id),
  secret_id        TEXT NOT NULL REFERENCES secret (id),
  from_version     BIGINT NOT NULL,
  impersonation_id TEXT REFERENCES impersonation (id),
  actor_id         TEXT NOT NULL,
  idempotency_by   TEXT,
  idempotency_key  TEXT,
  asked            TEXT NOT NULL,
  old_accessor     TEXT NOT NULL,
  new_accessor     TEXT,
  -- intended: the vault may have been asked. undoing: what it made is to be revoked. done: the
  -- rotation is written. failed: nothing is left of it, and the old token works.
  state            TEXT NOT NULL CHECK (state IN ('intended', 'undoing', 'done', 'failed')),
  -- After this nothing is asked of the vault any more for it.
  deadline         BIGINT NOT NULL,
  -- When somebody else may clear it up.
  clear_at         BIGINT NOT NULL,
  last_error       TEXT,
  created_at       BIGINT NOT NULL
);
CREATE UNIQUE INDEX vault_intent_one_per_secret ON vault_intent (secret_id) WHERE state IN ('intended', 'undoing');
CREATE INDEX vault_intent_open ON vault_intent (clear_at, id) WHERE state IN ('intended', 'undoing');
