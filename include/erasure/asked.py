"""Whom a command is asked to forget; imports nothing, for a host that has only Docker."""

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The customer, of which '-' is a line of standard input, and `--log-only`."""
    parser.add_argument(
        "customer", type=_given, help="the number; '-' reads it from standard input"
    )
    parser.add_argument(
        "--log-only", action="store_true", help="an id that callers of the API sent, in no table"
    )


def _given(word: str) -> str:
    return sys.stdin.readline().rstrip("\r\n") if word == "-" else word
