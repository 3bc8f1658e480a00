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
WHEN NEW.size < OLD.size OR NEW.id <> OLD.id OR NEW.origin <> OLD.origin
BEGIN SELECT RAISE(ABORT, 'audit_log only grows'); END;
