-- For how long an impersonation's token was open is a word of its start: those that were judged
-- before are judged again, in the background.
UPDATE trail_standing SET due_at = 0;
