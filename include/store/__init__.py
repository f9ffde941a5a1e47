"""The object store: a directory (`file:///dir`) or S3 (`s3://bucket/prefix`), under the same verbs.

Both kinds promise the same. A reader sees a whole object or none. `create` writes a key once.
`replace` is compare-and-swap on the etag that the caller read. Repeating either with the same bytes
succeeds, because a client that retries after a lost answer must not be told that it lost to itself.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote, urlsplit

from include.errors import ConfigurationError
from include.store.local import LocalStore
from include.store.objects import ObjectInfo, StoredObject
from include.store.s3 import S3Store, s3_client, s3_config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = [
    "LocalStore",
    "ObjectInfo",
    "S3Store",
    "Store",
    "StoredObject",
    "open_store",
    "s3_client",
    "s3_config",
]

Store: TypeAlias = LocalStore | S3Store


def open_store(
    uri: str, *, client: "S3Client | None" = None, every_key: bool = False, **patience: Any
) -> Store:
    """Open `file:///dir` or `s3://bucket[/prefix]`, by that client or one of so much `patience`.

    `patience` is s3_config's; a directory has none.
    """
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.path.startswith("/") and not parts.netloc:
        return LocalStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        prefix = parts.path.strip("/")
        return S3Store(
            client or s3_client(s3_config(**patience)), parts.netloc, prefix, every_key=every_key
        )
    raise ConfigurationError(
        "CHURN_STORE_URI must look like file:///absolute/directory or s3://bucket/prefix, "
        f"found {uri!r}"
    )
