"""Which worker has fewer clients."""

import resource

import pytest

from webapp.server.connection_shares import Seats, clients_max


def test_a_worker_is_crowded_while_another_has_fewer() -> None:
    seats = Seats(3)
    first, second = seats.seat(1), seats.seat(2)
    assert first and second
    first.tell(3)
    second.tell(2)
    assert first.crowded() and not second.crowded()
    second.tell(3)
    assert not first.crowded() and not second.crowded()


@pytest.mark.parametrize("how", ["not yet serving", "no longer serving", "dead"])
def test_a_worker_that_takes_no_clients_crowds_nobody(how: str) -> None:
    seats = Seats(2)
    first, second = seats.seat(1), seats.seat(2)
    assert first and second
    first.tell(3)
    if how != "not yet serving":
        second.tell(0)
        assert first.crowded()
        second.leave() if how == "no longer serving" else seats.leave(2)
    assert not first.crowded()


def test_a_place_is_given_again_when_its_worker_has_ended() -> None:
    seats = Seats(1)
    assert seats.seat(1) is not None
    assert seats.seat(2) is None
    seats.leave(1)
    assert seats.seat(3) is not None


@pytest.mark.parametrize(
    ("open_files", "clients"),
    [(64, 16), (256, 156), (1024, 924), (20_000, 1000), (resource.RLIM_INFINITY, 1000)],
)
def test_a_worker_takes_no_more_clients_than_it_may_open_files(
    open_files: int, clients: int
) -> None:
    assert clients_max(open_files) == clients
