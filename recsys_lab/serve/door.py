"""Who comes in: which host was asked for, from which page, with which room code, as which visitor.

- **Host.** A page elsewhere can give its own name this machine's address (DNS rebinding); the browser's ``Host`` is
  that name then, and the request is refused. With a room code the code protects instead: phones come by many names.
- **Origin.** What changes something has to come from a page of this address, as browsers say; other clients need not.
- **Room code.** Where there is one, nothing is shown without it.
- **Visitor.** A random cookie that scripts cannot read names the visit.
"""

from __future__ import annotations

import hashlib
import hmac
import html
import re
import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from starlette.responses import HTMLResponse, RedirectResponse

from recsys_lab.serve.problems import refuse

VISITOR, ROOM, HEADER = "visitor", "room", b"x-room-code"
KEEP_S = 30 * 86_400
SAFE = ("GET", "HEAD", "OPTIONS")
OPEN = ("/healthz", "/static/")  # without a code
_VISITOR = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Room code</title><link rel="stylesheet" href="/static/shop.css"></head>
<body><main id="main"><div class="hero"><h1>Room code</h1><p>{says}</p></div>
<form class="row results" method="get" action="/"><label for="room">The code that the presenter shows</label>
<div><input class="field" id="room" name="room" autocomplete="off" autocapitalize="characters" required
maxlength="32"></div><button class="button" type="submit">Come in</button></form></main></body></html>"""


class Door:
    """ASGI middleware; see the head of this module.

    Parameters
    ----------
    app : ASGI application
    hosts : collection of str
        Host names that may be asked for; empty lets every name in.
    room_code : str or None
    """

    def __init__(self, app, hosts=(), room_code: str | None = None):
        self.app, self.hosts, self.room_code = app, frozenset(hosts), room_code

    async def __call__(self, scope, receive, send):
        """Let one request in, or say why not."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        head = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        cookies = _cookies(head.get(b"cookie", ""))
        if away := self._turned_away(scope, head) or self._without_code(scope, head, cookies):
            return await away(scope, receive, send)
        known = cookies.get(VISITOR, "")
        visitor = known if _VISITOR.fullmatch(known) else secrets.token_urlsafe(18)
        scope.setdefault("state", {})["visitor"] = visitor

        async def send_with_cookie(message):
            if (
                message["type"] == "http.response.start"
                and visitor != known
                and not scope["path"].startswith("/static/")
            ):
                message["headers"] = [*message["headers"], (b"set-cookie", _cookie(VISITOR, visitor))]
            await send(message)

        await self.app(scope, receive, send_with_cookie)

    def _turned_away(self, scope, head):
        host = head.get(b"host", "")
        if self.hosts and _parts(f"//{host}").hostname not in self.hosts:
            return refuse(403, "This shop is not known under that name. Open it by the address that it printed.")
        if scope["method"] in SAFE:
            return None
        origin, site = head.get(b"origin"), head.get(b"sec-fetch-site", "same-origin")
        if (origin is not None and _parts(origin).netloc != host) or site not in ("same-origin", "none"):
            return refuse(403, "This was sent from a page of another address.")
        return None

    def _without_code(self, scope, head, cookies):
        """What to answer whoever does not know the room's code; None for those who do, and where there is none."""
        if self.room_code is None or scope["path"].startswith(OPEN):
            return None
        if hmac.compare_digest(cookies.get(ROOM, "").encode(), self._pass().encode()):
            return None
        in_header = head.get(HEADER, "")
        if in_header and self._right(in_header):
            return None
        asked = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = next((value for name, value in asked if name == "room"), "")
        if given and self._right(given) and scope["method"] in SAFE:
            # the code does not stay in the address bar; "//name" would be another machine's address
            rest = urlencode([(name, value) for name, value in asked if name != "room"])
            answer = RedirectResponse("/" + scope["path"].lstrip("/\\") + (f"?{rest}" if rest else ""), 303)
            answer.headers.append("set-cookie", _cookie(ROOM, self._pass()).decode())
            return answer
        if "text/html" not in head.get(b"accept", ""):
            return refuse(403, "This shop asks for its room code: in the header X-Room-Code, or once as ?room=CODE.")
        says = "That was not the code." if given else "This shop is open to the room only."
        return HTMLResponse(PAGE.format(says=html.escape(says)), 403)

    def _right(self, given: str) -> bool:
        return hmac.compare_digest(given.strip().upper().encode(), self.room_code.encode())

    def _pass(self) -> str:
        """What the cookie holds: all workers know it, and it does not tell the code."""
        return hashlib.sha256(f"room {self.room_code}".encode()).hexdigest()


def _parts(address: str) -> SplitResult:
    """Parts of an address, empty ones where it is none."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def _cookies(text: str) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(text).items()}
    except CookieError:
        return {}


def _cookie(name: str, value: str) -> bytes:
    return f"{name}={value}; Max-Age={KEEP_S}; Path=/; HttpOnly; SameSite=Lax".encode()
