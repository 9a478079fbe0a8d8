"""What stands between a network and an application: limits, a clock for slow senders, headers for browsers.

Requests are counted by cookie and not by address: a room shares one. Where `shared` is set, those that bring no cookie
have one allowance together.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie

from starlette.responses import PlainTextResponse, Response

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with "no-referrer" browsers would not say where a form comes from either
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
MOST_BODY, MOST_QUERY = 16_384, 4_096  # bytes
MOST_COOKIE = 64  # characters of one that are looked at
BODY_S = 10.0  # how long a form may take to arrive
BURST, PER_S = 60, 12.0  # requests of one visitor: at once, and a second for as long as they like
MOST_VISITORS = 10_000  # whose requests are counted; the least recent are forgotten


class TooLargeError(Exception):
    """A body is longer than any that this application takes."""


def in_words(status: int, text: str, headers: dict | None = None) -> Response:
    """Refuse in one plain sentence."""
    return PlainTextResponse(text, status, {"connection": "close", **(headers or {})})


class Guard:
    """ASGI middleware; see the head of this module.

    Parameters
    ----------
    app : ASGI application
    cookie : str
        Name of the cookie that tells visitors apart.
    clock : callable
        Seconds, for tests.
    body_s : float
        Seconds a body may take to arrive.
    most_body : int
        Bytes of one.
    allowance : tuple of (int, float)
        Requests of one visitor: at once, and a second in the long run.
    shared : tuple of (int, float), optional
        The same for all together who bring no cookie; by default they are not counted.
    refuse : callable
        Takes status, text and headers, and returns the answer.
    """

    def __init__(self, app, cookie: str, clock=time.monotonic, body_s: float = BODY_S, most_body: int = MOST_BODY,
                 allowance=(BURST, PER_S), shared=None, refuse: Callable = in_words):  # fmt: skip
        self.app, self.cookie, self.clock, self.body_s, self.most_body = app, cookie, clock, body_s, most_body
        self.allowance, self.shared, self.refuse = allowance, shared, refuse
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # visitor: requests left, when

    async def __call__(self, scope, receive, send):
        """Answer one request, or refuse it."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        static = scope["path"].startswith("/static/")
        started, failed = False, []

        async def send_with_headers(message):
            nonlocal started
            if failed and not started:  # a framework makes an answer of its own from an error while it reads: not that
                return
            if message["type"] == "http.response.start":
                started = True
                extra = {**HEADERS, "cache-control": "max-age=3600"} if static else HEADERS
                kept = [(name, value) for name, value in message["headers"] if name.decode().lower() not in extra]
                message["headers"] = kept + [(name.encode(), value.encode()) for name, value in extra.items()]
            await send(message)

        try:
            if refusal := self._refusal(scope, static):
                return await refusal(scope, receive, send_with_headers)
            await self.app(scope, self._limited(receive, failed), send_with_headers)
        except (TooLargeError, TimeoutError):
            if started or not failed:
                raise
        if failed and not started:
            large = isinstance(failed.pop(), TooLargeError)
            answer = self.refuse(413, "This is too large.") if large else self.refuse(408, "This took too long.")
            await answer(scope, receive, send_with_headers)

    def _refusal(self, scope, static: bool) -> Response | None:
        head = {name.lower(): value for name, value in scope["headers"]}
        length = head.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self.most_body:
            return self.refuse(413, "This is too large.")
        if len(scope["query_string"]) > MOST_QUERY:
            return self.refuse(414, "This address is too long.")
        if not static and not self._may_ask(head.get(b"cookie", b"")):
            return self.refuse(429, "That was very fast. Wait a moment and try again.", {"retry-after": "5"})
        return None

    def _may_ask(self, cookies: bytes) -> bool:
        """Whether a visitor has requests left (token bucket)."""
        try:
            found = SimpleCookie(cookies.decode("latin-1")).get(self.cookie)
        except CookieError:
            found = None
        if found is None and self.shared is None:
            return True
        name, (burst, per_s) = (found.value[:MOST_COOKIE], self.allowance) if found else ("", self.shared)
        now = self.clock()
        left, then = self._left.pop(name, (burst, now))
        left = min(burst, left + per_s * (now - then))
        self._left[name] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > MOST_VISITORS:
            self._left.popitem(last=False)
        return left >= 1

    def _limited(self, receive, failed: list):
        """A `receive` that counts bytes and looks at the clock until the whole body is there; notes why it failed."""
        size, end, whole = 0, self.clock() + self.body_s, False

        async def limited():
            nonlocal size, whole
            if whole:  # what comes now is that the sender has gone, whenever that is
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, end - self.clock()))
                size += len(message.get("body", b""))
                if size > self.most_body:
                    raise TooLargeError
            except (TooLargeError, TimeoutError) as error:
                failed.append(error)
                raise
            whole = not message.get("more_body", False)
            return message

        return limited
