"""Errors in one shape: RFC 9457, ``application/problem+json``."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from recsys_lab.serve.guard import TooLargeError
from recsys_lab.serve.memory import StoreError

TAGS = ("one", "batch")  # names that the API gives to the forms of a body; no sender knows them
LONGEST = 80
log = logging.getLogger(__name__)
TITLES = {
    400: "Not understood",
    403: "Not allowed",
    404: "Not here",
    405: "Not in this way",
    408: "Too slow",
    413: "Too large",
    414: "Address too long",
    415: "Another format is needed",
    422: "Not valid",
    429: "Too many requests",
    500: "An error of this service",
    503: "Not available just now",
}
MOST_ERRORS = 20
SCHEMA = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "detail"],
                "properties": {"field": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}


def problem(status: int, detail: str, headers: dict | None = None, errors: list | None = None) -> JSONResponse:
    """Return an error."""
    body = {"type": "about:blank", "title": TITLES.get(status, "Error"), "status": status, "detail": detail}
    body |= {"errors": errors} if errors else {}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def refuse(status: int, text: str, headers: dict | None = None) -> JSONResponse:
    """Refuse a request before it is read; the connection ends with it."""
    return problem(status, text, {"connection": "close", **(headers or {})})


def add_problems(app: FastAPI) -> None:
    """Turn every error of an application into a problem."""

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError):
        if any(e["type"] == "json_invalid" for e in error.errors()):
            return problem(400, "The body is no JSON.")
        errors = [{"field": _field(e["loc"]), "detail": e["msg"]} for e in error.errors()[:MOST_ERRORS]]
        return problem(422, "; ".join(f"{e['field']}: {e['detail']}" for e in errors[:3]), errors=errors)

    app.add_exception_handler(HTTPException, refused)

    @app.exception_handler(StoreError)
    def not_stored(request: Request, error: StoreError):
        log.error("session memory: %s", error)
        text = "The session memory does not answer. Nothing was acknowledged: sending it again is safe."
        return problem(503, text, {"retry-after": "2"})


def refused(request: Request, error: HTTPException) -> JSONResponse:
    """Return the problem for an error that the framework or a route raised."""
    detail = {404: "There is nothing at this address.", 405: "This address does not take this method."}
    text = detail[error.status_code] if error.detail in ("Not Found", "Method Not Allowed") else str(error.detail)
    return problem(error.status_code, text, error.headers)


def _field(place: tuple) -> str:
    """Where an error is, in words of the sender, "body.3.item_id"; not longer than names of ours are."""
    return ".".join(str(part) for part in place if part not in TAGS)[:LONGEST]


class Caught:
    """ASGI middleware: an error of the service itself becomes a problem too, and stands in the log."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        """Answer, whatever happens."""
        started = False

        async def seen(message):
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, seen)
        except (TooLargeError, TimeoutError):
            raise  # the guard knows what to say
        except Exception:
            log.exception("%s %s", scope.get("method"), getattr(scope.get("route"), "path", "other"))
            if not started:
                answer = problem(500, "Something went wrong here; the log of the service says what.")
                await answer(scope, receive, send)
