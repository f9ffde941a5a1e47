"""The API's own page in a real browser: it reads the description, and a customer can be tried."""

import json

import pytest

from tests.dashboard.conftest import OpenPage
from tests.webapp.conftest import Server

pytestmark = pytest.mark.slow  # a browser


def test_a_customer_is_tried_from_the_page(api: Server, open_page: OpenPage) -> None:
    page = open_page(f"{api.url}/docs")
    route = page.locator("#operations-inference-predict")
    route.locator(".opblock-summary-control").click()
    route.get_by_role("button", name="Execute").click()
    answer = route.locator(".live-responses-table .response-col_description .microlight").first
    answer.wait_for()
    assert json.loads(answer.inner_text())["num_samples"] == 1
