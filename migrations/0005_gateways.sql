-- Gateways: who issues their certificates, what was issued, and how each gateway stands.

-- The issuing certificate first, then those above it, in PEM; the key is sealed. An authority
-- that was replaced stays, to sign the revocation list of what it issued.
CREATE TABLE certificate_authority (
  id         TEXT PRIMARY KEY,
  chain      TEXT NOT NULL,
  kek_id     TEXT NOT NULL,
  sealed     BYTEA NOT NULL,
  imported   BIGINT NOT NULL,
  active     BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX certificate_authority_one_active ON certificate_authority (active) WHERE active = 1;

-- No key is certified twice, not even for the same gateway: a revoked key stays out.
CREATE TABLE gateway_certificate (
  serial       TEXT PRIMARY KEY,
  authority_id TEXT NOT NULL REFERENCES certificate_authority (id),
  secret_id    TEXT NOT NULL REFERENCES secret (id),
  version      BIGINT NOT NULL,
  key_hash     TEXT NOT NULL UNIQUE,
  not_before   BIGINT NOT NULL,
  not_after    BIGINT NOT NULL,
  pem          TEXT NOT NULL,
  -- Whether the key was made here, for a handoff, and not by the gateway.
  bundled      BIGINT NOT NULL,
  issued_at    BIGINT NOT NULL,
  revoked_at   BIGINT,
  reason       TEXT,
  last_seen_at BIGINT
);
CREATE INDEX gateway_certificate_of ON gateway_certificate (secret_id, issued_at, serial);
CREATE INDEX gateway_certificate_revoked ON gateway_certificate (authority_id, not_after, serial)
  WHERE revoked_at IS NOT NULL;
CREATE INDEX gateway_certificate_trusted ON gateway_certificate (authority_id, not_after)
  WHERE revoked_at IS NULL;

CREATE TABLE gateway (
  secret_id    TEXT PRIMARY KEY REFERENCES secret (id),
  last_beat_at BIGINT,
  agent        TEXT,
  -- A re-enrolment that the gateway is told of at its next beat, until it has come about or the
  -- deadline is past. Each beat gets a fresh nonce; the newest counts.
  rotation_id  TEXT UNIQUE REFERENCES rotation (id),
  nonce_hash   TEXT,
  deadline     BIGINT,
  -- What was issued for it, and has not been seen yet.
  issued       TEXT
);
CREATE INDEX gateway_deadline ON gateway (deadline, secret_id) WHERE rotation_id IS NOT NULL;
