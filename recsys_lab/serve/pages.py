"""The bookshop's pages: server-rendered HTML that works without JavaScript, and fragments (``/_/…``) for htmx.

When is a view a view? The page of a book records it, on the server, when it is asked for: so it counts without
JavaScript too. The event's id is made from the visit, the book and the nonce that its link carries
(``/books/7?v=…``, new each time a list is drawn). Loading that address again (reload, back button, a doubled click,
quick look and then the page) makes the same id, which the session memory takes once. A browser that fetches a page in
advance is told to come again when the person does (503): nobody has looked at anything yet. An address without a nonce
counts once a visit.

What is put into the basket, taken out or bought is recorded only if it changes the basket, under an id made from the
event before it: two clicks in a hurry are one event.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from urllib.parse import quote

import jinja2
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from starlette.routing import Match

from recsys_lab.serve import problems
from recsys_lab.serve import views as v
from recsys_lab.serve.actions import Actions
from recsys_lab.serve.covers import cover

HERE = Path(__file__).parent
READER = "reader"  # cookie: whom the visit is signed in as
LONGEST = 200  # characters of a query that are looked at
SHOWN = 60  # of them shown again


@cache
def templates() -> jinja2.Environment:
    """Return the templates; every value is escaped."""
    loader = jinja2.FileSystemLoader(HERE / "templates")
    return jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)


class HtmlRoute(APIRoute):
    """A page that shares its address with a JSON route: it answers only who asks for HTML, as browsers do."""

    def matches(self, scope):
        """Match as usual, and only if the request's ``Accept`` names HTML."""
        accept = next((value for name, value in scope.get("headers", ()) if name == b"accept"), b"")
        return super().matches(scope) if b"text/html" in accept else (Match.NONE, {})


def router(shop) -> APIRouter:
    """Return the routes of the pages.

    Parameters
    ----------
    shop : Shop

    Returns
    -------
    APIRouter
        None of its routes stands in the OpenAPI description. Static files are mounted at ``/static``.
    """
    pages, routes = Pages(shop), APIRouter(include_in_schema=False)
    for path, page in (
        ("/", pages.home),
        ("/search", pages.search),
        ("/books/{item_id}", pages.book),
        ("/basket", pages.basket),
        ("/users", pages.users),
        ("/static/covers/{item_id}.svg", pages.cover),  # below /static: kept by browsers, and not counted as a request
        ("/_/search", pages.hits),
        ("/_/results", pages.results),
    ):
        routes.add_api_route(path, page, methods=["GET"], response_model=None)
    routes.routes.append(
        HtmlRoute("/users/{user_id}", pages.user, methods=["GET"], include_in_schema=False, response_model=None)
    )
    for path, action in (
        ("/basket", pages.put),
        ("/basket/remove", pages.take_out),
        ("/basket/checkout", pages.check_out),
        ("/users/{user_id}/sign-in", pages.sign_in),
        ("/sign-out", pages.sign_out),
        ("/forget", pages.forget),
        ("/_/look/{item_id}", pages.look),
        ("/_/basket", pages.put_fragment),
        ("/_/basket/addon", pages.addon_fragment),
        ("/_/basket/remove", pages.remove_fragment),
    ):
        routes.add_api_route(path, action, methods=["POST"], response_model=None)
    return routes


def mount_static(app) -> None:
    """Serve the style sheet, htmx and the icons at ``/static``; nothing else can be reached there."""
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")


def add_missing(app, shop) -> None:
    """Answer browsers at an address where nothing is with a page; programs get the problem."""
    pages = Pages(shop)

    def missing(request: Request, error):
        if "text/html" not in request.headers.get("accept", ""):
            return problems.refused(request, error)
        return pages._missing(request, "Nothing here", "The shop has no page at this address.")

    app.add_exception_handler(404, missing)


class Pages:
    """The handlers: each reads the visit, acts, and draws a template.

    Parameters
    ----------
    shop : Shop
    """

    def __init__(self, shop):
        self.shop, self.views, self.actions = shop, v.Views(shop), Actions(shop)

    # ---- pages ----------------------------------------------------------------------------------------------------

    def home(self, request: Request):
        """For you now, recently viewed, because you viewed, trending."""
        visit = self._visit(request)
        return self._page("home", visit, title="Home", trending=self.views.trending())

    def search(self, request: Request, q: str = ""):
        """Search with its results, and the place where they change while one types."""
        return self._page("search", self._visit(request), title="Search", **self._found(q, 48))

    def results(self, request: Request, q: str = ""):
        """The results alone, for typing on the search page; the address follows."""
        found = self._found(q, 48)
        return _html("results.html", {"HX-Replace-Url": f"/search?q={quote(found['q'])}"}, **found)

    def hits(self, request: Request, q: str = ""):
        """The first few results, under the field."""
        return _html("hits.html", **self._found(q, 6))

    def book(self, request: Request, item_id: str, v: str = ""):
        """A book; being asked for it is the view."""
        item = self._item(item_id)
        if item is None:
            return self._missing(request, "No such book", f"The shop has no book with the number “{_short(item_id)}”.")
        if "prefetch" in request.headers.get("sec-purpose", request.headers.get("purpose", "")):
            return Response(status_code=503, headers={"Cache-Control": "no-store", "Retry-After": "0"})
        visit = self._visit(request)
        self.actions.view(visit, item.item_id, v[:LONGEST])
        return self._page(
            "book",
            visit,
            title=item.title,
            item=item,
            available=self.shop.catalogue.available(item.item_id),
            related=self.views.related(item),
            together=self.views.together([item.item_id], "Bought together", f"In one go with “{item.title}”."),
        )

    def basket(self, request: Request, bought: int = 0):
        """What is in the basket, and what goes with it."""
        thanks = f"{bought} {'book' if bought == 1 else 'books'} bought." if 0 < bought < 1000 else ""
        return self._page("basket", self._visit(request), title="Basket", thanks=thanks)

    def users(self, request: Request, id: str = ""):
        """Ask for a reader; with ``?id=`` go to that reader's page."""
        if id.strip():
            return RedirectResponse(f"/users/{quote(id.strip()[:LONGEST], safe='')}", 303)
        return self._users(request)

    def user(self, request: Request, user_id: str):
        """A reader: history, segment, and what would be recommended."""
        card = self._user(user_id)
        if card is None:
            return self._users(request, unknown=_short(user_id), status=404)
        return self._page("user", self._visit(request), title=f"Reader {card.user_id}", **self.views.reader(card))

    def cover(self, item_id: str):
        """The drawn cover of a book."""
        item = self._item(item_id)
        if item is None:
            return Response(status_code=404)
        picture = cover(item.title, item.author, item.genre)
        return Response(picture, media_type="image/svg+xml")

    # ---- actions, by form: a redirect follows, so that reloading does nothing again ---------------------------------

    def put(self, request: Request, item: str = Form("")):
        """Put a book into the basket."""
        if found := self._item(item):
            self.actions.put(self._visit(request), found.item_id)
        return RedirectResponse("/basket", 303)

    def take_out(self, request: Request, item: str = Form("")):
        """Take a book out of the basket."""
        if found := self._item(item):
            self.actions.take_out(self._visit(request), found.item_id)
        return RedirectResponse("/basket", 303)

    def check_out(self, request: Request):
        """Pretend to buy what is in the basket."""
        bought = self.actions.check_out(self._visit(request))
        return RedirectResponse(f"/basket?bought={len(bought)}" if bought else "/basket", 303)

    def sign_in(self, request: Request, user_id: str):
        """From now on this visit is that reader's; a demo, so nothing is asked."""
        card, answer = self._user(user_id), RedirectResponse("/", 303)
        if card is None:
            return self._users(request, unknown=_short(user_id), status=404)
        answer.set_cookie(READER, str(card.user_id), httponly=True, samesite="lax", path="/")
        return answer

    def sign_out(self, request: Request):
        """From now on this visit is nobody's."""
        answer = RedirectResponse("/users", 303)
        answer.delete_cookie(READER, httponly=True, samesite="lax", path="/")
        return answer

    def forget(self, request: Request):
        """Delete every event of this visit."""
        self.shop.forget(self._visit(request).session_id)
        answer = RedirectResponse("/", 303)
        answer.delete_cookie(READER, httponly=True, samesite="lax", path="/")
        return answer

    # ---- actions, by htmx: the changed parts come back --------------------------------------------------------------

    def look(self, request: Request, item_id: str, v: str = "", on: str = Form("")):
        """Quick look: a view, and the lists that it moves."""
        item, visit = self._item(item_id), self._visit(request)
        if item is None:
            return Response(status_code=404)
        self.actions.view(visit, item.item_id, v[:LONGEST])
        says = f"You looked at {item.title}. The lists have changed."
        href = f"/books/{item.item_id}?v={quote(v[:LONGEST])}"
        available = self.shop.catalogue.available(item.item_id)
        return self._update("look", visit, on, says, item=item, href=href, available=available)

    def put_fragment(self, request: Request, item: str = Form(""), key: str = Form(""), on: str = Form("")):
        """Put a book into the basket and draw its button again."""
        found, visit = self._item(item), self._visit(request)
        if found is None:
            return Response(status_code=404)
        self.actions.put(visit, found.item_id)
        key = key if key in ("look", "book") else "book"
        says = f"{found.title} is in your basket."
        return self._update("added", visit, on, says, item=found, key=key, fresh=True, basket_oob=on == "basket")

    def addon_fragment(self, request: Request, item: str = Form(""), on: str = Form("")):
        """Put an add-on into the basket and draw the basket again."""
        found, visit = self._item(item), self._visit(request)
        if found:
            self.actions.put(visit, found.item_id)
        says = f"{found.title} is in your basket." if found else ""
        return self._update("basket_update", visit, on, says, fresh=True)

    def remove_fragment(self, request: Request, item: str = Form(""), on: str = Form("")):
        """Take a book out of the basket and draw the basket again."""
        found, visit = self._item(item), self._visit(request)
        if found:
            self.actions.take_out(visit, found.item_id)
        says = f"{found.title} was taken out." if found else ""
        return self._update("basket_update", visit, on, says, fresh=True)

    # ---- parts ------------------------------------------------------------------------------------------------------

    def _visit(self, request: Request) -> v.Visit:
        return v.Visit(request.state.visitor, self.shop.catalogue.parse_id(request.cookies.get(READER, "")))

    def _item(self, text: str):
        item_id = self.shop.catalogue.parse_id(text)
        return None if item_id is None else self.shop.catalogue.get(item_id)

    def _user(self, text: str):
        user_id = self.shop.catalogue.parse_id(text)
        return None if user_id is None else self.shop.user(user_id)

    def _found(self, q: str, limit: int) -> dict:
        q = "".join(c for c in q[:LONGEST] if c.isprintable()).strip()
        return {"q": q, "q_short": _short(q), "cards": self.views.cards("found", self.shop.search(q, limit))}

    def _page(self, name: str, visit, status: int = 200, **values) -> HTMLResponse:
        values = {"page": name} | self.views.common(visit, name) | values
        return _html(f"{name}.html", status=status, **values)

    def _update(self, name: str, visit, on: str, message: str, **values) -> HTMLResponse:
        return _html(f"{name}.html", on=on, message=message, **self.views.common(visit, on), **values)

    def _users(self, request: Request, unknown: str | None = None, status: int = 200) -> HTMLResponse:
        popular = None if unknown is None else self.views.popular()
        values = {"title": "Readers", "unknown": unknown, "popular": popular, "examples": self.views.example_readers()}
        return self._page("users", self._visit(request), status, page="user", **values)

    def _missing(self, request: Request, title: str, says: str) -> HTMLResponse:
        return self._page("missing", self._visit(request), 404, title=title, says=says)


def _html(name: str, headers: dict | None = None, status: int = 200, **values) -> HTMLResponse:
    """Draw a template. A page is of one visitor and one moment: nobody may keep it."""
    text = templates().get_template(name).render(**values)
    return HTMLResponse(text, status, headers={"Cache-Control": "no-store", **(headers or {})})


def _short(text: str) -> str:
    text = "".join(c for c in text if c.isprintable())
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"
