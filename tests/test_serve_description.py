"""Whatever the OpenAPI description lets one send, and much that it does not: no 5xx, no answer that is not described."""

from collections import Counter

import pytest
import schemathesis
import tiny_shop
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from recsys_lab.serve.api import ServeSettings, make_app

PLENTY = (10**6, 10.0**6)  # requests that may be made
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
SEEN: Counter = Counter()


@pytest.fixture(scope="module")
def described():
    shop = tiny_shop.open_shop()
    app = make_app(shop, ServeSettings(hosts=(), pages=False, allowance=PLENTY, shared=PLENTY))
    yield schemathesis.openapi.from_asgi("/openapi.json", app)
    shop.close()


schema = schemathesis.pytest.from_fixture("described")


@schema.parametrize()
@settings(max_examples=40, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
          suppress_health_check=list(HealthCheck))  # fmt: skip
def test_no_request_breaks_the_service_or_gets_an_answer_that_is_not_described(case):
    answer = case.call()
    SEEN[case.operation.path, answer.status_code] += 1
    case.validate_response(answer, checks=CHECKS)


@pytest.mark.parametrize("path", ["/items/7", "/items/120", "/users/3", "/items?q=boook"])
def test_good_answers_are_as_described(described, path):
    route = {"/items/": "/items/{item_id}", "/users/": "/users/{user_id}"}.get(path[:7], "/items")
    number = {"item_id": path[7:], "user_id": path[7:]} if "{" in route else {}
    names = {name: value for name, value in number.items() if name in route}
    query = {} if names else {"q": "boook"}
    case = described[route]["GET"].Case(path_parameters=names, query=query)
    answer = case.call()
    assert answer.status_code == 200
    case.validate_response(answer, checks=CHECKS)


def test_the_requests_were_good_ones_and_bad_ones(described):
    if not SEEN:
        pytest.skip("the requests were not made")
    good, known = {path for path, status in SEEN if status == 200}, set(described.raw_schema["paths"])
    assert good >= known - {"/items/{item_id}", "/users/{user_id}"}  # whose numbers are found by luck
    assert {status for path, status in SEEN if path == "/events"} >= {200, 422}
