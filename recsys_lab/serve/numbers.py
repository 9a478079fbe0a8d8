"""What the service counts of itself, for ``/metrics`` (Prometheus)."""

from __future__ import annotations

import os
import time

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.responses import Response

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's own setting: workers add up through files there


class Numbers:
    """Counters of one application."""

    def __init__(self):
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("shop_requests_total", "Requests answered", ["route", "status"], registry=registry)
        self.seconds = Histogram(
            "shop_request_seconds", "Time to the answer", ["route"], registry=registry, buckets=BUCKETS
        )
        self.models = Histogram(
            "shop_model_seconds", "Time of each model that answered", ["model"], registry=registry, buckets=BUCKETS
        )
        self.lists = Counter("shop_lists_total", "Lists by what led", ["source", "degraded"], registry=registry)
        self.events = Counter("shop_events_total", "Events by outcome", ["outcome"], registry=registry)

    def list(self, answer) -> None:
        """Count a list."""
        self.lists.labels(answer.source, str(answer.degraded).lower()).inc()
        for model, milliseconds in answer.timings.items():
            self.models.labels(model).observe(milliseconds / 1000)

    def text(self) -> Response:
        """All numbers, of all workers, as Prometheus reads them."""
        registry = self.registry
        if os.environ.get(FOLDER):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class Count:
    """ASGI middleware that counts requests by route, never by address or content. It stands before all others."""

    def __init__(self, app, numbers: Numbers):
        self.app, self.numbers = app, numbers

    async def __call__(self, scope, receive, send):
        """Answer and count."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        start, status = time.perf_counter(), 500

        async def seen(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, seen)
        finally:
            route = _route(scope)
            self.numbers.requests.labels(route, status).inc()
            self.numbers.seconds.labels(route).observe(time.perf_counter() - start)


def _route(scope) -> str:
    """Name of the route: one of few, whatever address was asked for."""
    if scope["path"].startswith("/static/"):
        return "/static"
    return getattr(scope.get("route"), "path", "other")
