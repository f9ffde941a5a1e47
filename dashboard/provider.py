"""The OpenID Connect provider that signs people in, and the roles that it gives them.

Authlib does the protocol: it finds the provider's addresses by the issuer, and checks state, nonce,
PKCE, signature, issuer, audience and time. https://openid.net/specs/openid-connect-core-1_0.html
"""

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import jmespath
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.flask_client import OAuth
from flask import Flask, session
from jmespath.exceptions import JMESPathError
from joserfc.errors import JoseError
from requests import RequestException
from werkzeug.wrappers import Response

from dashboard.people import NotAllowed, Person
from include.addresses import is_loopback
from include.customers.contacts import AUTHOR_CHARACTERS
from include.errors import ChurnError, ConfigurationError
from include.roles import SCOPE, all_claims, discovery_url, name_of, role_of
from include.settings import Settings

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 10
CALLED = "provider"  # in the session's keys


class ProviderDown(ChurnError):
    """The provider does not answer, or not as one does."""


class SignInFailed(ChurnError):
    """The provider signed nobody in, or what came back is not what it was asked for."""


class Provider:
    """One provider, and how it tells roles."""

    def __init__(self, server: Flask, settings: Settings) -> None:
        check_settings(settings)
        self._settings, self._client_id = settings, settings.oidc_client_id
        issuer = settings.oidc_issuer.rstrip("/")  # some write theirs with the slash
        self._told = {
            "iss": {"essential": True, "values": [issuer, f"{issuer}/"]},
            "aud": {"essential": True, "value": self._client_id},
        }
        secret = settings.oidc_client_secret
        self._client = OAuth(server).register(
            CALLED,
            client_id=settings.oidc_client_id,
            client_secret=secret.get_secret_value() if secret else None,
            server_metadata_url=discovery_url(settings),
            client_kwargs={
                "scope": SCOPE,
                "code_challenge_method": "S256",
                "default_timeout": ANSWER_SECONDS,
            },
        )
        # A session lasts while all of this stays as it was.
        self.fingerprint = "|".join(
            (issuer, self._client_id, settings.oidc_role_claim, *_values(settings))
        )

    def ask(self, back: str) -> Response:
        """Send the browser to the provider, which sends it back to that URL; or ProviderDown."""
        # Of earlier attempts: cookies are small. Whoever has two tabs ends in the later one.
        for name in [each for each in session if each.startswith(f"_state_{CALLED}_")]:
            session.pop(name)
        try:
            return self._client.authorize_redirect(back)  # type: ignore[no-any-return]
        except (RequestException, ValueError, RuntimeError) as error:
            raise _down(error) from error

    def person(self) -> Person:
        """Who came back; SignInFailed, ProviderDown, or NotAllowed for somebody without a role."""
        try:
            token = self._client.authorize_access_token(claims_options=self._told)
            claims = self._claims(token)
        except (AuthlibBaseError, JoseError) as error:
            logger.warning("a sign-in failed: %r", str(error))  # a stranger may have written it
            raise SignInFailed(
                "the sign-in was not finished: begin again, in one tab and within an hour"
            ) from error
        except (RequestException, ValueError, RuntimeError) as error:
            raise _down(error) from error
        return self._with_role(claims)

    def leave(self, back: str) -> Response | None:
        """Send the browser to sign out at the provider, too; None where that cannot be asked."""
        try:
            return self._client.logout_redirect(  # type: ignore[no-any-return]
                post_logout_redirect_uri=back, client_id=self._client_id
            )
        except (RequestException, ValueError, RuntimeError):
            return None

    def _claims(self, token: Mapping[str, Any]) -> dict[str, Any]:
        if not token.get("userinfo"):
            raise SignInFailed("the provider sent no ID token: its client must be one for openid")
        if "userinfo_endpoint" not in self._client.load_server_metadata():
            return dict(token["userinfo"])
        return all_claims(token["userinfo"], self._client.userinfo(token=token))

    def _with_role(self, claims: Mapping[str, Any]) -> Person:
        name, role = name_of(claims), role_of(claims, self._settings)
        if role is None:
            raise NotAllowed(
                f"{name} is known to the provider and has no role here: whoever manages accounts "
                f"there can give one of {', '.join(_values(self._settings))}"
            )
        return Person(name[:AUTHOR_CHARACTERS], role)


def _values(settings: Settings) -> tuple[str, ...]:
    return settings.oidc_viewer, settings.oidc_operator, settings.oidc_admin


def check_settings(settings: Settings) -> None:
    """ConfigurationError where the variables do not make a provider."""
    if not (settings.oidc_client_id and settings.oidc_client_secret):
        raise ConfigurationError(
            "CHURN_OIDC_ISSUER needs CHURN_OIDC_CLIENT_ID and CHURN_OIDC_CLIENT_SECRET: register "
            "the dashboard with the provider, or unset all three"
        )
    issuer = urlsplit(settings.oidc_issuer)
    here = issuer.scheme == "http" and is_loopback(issuer.hostname or "")
    if not here and not (issuer.scheme == "https" and issuer.hostname):
        raise ConfigurationError(
            "CHURN_OIDC_ISSUER: expected https://…, or http:// on this machine alone, found "
            f"{settings.oidc_issuer}"
        )
    try:
        jmespath.compile(settings.oidc_role_claim)
    except JMESPathError as error:
        raise ConfigurationError(
            "CHURN_OIDC_ROLE_CLAIM: expected JMESPath such as roles or realm_access.roles, found "
            f"{settings.oidc_role_claim!r}"
        ) from error


def _down(error: Exception) -> ProviderDown:
    logger.warning("the provider cannot be asked: %s", error)
    return ProviderDown("the provider that signs people in does not answer: try again in a minute")
