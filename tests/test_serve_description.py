"""What the OpenAPI description lets one send, and what it does not: no 5xx, and no answer that is not described."""

from collections import Counter

import pytest
import schemathesis
import tiny_shop
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from recsys_lab.serve.api import ServeSettings, make_app

PLENTY = (10**6, 10.0**6)  # requests that may be made
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
QUICK = settings(max_examples=30, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
                 suppress_health_check=list(HealthCheck))  # fmt: skip
#: Each route, and how it answers what is made from the description, and what is made against it (nothing can be made
#: against a route without parameters).
ROUTES = {
    ("/events", "POST"): ({200}, {422}),
    ("/recommendations", "GET"): ({200}, {422}),
    ("/items", "GET"): ({200}, {422}),
    ("/items/{item_id}", "GET"): ({404}, {422}),
    ("/users/{user_id}", "GET"): ({404}, {422}),
    ("/healthz", "GET"): ({200}, None),
    ("/readyz", "GET"): ({200}, None),
    ("/metrics", "GET"): ({200}, None),
}


@pytest.fixture(scope="module")
def described():
    shop = tiny_shop.open_shop()
    app = make_app(shop, ServeSettings(hosts=(), pages=False, allowance=PLENTY, shared=PLENTY))
    yield schemathesis.openapi.from_asgi("/openapi.json", app)
    shop.close()


def test_these_are_all_routes(described):
    paths = described.raw_schema["paths"]
    assert {(path, method.upper()) for path, methods in paths.items() for method in methods} == set(ROUTES)


CASES = [(route, mode) for route, (_, wrong) in ROUTES.items() for mode in GenerationMode
         if wrong or mode is GenerationMode.POSITIVE]  # fmt: skip


@pytest.mark.parametrize(("route", "mode"), CASES, ids=lambda value: getattr(value, "value", value[0]))
def test_no_request_breaks_the_service_or_gets_an_answer_that_is_not_described(described, route, mode):
    path, method = route
    strategy, seen = described[path][method].as_strategy(generation_mode=mode), Counter()

    @QUICK
    @given(strategy)
    def ask(case):
        answer = case.call()
        seen[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)

    ask()
    expected = ROUTES[route][mode is GenerationMode.NEGATIVE]
    assert set(seen) & expected, seen  # the requests were what they were meant to be


@pytest.mark.parametrize(
    ("route", "values"),
    [
        ("/items/{item_id}", {"item_id": "7"}),
        ("/items/{item_id}", {"item_id": "119"}),  # has neither price nor year
        ("/users/{user_id}", {"user_id": "3"}),
    ],
)
def test_a_good_answer_is_as_described(described, route, values):
    case = described[route]["GET"].Case(path_parameters=values)
    answer = case.call()
    assert answer.status_code == 200
    case.validate_response(answer, checks=CHECKS)
