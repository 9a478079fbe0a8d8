"""The live poll over HTTP: a page on which phones pick books, and what a phone may do with its answers.

All pages work without JavaScript: what has been picked so far travels in the address (``/?pick=7&pick=12&q=emma``), so
the server keeps nothing before somebody hands in, and "back" takes a pick back. With htmx only the part that changes is
exchanged. The presenter's side is `poll_presenter`.
"""

from __future__ import annotations

import secrets
from sqlite3 import Error as SQLiteError

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from recsys_lab.serve.guard import Guard
from recsys_lab.serve.poll_pages import (
    HERE,
    PHONE,
    ROOM,
    Picking,
    PollPages,
    PollSettings,
    give_cookie,
    new_phone,
    phone_of,
    same_site,
)
from recsys_lab.serve.poll_presenter import add_presenter
from recsys_lab.serve.poll_store import GoneError, PickError, PollClosedError, PollStore


def make_poll_app(store: PollStore, catalogue, settings: PollSettings) -> FastAPI:
    """Return the poll's application.

    Parameters
    ----------
    store : PollStore
    catalogue : Catalogue
        What can be picked.
    settings : PollSettings
    """
    catalogue.search("once")  # makes the index of words, before a hundred phones ask at the same time
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    pages = PollPages(store, catalogue, settings)
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    add_phone(app, pages)
    add_presenter(app, pages)
    add_errors(app, pages)
    app.add_middleware(Guard, cookie=PHONE)
    return app


def add_errors(app: FastAPI, pages: PollPages) -> None:
    """Say what is wrong on a page, too, in words for somebody with a phone in the hand."""

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException):
        lost = error.status_code in (404, 405)
        title, text = ("Not here", "There is no such page.") if lost else ("That did not work", str(error.detail))
        return pages.html("problem", error.status_code, title=title, text=text)

    @app.exception_handler(SQLiteError)
    def not_saved(request: Request, error: SQLiteError):
        text = "The poll could not write its file just now. Nothing was lost or half taken: please try again."
        return pages.html("problem", 503, title="Once more, please", text=text)


def add_phone(app: FastAPI, pages: PollPages) -> None:
    """Add what phones may open."""
    store, settings = pages.store, pages.settings

    def turned_away(request: Request) -> Response | None:
        """What to answer a phone that does not know the room's code; None for one that does."""
        code = settings.room_code
        if code is None or secrets.compare_digest(request.cookies.get(ROOM, "").encode(), code.encode()):
            return None
        given = request.query_params.get("code", "").strip().upper()
        if request.method == "GET" and secrets.compare_digest(given.encode(), code.encode()):
            answer = RedirectResponse("/", 303)  # the code does not stay in the address bar
            give_cookie(answer, ROOM, code)
            return answer
        return pages.html("code", 403, wrong=bool(given))

    @app.get("/")
    def pick(request: Request):
        if away := turned_away(request):
            return away
        phone = phone_of(request)
        given = store.answers(phone) if phone else ()
        if given and "change" not in request.query_params:
            return RedirectResponse("/answers", 303)
        if not store.is_open:
            return pages.html("closed", books=pages.books(given))
        picking = pages.picking(request)
        changed = {"add", "drop", "out"} & set(request.query_params)
        if changed and "hx-request" not in request.headers and not picking.notice:
            answer = RedirectResponse(picking.address, 303)  # so that "reload" does not add or take out again
        else:
            answer = pages.pick_page(picking, moved="out" in changed)
            # "back" takes a pick back, but does not go through every letter of a search
            answer.headers["HX-Push-Url" if changed else "HX-Replace-Url"] = picking.address
        return answer if phone else new_phone(answer)

    @app.post("/answers")
    async def hand_in(request: Request):
        if away := turned_away(request):
            return away
        if not same_site(request):
            return pages.html("problem", 403, title="Not from here", text="Open the poll's page and hand in there.")
        phone = phone_of(request)
        if phone is None:
            text = "Your browser keeps no cookies for this page. It needs one, so that each phone counts once."
            return pages.html("problem", 400, title="One cookie, please", text=text)
        if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return pages.html("problem", 415, title="Not a form", text="Open the poll's page and hand in there.")
        form = await request.form(max_fields=50)
        ids = [pages.catalogue.parse_id(str(text)) for text in form.getlist("pick")]
        return await run_in_threadpool(take, phone, tuple(ids))

    def take(phone: str, ids: tuple) -> Response:
        try:
            store.submit(phone, ids)
        except PollClosedError:
            return pages.html("closed", 409, books=pages.books(store.answers(phone)))
        except GoneError as error:
            return new_phone(pages.html("problem", 410, title="Deleted", text=str(error)))
        except PickError as error:
            picks = tuple(dict.fromkeys(i for i in ids if i is not None and pages.catalogue.get(i)))
            return pages.pick_page(Picking(picks[: store.max_picks], notice=str(error)), 422)
        return RedirectResponse("/answers", 303)

    @app.get("/answers")
    def answers(request: Request):
        if away := turned_away(request):
            return away
        phone = phone_of(request)
        given = store.answers(phone) if phone else ()
        if not given:
            return RedirectResponse("/", 303)
        return pages.html("answers", books=pages.books(given), picking=Picking(given), is_open=store.is_open)

    @app.post("/delete")
    def delete(request: Request):
        # no code needed: whoever holds the cookie may delete, whatever else has changed
        if not same_site(request):
            return pages.html("problem", 403, title="Not from here", text="Open the poll's page and delete there.")
        if phone := phone_of(request):
            store.delete(phone)
        return new_phone(RedirectResponse("/deleted", 303))

    @app.get("/deleted")
    def deleted(request: Request):
        return pages.html("deleted", is_open=store.is_open)

    @app.get("/healthz")
    def healthz():
        return {"status": "ok"}
