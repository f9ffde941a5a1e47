"""A CSV file's header: where it stands, what separates the columns, and whether they are right."""

import codecs
import csv
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.contract import CUSTOMER_ID, Column, Contract
from include.customers.csv_text import BLOCK_BYTES
from include.errors import DataError, FaultyFile
from include.values import describe

if TYPE_CHECKING:
    import pyarrow as pa

CHARACTERS_MAX = 2**16
DELIMITERS = ",;\t|"
LEFTOVER = "Naive_Bayes"  # the published file carries two columns of somebody's classifier
LEFTOVERS = 2
COLUMNS_TOLD = 8
INDEX = "an index that a program wrote (leave it out, in pandas by index=False)"

# Excel's own first line names the separator; programs that are not Excel fill it up with theirs.
_HINT = re.compile(r'"?sep=([\t !#-/:-@[-`{-~])"?[,;\t|]*', re.IGNORECASE)
# Without a name, or as pandas and R read or write one without a name.
_INDEX = re.compile(r"(Unnamed: \d+(\.\d+)?|index|(__index_)?level_\d+(__)?|\.\.\.\d+)?")


@dataclass(frozen=True)
class Layout:
    """How a file is written."""

    delimiter: str
    header: list[str]
    header_row: int


def read_layout(file: "pa.NativeFile", name: str) -> Layout:
    """Separator and header, from the first block; all of the file stays to be read."""
    head = file.read(BLOCK_BYTES)
    file.seek(0)
    text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    hint = None
    for place, line in enumerate(io.StringIO(text, newline=None), start=1):
        if not line.strip(DELIMITERS + '" \n'):
            continue
        if hint is None and (hint := _HINT.fullmatch(line.strip("\n"))):
            continue
        # A hint that the header does not follow has survived the file's translation.
        hinted = hint is not None and hint[1] in line
        delimiter = hint[1] if hint and hinted else max(DELIMITERS, key=line.count)
        if delimiter not in line or len(line) > CHARACTERS_MAX:
            raise _no_header(
                f"{name} begins with",
                line.strip(),
                "a header, its columns separated by commas, semicolons or tabs",
            )
        header = [each.strip() for each in next(csv.reader([line], delimiter=delimiter))]
        return Layout(delimiter, header, place)
    raise DataError(f"{name} is empty: expected a header and customers")


def read_columns(
    header: list[str],
    contract: Contract,
    name: str,
    *,
    scoring: bool,
    listed_in: str = "include/config/schema.yaml",
) -> dict[str, Column]:
    """The columns that are read; DataError where the header is not the right one."""
    named = header[: max((place for place, each in enumerate(header, 1) if each), default=0)]
    if scoring:
        identity = CUSTOMER_ID if CUSTOMER_ID in named else contract.key.name
        known = {identity: contract.key, **{c.name: c for c in contract.features}}
        needed, leftovers = contract.feature_names, []
        ours = {*known, CUSTOMER_ID} if identity not in named else {*known}
    else:
        known = {column.name: column for column in contract.columns}
        needed = tuple(n for n in known if n != contract.labelled_at.name)
        leftovers = [each for each in named if each.startswith(LEFTOVER)]
        ours = {*known}
    otherwise = _written_otherwise(named, ours)
    if not otherwise and not ours & {*named}:
        told = f"a header of the columns {_few(list(known))}"
        raise _no_header(f"{name} begins with", ", ".join(named), told)
    others = [] if scoring else [e for e in named if e not in {*known, *leftovers, *otherwise}]
    faults = {
        "written otherwise": [f"{describe(e)} for {name}" for e, name in otherwise.items()],
        "missing": [e for e in needed if e not in {*named, *otherwise.values()}],
        "repeated": sorted({each for each in named if each and named.count(each) > 1}),
        "unknown": [describe(each) for each in others if not _INDEX.fullmatch(each)],
        "too many": leftovers if len(leftovers) not in {0, LEFTOVERS} else [],
        INDEX: [describe(each) for each in named if _INDEX.fullmatch(each)],
    }
    if any(faults.values()):
        told = "; ".join(f"{kind}: {_few(names)}" for kind, names in faults.items() if names)
        source = "the dashboard's template has" if scoring else f"{listed_in} lists"
        raise DataError(f"{name} does not have the columns that {source}; {told}")
    return {each: column for each, column in known.items() if each in named}


def _no_header(begins: str, line: str, expected: str) -> FaultyFile:
    """The line may be a customer's."""
    return FaultyFile(
        f"{begins} {describe(line)}: expected {expected}",
        f"{begins} something else: expected {expected}",
    )


def _written_otherwise(named: list[str], ours: set[str]) -> dict[str, str]:
    """Columns that are ours but for capitals, spaces, quotes and what nobody sees."""
    absent = {_bare(each): each for each in ours - {*named}}
    return {e: absent[_bare(e)] for e in named if e not in ours and _bare(e) in absent}


def _bare(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()


def _few(names: list[str]) -> str:
    more = len(names) - COLUMNS_TOLD
    return ", ".join(names[:COLUMNS_TOLD]) + (f" and {more} more" if more > 0 else "")
