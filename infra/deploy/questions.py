"""What a deployment asks an API before it trusts it: is it ready, and does it predict.

Of made-up values, marked as a test, so that no answer counts as a customer's.
"""

from __future__ import annotations

import http.client
import json
import math
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

RECORD = json.loads(Path(__file__).with_name("record.json").read_text())
ANSWER_SECONDS = 10.0
SAME = 1e-6  # two builds may round differently; not more than the graph and its trees do
COMMIT = re.compile(r"[0-9a-f]{40}")


class Refusal(Exception):
    """What an API answered is not what a good one answers."""


@dataclass(frozen=True)
class Answer:
    """One prediction, and who made it."""

    commit: str
    model_version: str
    probability: float

    def check_against(self, former: Answer) -> None:
        """Refusal where one model gives one record two probabilities."""
        if self.model_version != former.model_version:
            return
        if abs(self.probability - former.probability) > SAME:
            raise Refusal(
                f"model {self.model_version} answered {former.probability:.6f} until now and "
                f"{self.probability:.6f} from the new image, for the same record"
            )


@dataclass(frozen=True)
class Api:
    """An API at `url`; it is reached at `address` where that is not what the URL's name says."""

    url: str
    key: str
    address: str = ""

    def answer(self) -> Answer:
        """A prediction from a ready API; Refusal when anything is not as it should be."""
        self._get("/ready")
        health = self._get("/health")
        if health.get("model_loaded") is not True:
            raise Refusal(f"GET /health says model_loaded {health.get('model_loaded')!r}")
        told = self._ask("POST", "/predict", json.dumps(RECORD).encode())
        return Answer(str(self._get("/").get("commit")), *_checked(told))

    def redirects(self) -> bool:
        """Whether it sends whoever asks elsewhere, as Caddy sends HTTP to HTTPS."""
        return self._send("GET", "/health", None)[0] in (301, 308)

    def _get(self, path: str) -> dict[str, Any]:
        return self._ask("GET", path)

    def _ask(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        status, told = self._send(method, path, body)
        words = told[:300].decode(errors="replace")
        if status != 200:
            raise Refusal(f"{method} {self.url}{path} answered {status}: {words}")
        try:
            return dict(json.loads(told))
        except (ValueError, TypeError) as error:
            raise Refusal(f"{method} {self.url}{path} answered no JSON object: {words}") from error

    def _send(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        headers = {
            "Host": urlsplit(self.url).netloc,
            "Content-Type": "application/json",
            "X-API-Key": self.key,
            "X-Churn-Source": "test",
        }
        connection = self._connect()
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Refusal(f"{method} {self.url}{path}: {error or type(error).__name__}") from error
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        secure = parts.scheme == "https"
        address = (self.address or parts.hostname or "", parts.port or (443 if secure else 80))
        connection = http.client.HTTPConnection(*address, timeout=ANSWER_SECONDS)
        if secure:
            try:
                connection.connect()
                # This machine's own proxy, by its address: a certificate would tell no more.
                context = ssl._create_unverified_context()
                connection.sock = context.wrap_socket(
                    connection.sock, server_hostname=parts.hostname
                )
            except OSError as error:
                raise Refusal(f"no connection to {self.url} at {address[0]}: {error}") from error
        return connection


def _checked(told: dict[str, Any]) -> tuple[str, float]:
    """Model version and probability; Refusal where an answer is not one to one record."""
    try:
        (label,), (probability,) = told["predictions"], told["probabilities"]
        version = told["model_version"]
        good = label in (0, 1) and isinstance(version, str) and 0 <= probability <= 1
        if not good or not math.isfinite(probability):
            raise ValueError("out of range")
    except (KeyError, TypeError, ValueError) as error:
        found = json.dumps(told)[:300]
        raise Refusal(f"POST /predict answered what is no prediction: {found}") from error
    return version, float(probability)
