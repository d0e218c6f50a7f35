"""What Redis does in one step: the Lua scripts of the lease protocol.

The state of one *space* (a lease, or a group of streams) is four keys in one slot of a cluster:

    {space}:server   hash   run, since     which server process this is, and when we first met it
    {space}:leases   hash   name -> "owner token expires"
    {space}:cursors  hash   name -> "writer number cursor"
    {space}:members  zset   owner -> expires

Times are milliseconds of the server's clock; no other clock counts here.

Tokens grow with every grant, also across a server that lost its data, because none is below the
time in microseconds. A lease is never deleted, so its last token stays known.

*A new server*: one whose run id differs from the noted one has restarted, perhaps empty or from an
old snapshot, or took over from a master that knew more. Its leases prove nothing, so for one lease
time it grants none. Everyone who holds a lease from before either renews it meanwhile, which puts
the lease and its cursor back, or has stopped when that time is over.
"""

from __future__ import annotations

from typing import Final

# Tests put a clock and a server of their own in the place of these two lines.
CLOCK: Final = "local time = redis.call('TIME'); local now = time[1] * 1000 + time[2] / 1000"
RUN: Final = "local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')"

_LEASES: Final = f"""
{CLOCK}
now = math.floor(now)
{RUN}
local server, leases, cursors = KEYS[1], KEYS[2], KEYS[3]
local owner, ttl = ARGV[1], tonumber(ARGV[2])

local known = redis.call('HMGET', server, 'run', 'since')
local since = tonumber(known[2])
if known[1] ~= run or since > now then
  since = now
  redis.call('HSET', server, 'run', run, 'since', string.format('%.0f', now))
end
local quarantine = since + ttl - now

local function lease(name)
  local entry = redis.call('HGET', leases, name)
  if not entry then return nil, 0, 0 end
  local holder, token, expires = string.match(entry, '^(%S+) (%d+) (%d+)$')
  return holder, tonumber(token), tonumber(expires)
end

local function grant(name, token, expires)
  redis.call('HSET', leases, name, string.format('%s %.0f %.0f', owner, token, expires))
end

local function holds(name, token)
  local holder, latest, expires = lease(name)
  if holder == owner and latest == token then return true end
  if quarantine > 0 and latest < token then
    grant(name, token, now + ttl)
    return true
  end
  return false
end

local function save(name, number, cursor)
  local entry = redis.call('HGET', cursors, name)
  if entry then
    local writer, last = string.match(entry, '^(%S+) (%d+) ')
    if writer == owner and tonumber(last) >= tonumber(number) then return end
  end
  redis.call('HSET', cursors, name, owner .. ' ' .. number .. ' ' .. cursor)
end
"""

ACQUIRE: Final = f"""{_LEASES}
local answers = {{}}
for position = 3, #ARGV do
  local name = ARGV[position]
  local holder, latest, expires = lease(name)
  local wait = quarantine
  if holder and holder ~= owner then wait = math.max(wait, expires - now) end
  local token = 0
  if wait <= 0 then
    token = math.max(latest + 1, now * 1000)
    grant(name, token, now + ttl)
  end
  answers[#answers + 1] = {{token, math.ceil(wait), redis.call('HGET', cursors, name)}}
end
return answers
"""

RENEW: Final = f"""{_LEASES}
local answers = {{}}
for position = 3, #ARGV, 4 do
  local name, token = ARGV[position], tonumber(ARGV[position + 1])
  local _, latest, expires = lease(name)
  local given_back = latest == token and expires == 0
  local kept = not given_back and holds(name, token)
  if kept then
    grant(name, token, now + ttl)
    -- What this server has may be older than what the one before it was given.
    local cursor = ARGV[position + 3]
    if quarantine > 0 and cursor ~= '' then save(name, ARGV[position + 2], cursor) end
  end
  answers[#answers + 1] = kept and 1 or 0
end
return answers
"""

SAVE: Final = f"""{_LEASES}
local name, token = ARGV[3], tonumber(ARGV[4])
if not holds(name, token) then return 0 end
save(name, ARGV[5], ARGV[6])
return 1
"""

RELEASE: Final = f"""{_LEASES}
for position = 3, #ARGV, 2 do
  local name, token = ARGV[position], tonumber(ARGV[position + 1])
  local holder, latest = lease(name)
  if holder == owner and latest == token then grant(name, token, 0) end
end
return 1
"""

MEET: Final = f"""
{CLOCK}
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
return redis.call('ZRANGE', KEYS[1], 0, -1)
"""

KEEP: Final = """
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if entry then
  local writer, last = string.match(entry, '^(%S+) (%d+) ')
  if writer == ARGV[2] and tonumber(last) >= tonumber(ARGV[3]) then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. ARGV[4])
return 1
"""
