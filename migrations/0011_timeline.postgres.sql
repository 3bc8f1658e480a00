-- Full tiles of each log's tree (C2SP tlog-tiles): 256 hashes in one piece. Tile level 0 holds leaf
-- hashes, each level above the roots of full tiles of the one below.
CREATE TABLE audit_tile (
  log_id TEXT NOT NULL REFERENCES audit_log (id),
  level  BIGINT NOT NULL,
  idx    BIGINT NOT NULL,
  hashes BYTEA NOT NULL,
  PRIMARY KEY (log_id, level, idx)
);
CREATE TRIGGER audit_tile_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_tile
  FOR EACH STATEMENT EXECUTE FUNCTION keyturn_append_only();

-- The words that a row is found by, in the order of time. It follows from the rows, and can be
-- made again from them.
CREATE TABLE audit_term (
  term TEXT NOT NULL,
  at   BIGINT NOT NULL,
  id   TEXT NOT NULL,
  PRIMARY KEY (term, at, id)
);

-- What follows from the rows, and how far it has been made: rows from before the table was there
-- are made up for at the next start.
CREATE TABLE audit_derived (
  name TEXT PRIMARY KEY,
  done BIGINT NOT NULL
);
INSERT INTO audit_derived (name, done)
  SELECT 'terms', CASE WHEN EXISTS (SELECT 1 FROM audit_entry) THEN 0 ELSE 1 END;

CREATE INDEX audit_entry_secret_type ON audit_entry (secret_type, at, id) WHERE secret_type IS NOT NULL;
CREATE INDEX audit_entry_org_action ON audit_entry (org_id, action, at, id);
