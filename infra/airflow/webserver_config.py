"""How Airflow's FAB auth manager signs people in by an OpenID Connect provider.

docker-compose.sso.yaml names this file; a laptop has Airflow's simple manager instead. What is in
capitals Flask reads: https://flask-appbuilder.readthedocs.io/en/latest/security.html
"""

from collections.abc import Mapping
from typing import Any

from flask_appbuilder.const import AUTH_OAUTH

from airflow.providers.fab.auth_manager.security_manager.override import (
    FabAirflowSecurityManagerOverride,
)
from include.roles import SCOPE, all_claims, discovery_url, name_of, role_of
from include.settings import load_settings
from infra.airflow.login import USER

settings = load_settings()


class SecurityManager(FabAirflowSecurityManagerOverride):
    """FAB's own, with the roles that include/roles.py reads from the claims."""

    def get_oauth_user_info(self, provider: str, resp: Mapping[str, Any]) -> dict[str, Any]:
        """Whom FAB shall sign in; nobody without a role, or by the name of the programs' user."""
        claims = all_claims(resp["userinfo"], self.oauth_remotes[provider].userinfo())
        role, name = role_of(claims, settings), name_of(claims)
        if role is None or name.lower() == USER:  # who belongs to programs (service_user.py)
            return {}
        return {
            "username": name,
            "email": claims.get("email", ""),
            "first_name": claims.get("given_name", ""),
            "last_name": claims.get("family_name", ""),
            "role_keys": [role],
        }


SECURITY_MANAGER_CLASS = SecurityManager
AUTH_TYPE = AUTH_OAUTH
AUTH_USER_REGISTRATION = True
AUTH_USER_REGISTRATION_ROLE = "Public"  # which may nothing
AUTH_ROLES_SYNC_AT_LOGIN = True
AUTH_ROLES_MAPPING = {"viewer": ["Viewer"], "operator": ["Op"], "admin": ["Admin"]}
OAUTH_PROVIDERS = [
    {
        "name": "provider",
        "icon": "fa-key",
        "token_key": "access_token",
        "remote_app": {
            "client_id": settings.oidc_client_id,
            "client_secret": settings.oidc_client_secret.get_secret_value()
            if settings.oidc_client_secret
            else "",
            "server_metadata_url": discovery_url(settings),
            "client_kwargs": {"scope": SCOPE, "code_challenge_method": "S256"},
        },
    }
]
