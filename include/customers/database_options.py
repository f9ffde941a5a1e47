"""The options of a database's URL: its driver knows them, and their files are there."""

import inspect
from pathlib import Path

import sqlalchemy as sa

FILES = ("ssl_ca", "ssl_cert", "ssl_key", "ssl_capath", "read_default_file")
TLS = (
    "TLS is asked for by ssl_ca=FILE, the certificate of the server's authority (with "
    "ssl_check_hostname=false where the server goes by another name)"
)
_SQLITE = {"timeout", "isolation_level", "detect_types", "check_same_thread", "cached_statements"}
_SQLALCHEMY = {"ssl_capath", "ssl_cipher", "ssl_check_hostname"}
_NO_TEXT = {"ssl", "conv", "cursorclass", "self"}  # what no URL can say


def unknown_options(engine: sa.Engine) -> str:
    """What is wrong with the names of the options, or with the files that they name; or nothing."""
    given = engine.url.query
    known = _known(engine)
    wrong = sorted(set(given) - known) if known else []
    if wrong:
        advice = TLS if engine.dialect.name != "sqlite" else f"It knows {', '.join(sorted(known))}"
        return f"the driver {engine.dialect.driver} has no option {', '.join(wrong)}. {advice}"
    repeated = sorted(name for name, value in given.items() if not isinstance(value, str))
    if repeated:
        return f"the option {', '.join(repeated)} stands there twice: leave one"
    absent = [f"{n}={given[n]}" for n in FILES if n in given and not Path(str(given[n])).exists()]
    if absent:
        return f"there is no file {', '.join(absent)} here, where it is read: mend the path"
    return ""


def _known(engine: sa.Engine) -> set[str]:
    """The options of the drivers that can be asked, or whose list is short; else nothing."""
    if engine.dialect.name == "sqlite":
        return _SQLITE
    if engine.dialect.driver != "pymysql":
        return set()
    taken = inspect.signature(engine.dialect.loaded_dbapi.connect).parameters
    return {*taken, *_SQLALCHEMY} - _NO_TEXT
