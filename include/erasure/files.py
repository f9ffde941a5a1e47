"""One customer in files of the web tier on this machine: uploads, and answers not shipped yet."""

import json
from pathlib import Path

from include.contract import CUSTOMER_ID
from include.erasure.person import Person

UPLOADS = "uploads"  # the dashboard's, below CHURN_VAR_DIR


def erase_uploads(var_dir: Path, person: Person) -> int:
    """Delete the uploaded files that have the customer, and their answers; in how many rows."""
    rows = 0
    folder = var_dir / UPLOADS
    for part in sorted(folder.glob("*.rows")):
        try:
            records = [record for _, record in json.loads(part.read_bytes())]
        except FileNotFoundError:  # went with another part of the same upload
            continue
        own = sum(str(record.get(CUSTOMER_ID, "")) in person.texts for record in records)
        rows += own
        for path in folder.glob(f"{part.name.partition('-')[0]}-*") if own else ():
            path.unlink(missing_ok=True)
    return rows


def unshipped(spool_dir: Path, person: Person) -> bool:
    """Whether answers about the customer still wait for the store."""
    keys = [key.encode() for key in person.log_keys]
    for path in spool_dir.iterdir() if spool_dir.exists() else ():
        try:
            data = path.read_bytes() if path.is_file() else b""
        except FileNotFoundError:  # shipped
            continue
        if any(key in data for key in keys):
            return True
    return False
