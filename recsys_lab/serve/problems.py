"""Errors in one shape: RFC 9457, ``application/problem+json``."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from recsys_lab.serve.memory import StoreError

log = logging.getLogger(__name__)
TITLES = {
    400: "Not understood",
    403: "Not allowed",
    404: "Not here",
    405: "Not in this way",
    408: "Too slow",
    413: "Too large",
    414: "Address too long",
    422: "Not valid",
    429: "Too many requests",
    500: "An error of this service",
    503: "Not available just now",
}
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
        errors = [{"field": ".".join(map(str, e["loc"])), "detail": e["msg"]} for e in error.errors()[:20]]
        return problem(422, "; ".join(f"{e['field']}: {e['detail']}" for e in errors[:3]), errors=errors)

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException):
        detail = {404: "There is nothing at this address.", 405: "This address does not take this method."}
        text = detail[error.status_code] if error.detail in ("Not Found", "Method Not Allowed") else str(error.detail)
        return problem(error.status_code, text, error.headers)

    @app.exception_handler(StoreError)
    def not_stored(request: Request, error: StoreError):
        log.error("session memory: %s", error)
        text = "The session memory does not answer. Nothing was acknowledged: sending it again is safe."
        return problem(503, text, {"retry-after": "2"})

    @app.exception_handler(Exception)
    def broken(request: Request, error: Exception):
        return problem(500, "Something went wrong here; the log of the service says what.")
