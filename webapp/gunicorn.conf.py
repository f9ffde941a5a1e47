"""How gunicorn runs the API: gunicorn -c webapp/gunicorn.conf.py "webapp:create_app()"."""

import errno
import gc
import os
import resource
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import gevent
from gevent import events
from gunicorn.http.errors import InvalidChunkExtension, UnsupportedTransferCoding
from gunicorn.util import close_graceful

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from include.addresses import host_and_port  # noqa: E402
from include.settings import load_settings  # noqa: E402
from webapp import logs  # noqa: E402
from webapp.access import refuse_open_door  # noqa: E402
from webapp.prediction_log import shipper_process  # noqa: E402
from webapp.worker import LINGER_SECONDS, Worker  # noqa: E402

settings = load_settings()

bind = host_and_port(settings.api_host, settings.api_port)
workers = settings.api_workers or os.cpu_count() or 1
worker_class = Worker
http_parser = "python"  # as fast here as the one in C, which only a compiler can install
worker_connections = 10_000  # a silent one costs 7 KB, and 1,000 of them would keep all others out
limit_request_fields, limit_request_field_size = 60, 4094  # or half a head could hold a megabyte
forwarder_headers = ""  # nobody's word about paths and schemes counts
secure_scheme_headers: dict[str, str] = {}
RECEIVED_MAX = 8 * settings.max_body_bytes  # a body in chunks of one byte is six times its size
REQUEST_SECONDS = 60.0  # for the body to come, the answer to be computed, and the client to take it
REQUESTS_PER_CONNECTION = 100  # clients that came at once are often all at the one awake worker
# Each worker's sign of life is a file: on a disk that takes no more, the master would end with it.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
preload_app = False  # each worker has its own threads, sessions and clients
keepalive = 75  # longer than a load balancer's idle time, or it would meet closed connections
graceful_timeout = 5  # a stop waits so long for clients that keep a connection and ask nothing
timeout = 60
control_socket_disable = True
logconfig_dict = logs.configuration(settings.log_level)

# Where the workers count. A new directory for each master: a restart resets the counters, a reload,
# which reads this file once more in the same process, does not.
if os.environ.get("CHURN_METRICS_MASTER") != str(os.getpid()):
    os.environ["CHURN_METRICS_MASTER"] = str(os.getpid())
    try:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="churn-metrics-")
    except OSError:  # then each worker counts in memory
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = ""


def on_starting(server: Any) -> None:
    """Refuse to listen where others can ask without a key, however the address was set."""
    for address in server.cfg.address:
        refuse_open_door(settings, address if isinstance(address, str) else address[0])
    if not os.environ["PROMETHEUS_MULTIPROC_DIR"]:
        server.log.error("no room in TMPDIR: /metrics tells only of the worker that answers")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each connection is an open file


def post_fork(server: Any, worker: Any) -> None:
    """Leave Python's own parts as they are: only clients' connections are gevent's business.

    So threads stay threads, and what they wait for (the disk's fsync, the store, a new champion's
    first answers) holds up no client.
    """
    events.subscribers.append(_patch_nothing)


def _patch_nothing(event: object) -> None:
    if isinstance(event, events.GeventWillPatchAllEvent):
        raise events.DoNotPatch


def post_worker_init(worker: Any) -> None:
    """Spare the garbage collector what was imported: it stays for ever."""
    gc.collect()
    gc.freeze()  # to look at it would hold up an answer for tens of milliseconds


def pre_request(worker: Any, req: Any) -> None:
    """Give the other clients their turn, and this one a time limit."""
    gevent.sleep(0)
    req.unreader.chunk, req.received = partial(_receive, req), 0
    req.should_close = partial(_should_close, req)
    # gunicorn would answer this now, before it is known whether anybody wants the body.
    req.expects_continue, req._expected_100_continue = req._expected_100_continue, False
    # With this number gunicorn takes it for a client that left, which is no line in the log.
    slow = TimeoutError(errno.ENOTCONN, f"not done within {REQUEST_SECONDS:g} s")
    req.time_limit = gevent.Timeout.start_new(REQUEST_SECONDS, slow)
    for name, value in req.headers:
        if name == "TRANSFER-ENCODING" and value.lower() != "chunked":
            raise UnsupportedTransferCoding(value)  # a proxy could see another end of the body


def _receive(req: Any) -> bytes:
    """A client's next bytes, after the others' turn: it may send faster than they are read."""
    gevent.sleep(0)
    if req.expects_continue:
        req.expects_continue = False
        req.unreader.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    received: bytes = type(req.unreader).chunk(req.unreader)
    req.received += len(received)
    if req.received > RECEIVED_MAX:  # gunicorn bounds neither a chunk's extension nor trailers
        raise InvalidChunkExtension(f"more than {RECEIVED_MAX} bytes")
    return received


def _should_close(req: Any) -> bool:
    """Whether the connection ends with this answer.

    A body that nobody wanted is not read on; and who asks much finds a less busy worker at times.
    """
    ends = req.req_number >= REQUESTS_PER_CONNECTION or _unread(req)
    return ends or bool(type(req).should_close(req))


def _unread(req: Any) -> bool:
    reader = req.body.reader
    return bool(getattr(reader, "length", 0) or getattr(reader, "parser", None))


def post_request(worker: Any, req: Any, environ: Any, resp: Any) -> None:
    """End the time limit; let a client that still sends read its answer before it is cut off."""
    req.time_limit.close()
    req.expects_continue = False
    ends = req.req_number >= REQUESTS_PER_CONNECTION  # more requests may have come behind it
    if resp is not None and (ends or _unread(req)):
        close_graceful(resp.sock, timeout=LINGER_SECONDS, max_drain=2 * settings.max_body_bytes)


def on_exit(server: Any) -> None:
    """Ship what the last workers left: in a container nothing outlives this process."""
    shipper_process.drain()
    if folder := os.environ["PROMETHEUS_MULTIPROC_DIR"]:
        shutil.rmtree(folder, ignore_errors=True)
