-- The logs are append-only, and the database itself says so.
CREATE TRIGGER audit_entry_no_update BEFORE UPDATE ON audit_entry
BEGIN SELECT RAISE(ABORT, 'audit_entry is append-only'); END;
CREATE TRIGGER audit_entry_no_delete BEFORE DELETE ON audit_entry
BEGIN SELECT RAISE(ABORT, 'audit_entry is append-only'); END;
CREATE TRIGGER audit_subtree_no_update BEFORE UPDATE ON audit_subtree
BEGIN SELECT RAISE(ABORT, 'audit_subtree is append-only'); END;
CREATE TRIGGER audit_subtree_no_delete BEFORE DELETE ON audit_subtree
BEGIN SELECT RAISE(ABORT, 'audit_subtree is append-only'); END;
CREATE TRIGGER audit_checkpoint_no_update BEFORE UPDATE ON audit_checkpoint
BEGIN SELECT RAISE(ABORT, 'audit_checkpoint is append-only'); END;
CREATE TRIGGER audit_checkpoint_no_delete BEFORE DELETE ON audit_checkpoint
BEGIN SELECT RAISE(ABORT, 'audit_checkpoint is append-only'); END;
CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log
BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END;
CREATE TRIGGER audit_log_only_grows BEFORE UPDATE ON audit_log
WHEN NEW.size < OLD.size OR NEW.id <> OLD.id OR NEW.origin <> OLD.origin OR NEW.org_id IS NOT OLD.org_id
BEGIN SELECT RAISE(ABORT, 'audit_log only grows'); END;
-- INSERT OR REPLACE removes the row that is in its way without asking the triggers above.
CREATE TRIGGER audit_entry_no_replace BEFORE INSERT ON audit_entry
WHEN EXISTS (SELECT 1 FROM audit_entry WHERE log_id = NEW.log_id AND seq = NEW.seq)
  OR EXISTS (SELECT 1 FROM audit_entry WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'audit_entry is append-only'); END;
CREATE TRIGGER audit_subtree_no_replace BEFORE INSERT ON audit_subtree
WHEN EXISTS (SELECT 1 FROM audit_subtree WHERE log_id = NEW.log_id AND level = NEW.level AND idx = NEW.idx)
BEGIN SELECT RAISE(ABORT, 'audit_subtree is append-only'); END;
-- A checkpoint may be kept twice, if it is the same.
CREATE TRIGGER audit_checkpoint_no_replace BEFORE INSERT ON audit_checkpoint
WHEN EXISTS (SELECT 1 FROM audit_checkpoint WHERE log_id = NEW.log_id AND size = NEW.size AND note <> NEW.note)
BEGIN SELECT RAISE(ABORT, 'audit_checkpoint is append-only'); END;
CREATE TRIGGER audit_log_no_replace BEFORE INSERT ON audit_log
WHEN EXISTS (SELECT 1 FROM audit_log WHERE id = NEW.id OR org_id = NEW.org_id OR origin = NEW.origin)
BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END;
