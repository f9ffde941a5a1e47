"""Which hosts are this machine's, however they are written."""

import pytest

from include.addresses import bare_host, host_and_port, is_loopback, is_own_name


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


@pytest.mark.parametrize(
    ("host", "found"),
    [
        *((each, True) for each in ("127.0.0.1", "127.0.0.5", "LocalHost", "::1", "[::1]")),
        *((each, False) for each in ("0.0.0.0", "::", "10.0.0.1", "", "example.org", "127.")),
        *((f"{each}.example.com", False) for each in ("localhost", "127", "::1")),
        *((each, False) for each in ("[::1", "unix:/tmp/api.sock", "/run/churn.sock")),
    ],
)
def test_loopback_is_what_nobody_else_reaches(host: str, found: bool) -> None:
    assert is_loopback(host) is found


OWN = ["localhost", "LOCALHOST:8000", "localhost.", "app.localhost", "127.0.0.1:9", "127.9.9.9"]
OWN += ["[::1]", "[::1]:8000", "[0:0:0:0:0:0:0:1]", "churn.example.org", "Churn.Example.org.:443"]
FOREIGN = ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example"]
FOREIGN += ["x.churn.example.org", "xlocalhost", "10.0.0.1", "0.0.0.0", "[::]", "[::2]", "::1"]
FOREIGN += ["localhost@evil.example", "localhost,evil.example", "evil.example, localhost", "a b"]
FOREIGN += ["localhost..", "localhost:x", "localhost:80:80", "localhost/", "http://localhost"]
FOREIGN += ["[::1]x", "[", "]", ".", "", "\xb9\xb27.0.0.1", "l\xf6cal"]


@pytest.mark.parametrize(
    ("authority", "own"), [*((h, True) for h in OWN), *((h, False) for h in FOREIGN)]
)
def test_a_name_is_this_machines_or_one_that_is_allowed(authority: str, own: bool) -> None:
    assert is_own_name(authority, ("churn.example.org",)) is own
