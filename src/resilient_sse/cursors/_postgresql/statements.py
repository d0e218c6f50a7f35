"""What PostgreSQL does in one step: the statements of the lease protocol.

Each is one statement and so one transaction, which the server ends by itself: a replica that is
stopped in the middle of a request keeps no row locked.

Tokens grow with every grant, also across a server that lost its data, because none is below the
time in microseconds. *A new server* is one that was started since it was noted: it may be a copy
that knows less, as after a failover or from a backup. Its leases prove nothing, so for one lease
time it grants none; whoever holds one from before renews it meanwhile, which puts it back, or has
stopped when that time is over.

Rows are locked in the order of their names. Granting and saving wait for no lock: a row that is
locked belongs to a transaction that saves in it, and is asked for again.
"""

from __future__ import annotations

from string import Template
from typing import Final

# Tests put a clock and a server of their own in the place of these two.
CLOCK: Final = "clock_timestamp()"
RUN: Final = "pg_postmaster_start_time()::text"

_STATE: Final = f"""
WITH state AS MATERIALIZED (
  SELECT now, make_interval(secs => %(ttl)s) AS ttl, since IS NOT NULL AS noted,
    coalesce(since - now, interval '0') + make_interval(secs => %(ttl)s) AS quarantine
  FROM (SELECT {CLOCK} AS now) AS moment
  LEFT JOIN $server AS server ON server.run = {RUN} AND server.since <= now
)"""

NOTE: Final = Template(f"""
INSERT INTO $server AS server (run, since) VALUES ({RUN}, {CLOCK})
ON CONFLICT (one) DO UPDATE SET run = excluded.run, since = excluded.since
WHERE server.run <> excluded.run OR server.since > excluded.since
""")

# There is a row for each name before it is asked for.
MAKE: Final = Template("""
WITH made AS (
  INSERT INTO $leases (space, name)
  SELECT %(space)s, name FROM unnest(%(names)s::text[]) AS name ORDER BY name
  ON CONFLICT DO NOTHING
)
INSERT INTO $saves (space, name)
SELECT %(space)s, name FROM unnest(%(names)s::text[]) AS name ORDER BY name
ON CONFLICT DO NOTHING
""")

GRANT: Final = Template(f"""{_STATE},
wanted AS MATERIALIZED (
  SELECT * FROM unnest(%(names)s::text[], %(tokens)s::bigint[])
  WITH ORDINALITY AS wanted (name, highest, place)
),
free AS MATERIALIZED (
  SELECT leases.name FROM $leases AS leases JOIN wanted USING (name), state
  WHERE space = %(space)s AND quarantine <= interval '0'
    AND (owner = %(owner)s OR expires <= now)
  ORDER BY leases.name FOR UPDATE OF leases SKIP LOCKED
),
open AS MATERIALIZED (
  SELECT saves.* FROM $saves AS saves JOIN free USING (name)
  WHERE space = %(space)s ORDER BY saves.name FOR UPDATE OF saves SKIP LOCKED
),
granted AS (
  UPDATE $leases AS leases SET owner = %(owner)s, expires = now + ttl, token = greatest(
    leases.token + 1, open.fence + 1, open.token + 1, highest + 1,
    floor(extract(epoch FROM now) * 1000000)::bigint
  )
  FROM open JOIN wanted USING (name), state
  WHERE leases.space = %(space)s AND leases.name = open.name
  RETURNING leases.name, leases.token
),
fenced AS (
  UPDATE $saves AS saves SET fence = granted.token FROM granted
  WHERE saves.space = %(space)s AND saves.name = granted.name
)
SELECT noted, leases.name IS NOT NULL AND saves.name IS NOT NULL,
  coalesce(granted.token, 0),
  extract(epoch FROM greatest(
    quarantine, CASE WHEN leases.owner <> %(owner)s THEN leases.expires - now END
  ))::float8,
  coalesce(open.token, saves.token, 0), coalesce(open.number, saves.number, 0),
  coalesce(open.cursor, saves.cursor, ''), coalesce(open.lasting, saves.lasting, true), {RUN}
FROM wanted CROSS JOIN state
LEFT JOIN granted USING (name) LEFT JOIN open USING (name)
LEFT JOIN $leases AS leases ON leases.space = %(space)s AND leases.name = wanted.name
LEFT JOIN $saves AS saves ON saves.space = %(space)s AND saves.name = wanted.name
ORDER BY place
""")

# What a process knows and the server has forgotten.
TELL: Final = Template("""
WITH news AS MATERIALIZED (
  SELECT news.* FROM $saves AS saves
  JOIN unnest(%(names)s::text[], %(tokens)s::bigint[], %(numbers)s::bigint[], %(cursors)s::text[])
    AS news (name, token, number, cursor) USING (name)
  WHERE space = %(space)s AND (saves.token, saves.number) < (news.token, news.number)
  ORDER BY saves.name FOR UPDATE OF saves SKIP LOCKED
)
UPDATE $saves AS saves SET fence = greatest(fence, news.token), token = news.token,
  number = news.number, cursor = news.cursor, lasting = true,
  saved_at = clock_timestamp()
FROM news WHERE saves.space = %(space)s AND saves.name = news.name
""")

RENEW: Final = Template(f"""{_STATE},
asked AS MATERIALIZED (
  SELECT * FROM unnest(%(names)s::text[], %(tokens)s::bigint[])
  WITH ORDINALITY AS asked (name, token, place)
),
held AS MATERIALIZED (
  SELECT asked.name, asked.token FROM $leases AS leases JOIN asked USING (name), state
  WHERE space = %(space)s AND (
    (owner = %(owner)s AND leases.token = asked.token AND expires <> 'epoch')
    OR (quarantine > interval '0' AND leases.token < asked.token)
  )
  ORDER BY leases.name FOR UPDATE OF leases
),
kept AS (
  UPDATE $leases AS leases SET owner = %(owner)s, token = held.token, expires = now + ttl
  FROM held, state WHERE leases.space = %(space)s AND leases.name = held.name
  RETURNING leases.name, leases.token
),
behind AS MATERIALIZED (
  SELECT kept.name, kept.token FROM $saves AS saves JOIN kept USING (name), state
  WHERE space = %(space)s AND quarantine > interval '0' AND fence < kept.token
  ORDER BY saves.name FOR UPDATE OF saves SKIP LOCKED
),
fenced AS (
  UPDATE $saves AS saves SET fence = behind.token FROM behind
  WHERE saves.space = %(space)s AND saves.name = behind.name
)
SELECT noted, leases.name IS NOT NULL, kept.name IS NOT NULL, quarantine > interval '0'
FROM asked CROSS JOIN state LEFT JOIN kept USING (name)
LEFT JOIN $leases AS leases ON leases.space = %(space)s AND leases.name = asked.name
ORDER BY place
""")

# Those whose effects another server had, and this one has not.
WITHOUT: Final = Template(f"""
SELECT name FROM unnest(
  %(names)s::text[], %(tokens)s::bigint[], %(numbers)s::bigint[], %(runs)s::text[]
) AS made (name, token, number, run)
JOIN $saves AS saves USING (name)
WHERE space = %(space)s AND run <> {RUN} AND (saves.token, saves.number) < (made.token, made.number)
""")

SAVE: Final = Template(f"""{_STATE},
news AS MATERIALIZED (
  SELECT DISTINCT ON (name) * FROM unnest(
    %(names)s::text[], %(tokens)s::bigint[], %(numbers)s::bigint[], %(cursors)s::text[]
  ) AS news (name, token, number, cursor) ORDER BY name, token DESC, number DESC
),
open AS MATERIALIZED (
  SELECT saves.* FROM $saves AS saves JOIN news USING (name)
  WHERE space = %(space)s ORDER BY saves.name FOR UPDATE OF saves SKIP LOCKED
),
held AS MATERIALIZED (
  SELECT news.*, (open.token, open.number) < (news.token, news.number) AS newer
  FROM open JOIN news USING (name), state
  WHERE fence = news.token OR (quarantine > interval '0' AND fence < news.token)
),
kept AS (
  UPDATE $saves AS saves SET fence = held.token, token = held.token, number = held.number,
    cursor = held.cursor, lasting = true, saved_at = clock_timestamp()
  FROM held WHERE newer AND saves.space = %(space)s AND saves.name = held.name
)
SELECT news.name, noted, saves.name IS NOT NULL, open.name IS NOT NULL,
  held.token, quarantine > interval '0'
FROM news CROSS JOIN state LEFT JOIN open USING (name) LEFT JOIN held USING (name)
LEFT JOIN $saves AS saves ON saves.space = %(space)s AND saves.name = news.name
""")

# In a transaction of the program's. One that stands still ends before it keeps the next replica.
# The commit of the one before may have been answered by nobody: what is tried again has the same
# number. A server that was started since must have the one before, and not this cursor already.
SAVE_IN: Final = Template(f"""{_STATE},
limited AS MATERIALIZED (
  SELECT set_config('idle_in_transaction_session_timeout', least(
    coalesce(nullif(extract(epoch FROM
      current_setting('idle_in_transaction_session_timeout')::interval) * 1000, 0), %(limit)s),
    %(limit)s
  )::bigint::text, true)
)
UPDATE $saves AS saves SET fence = %(token)s, token = %(token)s, number = %(number)s,
  cursor = %(cursor)s, lasting = false, saved_at = clock_timestamp()
FROM state, limited WHERE space = %(space)s AND name = %(name)s
  AND (fence = %(token)s OR (quarantine > interval '0' AND fence < %(token)s))
  AND NOT (saves.token = %(token)s AND saves.number >= %(number)s)
  AND (%(run)s IN ('', {RUN}) OR cursor <> %(cursor)s
    AND (saves.token, saves.number) >= (%(token_before)s, %(number_before)s))
RETURNING {RUN}
""")

SAVED: Final = Template("""
SELECT number FROM $saves WHERE space = %(space)s AND name = %(name)s AND token = %(token)s
""")

GIVE_BACK: Final = Template("""
WITH held AS MATERIALIZED (
  SELECT leases.name FROM $leases AS leases
  JOIN unnest(%(names)s::text[], %(tokens)s::bigint[]) AS given (name, token) USING (name, token)
  WHERE space = %(space)s AND owner = %(owner)s ORDER BY leases.name FOR UPDATE OF leases
),
given AS (
  UPDATE $leases AS leases SET expires = 'epoch' FROM held
  WHERE leases.space = %(space)s AND leases.name = held.name RETURNING true
)
SELECT pg_notify(%(channel)s, '') FROM (SELECT count(*) AS count FROM given) AS given
WHERE count > 0
""")

MEET: Final = Template(f"""{_STATE},
gone AS MATERIALIZED (
  SELECT owner FROM $members, state WHERE space = %(space)s AND expires <= now
    AND owner <> %(owner)s ORDER BY owner FOR UPDATE SKIP LOCKED
),
cleared AS (
  DELETE FROM $members AS members USING gone
  WHERE members.space = %(space)s AND members.owner = gone.owner
),
met AS (
  INSERT INTO $members AS members (space, owner, expires, weight, streams)
  SELECT %(space)s, %(owner)s, now + ttl, %(weight)s, %(streams)s FROM state
  ON CONFLICT (space, owner) DO UPDATE SET expires = excluded.expires,
    weight = excluded.weight, streams = excluded.streams
  RETURNING owner, weight, streams, xmax = 0 AS new
),
there AS (
  SELECT members.owner, weight, streams, false AS new FROM $members AS members, state
  WHERE space = %(space)s AND expires > now AND members.owner <> %(owner)s
  UNION ALL SELECT * FROM met
),
unused AS (
  DELETE FROM $streams AS streams
  WHERE space = %(space)s AND digest NOT IN (SELECT streams FROM there)
)
SELECT owner, weight, streams, EXISTS (
  SELECT FROM $streams AS told WHERE told.space = %(space)s AND told.digest = there.streams
), CASE WHEN new THEN pg_notify(%(channel)s, '')::text END
FROM there
""")

TELL_STREAMS: Final = Template("""
INSERT INTO $streams (space, digest, names) VALUES (%(space)s, %(streams)s, %(names)s)
ON CONFLICT DO NOTHING
""")

ASK_STREAMS: Final = Template("""
SELECT digest, names FROM $streams WHERE space = %(space)s AND digest = ANY(%(streams)s)
""")

HOLDERS: Final = Template(f"""
SELECT name, owner FROM $leases WHERE space = %(space)s AND expires > {CLOCK}
""")

LEAVE: Final = Template("""
WITH gone AS (DELETE FROM $members WHERE space = %(space)s AND owner = %(owner)s RETURNING true)
SELECT pg_notify(%(channel)s, '') FROM gone
""")

# Of a store without leases.
LOAD: Final = Template("""
SELECT key, writer, number, cursor FROM $cursors WHERE key = ANY(%(keys)s)
""")

KEEP: Final = Template("""
INSERT INTO $cursors AS cursors (key, writer, number, cursor)
SELECT * FROM unnest(
  %(keys)s::text[], %(writers)s::text[], %(numbers)s::bigint[], %(cursors)s::text[]
) AS news (key, writer, number, cursor) ORDER BY key
ON CONFLICT (key) DO UPDATE
SET writer = excluded.writer, number = excluded.number, cursor = excluded.cursor,
  saved_at = clock_timestamp()
WHERE cursors.writer <> excluded.writer OR cursors.number < excluded.number
""")

# What people look after. A row without a token was asked for, and nothing was saved.
THERE: Final = Template("""
SELECT to_regclass('$cursors') IS NOT NULL AND to_regclass('$saves') IS NOT NULL
""")

LIST_STORED: Final = Template("""
SELECT key, cursor, extract(epoch FROM saved_at)::float8 FROM $cursors
""")

LIST_SAVED: Final = Template("""
SELECT space, name, cursor, extract(epoch FROM saved_at)::float8,
  coalesce(expires > clock_timestamp(), false)
FROM $saves LEFT JOIN $leases USING (space, name) WHERE $saves.token > 0
""")

PUT: Final = Template("""
INSERT INTO $saves AS saves (space, name, fence, token, number, cursor)
VALUES (%(space)s, %(name)s, 1, 1, 1, %(cursor)s)
ON CONFLICT (space, name) DO UPDATE SET fence = greatest(saves.fence, 1),
  token = greatest(saves.token, 1), number = saves.number + 1, cursor = excluded.cursor,
  lasting = true, saved_at = clock_timestamp()
""")

FORGET_STORED: Final = Template("""
DELETE FROM $cursors WHERE key = %(key)s
""")

# The row of a lease stays, for its token.
FORGET_SAVED: Final = Template("""
UPDATE $saves SET token = 0, number = 0, cursor = '', lasting = true
WHERE space = %(space)s AND name = %(name)s
""")
