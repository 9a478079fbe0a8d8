"""The shop over HTTP: JSON for programs, and the pages for people.

=====================  ====================================================================================
route                  answers
=====================  ====================================================================================
POST /events           one event or up to 500; an event id counts once; one outcome each
GET /recommendations   the list for a visit, `source` and `degraded` say how it came about
GET /users/{id}        history and segment
GET /items?q=          search as you type
GET /items/{id}        one item, with related ones and what is bought together with it
GET /healthz, /readyz  does the process live; do store and models answer
GET /metrics           Prometheus
GET /openapi.json      all of this, for machines
=====================  ====================================================================================
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import FastAPI, Path, Query
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

import recsys_lab
from recsys_lab.serve import problems
from recsys_lab.serve.bodies import Body, EventIn, Found, ListOut, Outcomes, Page, Reader, SessionId, State
from recsys_lab.serve.door import VISITOR, Door
from recsys_lab.serve.guard import Guard
from recsys_lab.serve.memory import Event, StoreError
from recsys_lab.serve.numbers import Count, Numbers
from recsys_lab.serve.shop import Shop

log = logging.getLogger(__name__)
MOST_K = 100
MOST_BODY = 262_144  # bytes: 500 events and room to spare
#: Errors that any route may answer with.
ANYWHERE = (400, 403, 405, 408, 413, 414, 422, 429, 503)


@dataclass(frozen=True)
class ServeSettings:
    """How a shop is served.

    Attributes
    ----------
    hosts : tuple of str
        Names it may be asked for by; empty lets every name in (with a room code).
    room_code : str or None
    pages : bool
        Also the pages for people.
    allowance, shared : tuple of (int, float)
        Requests of one visitor, and of all programs that bring no cookie: at once, and a second.
    body_s : float
        Seconds a body may take to arrive.
    """

    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "::1")
    room_code: str | None = None
    pages: bool = True
    allowance: tuple[int, float] = (120, 20.0)
    shared: tuple[int, float] = (4_000, 2_000.0)
    body_s: float = 10.0


def make_app(shop: Shop, settings: ServeSettings | None = None) -> FastAPI:
    """Return the application.

    Parameters
    ----------
    shop : Shop
    settings : ServeSettings, optional
    """
    settings, numbers = settings or ServeSettings(), Numbers()
    app = FastAPI(title="Bookshop", version=recsys_lab.__version__, docs_url=None, redoc_url=None)
    if settings.pages:
        from recsys_lab.serve import pages

        app.include_router(pages.router(shop))
        pages.mount_static(app)
        pages.add_missing(app, shop)
    _add_events(app, shop, numbers)
    _add_lists(app, shop, numbers)
    _add_state(app, shop, numbers)
    problems.add_problems(app)
    app.openapi = lambda: _describe(app)
    # the last one added is the outermost
    app.add_middleware(Door, hosts=settings.hosts, room_code=settings.room_code)
    app.add_middleware(problems.Caught)
    app.add_middleware(
        Guard, cookie=VISITOR, most_body=MOST_BODY, body_s=settings.body_s, allowance=settings.allowance,
        shared=settings.shared, refuse=problems.refuse,
    )  # fmt: skip
    app.add_middleware(Count, numbers=numbers)
    return app


def _add_events(app: FastAPI, shop: Shop, numbers: Numbers) -> None:
    @app.post("/events", response_model=Outcomes)
    def events(body: Body):
        """Store one event or a batch; acknowledged is what is on disk."""
        batch = body if isinstance(body, list) else [body]
        try:
            outcomes = shop.record([_event(e) for e in batch])
        except ValueError as error:
            raise HTTPException(422, str(error)) from None
        for outcome in outcomes:
            numbers.events.labels(outcome).inc()
        return {"outcomes": outcomes}


def _add_lists(app: FastAPI, shop: Shop, numbers: Numbers) -> None:
    def listed(answer) -> dict:
        numbers.list(answer)
        items = [(row, shop.catalogue.get(row.item_id)) for row in answer.items]
        return {
            "items": [
                {"item_id": row.item_id, "title": item and item.title, "source": row.source, "because": row.because}
                for row, item in items
            ],
            "source": answer.source,
            "degraded": answer.degraded,
            "why": answer.why,
            "milliseconds": round(answer.milliseconds, 3),
            "version": answer.version,
        }

    def item_out(item) -> dict:
        values = {name: getattr(item, name) for name in ("item_id", "title", "author", "genre", "price", "year")}
        return values | {"available": shop.catalogue.available(item.item_id)}

    @app.get("/recommendations", response_model=ListOut)
    def recommendations(
        session_id: SessionId,
        user_id: Annotated[str | None, Query(min_length=1, max_length=64)] = None,
        k: Annotated[int, Query(ge=1, le=MOST_K)] = 10,
    ):
        """The list for a visit. A visit or reader that is not known gets what is popular."""
        return listed(shop.recommend(session_id, None if user_id is None else shop.catalogue.parse_id(user_id), k))

    @app.get("/items", response_model=Found)
    def items(q: Annotated[str, Query(max_length=2000)] = "", limit: Annotated[int, Query(ge=1, le=MOST_K)] = 10):
        """Find items by words of title and author; forgives typing errors."""
        return {"items": [item_out(item) for item in shop.search(q, limit)]}

    @app.get("/items/{item_id}", response_model=Page, responses={404: {}})
    def item(item_id: Annotated[str, Path(max_length=64)], k: Annotated[int, Query(ge=1, le=MOST_K)] = 6):
        """One item, with related ones and what is bought together with it."""
        found = shop.catalogue.get(shop.catalogue.parse_id(item_id))
        if found is None:
            raise HTTPException(404, "The shop has no such item.")
        related, together = shop.related(found.item_id, k), shop.bought_together([found.item_id], k)
        return {"item": item_out(found), "related": listed(related), "bought_together": listed(together)}

    @app.get("/users/{user_id}", response_model=Reader, responses={404: {}})
    def user(user_id: Annotated[str, Path(max_length=64)]):
        """What is known of a reader: newest first, at most 200 things; segment and its genres."""
        key = shop.catalogue.parse_id(user_id)
        card = None if key is None else shop.user(key)
        if card is None:
            raise HTTPException(404, "The shop knows no such reader.")
        history = [{"item_id": i, "event": e, "timestamp": t} for i, e, t in card.history[:200]]
        return {"user_id": card.user_id, "segment": card.segment, "genres": card.genres, "history": history}


def _add_state(app: FastAPI, shop: Shop, numbers: Numbers) -> None:
    @app.get("/healthz", response_model=State)
    def healthz():
        """The process lives."""
        return {"status": "ok", "version": shop.version}

    @app.get("/readyz", response_model=State)
    def readyz():
        """Store and models answer."""
        try:
            shop.ready()
        except StoreError as error:
            log.warning("not ready: %s", error)
            raise HTTPException(503, "The session memory takes no events; the log of the service says why.") from None
        except RuntimeError as error:
            raise HTTPException(503, str(error)) from None
        return {"status": "ready", "version": shop.version}

    @app.get("/metrics", response_class=JSONResponse, responses={200: {"content": {"text/plain": {}}}})
    def metrics():
        """What the service counts of itself, as Prometheus reads it."""
        return numbers.text()


def _event(e: EventIn) -> Event:
    when = None if e.timestamp is None else _nanoseconds(e.timestamp)
    return Event(e.session_id, e.item_id, e.event, when, e.event_id or "", e.user_id)


def _nanoseconds(time: datetime) -> int:
    seconds = int(time.replace(microsecond=0).timestamp())
    return seconds * 10**9 + time.microsecond * 1000


def _describe(app: FastAPI) -> dict:
    """The OpenAPI description, with errors in the shape that they have."""
    if app.openapi_schema is None:
        text = get_openapi(title=app.title, version=app.version, routes=app.routes, description=__doc__.split("\n")[0])
        schemas = text.setdefault("components", {}).setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        schemas["Problem"] = problems.SCHEMA
        content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        for path in text["paths"].values():
            for operation in path.values():
                own = [404] if "404" in operation["responses"] else []
                for status in (*ANYWHERE, *own):
                    operation["responses"][str(status)] = {"description": problems.TITLES[status], "content": content}
        metrics = text["paths"]["/metrics"]["get"]["responses"]["200"]
        metrics["content"] = {"text/plain": {"schema": {"type": "string"}}}
        app.openapi_schema = text
    return app.openapi_schema
