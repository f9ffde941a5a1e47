"""The core of the churn system: what the DAGs run, and the part of it that the web tier needs."""

import os

# ONNX Runtime reports usage to its maker from the first session on; it listens only to this, and
# only before it is imported. A bank's machines report to nobody.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
