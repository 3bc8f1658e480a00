-- A handoff into a shared vault is delivered once the item is there, which can be later than it
-- was sent.
ALTER TABLE handoff ADD COLUMN delivered_at BIGINT;
ALTER TABLE handoff ADD COLUMN item_id TEXT;

-- Until when the instance that took an item may still be at it: nobody else tries it meanwhile.
ALTER TABLE outbox ADD COLUMN taken_until BIGINT;
