-- Consent that has no end is confirmed once a year.

-- When the Owner last said that it still stands, and since when we ask whether it does.
ALTER TABLE org ADD COLUMN consent_confirmed_at BIGINT;
ALTER TABLE org ADD COLUMN consent_reminded_at BIGINT;
CREATE INDEX org_consent_to_confirm ON org ((COALESCE(consent_confirmed_at, consent_changed_at, 0)))
  WHERE allow_platform_impersonation = 1 AND consent_ticket IS NULL AND consent_reminded_at IS NULL;

-- A link of a mail that asks whether it does. Only its hash is kept.
CREATE TABLE consent_reminder (
  hash       TEXT PRIMARY KEY,
  org_id     TEXT NOT NULL REFERENCES org (id),
  -- Who was Owner of record, and where the link went: for nobody else does it work.
  owner_id   TEXT NOT NULL REFERENCES member (id),
  address    TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at    BIGINT
);
CREATE INDEX consent_reminder_of_org ON consent_reminder (org_id) WHERE used_at IS NULL;

-- A credential of an org ends; those of before in a year from now. They are seen in lists, with
-- their last use.
ALTER TABLE org_credential ADD COLUMN expires_at BIGINT;
ALTER TABLE org_credential ADD COLUMN last_used_at BIGINT;
CREATE INDEX org_credential_of_org ON org_credential (org_id, created_at, id);
UPDATE org_credential SET expires_at = (CAST(strftime('%s', 'now') AS INTEGER) + 31536000) * 1000000;
