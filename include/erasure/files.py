"""One customer in files of the web tier on this machine: uploads, and answers not shipped yet."""

import json
import re
from pathlib import Path

from include.contract import CUSTOMER_ID, CUSTOMER_ID_CHARACTERS
from include.erasure.person import Person
from include.predictions.log import KEY_MARK

UPLOADS = "uploads"  # the dashboard's, below CHURN_VAR_DIR
MARK = re.compile(rf'"{KEY_MARK}":"(\w+)"'.encode())  # in a segment's first line


def erase_uploads(var_dir: Path, person: Person) -> int:
    """Delete the uploaded files that have the customer, and their answers; in how many rows."""
    rows = 0
    folder = var_dir / UPLOADS
    for part in sorted(folder.glob("*.rows")):
        try:
            records = [record for _, record in json.loads(part.read_bytes())]
        except FileNotFoundError:  # went with another part of the same upload
            continue
        own = sum(_is_own(str(record.get(CUSTOMER_ID, "")), person) for record in records)
        rows += own
        for path in folder.glob(f"{part.name.partition('-')[0]}-*") if own else ():
            path.unlink(missing_ok=True)
    return rows


def _is_own(sent: str, person: Person) -> bool:
    """Zeros before a number are not sent to the API, and so not in the log."""
    if sent.isdecimal() and len(sent) <= CUSTOMER_ID_CHARACTERS and str(int(sent)) == person.text:
        return True
    return sent == person.text or sent in person.texts


def unshipped(spool_dir: Path, person: Person) -> bool:
    """Whether answers still wait for the store that are, or may be, about the customer."""
    own = [each.encode() for each in person.log_keys]
    for path in spool_dir.iterdir() if spool_dir.exists() else ():
        try:
            data = path.read_bytes() if path.is_file() else b""
        except FileNotFoundError:  # shipped
            continue
        mark = MARK.search(data.partition(b"\n")[0])
        if any(key in data for key in own) or (mark and mark[1].decode() not in person.key_marks):
            return True
    return False
