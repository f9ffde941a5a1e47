"""Versions of objects that were replaced or deleted, which a bucket with versioning keeps."""

from collections.abc import Iterator
from dataclasses import dataclass

from include.store import S3Store, Store
from include.store.objects import is_key

UNKNOWN = {"NotImplemented", "MethodNotAllowed"}  # a server that keeps no versions says so


@dataclass(frozen=True)
class OlderVersion:
    """One object as it was."""

    store: S3Store
    key: str
    version_id: str

    def read(self) -> bytes:
        """What it held."""
        with self.store.explained(self.key):
            answer = self.store.client.get_object(
                Bucket=self.store.bucket,
                Key=self.store.full_key(self.key),
                VersionId=self.version_id,
            )
            return answer["Body"].read()

    def delete(self) -> None:
        """For good."""
        with self.store.explained(self.key):
            self.store.client.delete_object(
                Bucket=self.store.bucket,
                Key=self.store.full_key(self.key),
                VersionId=self.version_id,
            )


def older_versions(store: Store, prefix: str) -> Iterator[OlderVersion]:
    """Those of the keys that begin so; a directory keeps none."""
    if not isinstance(store, S3Store) or not _keeps_versions(store):
        return
    with store.explained(prefix):
        pages = store.client.get_paginator("list_object_versions").paginate(
            Bucket=store.bucket, Prefix=store.prefix + prefix
        )
        for page in pages:
            for each in page.get("Versions", []):
                key = each["Key"].removeprefix(store.prefix)
                if not each["IsLatest"] and is_key(key):  # no folder that a console drew
                    yield OlderVersion(store, key, each["VersionId"])


def _keeps_versions(store: S3Store) -> bool:
    """Also a bucket whose versioning was suspended has those from before."""
    from botocore.exceptions import ClientError

    with store.explained():
        try:
            return "Status" in store.client.get_bucket_versioning(Bucket=store.bucket)
        except ClientError as error:
            if error.response["Error"].get("Code") in UNKNOWN:
                return False
            raise
