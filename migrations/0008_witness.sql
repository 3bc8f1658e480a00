-- What each witness has seen of each log.
CREATE TABLE witness_state (
  witness    TEXT NOT NULL,
  log_id     TEXT NOT NULL REFERENCES audit_log (id),
  size       BIGINT NOT NULL,
  at         BIGINT NOT NULL,
  -- The witness's own signature lines on the checkpoint, where it gives any.
  answer     TEXT NOT NULL,
  last_error TEXT,
  PRIMARY KEY (witness, log_id)
);
