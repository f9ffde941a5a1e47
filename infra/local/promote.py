"""`make promote VERSION=2 REASON="…"`: what `promotion: manual` stopped goes into production."""

import os
import sys

from dotenv import load_dotenv

from include.champion import promotion
from include.errors import ConfigurationError
from include.settings import PROJECT, load_settings
from infra.local.services import layout


def main() -> int:
    """`python -m include.champion.promotion` with this stack's settings and its MLflow server."""
    load_dotenv(PROJECT / ".env")
    try:
        os.environ.setdefault("MLFLOW_TRACKING_URI", layout(load_settings()).mlflow.url)
    except ConfigurationError as error:
        sys.stderr.write(f"not promoted: {error}\n")
        return 1
    return promotion.main()


if __name__ == "__main__":
    sys.exit(main())
