-- One row that is written to find out whether the database takes writes.
CREATE TABLE readiness (
  id       BIGINT PRIMARY KEY,
  asked_at BIGINT NOT NULL,
  -- More than a step writes, so that a disk with room for a little does not look like room.
  filler   TEXT NOT NULL
);
INSERT INTO readiness (id, asked_at, filler) VALUES (1, 0, '');
