-- What rotations of every type and handoffs over every channel need.

-- A version may wait (a gateway has not fetched its certificate yet) or have come to nothing,
-- and may be known outside by a name of its own: a vault's accessor, a certificate's serial.
CREATE TABLE secret_version_2 (
  secret_id   TEXT NOT NULL REFERENCES secret (id),
  version     BIGINT NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('pending', 'live', 'retiring', 'retired', 'failed')),
  created_at  BIGINT NOT NULL,
  -- When a retiring version stops being accepted. NULL while that hangs on the handoff.
  retires_at  BIGINT,
  kek_id      TEXT,
  sealed      BYTEA,
  fingerprint TEXT,
  reference   TEXT,
  PRIMARY KEY (secret_id, version)
);
INSERT INTO secret_version_2 (secret_id, version, state, created_at, retires_at, kek_id, sealed, fingerprint)
  SELECT secret_id, version, state, created_at, retires_at, kek_id, sealed, fingerprint FROM secret_version;
DROP TABLE secret_version;
ALTER TABLE secret_version_2 RENAME TO secret_version;
CREATE INDEX secret_version_fingerprint ON secret_version (fingerprint);

-- A channel that takes the value itself (a shared vault) gets it sealed under our own key until
-- it is written there. For OpenPGP the message is ciphertext already.
ALTER TABLE handoff ADD COLUMN kek_id TEXT;
ALTER TABLE handoff ADD COLUMN sealed BYTEA;

-- Each kind is worked by itself, so that one outside system that is down holds up no other.
DROP INDEX outbox_due;
CREATE INDEX outbox_due ON outbox (kind, next_at, id) WHERE done_at IS NULL;
