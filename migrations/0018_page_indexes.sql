-- What pages read of witnesses and of live impersonations, by indexes of its own. Both engines run
-- this file.
CREATE INDEX witness_state_of_log ON witness_state (log_id, witness);
CREATE INDEX witness_state_in_doubt ON witness_state (log_id) WHERE last_error IS NOT NULL;
CREATE INDEX impersonation_live_by_start ON impersonation (started_at, id) WHERE ended_at IS NULL;
