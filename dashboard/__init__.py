"""The analysts' dashboard: whom to call today, and why.

gunicorn -c dashboard/gunicorn.conf.py "dashboard:create_server()"
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from include.settings import Settings


def create_server(settings: "Settings | None" = None) -> "Flask":
    """The WSGI server, ready to answer."""
    from dashboard.application import create_application

    return create_application(settings).server  # type: ignore[no-any-return]
