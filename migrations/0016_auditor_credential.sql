-- What an auditor's program reads the platform's log with. Of the credential only its hash is kept.
CREATE TABLE auditor_credential (
  id         TEXT PRIMARY KEY,
  staff_id   TEXT NOT NULL REFERENCES staff (id),
  hash       TEXT NOT NULL UNIQUE,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  revoked_at BIGINT
);
CREATE INDEX auditor_credential_of ON auditor_credential (staff_id, revoked_at);
