"""Airflow and the tasks' libraries, imported once; each script runs in a fork of this process.

A line of JSON on standard input is a script; its exit code is answered on standard output.
"""

import asyncio
import importlib
import json
import os
import sys
import traceback
from typing import NoReturn

MODULES = (
    "airflow.api_fastapi.execution_api.app",
    "airflow.dag_processing.dagbag",
    "airflow.providers.standard.operators.python",
    "airflow.providers.standard.operators.trigger_dagrun",
)


def build_api() -> None:
    """Build the API that `dag.test` lets its tasks talk to, for seconds, at its first request."""
    import httpx
    from airflow.sdk.execution_time.supervisor import in_process_api_server

    async def ask() -> None:
        transport = httpx.ASGITransport(in_process_api_server().app)
        async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
            (await client.get("/health")).raise_for_status()

    asyncio.run(ask())


def main() -> None:
    """Run what is asked for, one script after the other."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer
    for name in MODULES:
        importlib.import_module(name)
    build_api()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _run(**json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)
    os._exit(0)  # taking all of it apart would take seconds


def _run(script: str, environment: dict[str, str], output: str) -> NoReturn:
    os.environ.update(environment)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{output}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    code = 1
    try:
        exec(script, {"__name__": "__main__"})
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
