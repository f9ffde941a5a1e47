"""Which worker has fewer clients."""

import resource

import pytest

from webapp.server.connection_shares import ConnectionShares, clients_max


def test_a_worker_is_above_another_that_has_fewer_clients() -> None:
    shares = ConnectionShares(3)
    first, second = shares.join(1), shares.join(2)
    assert first and second
    first.publish(3)
    second.publish(2)
    assert first.above_another() and not second.above_another()
    second.publish(3)
    assert not first.above_another() and not second.above_another()


@pytest.mark.parametrize("how", ["not yet serving", "no longer serving", "dead"])
def test_nobody_is_above_a_worker_that_takes_no_clients(how: str) -> None:
    shares = ConnectionShares(2)
    first, second = shares.join(1), shares.join(2)
    assert first and second
    first.publish(3)
    if how != "not yet serving":
        second.publish(0)
        assert first.above_another()
        second.leave() if how == "no longer serving" else shares.leave(2)
    assert not first.above_another()


def test_a_place_is_given_again_when_its_worker_has_ended() -> None:
    shares = ConnectionShares(1)
    assert shares.join(1) is not None
    assert shares.join(2) is None
    shares.leave(1)
    assert shares.join(3) is not None


@pytest.mark.parametrize(
    ("open_files", "clients"),
    [(64, 16), (256, 156), (1024, 924), (20_000, 1000), (resource.RLIM_INFINITY, 1000)],
)
def test_a_worker_takes_no_more_clients_than_it_may_open_files(
    open_files: int, clients: int
) -> None:
    assert clients_max(open_files) == clients
