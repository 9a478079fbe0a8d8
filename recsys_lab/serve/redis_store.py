"""Session memory in Redis: for a service with several workers or machines.

**What survives.** An event is acknowledged once Redis has it, so a ``kill -9`` of the service loses nothing. What
survives the end of *Redis* is Redis's own setting, and `RedisStore.warning` says where it is weak:

- ``appendonly yes`` and ``appendfsync always``: every acknowledged event survives, a loss of power included.
- ``appendonly yes`` and ``appendfsync everysec`` (the usual choice): up to a second of events can be lost with the
  power, and as a rule none when only the process ends.
- without ``appendonly``: everything since the last snapshot is lost.

**How it is kept.** Each call of `append` is one Lua script, which Redis runs without anything in between, and all of it
or nothing. Times and arrivals are digits of fixed width in front of the members of sorted sets whose scores are all 0:
Redis then sorts by text, which is by time and arrival, to the nanosecond. (A score is a float of 53 bits and could not
tell the nanoseconds of today apart.) One server holds all keys; a cluster of shards would need another layout.

======================  ===========  =================================================================
key, after the prefix   type         holds
======================  ===========  =================================================================
``events``              hash         event id → arrival (16 digits), late (0/1), content
``session:ID:views``    sorted set   time (19 digits), arrival, event id; so do ``:others`` and ``:late``
``session:ID:user``     string       time, arrival and the newest user id
``user:ID``             sorted set   time, arrival, event id
``views``               sorted set   time, arrival, item id: what is trending
``sessions``            sorted set   session id by its newest event in microseconds: what can be forgotten
``arrivals``            number       events that ever arrived
======================  ===========  =================================================================
"""

from __future__ import annotations

import contextlib
import functools
import json
from collections import Counter

import pandas as pd

from recsys_lab.events import INT64_MAX
from recsys_lab.serve.event_fields import check_id, check_key, item_order, log_frame
from recsys_lab.serve.memory import Event, Session, SessionStore, StoreError
from recsys_lab.serve.network import masked

FORMAT = "1"
PAGE = 5_000

APPEND = """
local p, oldest, newest, limit = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local outcomes = {}
local function append(id, session, kind, time, item, user)
  local content = table.concat({session, kind, time, item, user}, '\\n')
  local known = redis.call('HGET', p .. 'events', id)
  if known then return string.sub(known, 18) == content and 'duplicate' or 'conflict' end
  if time > newest then return 'future' end
  local s = p .. 'session:' .. session
  local held = 0
  for _, part in ipairs({':views', ':others', ':late'}) do held = held + redis.call('ZCARD', s .. part) end
  if held >= limit then return 'full' end
  local at = time .. string.format('%016d', redis.call('INCR', p .. 'arrivals'))
  local late = time < oldest
  redis.call('HSET', p .. 'events', id, string.sub(at, 20) .. (late and '1' or '0') .. content)
  local micros = tonumber(string.sub(time, 1, 16))
  if micros > (tonumber(redis.call('ZSCORE', p .. 'sessions', session) or '-1')) then
    redis.call('ZADD', p .. 'sessions', micros, session)
  end
  if late then
    redis.call('ZADD', s .. ':late', 0, at .. id)
    return 'late'
  end
  if kind == 'view' then
    redis.call('ZADD', s .. ':views', 0, at .. id)
    redis.call('ZADD', p .. 'views', 0, at .. item)
  else
    redis.call('ZADD', s .. ':others', 0, at .. id)
  end
  if user ~= 'null' then
    redis.call('ZADD', p .. 'user:' .. user, 0, at .. id)
    local latest = redis.call('GET', s .. ':user')
    if not latest or at > string.sub(latest, 1, 35) then redis.call('SET', s .. ':user', at .. user) end
  end
  return 'stored'
end
for i = 5, #ARGV, 6 do
  outcomes[#outcomes + 1] = append(ARGV[i], ARGV[i+1], ARGV[i+2], ARGV[i+3], ARGV[i+4], ARGV[i+5])
end
return outcomes
"""

# Newest first: pairs of event id and record.
NEWEST = """
local p = ARGV[1]
local function newest(key, n)
  local found = {}
  for _, member in ipairs(redis.call('ZREVRANGE', key, 0, n)) do
    local id = string.sub(member, 36)
    found[#found + 1] = id
    found[#found + 1] = redis.call('HGET', p .. 'events', id)
  end
  return found
end
"""
SESSION = f"""{NEWEST}
local s = p .. 'session:' .. ARGV[2]
return {{newest(s .. ':views', ARGV[3] - 1), newest(s .. ':others', -1), redis.call('GET', s .. ':user') or ''}}
"""
OF_USER = f"""{NEWEST}
return newest(p .. 'user:' .. ARGV[2], ARGV[3] - 1)
"""

# With a time as third argument: only if nothing happened in the session from then on.
FORGET = """
local p, session, older_than = ARGV[1], ARGV[2], ARGV[3]
local s, n = p .. 'session:' .. session, 0
local kinds = {':views', ':others', ':late'}
if older_than ~= '' then
  for _, kind in ipairs(kinds) do
    local newest = redis.call('ZREVRANGE', s .. kind, 0, 0)[1]
    if newest and string.sub(newest, 1, 19) >= older_than then return 0 end
  end
end
for _, kind in ipairs(kinds) do
  for _, member in ipairs(redis.call('ZRANGE', s .. kind, 0, -1)) do
    local at, id = string.sub(member, 1, 35), string.sub(member, 36)
    local item, user = string.match(redis.call('HGET', p .. 'events', id), '\\n([^\\n]*)\\n([^\\n]*)$')
    redis.call('ZREM', p .. 'views', at .. item)
    redis.call('ZREM', p .. 'user:' .. user, member)
    redis.call('HDEL', p .. 'events', id)
    n = n + 1
  end
  redis.call('DEL', s .. kind)
end
redis.call('DEL', s .. ':user')
redis.call('ZREM', p .. 'sessions', session)
return n
"""


class RedisStore(SessionStore):
    """Session memory in a Redis server (6 or newer); see the head of this module.

    Parameters
    ----------
    url : str
        ``redis://[[user]:password@]host[:port][/db]``, ``rediss://`` or ``unix://``. The password is never shown.
    prefix : str
        In front of all keys, so that several shops may share a server.
    timeout_s : float
        How long to wait for a connection and for an answer.
    **options
        Of `SessionStore`.

    Raises
    ------
    StoreError
        If the client is not installed or the server does not answer.
    """

    def __init__(self, url: str, *, prefix: str = "recsys-lab:", timeout_s: float = 2, **options):
        super().__init__(**options)
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError:
            raise StoreError("redis:// needs the client. Fix: pip install 'recsys-lab[redis]'") from None
        self._redis, self._prefix, self.url = redis, prefix, masked(url)
        self._client = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(
                NoBackoff(), 0
            ),  # whoever sent the event decides: only then does "duplicate" mean a second send
        )
        scripts = {"append": APPEND, "session": SESSION, "of_user": OF_USER, "forget": FORGET}
        self._scripts = {name: self._client.register_script(text) for name, text in scripts.items()}
        self._closed = False
        self.ready()
        self._check_format()

    # ---- what is asked of every store

    def _append(self, events: list[Event], now: int, oldest: int, newest: int) -> list[str]:
        arguments = [_digits(oldest), _digits(newest), self.session_limit]
        for event in events:
            arguments += [event.event_id, event.session_id, event.event, _digits(event.timestamp)]
            arguments += [_dump(event.item_id), _dump(event.user_id)]
        return self._run("append", *arguments)

    def session(self, session_id: str) -> Session:  # noqa: D102
        key = check_id(session_id)
        views, others, user = self._run("session", key, self.max_events)
        views, others = _records(views), _records(others)
        both = sorted(views + others[-self.max_events :])  # by time and arrival
        return Session(
            key,
            json.loads(user[35:]) if user else None,
            tuple(event for *_, event in both[-self.max_events :]),
            tuple(event for *_, event in views),
            tuple(event for *_, event in others),
        )

    def user_events(self, user_id: int | str, limit: int = 200) -> tuple[Event, ...]:  # noqa: D102
        user = _dump(check_key(user_id, "user_id"))
        if limit < 1:
            return ()
        return tuple(event for *_, event in _records(self._run("of_user", user, limit)))

    def trending(self, since: int, k: int) -> list[tuple]:  # noqa: D102
        views, start = Counter(), f"[{_digits(since)}"
        while page := self._call("zrange", self._prefix + "views", start, "+", bylex=True, offset=0, num=PAGE):
            views.update(member[35:] for member in page)  # in pages, so that nobody else has to wait
            start = f"({page[-1]}"
        counts = [(json.loads(item), n) for item, n in views.items()]
        return sorted(counts, key=lambda pair: (-pair[1], item_order(pair[0])))[: max(0, k)]

    def log(self) -> pd.DataFrame:  # noqa: D102
        last, found, cursor = int(self._call("get", self._prefix + "arrivals") or 0), {}, None
        while cursor != 0:  # a scan may return an event twice
            cursor, page = self._call("hscan", self._prefix + "events", cursor or 0, count=PAGE)
            found.update(page)
        rows = sorted(_row(event_id, record) for event_id, record in found.items())
        return log_frame(row[1:] for row in rows if row[0] <= last)  # what arrived while scanning may have gaps

    def forget(self, session_id: str) -> int:  # noqa: D102
        return self._run("forget", check_id(session_id), "")

    def _purge(self, older_than: int) -> int:
        limit = older_than // 1000 + 1
        outdated = self._call("zrange", self._prefix + "sessions", "-inf", limit, byscore=True)
        return sum(self._run("forget", session, _digits(older_than)) for session in outdated)

    def count(self) -> int:  # noqa: D102
        return self._call("hlen", self._prefix + "events")

    def ready(self) -> None:  # noqa: D102
        self._call("incrby", self._prefix + "arrivals", 0)  # a write: full memory or a read-only replica refuse it
        self.warning = self._weakness()

    def close(self) -> None:  # noqa: D102
        self._closed = True
        self._client.close()

    # ---- inside

    def _run(self, script: str, *arguments):
        with self._reporting():
            return self._scripts[script](args=[self._prefix, *arguments])

    def _call(self, command: str, *arguments, **options):
        with self._reporting():
            return getattr(self._client, command)(*arguments, **options)

    def _check_format(self) -> None:
        self._call("set", self._prefix + "format", FORMAT, nx=True)
        found = self._call("get", self._prefix + "format")
        if found != FORMAT:
            raise StoreError(
                f"{self.url}: keys {self._prefix}* have format {found!r}. Fix: update, or another prefix=."
            )

    def _weakness(self) -> str | None:
        """What this server's settings may lose, in words; None where nothing acknowledged can be lost."""
        info = self._call("info")
        if int(info.get("maxmemory", 0)) and info.get("maxmemory_policy", "noeviction") != "noeviction":
            return f"{self.url} throws events away when its memory is full. Fix: maxmemory-policy noeviction"
        if not int(info.get("aof_enabled", 0)):
            return (
                f"{self.url} keeps no append-only file: when Redis stops, events since its last snapshot are lost. "
                "Fix: appendonly yes and appendfsync always"
            )
        try:
            fsync = self._call("config_get", "appendfsync").get("appendfsync")
        except StoreError:  # a hosted Redis may not say
            fsync = None
        if fsync == "always":
            return None
        return (
            f"{self.url} has appendfsync {fsync or 'unknown'}: a loss of power may take back the last second of "
            "events or more. Fix: appendfsync always"
        )

    @contextlib.contextmanager
    def _reporting(self):
        if self._closed:
            raise StoreError(f"session memory: {self.url} was closed. Fix: open_store(...) again.")
        try:
            yield
        except self._redis.RedisError as error:
            raise StoreError(f"session memory: {self._explain(error)}") from error

    def _explain(self, error: Exception) -> str:
        """What is wrong with the server, and what to do."""
        kinds, text = self._redis.exceptions, str(error)
        if isinstance(error, kinds.AuthenticationError | kinds.AuthorizationError) or text.startswith("NOAUTH"):
            return f"Redis at {self.url} refuses the password. Fix: redis://:PASSWORD@HOST:PORT/0"
        if isinstance(error, kinds.BusyLoadingError):
            return f"Redis at {self.url} is reading its file. Fix: wait until redis-cli ping says PONG, try again."
        if isinstance(error, kinds.TimeoutError):
            return (
                f"Redis at {self.url} did not answer in time; whether the events arrived is unknown. "
                "Fix: send them again with the same event ids, they count once."
            )
        if isinstance(error, kinds.ConnectionError):
            return (
                f"Redis at {self.url} cannot be reached, or went away. Fix: start it (redis-server) or check host and "
                "port, then send the events again with the same event ids: they count once."
            )
        if isinstance(error, kinds.ReadOnlyError):
            return f"Redis at {self.url} is a read-only replica. Fix: name the primary server."
        if isinstance(error, kinds.OutOfMemoryError) or text.startswith("OOM"):
            return f"Redis at {self.url} has no memory left; nothing was stored. Fix: raise maxmemory or purge(...)."
        if text.startswith("MISCONF"):
            return f"Redis at {self.url} cannot write to its disk and refuses events. Fix: free space there. ({text})"
        if "WRONGTYPE" in text:
            return f"Redis at {self.url} has other data under {self._prefix}*. Fix: another prefix= or another /db."
        return f"Redis at {self.url} says {text!r}. Fix: see its log."


def _digits(time: int) -> str:
    """A time as 19 digits, which sort like the number."""
    return f"{min(max(time, 0), INT64_MAX):019d}"


def _dump(key) -> str:
    return json.dumps(key, ensure_ascii=False)


@functools.lru_cache(maxsize=65_536)  # a million events are about some thousand items
def _load(key: str):
    return json.loads(key)


def _row(event_id: str, record: str) -> tuple:
    """One row of the log, its arrival in front."""
    session, kind, time, item, user = record[17:].split("\n")
    arrival = int(record[:16])
    return arrival, session, _load(item), kind, int(time), arrival, _load(user), event_id, record[16] == "1"


def _records(pairs: list[str]) -> list[tuple]:
    """(time, arrival, event) of each, oldest first, from ids and records that come newest first."""
    found = []
    for event_id, record in zip(pairs[-2::-2], pairs[-1::-2], strict=True):
        arrival, session, item, kind, time, _, user, _, _ = _row(event_id, record)
        found.append((time, arrival, Event(session, item, kind, time, event_id, user)))
    return found
