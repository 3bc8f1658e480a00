-- The keys that signed the logs' checkpoints, once there was a second: a new one is sealed here,
-- and is erased when the next one takes its place. Public halves stay.
CREATE TABLE log_signing_key (
  number      BIGINT PRIMARY KEY,
  -- The public key, as a C2SP verifier key.
  vkey        TEXT NOT NULL UNIQUE,
  kek_id      TEXT,
  sealed      BYTEA,
  -- The note in which the key before it names it as its successor; the first has none.
  endorsement TEXT,
  created_at  BIGINT NOT NULL,
  retired_at  BIGINT,
  CHECK ((sealed IS NULL) = (kek_id IS NULL)),
  CHECK (retired_at IS NULL OR sealed IS NULL)
);
