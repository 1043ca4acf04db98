-- Once a second, since not everybody pushes through Godot: measures the queue and brings it below its bounds.
-- ARGV: greatest number of entries, of bytes; worker, and the bytes on its disk.
-- Answers how many drops the log does not name yet, when the first and the last of them were, and whether there is
-- room for the line that names them; and how full everything is (per cent).
local max, max_bytes = tonumber(ARGV[1]), tonumber(ARGV[2])
local spooled = 'spooled:' .. ARGV[3]
if (redis.call('HGET', state, spooled) or '0') ~= ARGV[4] then redis.call('HSET', state, spooled, ARGV[4]) end

local function size(key) return redis.call('MEMORY', 'USAGE', key, 'SAMPLES', 0) or 0 end

local held = 0
for _, n in ipairs(redis.call('ZRANGE', inflight, 0, -1)) do held = held + size(batch_key(n)) end
local bytes, queued = size(queue), redis.call('LLEN', queue)
while queued > 0 and held + bytes > max_bytes do
  local over = math.ceil((held + bytes - max_bytes) / (bytes / queued))
  drop_queued(math.min(over, queued))
  bytes, queued = size(queue), redis.call('LLEN', queue)
end
held = held + bytes
if tonumber(redis.call('HGET', state, 'bytes') or 0) ~= held then redis.call('HSET', state, 'bytes', text(held)) end
local left = enforce(max, max_bytes)
local drops = redis.call('HMGET', state, 'unreported', 'first', 'last')
local room = left < max and held < max_bytes
return {tonumber(drops[1] or 0), drops[2] or '', drops[3] or '', room and 1 or 0, fill(max, max_bytes)}
