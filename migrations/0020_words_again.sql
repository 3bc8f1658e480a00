-- The words of a row follow a rule that has a number (proof/terms.rs). Where rows are older than
-- the rule, the next start makes their words again; an empty database has nothing to make.
UPDATE audit_derived SET done = 2
  WHERE name = 'terms' AND NOT EXISTS (SELECT 1 FROM audit_entry);
