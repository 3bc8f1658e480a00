-- Full verifications of the logs: who asked, how far it is, what it came to.
CREATE TABLE log_verification (
  id          TEXT PRIMARY KEY,
  -- Which log; all of them, and what each recorded of the others, where NULL.
  log_id      TEXT REFERENCES audit_log (id),
  asked_by    TEXT NOT NULL REFERENCES staff (id),
  started_at  BIGINT NOT NULL,
  -- When it last said how far it is: one that falls silent has died.
  beat_at     BIGINT NOT NULL,
  rows_done   BIGINT NOT NULL,
  rows_total  BIGINT NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('running', 'held', 'failed', 'stopped')),
  -- What is wrong, and of which log.
  fault_log   TEXT,
  fault       TEXT,
  finished_at BIGINT
);
CREATE UNIQUE INDEX log_verification_one ON log_verification (state) WHERE state = 'running';
CREATE INDEX log_verification_newest ON log_verification (started_at, id);
CREATE INDEX log_verification_failed ON log_verification (state, started_at);
