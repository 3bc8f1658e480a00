-- Every log that a verification found wrong, in the order in which they are named. They refer to no
-- log: one may be wrong because it is not there.
CREATE TABLE log_verification_fault (
  verification_id TEXT NOT NULL REFERENCES log_verification (id),
  nth             BIGINT NOT NULL,
  log_id          TEXT NOT NULL,
  -- The first row that is bad or missing, where it has a place.
  seq             BIGINT,
  what            TEXT NOT NULL,
  PRIMARY KEY (verification_id, nth)
);
-- How many logs it found wrong.
ALTER TABLE log_verification ADD COLUMN faults BIGINT NOT NULL DEFAULT 0;
INSERT INTO log_verification_fault (verification_id, nth, log_id, what)
  SELECT id, 0, fault_log, COALESCE(fault, '') FROM log_verification WHERE state = 'failed' AND fault_log IS NOT NULL;
UPDATE log_verification SET faults = 1 WHERE state = 'failed';
