-- How impersonations stand besides their verdict is found by words, too: those that were judged
-- before are judged again, in the background.
UPDATE trail_standing SET due_at = 0;
