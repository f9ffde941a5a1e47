"""The dashboard's way to the API: the key stays here, and every failure is said in plain words."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import httpx

from include.errors import ChurnError
from include.settings import Settings

Source: TypeAlias = Literal["what-if", "bulk"]

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 15.0
SHOWN_CHARACTERS = 60  # of an answer that is none of the API's


class ApiDown(ChurnError):
    """The API did not answer."""


class ApiProblem(ChurnError):
    """The API answered with a problem document; `faults` says by field what was expected."""

    def __init__(self, status: int, detail: str, faults: Mapping[str, str]) -> None:
        super().__init__(detail)
        self.status, self.faults = status, faults


class ChurnApi:
    """One client for all threads."""

    def __init__(self, settings: Settings) -> None:
        headers = {"Accept": "application/json"}
        if settings.api_keys:
            headers["X-API-Key"] = settings.api_keys[0].get_secret_value()
        self.url = settings.api_url.rstrip("/")
        self._client = httpx.Client(
            base_url=self.url,
            headers=headers,
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def predict(self, record: Mapping[str, Any], *, source: Source) -> dict[str, Any]:
        """The answer for one record."""
        return self._post("/predict", dict(record), source)

    def predict_batch(
        self, records: Sequence[Mapping[str, Any]], *, source: Source
    ) -> dict[str, Any]:
        """The answers for many records, in their order."""
        return self._post("/predict_batch", {"records": list(records)}, source)

    def explain(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Why a record is scored as it is; the API logs none of it."""
        return self._post("/explain", dict(record), "what-if")

    def health(self) -> dict[str, Any]:
        """Whether the process lives, and what it serves."""
        return self._document(self._answer("GET", "/health"))

    def metrics(self) -> str:
        """The metrics in Prometheus' text format."""
        return self._answer("GET", "/metrics").text

    def _post(self, path: str, document: dict[str, Any], source: Source) -> dict[str, Any]:
        headers = {"X-Churn-Source": source}
        return self._document(self._answer("POST", path, json=document, headers=headers))

    def _document(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            document = answer.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise self.no_api("JSON", answer.text)
        return document

    def no_api(self, expected: str, found: str) -> ApiDown:
        """What to say of an answer that the API does not give."""
        return ApiDown(
            f"what answers at {self.url} is not the API: expected {expected}, found "
            f"{found[:SHOWN_CHARACTERS]!r}. Check CHURN_API_URL"
        )

    def _answer(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **more)
        except (httpx.TransportError, ValueError) as error:
            raise ApiDown(f"the API at {self.url} did not answer ({error})") from error
        if answer.is_success:
            return answer
        raise _problem(answer)


def _problem(answer: httpx.Response) -> ApiProblem:
    try:
        document = answer.json()
    except ValueError:
        document = {}
    if not isinstance(document, dict):
        document = {}
    errors = [each for each in document.get("errors", ()) if isinstance(each, dict)]
    faults = {str(each.get("field")): f"expected {each.get('expected', '')}" for each in errors}
    detail = document.get("detail") or f"the API answered {answer.status_code}"
    return ApiProblem(answer.status_code, str(detail), faults)
