"""What Redis does in one step: the Lua scripts of the lease protocol.

The state of one *space* (a lease, or a group of streams) is six keys in one slot of a cluster:

    {space}:server   hash   run, since     which server process this is, and when we first met it
    {space}:leases   hash   name -> "owner token expires"
    {space}:cursors  hash   name -> "token number@seconds cursor", with the time of the save
    {space}:members  zset   owner -> expires
    {space}:about    hash   owner -> "weight digest"
    {space}:streams  hash   digest -> the streams that it stands for, as JSON

Times are milliseconds of the server's clock; no other clock counts here.

Tokens grow with every grant, also across a server that lost its data, because none is below the
time in microseconds. A lease is never deleted, so its last token stays known.

*A new server*: one whose run id differs from the noted one has restarted, perhaps empty or from an
old snapshot, or took over from a master that knew more. Its leases prove nothing, so for one lease
time it grants none. Everyone who holds a lease from before either renews it meanwhile, which puts
the lease and its cursor back, or has stopped when that time is over.

Readers outlive an engine that was away for longer than that. So whoever asks for a lease says what
he knows of its cursor, under which token it was saved and as which of its saves; the highest wins,
and the next token exceeds it.
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

local function saved(name)
  local entry = redis.call('HGET', cursors, name)
  if not entry then return 0, 0 end
  local token, number = string.match(entry, '^(%d+) (%d+)')
  return tonumber(token), tonumber(number), entry
end

local function save(name, token, number, cursor)
  local latest, last = saved(name)
  if latest > token then return false end
  if latest < token or last < tonumber(number) then
    local head = string.format('%.0f %s@%.0f ', token, number, now / 1000)
    redis.call('HSET', cursors, name, head .. cursor)
  end
  return true
end
"""

ACQUIRE: Final = f"""{_LEASES}
local answers = {{}}
for position = 3, #ARGV, 5 do
  local name, known = ARGV[position], tonumber(ARGV[position + 1])
  local under = tonumber(ARGV[position + 2])
  if under > 0 then save(name, under, ARGV[position + 3], ARGV[position + 4]) end
  local holder, latest, expires = lease(name)
  local wait = quarantine
  if holder and holder ~= owner then wait = math.max(wait, expires - now) end
  local last, _, entry = saved(name)
  local token = 0
  if wait <= 0 then
    token = math.max(math.max(latest, known, last) + 1, now * 1000)
    grant(name, token, now + ttl)
  end
  answers[#answers + 1] = {{token, math.ceil(wait), entry or false}}
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
    if quarantine > 0 and cursor ~= '' then save(name, token, ARGV[position + 2], cursor) end
  end
  answers[#answers + 1] = kept and 1 or 0
end
return answers
"""

SAVE: Final = f"""{_LEASES}
local answers = {{}}
for position = 3, #ARGV, 4 do
  local name, token = ARGV[position], tonumber(ARGV[position + 1])
  local kept = holds(name, token) and save(name, token, ARGV[position + 2], ARGV[position + 3])
  answers[#answers + 1] = kept and 1 or 0
end
return answers
"""

RELEASE: Final = f"""{_LEASES}
for position = 3, #ARGV, 2 do
  local name, token = ARGV[position], tonumber(ARGV[position + 1])
  local holder, latest = lease(name)
  if holder == owner and latest == token then grant(name, token, 0) end
end
return 1
"""

# What a replica says of itself is its weight and the digest of its streams: "1.0 digest".
MEET: Final = f"""
{CLOCK}
local members, about, streams = KEYS[1], KEYS[2], KEYS[3]
redis.call('ZADD', members, now + tonumber(ARGV[2]), ARGV[1])
redis.call('HSET', about, ARGV[1], ARGV[3])
for _, owner in ipairs(redis.call('ZRANGEBYSCORE', members, '-inf', now)) do
  redis.call('HDEL', about, owner)
end
redis.call('ZREMRANGEBYSCORE', members, '-inf', now)
local answers, used = {{}}, {{}}
for _, owner in ipairs(redis.call('ZRANGE', members, 0, -1)) do
  local said = redis.call('HGET', about, owner)
  local digest = string.match(said, ' (.*)$')
  used[digest] = true
  answers[#answers + 1] = {{owner, said, redis.call('HEXISTS', streams, digest)}}
end
for _, digest in ipairs(redis.call('HKEYS', streams)) do
  if not used[digest] then redis.call('HDEL', streams, digest) end
end
return answers
"""

HOLDERS: Final = f"""
{CLOCK}
local answers, entries = {{}}, redis.call('HGETALL', KEYS[1])
for position = 1, #entries, 2 do
  local owner, expires = string.match(entries[position + 1], '^(%S+) %d+ (%d+)$')
  if tonumber(expires) > now then
    answers[#answers + 1] = entries[position]
    answers[#answers + 1] = owner
  end
end
return answers
"""

# Of a store without leases: "writer number@seconds cursor", in one hash.
KEEP: Final = """
local seconds = redis.call('TIME')[1]
for position = 1, #ARGV, 4 do
  local key, writer, number = ARGV[position], ARGV[position + 1], ARGV[position + 2]
  local entry = redis.call('HGET', KEYS[1], key)
  local latest, last
  if entry then latest, last = string.match(entry, '^(%S+) (%d+)') end
  if latest ~= writer or tonumber(last) < tonumber(number) then
    local head = writer .. ' ' .. number .. '@' .. seconds .. ' '
    redis.call('HSET', KEYS[1], key, head .. ARGV[position + 3])
  end
end
return 1
"""
