-- New vault tokens that their Owner may not have read yet: Keyturn renews them by their accessors
-- until they are acknowledged, so that what the Owner reads works.
CREATE TABLE vault_kept (
  rotation_id      TEXT PRIMARY KEY REFERENCES rotation (id),
  org_id           TEXT NOT NULL REFERENCES org (id),
  secret_id        TEXT NOT NULL REFERENCES secret (id),
  version          BIGINT NOT NULL,
  impersonation_id TEXT NOT NULL REFERENCES impersonation (id),
  ticket_ref       TEXT NOT NULL,
  accessor         TEXT NOT NULL,
  -- When it expires unless it is renewed, by what the vault said last.
  expires_at       BIGINT NOT NULL,
  renewable        BIGINT NOT NULL,
  -- Keyturn renews it until then at the longest.
  keep_until       BIGINT NOT NULL,
  -- kept: it is renewed. released: that is the Owner's now. expired: it ended unread.
  state            TEXT NOT NULL CHECK (state IN ('kept', 'released', 'expired')),
  next_at          BIGINT NOT NULL,
  last_error       TEXT
);
CREATE INDEX vault_kept_due ON vault_kept (next_at, rotation_id) WHERE state = 'kept';
CREATE INDEX vault_kept_of_secret ON vault_kept (secret_id, version);
