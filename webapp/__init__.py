"""The inference API: `webapp:create_app` is the application factory."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from include.settings import Settings


def create_app(settings: "Settings | None" = None, *, background: bool = True) -> "Flask":
    """Build the application; `background` starts its threads, which some tests do without."""
    # Not above: gunicorn's master imports this package for its configuration, and ONNX Runtime
    # starts threads that do not survive the fork of the workers.
    from webapp.application import build

    return build(settings, background=background)
