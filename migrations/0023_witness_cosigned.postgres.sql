-- Checkpoints that a witness signed, and its signatures. They refer to no log: one that was removed
-- whole is missed because of them.
CREATE TABLE witness_cosigned (
  -- The name and id of the witness's key.
  witness_key TEXT NOT NULL,
  log_id      TEXT NOT NULL,
  size        BIGINT NOT NULL,
  note        TEXT NOT NULL,
  cosignature TEXT NOT NULL,
  PRIMARY KEY (witness_key, log_id, size)
);
CREATE TRIGGER witness_cosigned_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON witness_cosigned
  FOR EACH STATEMENT EXECUTE FUNCTION keyturn_append_only();

-- Whose signature stands in `answer`, and whether the witness answered that it knows another log.
ALTER TABLE witness_state ADD COLUMN witness_key TEXT;
ALTER TABLE witness_state ADD COLUMN disagrees BIGINT NOT NULL DEFAULT 0;
