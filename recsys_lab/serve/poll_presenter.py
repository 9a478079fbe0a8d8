"""The presenter's side of the live poll: the question and a QR code for the last row, the count, what the room reads.

Only who knows the presenter's secret opens these pages. It is printed when the poll starts, comes in by the address
once, and stays in a cookie: the page is projected, and an address bar with a secret in it would be projected too.
"""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING

import segno
from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from recsys_lab.serve import poll_chart
from recsys_lab.serve.poll_pages import PollPages, give_cookie, same_site

if TYPE_CHECKING:
    from recsys_lab.serve.poll_report import RoomReport

PRESENTER = "poll_presenter"  # cookie


def qr_svg(address: str) -> str:
    """Draw the QR code of an address.

    Parameters
    ----------
    address : str

    Returns
    -------
    str
        An ``<svg>``, dark on white in light and dark pages alike (many phones read nothing else), with the quiet zone
        of four modules that ISO/IEC 18004 asks for. Error correction is at least level M; segno takes a higher one
        where it costs no space.
    """
    code = segno.make(address, error="m", micro=False)
    return code.svg_inline(border=4, dark="#000", light="#fff", omitsize=True, svgclass="qr", lineclass=None)


class Room:
    """The room's report, made once for each state of the answers; the session model is obtained beside the poll."""

    def __init__(self, pages: PollPages):
        self.pages, self._mutex, self._made, self.gru = pages, threading.Lock(), None, None
        self.waiting, self.why_none = True, ""
        threading.Thread(target=self._obtain, daemon=True, name="poll-gru").start()

    def _obtain(self) -> None:
        try:
            self.gru, self.why_none = self.pages.settings.gru()
        except Exception as error:  # whatever it is, the room is shown without this model, and says so
            self.why_none = f"{type(error).__name__}: {error}"
        self.waiting = False

    def report(self) -> RoomReport | None:
        """Return what the room reads; None while nobody has answered."""
        from recsys_lab.serve.poll_report import room_report  # with scipy: a second in which nobody can answer yet

        store = self.pages.store
        with self._mutex:
            state = (store.version, self.waiting)
            if self._made is None or self._made[0] != state:
                events = store.events()
                events.attrs["simulated"] = store.simulated
                made = room_report(events, self.pages.catalogue.ids, self.gru) if len(events) else None
                self._made = (state, made)
            return self._made[1]


def add_presenter(app: FastAPI, pages: PollPages) -> None:
    """Add what only the presenter may open."""
    store, settings, room = pages.store, pages.settings, Room(pages)
    secret = store.secrets.presenter
    title = {book.item_id: book.title for book in pages.books(pages.catalogue.ids)}

    def is_presenter(request: Request) -> bool:
        return secrets.compare_digest(request.cookies.get(PRESENTER, "").encode(), secret.encode())

    def refused() -> Response:
        text = "This page is the presenter's. Its address was printed where the poll was started."
        return pages.html("problem", 403, title="For the presenter", text=text)

    @app.get("/presenter")
    def presenter(request: Request):
        given = request.query_params.get("secret")
        if given is not None and secrets.compare_digest(given.encode(), secret.encode()):
            answer = RedirectResponse("/presenter", 303)
            give_cookie(answer, PRESENTER, secret, samesite="strict")
            return answer
        if not is_presenter(request):
            return refused()
        local = settings.room_code is None
        qr = qr_svg(settings.phone_address)
        return pages.html("presenter", settings=settings, qr=qr, n=store.count(), is_open=store.is_open, local=local)

    @app.get("/presenter/count")
    def count(request: Request):
        if not is_presenter(request):
            return refused()
        return pages.html("count", n=store.count(), is_open=store.is_open)

    @app.post("/presenter/{action}")
    def act(action: str, request: Request):
        if not (is_presenter(request) and same_site(request)):
            return refused()
        actions = {"close": store.close_poll, "reopen": store.reopen_poll}
        if action not in actions:
            return pages.html("problem", 404, title="Not here", text="There is no such page.")
        actions[action]()
        return RedirectResponse("/presenter", 303)

    @app.get("/presenter/room")
    def show_room(request: Request):
        if not is_presenter(request):
            return refused()
        report = room.report()
        charts = {} if report is None else _charts(report, title)
        return pages.html("room", report=report, title=title, room=room, is_open=store.is_open, **charts)


def _charts(report: RoomReport, title: dict) -> dict[str, str]:
    top = poll_chart.bars([(title[item], n) for item, n in report.top], "How many people picked each book")
    rates = poll_chart.rates(report.models, report.chance, report.k) if report.models else ""
    return {"top_chart": top, "rates_chart": rates}
