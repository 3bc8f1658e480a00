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
CREATE TRIGGER witness_cosigned_no_update BEFORE UPDATE ON witness_cosigned
BEGIN SELECT RAISE(ABORT, 'witness_cosigned is append-only'); END;
CREATE TRIGGER witness_cosigned_no_delete BEFORE DELETE ON witness_cosigned
BEGIN SELECT RAISE(ABORT, 'witness_cosigned is append-only'); END;
CREATE TRIGGER witness_cosigned_no_replace BEFORE INSERT ON witness_cosigned
WHEN EXISTS (SELECT 1 FROM witness_cosigned WHERE witness_key = NEW.witness_key AND log_id = NEW.log_id
  AND size = NEW.size AND (note <> NEW.note OR cosignature <> NEW.cosignature))
BEGIN SELECT RAISE(ABORT, 'witness_cosigned is append-only'); END;

-- Whose signature stands in `answer`, and whether the witness answered that it knows another log.
ALTER TABLE witness_state ADD COLUMN witness_key TEXT;
ALTER TABLE witness_state ADD COLUMN disagrees BIGINT NOT NULL DEFAULT 0;
