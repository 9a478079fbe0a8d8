"""The live poll's pages: what they are made of, and what travels in their addresses and cookies."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse, Response

from recsys_lab.serve.covers import cover
from recsys_lab.serve.poll_store import PollStore

HERE = Path(__file__).parent
PHONE, ROOM = "poll_phone", "poll_room"  # cookies
KEEP_S = 30 * 86_400  # so that answers can be deleted later
N_RESULTS, MOST_QUERY = 8, 100


@dataclass(frozen=True)
class PollSettings:
    """How a poll is shown.

    Attributes
    ----------
    address : str
        What phones open, such as ``http://192.168.1.5:8001``, without a code.
    room_code : str or None
        What phones must know to enter; None where only this machine can open the page.
    gru : callable
        Takes nothing; returns a fitted session model for the room's page and "", or None and why there is none. May
        take a minute: it is called beside the poll, once.
    """

    address: str
    room_code: str | None = None
    gru: Callable = lambda: (None, "")

    @property
    def phone_address(self) -> str:
        """What the QR code says: the address with the code in it."""
        return self.address + ("" if self.room_code is None else f"/?code={self.room_code}")


@dataclass(frozen=True)
class Picking:
    """What somebody has picked so far, as it stands in the address of the page."""

    picks: tuple = ()
    query: str = ""
    notice: str = ""

    @property
    def address(self) -> str:
        """The address that shows this very page again."""
        pairs = [("pick", item) for item in self.picks] + [("q", self.query)] * bool(self.query)
        return "/?" + urlencode([*pairs, ("change", 1)])


class PollPages:
    """Renders the poll's templates; `html` answers a page."""

    def __init__(self, store: PollStore, catalogue, settings: PollSettings):
        self.store, self.catalogue, self.settings = store, catalogue, settings
        self.templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        self.templates.globals |= {"cover": _cover, "store": store, "n_books": len(catalogue)}

    def html(self, name: str, status: int = 200, **values) -> HTMLResponse:
        """Return a page made from a template."""
        text = self.templates.get_template(f"poll/{name}.html").render(max_picks=self.store.max_picks, **values)
        return HTMLResponse(text, status)

    def books(self, ids) -> list:
        """Return the books of these ids that the catalogue knows."""
        return [book for book in map(self.catalogue.get, ids) if book is not None]

    def picking(self, request: Request) -> Picking:
        """Read what was picked so far, and what is to be added or taken out, from the address.

        "drop" takes a book out from the list of what was found, where its button stays; "out" does so from the row of
        what was picked. (A button called "remove" would hide its form's own method of this name.)
        """
        asked = request.query_params
        ids = [self.catalogue.parse_id(text) for text in asked.getlist("pick")[:50]]
        picks = tuple(dict.fromkeys(i for i in ids if i is not None and self.catalogue.get(i)))
        picks, notice = picks[: self.store.max_picks], ""
        out, drop, new = (self.catalogue.parse_id(asked.get(name, "")) for name in ("out", "drop", "add"))
        picks = tuple(i for i in picks if i not in (out, drop))
        if new is not None and new not in picks and self.catalogue.get(new):
            if len(picks) < self.store.max_picks:
                picks = (*picks, new)
            else:
                notice = f"{self.store.max_picks} books are the most. Take one out first."
        return Picking(picks, asked.get("q", "").strip()[:MOST_QUERY], notice)

    def pick_page(self, picking: Picking, status: int = 200, moved: bool = False) -> HTMLResponse:
        """Return the page on which books are picked; `moved`: a book was taken out, so the focus needs a new place."""
        found = self.catalogue.search(picking.query, limit=N_RESULTS) if picking.query else []
        books = self.books(picking.picks)
        return self.html("pick", status, picking=picking, books=books, found=found, moved=moved)


def _cover(book) -> str:
    return cover(book.title, book.author, book.genre)


def phone_of(request: Request) -> str | None:
    """The phone's cookie, if it is one that this poll could have given."""
    token = request.cookies.get(PHONE, "")
    return token if len(token) == 43 and token.replace("-", "a").replace("_", "a").isalnum() else None


def same_site(request: Request) -> bool:
    """Whether a form was sent from a page of this very address; browsers say so, other clients need not."""
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def give_cookie(answer: Response, name: str, value: str, samesite: str = "lax") -> None:
    """Set a cookie that scripts cannot read."""
    answer.set_cookie(name, value, max_age=KEEP_S, httponly=True, samesite=samesite, path="/")


def new_phone(answer: Response) -> Response:
    """Give a phone a new random name."""
    give_cookie(answer, PHONE, secrets.token_urlsafe(32))
    return answer
