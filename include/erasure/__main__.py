"""Forgets one customer in the stack that CHURN_DATABASE_URL and CHURN_STORE_URI name.

python -m include.erasure 708082083 --asked-by "data protection, case 17"
python -m include.erasure -                       reads the number from standard input
python -m include.erasure --log-only CIF-0815     an id that callers of the API sent, in no table
"""

import argparse
import sys
from collections.abc import Sequence

from include.erasure.asked import add_arguments
from include.erasure.command import run
from include.errors import ChurnError
from include.settings import load_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 also where nobody was found, 1 and one message for what fails."""
    parser = argparse.ArgumentParser(
        prog="python -m include.erasure", description=__doc__.partition("\n")[0]
    )
    add_arguments(parser)
    parser.add_argument("--asked-by", required=True, help="who wants it; it is kept, so no names")
    options = parser.parse_args(arguments)
    try:
        told = run(load_settings(), **vars(options))
    except ChurnError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    print("\n".join(told))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
