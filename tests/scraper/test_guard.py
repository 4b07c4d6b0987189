"""Where a download may connect to."""

import socket

import pytest

from dataset.errors import ConfigError
from dataset.tray import Scrape
from scraper.download import Fetcher
from scraper.guard import Guard, guard_for

HASTY = Scrape(ignore_opt_outs=True, connect_timeout=0.3)


def unreached(url: str, settings: Scrape, guard: Guard) -> str:
    """Return why an address with the port of a server here is not fetched; fails when it is connected to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        fetched = Fetcher(settings, guard).fetch(url.format(port=server.getsockname()[1]))
        with pytest.raises(TimeoutError):
            server.accept()
    return fetched.error


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.1", "224.0.0.1",
        "::1", "fe80::1", "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
        "2002:7f00:1::", "ff02::1", "255.255.255.255", "192.0.2.1", "::",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_refused(address):
    """Loopback, private, link-local, metadata, multicast and documentation addresses are shut, also inside IPv6."""
    assert not Guard().allows(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101"])
def test_public_addresses_are_open(address):
    """The public internet is open."""
    assert Guard().allows(address)


def test_a_site_and_named_networks_are_open():
    """The host of a site and the networks that the user names are open, and nothing beside them."""
    guard = guard_for("http://127.0.0.1:8000", ("10.1.0.0/16",))

    assert guard.allows("127.0.0.1")
    assert guard.allows("10.1.2.3")
    assert not guard.allows("127.0.0.2")
    assert not guard.allows("10.2.0.1")


def test_a_network_that_is_none_is_named():
    """A typo in --allow-network is answered in one sentence."""
    with pytest.raises(ConfigError, match=r"10\.1\.0\.0/99"):
        guard_for(None, ("10.1.0.0/99",))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/", "http://localhost:{port}/", "http://[::ffff:127.0.0.1]:{port}/",
        "http://2130706433:{port}/", "http://0x7f000001:{port}/", "http://127.1:{port}/", "http://0:{port}/",
        "https://127.0.0.1:{port}/",
    ],
)  # fmt: skip
def test_no_spelling_leads_to_this_machine(url):
    """However loopback is spelt, no connection is made."""
    assert unreached(url, Scrape(), Guard()) == "private address"


def test_a_name_that_turns_private_between_two_looks_gains_nothing(monkeypatch):
    """The address that is connected to is one that was checked: the name is looked up once."""
    looked_up = []
    real = socket.getaddrinfo

    def rebinding(host: str, *arguments: object, **options: object) -> object:
        if host == "rebind.example":
            looked_up.append(host)
            host = "203.0.113.1" if len(looked_up) == 1 else "127.0.0.1"
        return real(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    error = unreached("http://rebind.example:{port}/", HASTY, guard_for(None, ("203.0.113.0/24",)))

    assert error in {"timeout", "no connection", "private address"}


def test_a_name_with_one_private_address_among_public_ones_is_refused(monkeypatch):
    """Whoever answers with both wants the private one to be tried: neither is connected to."""
    real = socket.getaddrinfo

    def both(host: str, port: int, *arguments: object, **options: object) -> list[object]:
        addresses = ("203.0.113.1", "127.0.0.1") if host == "both.example" else (host,)
        return [one for address in addresses for one in real(address, port, *arguments, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    error = unreached("http://both.example:{port}/", HASTY, guard_for(None, ("203.0.113.0/24",)))

    assert error == "private address"
