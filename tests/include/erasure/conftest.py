"""A bank on a laptop, and one in containers."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.store import LocalStore, S3Store
from tests.include.erasure.bank import Bank, bank_at, fill


@pytest.fixture
def versioned_store(s3_store: S3Store) -> S3Store:
    """A bucket that keeps what was replaced and deleted."""
    s3_store.client.put_bucket_versioning(
        Bucket=s3_store.bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    return s3_store


@pytest.fixture(scope="session")
def full_laptop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stack's directory that has everybody; tests work on copies."""
    var = tmp_path_factory.mktemp("laptop")
    made = fill(f"sqlite:///{var / 'churn.db'}", LocalStore(var / "store"), var)
    made.places.engine.dispose()
    return var


def copied(full_laptop: Path, var: Path) -> Bank:
    """A laptop's stack of a test's own."""
    shutil.copytree(full_laptop, var)
    return bank_at(f"sqlite:///{var / 'churn.db'}", LocalStore(var / "store"), var)


@pytest.fixture
def laptop(full_laptop: Path, tmp_path: Path) -> Iterator[Bank]:
    """A bank on a laptop."""
    found = copied(full_laptop, tmp_path / "var")
    yield found
    found.places.engine.dispose()


@pytest.fixture
def containers(mariadb_url: str, versioned_store: S3Store, tmp_path: Path) -> Iterator[Bank]:
    """One whose bucket keeps versions."""
    found = fill(mariadb_url, versioned_store, tmp_path)
    yield found
    found.places.engine.dispose()


@pytest.fixture(params=["laptop", "containers"])
def bank(request: pytest.FixtureRequest) -> Bank:
    """Each of them."""
    found: Bank = request.getfixturevalue(request.param)
    return found
