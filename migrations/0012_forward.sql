-- The sinks that new rows of the logs are sent to, and how each is doing.
CREATE TABLE forward_sink (
  sink        TEXT PRIMARY KEY,
  -- The instance that is at it, and until when no other is.
  taken_by    TEXT,
  taken_until BIGINT NOT NULL,
  -- When a forwarder for it was last seen running.
  beat_at     BIGINT NOT NULL,
  -- When it took rows last.
  sent_at     BIGINT,
  -- How often in a row it did not answer, why, and when it is tried again.
  failures    BIGINT NOT NULL,
  last_error  TEXT,
  next_at     BIGINT NOT NULL
);

-- How far each log has come at each sink.
CREATE TABLE forward_position (
  sink       TEXT NOT NULL REFERENCES forward_sink (sink),
  log_id     TEXT NOT NULL REFERENCES audit_log (id),
  -- The first row that the sink has not taken.
  next_seq   BIGINT NOT NULL,
  at         BIGINT NOT NULL,
  failures   BIGINT NOT NULL,
  last_error TEXT,
  next_at    BIGINT NOT NULL,
  PRIMARY KEY (sink, log_id)
);
