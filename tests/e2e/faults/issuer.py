"""An OpenID Connect provider of which a test decides the keys, who signs, and what a token says."""

import time
from typing import Any

from flask import Flask, jsonify, request
from joserfc import jwt
from joserfc.jwk import RSAKey


def _key(name: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": name, "use": "sig", "alg": "RS256"})


class Issuer:
    """Signs everybody in as vera, unless `claims` say something else."""

    def __init__(self) -> None:
        self.url = ""  # as everybody is told
        self.claims: dict[str, Any] = {}
        self.published = self.signs = _key("first")
        self._nonces: dict[str, str] = {}
        self.application = Flask("issuer")
        for path, view in {
            "/.well-known/openid-configuration": self._configuration,
            "/keys": self._keys,
            "/authorize": self._authorize,
        }.items():
            self.application.add_url_rule(path, path, view)
        self.application.add_url_rule("/token", "/token", self._token, methods=["POST"])

    def rotate(self) -> None:
        """Sign by another key, and publish that one alone."""
        self.published = self.signs = _key("second")

    def forge(self) -> None:
        """Sign by a key that nobody published, under the published one's name."""
        self.signs = _key(str(self.published.kid))

    def _configuration(self) -> Any:
        return jsonify(
            issuer=self.url,
            authorization_endpoint=f"{self.url}/authorize",
            token_endpoint=f"{self.url}/token",
            jwks_uri=f"{self.url}/keys",
            id_token_signing_alg_values_supported=["RS256"],
        )

    def _keys(self) -> Any:
        return jsonify(keys=[self.published.as_dict(private=False)])

    def _authorize(self) -> Any:
        """What a browser brings back, as a document instead of a redirect."""
        self._nonces[request.args["state"]] = request.args["nonce"]
        return jsonify(state=request.args["state"], code=request.args["state"])

    def _token(self) -> Any:
        now = int(time.time())
        claims = {
            **{"iss": self.url, "aud": "churn", "sub": "vera", "iat": now, "exp": now + 300},
            **{"email": "vera@bank.example", "roles": ["churn-viewer"]},
            "nonce": self._nonces[request.form["code"]],
            **self.claims,
        }
        signed = jwt.encode({"alg": "RS256", "kid": self.signs.kid}, claims, self.signs)
        return jsonify(access_token="a", token_type="Bearer", expires_in=300, id_token=signed)
