-- Filters of the timeline that somebody gave a name: each person's own.
CREATE TABLE saved_view (
  id         TEXT PRIMARY KEY,
  staff_id   TEXT NOT NULL REFERENCES staff (id),
  name       TEXT NOT NULL,
  -- The filter as it stands in the address, in one fixed form.
  query      TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (staff_id, name)
);
