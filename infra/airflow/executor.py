"""Runs tasks on the scheduler's own machine, and notices in its next loop when one is killed.

Airflow's own LocalExecutor keeps a pool of workers that read one queue. A worker that is killed
while it waits takes the queue's lock along, and no task ever starts again; one that is killed at
work is missed only when its heartbeats have been for long enough. Here each task has a process of
its own, and there is no queue.
"""

import ctypes
import gc
import os
import signal
from collections.abc import Sequence
from functools import partial
from multiprocessing import Process
from typing import TYPE_CHECKING, Any

from airflow.executors.base_executor import BaseExecutor, get_execution_api_server_url

if TYPE_CHECKING:
    from airflow.executors.workloads import ExecutorWorkload
    from airflow.executors.workloads.types import WorkloadKey

PR_SET_PDEATHSIG = 1  # prctl(2)


class LocalExecutor(BaseExecutor):
    """One process for each task, for as long as it takes; Airflow warns of other class names."""

    is_local = True
    serve_logs = True
    supports_callbacks = True
    supports_connection_test = True

    def start(self) -> None:
        """Nothing runs before it is due."""
        self._processes: dict[WorkloadKey, tuple[Process, ExecutorWorkload]] = {}

    def _process_workloads(self, workload_items: Sequence["ExecutorWorkload"]) -> None:
        waiting: tuple[dict[Any, Any], ...] = (
            self.queued_tasks,
            self.queued_callbacks,
            self.queued_connection_tests,
        )
        for workload in workload_items:
            key = workload.key
            for each in waiting:
                each.pop(key, None)
            if workload.running_state is not None:
                self.change_state(key, workload.running_state)
            server = get_execution_api_server_url(self.conf)
            try:
                self._processes[key] = (_started(workload, server), workload)
            except OSError as error:  # no memory, or no room for another process
                self.change_state(key, workload.failure_state, f"it could not be started: {error}")
                continue
            self.running.add(key)

    def sync(self) -> None:
        """Tell the scheduler whose process has ended, and how."""
        for key, (process, workload) in [*self._processes.items()]:
            if process.is_alive():
                continue
            del self._processes[key]
            if process.exitcode == 0:
                self.change_state(key, workload.success_state)
            else:
                self.change_state(key, workload.failure_state, _ending(process.exitcode))
            process.close()

    def end(self) -> None:
        """Let what runs come to its end."""
        for process, _ in self._processes.values():
            process.join()
        self.sync()

    def terminate(self) -> None:
        """End what runs."""
        for process, _ in self._processes.values():
            process.kill()
        self.end()


def _started(workload: "ExecutorWorkload", server: str) -> Process:
    process = Process(target=_run, args=(workload, server))
    gc.freeze()  # the memory that it shares with the scheduler stays shared while it collects
    try:
        process.start()
    finally:
        gc.unfreeze()
    return process


def _run(workload: "ExecutorWorkload", server: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the scheduler, who waits for it
    os.register_at_fork(after_in_child=partial(_die_with, os.getpid()))
    BaseExecutor.run_workload(
        workload,
        server=server,
        # What tasks say is in their logs; a copy in the scheduler's would not hide secrets.
        subprocess_logs_to_stdout=False,
        proctitle=f"airflow worker -- LocalExecutor: {workload.display_name}",
    )


def _die_with(parent: int) -> None:
    """The task itself, a child of what is watched here, must not work on beside its next try."""
    if os.getppid() == parent:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"its process was killed by signal {-code}, by hand or for want of memory"
    return f"its process ended with code {code}: the scheduler's log has the error"
