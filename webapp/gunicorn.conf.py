"""How gunicorn runs the API: gunicorn -c webapp/gunicorn.conf.py "webapp:create_app()"."""

import gc
import os
import resource
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from include.addresses import host_and_port  # noqa: E402
from include.settings import load_settings  # noqa: E402
from webapp import logs  # noqa: E402
from webapp.access import refuse_open_door  # noqa: E402
from webapp.prediction_log import shipper_process  # noqa: E402
from webapp.server.connection_shares import ConnectionShares, clients_max  # noqa: E402

settings = load_settings()

bind = host_and_port(settings.api_host, settings.api_port)
workers = settings.api_workers or os.cpu_count() or 1
worker_class = "webapp.server.worker.WholeRequestWorker"
worker_connections = clients_max(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
SETTLE_SECONDS = 5.0
shares = ConnectionShares(2 * workers + 8)  # with room for those that a reload replaces
preload_app = False  # each worker has its own threads, sessions and clients
keepalive = 75  # longer than a load balancer's idle time, or it would meet closed connections
graceful_timeout = 20
timeout = 60
control_socket_disable = True
logconfig_dict = logs.configuration(settings.log_level)

# Where the workers count. A new directory for each master: a restart resets the counters.
METRICS_DIRECTORY = tempfile.mkdtemp(prefix="churn-metrics-")
os.environ["PROMETHEUS_MULTIPROC_DIR"] = METRICS_DIRECTORY


def on_starting(server: Any) -> None:
    """Refuse to listen where others can ask without a key, however the address was set."""
    for address in server.cfg.address:
        refuse_open_door(settings, address if isinstance(address, str) else address[0])


def pre_fork(server: Any, worker: Any) -> None:
    """Tell the worker how many clients the others have."""
    worker.connection_share = shares.join(worker.age)


def post_worker_init(worker: Any) -> None:
    """Let a worker take clients only when it can answer them, if that is a matter of moments."""
    # What was imported stays for ever: the garbage collector need not look at it again, which
    # would hold up an answer for tens of milliseconds.
    gc.collect()
    gc.freeze()
    worker.wsgi.extensions["churn"].holder.wait_until_settled(SETTLE_SECONDS)


def worker_exit(server: Any, worker: Any) -> None:
    """Seal the worker's spool."""
    if worker.wsgi is not None:
        worker.wsgi.extensions["churn"].stop()


def child_exit(server: Any, worker: Any) -> None:
    """Forget the clients of a dead worker."""
    shares.leave(worker.age)


def on_exit(server: Any) -> None:
    """Ship what the last workers sealed."""
    shipper_process.drain()
    shutil.rmtree(METRICS_DIRECTORY, ignore_errors=True)
