"""The three roles that people have, and how an OpenID Connect provider's claims say them.

The dashboard and Airflow read them here; Grafana by the same JMESPath (docker-compose.sso.yaml).
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

import jmespath

from include.settings import Settings

Role: TypeAlias = Literal["viewer", "operator", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)  # each may do what those before it may
NAMES = ("email", "preferred_username", "sub")
SCOPE = "openid profile email"


def name_of(claims: Mapping[str, Any]) -> str:
    """What somebody is called: the first of NAMES that there is; every ID token has the last.

    An address that the provider calls unverified could be anybody's.
    """
    unverified = claims.get("email_verified") in (False, "false")
    names = NAMES[1:] if unverified else NAMES
    return next(str(claims[each]) for each in names if claims.get(each))


def all_claims(id_token: Mapping[str, Any], userinfo: Mapping[str, Any]) -> dict[str, Any]:
    """Both answers of a provider as one: many keep roles for the second.

    One about somebody else is not used (OpenID Connect Core 1.0, 5.3.2).
    """
    same = userinfo.get("sub") == id_token["sub"]
    return {**userinfo, **id_token} if same else dict(id_token)


def role_of(claims: Mapping[str, Any], settings: Settings) -> Role | None:
    """The highest role that the claim names, alone or among others; None for somebody without."""
    found = jmespath.search(f"to_array({settings.oidc_role_claim})", claims)
    named: dict[Role, str] = {
        "viewer": settings.oidc_viewer,
        "operator": settings.oidc_operator,
        "admin": settings.oidc_admin,
    }
    return next((role for role in reversed(ROLES) if named[role] in found), None)


def discovery_url(settings: Settings) -> str:
    """Where the provider says its addresses (OpenID Connect Discovery 1.0, 4)."""
    return f"{settings.oidc_issuer.rstrip('/')}/.well-known/openid-configuration"
