-- Failed sign-ins, as each instance has counted them of late. The account is a keyed fingerprint of
-- what was typed, which may be a password in the wrong field. What was counted before counts for a
-- quarter of an hour, and is let go.
DROP TABLE sign_in_failure;
CREATE TABLE sign_in_count (
  instance TEXT NOT NULL,
  account  TEXT NOT NULL,
  source   TEXT NOT NULL,
  count    BIGINT NOT NULL,
  last_at  BIGINT NOT NULL,
  PRIMARY KEY (instance, account, source)
);
CREATE INDEX sign_in_count_source ON sign_in_count (source, last_at);
CREATE INDEX sign_in_count_at ON sign_in_count (last_at);

-- Browsers that have signed in to an account, by the hash of what their cookie holds.
CREATE TABLE staff_device (
  hash       TEXT NOT NULL,
  staff_id   TEXT NOT NULL REFERENCES staff (id),
  created_at BIGINT NOT NULL,
  used_at    BIGINT NOT NULL,
  PRIMARY KEY (hash, staff_id)
);
CREATE INDEX staff_device_staff ON staff_device (staff_id, used_at);
CREATE INDEX staff_device_used ON staff_device (used_at);
