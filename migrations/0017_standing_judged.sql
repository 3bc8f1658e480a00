-- When a trail was judged last of all: what was counted by verdict holds until then. Both engines
-- run this file.
CREATE INDEX trail_standing_judged ON trail_standing (judged_at);
