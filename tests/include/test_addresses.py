"""Which hosts are this machine's, however they are written."""

import pytest

from include.addresses import bare_host, host_and_port


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        *((each, "localhost") for each in ("localhost", "LOCALHOST.", "localhost:", "localhost:1")),
        *((each, "::1") for each in ("[::1]", "[::1]:8000")),
        *(("Churn.example.org.:443", "churn.example.org"), ("a_b-c", "a_b-c")),
        *(
            (each, "")
            for each in ("", "::1", "[::1", "a b", "a:b", "a,b", "a@b", "é", "a\n", "[a]x")
        ),
    ],
)
def test_a_host_is_found_without_its_port(authority: str, host: str) -> None:
    assert bare_host(authority) == host


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_address_gets_its_brackets(host: str) -> None:
    assert host_and_port(host, 80) == "[::1]:80"
