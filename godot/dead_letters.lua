-- What an operator does with dead letters, the oldest first.
-- ARGV: "list", "replay" or "discard"; how many letters at most (100 or fewer); how many of the oldest to pass over (list);
-- bytes of letters after which the step ends; bounds of the queue (entries, bytes).
-- Answers how many letters there were, how many were looked at, how many of these were moved or removed, and the letters
-- (list). A letter that does not hold its whole entry cannot be replayed: it becomes the newest.
-- Work: "list" and "replay" read letters one by one, up to the bytes given and one letter (1.6 MB where an entry is all
-- control characters); "discard" reads none, and frees 100 of them.
local total = redis.call('LLEN', dead_letters)
local most, skip, enough = math.min(tonumber(ARGV[2]), total), tonumber(ARGV[3]), tonumber(ARGV[4])

-- The letters that make up the bytes given, and the first in any case.
local function list()
  local reply, bytes = {total, 0, 0}, 0
  for i = 1, most do
    local letter = redis.call('LINDEX', dead_letters, -skip - i)
    if not letter or (i > 1 and bytes + #letter > enough) then break end
    bytes = bytes + #letter
    reply[2] = i
    reply[#reply + 1] = letter
  end
  return reply
end

local function discard()
  if most > 0 then redis.call('LTRIM', dead_letters, 0, -most - 1) end
  return {total, most, most}
end

local function replay()
  local seen, moved, bytes = 0, 0, 0
  while seen < most and bytes < enough do
    local letter = redis.call('LINDEX', dead_letters, -1)
    local read, content = pcall(cjson.decode, letter)
    seen, bytes = seen + 1, bytes + #letter
    if read and type(content) == 'table' and type(content.entry) == 'string' and not content.cut_from then
      redis.call('LTRIM', dead_letters, 0, -2)
      redis.call('LPUSH', queue, content.entry)
      add('bytes', #content.entry)
      moved = moved + 1
    else
      redis.call('LMOVE', dead_letters, dead_letters, 'RIGHT', 'LEFT')
    end
  end
  enforce(tonumber(ARGV[5]), tonumber(ARGV[6]))
  return {total, seen, moved}
end

return ({list = list, replay = replay, discard = discard})[ARGV[1]]()
