"""The web tier stays light: what it must not import, it does not, whatever it is asked."""

import json
import subprocess
import sys
from pathlib import Path

from include.store import LocalStore
from tests.webapp.champions import Version, publish, records

PROJECT = Path(__file__).resolve().parents[2]
HEAVY = {"airflow", "mlflow", "sklearn", "pandas", "imblearn", "scipy", "xgboost", "pyarrow"}

SERVE = """
import json, sys
from include.settings import Settings
from webapp import create_app
app = create_app(Settings(), background=False)
app.extensions["churn"].holder.poll()
client, record = app.test_client(), json.loads(sys.stdin.read())
batch = {"records": [record] * 50}
for path, body in (("predict", record), ("explain", record), ("predict_batch", batch)):
    assert client.post("/" + path, json=body).status_code == 200
for path in ("/docs", "/openapi.json", "/metrics", "/model"):
    assert client.get(path).status_code == 200
print(json.dumps(sorted(sys.modules)))
"""


def test_serving_imports_nothing_heavy(tmp_path: Path, version_1: Version) -> None:
    publish(LocalStore(tmp_path / "store"), version_1)
    done = subprocess.run(
        [sys.executable, "-c", SERVE],
        cwd=PROJECT,
        env={"CHURN_VAR_DIR": str(tmp_path), "PATH": ""},
        input=json.dumps(records(1)[0]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert HEAVY.isdisjoint(json.loads(done.stdout))


def test_gunicorns_master_imports_nothing_that_a_fork_breaks() -> None:
    code = (
        "import runpy, sys; runpy.run_path('webapp/gunicorn.conf.py'); "
        "sys.exit(sorted({'onnxruntime', 'prometheus_client', 'boto3'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
