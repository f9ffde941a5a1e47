"""What runs the tasks, with real processes that end, fail and are killed."""

from tests.dags.conftest import AnswersOf

EXECUTOR = """
import json, os, signal, time
from airflow.executors.base_executor import BaseExecutor
from infra.airflow.executor import LocalExecutor

class Work:
    # A task as an executor sees it: its process forks another, which does the work.
    success_state, failure_state, running_state = "success", "failed", None

    def __init__(self, name):
        self.key = self.display_name = name
        self.told, self.tells = os.pipe()

    def run(self):
        if self.key == "raises":
            raise RuntimeError("out of cheese")
        if (child := os.fork()) == 0:
            os.write(self.tells, str(os.getpid()).zfill(9).encode())
            time.sleep(0 if self.key == "ends" else 60)
            os._exit(0)
        os.waitpid(child, 0)

    @property
    def child(self):
        return int(os.read(self.told, 9))

def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        executor.sync()
        time.sleep(0.01)
    return condition()

def is_gone(pid):
    with open(f"/proc/{pid}/stat") if os.path.exists(f"/proc/{pid}") else open(os.devnull) as stat:
        return stat.read().split()[2:3] in ([], ["Z"])

BaseExecutor.run_workload = staticmethod(lambda workload, **options: workload.run())
executor = LocalExecutor(parallelism=2)
executor.start()
works = {name: Work(name) for name in ("ends", "raises", "killed")}
"""

ENDINGS = """
executor._process_workloads([works["ends"], works["raises"]])
running = sorted(executor.running)
until(lambda: len(executor.event_buffer) == 2)
print(json.dumps([running, executor.event_buffer, sorted(executor.running)]))
"""

KILLED = """
executor._process_workloads([works["killed"]])
child = works["killed"].child
os.kill(executor._processes["killed"][0].pid, signal.SIGKILL)
noticed = until(lambda: executor.event_buffer, seconds=1)
gone = until(lambda: is_gone(child), seconds=1)
executor._process_workloads([works["ends"]])
executor.end()
print(json.dumps([noticed and executor.event_buffer, gone, sorted(executor.running)]))
"""


def test_each_ending_is_told_and_frees_its_place(answers_of: AnswersOf) -> None:
    running, told, left = answers_of(EXECUTOR + ENDINGS)
    assert running == ["ends", "raises"] and left == []
    assert told["ends"] == ["success", None]
    state, reason = told["raises"]
    assert state == "failed" and "ended with code 1: the scheduler's log has the error" in reason


def test_a_killed_process_is_noticed_at_once_and_nothing_of_it_works_on(
    answers_of: AnswersOf,
) -> None:
    told, gone, left = answers_of(EXECUTOR + KILLED)
    state, reason = told["killed"]
    assert state == "failed" and "was killed by signal 9" in reason
    assert gone and told["ends"] == ["success", None] and left == []
