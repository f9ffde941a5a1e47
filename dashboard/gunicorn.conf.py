"""How gunicorn runs the dashboard: -c dashboard/gunicorn.conf.py "dashboard:create_server()"."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dashboard.sign_in import refuse_open_door  # noqa: E402
from include.addresses import host_and_port  # noqa: E402
from include.settings import load_settings  # noqa: E402

settings = load_settings()

bind = host_and_port(settings.dashboard_host, settings.dashboard_port)
workers = settings.dashboard_workers
worker_class = "gthread"
threads = 8
preload_app = False  # each worker has its own connections
keepalive = 30
timeout = 120
graceful_timeout = 10
control_socket_disable = True


def on_starting(server: Any) -> None:
    """Refuse to listen where others can look without signing in, however the address was set."""
    for address in server.cfg.address:
        refuse_open_door(settings, address if isinstance(address, str) else address[0])
