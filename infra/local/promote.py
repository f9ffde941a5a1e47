"""`make promote VERSION=2 REASON="…"`: what `promotion: manual` stopped goes into production."""

import os
import sys

from include.champion import promotion
from include.settings import Settings
from infra.local.running import exit_code, running_stack


def main() -> int:
    """`python -m include.champion.promotion` with the MLflow server of the stack that is up."""
    return exit_code("promote", _promote)


def _promote(settings: Settings) -> int:
    if "MLFLOW_TRACKING_URI" not in os.environ:
        os.environ["MLFLOW_TRACKING_URI"] = running_stack(settings).mlflow.url
    return promotion.main()


if __name__ == "__main__":
    sys.exit(main())
