"""Which addresses a download may connect to, checked on the very address that is connected to."""

import ipaddress
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import create_connection

from dataset.errors import ConfigError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# Prefixes under which an IPv6 address carries an IPv4 address: NAT64 and 6to4.
NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
ADDRESSES_TRIED: Final = 3


class PrivateAddressError(NewConnectionError):
    """A name leads to an address that is none of the public internet's."""


@dataclass(frozen=True, slots=True)
class Guard:
    """The networks that may be connected to beside the public internet."""

    networks: tuple[Network, ...] = ()

    def allows(self, address: str) -> bool:
        """Whether a numeric address may be connected to."""
        ip: Address = ipaddress.ip_address(address.split("%", maxsplit=1)[0])
        if any(ip in network for network in self.networks if network.version == ip.version):
            return True
        inner = _carried(ip)
        if inner is not None:
            return self.allows(str(inner))
        return ip.is_global and not (ip.is_multicast or ip.is_reserved or getattr(ip, "is_site_local", False))


def guard_for(site: str | None, allowed: Iterable[str] = ()) -> Guard:
    """Return the guard that lets through, beside the public internet, a site's host and the allowed networks.

    Raises ConfigError when a network is not one.
    """
    networks: list[Network] = []
    for text in allowed:
        try:
            networks.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            raise ConfigError(
                f"Expected a network such as 10.1.0.0/16 for --allow-network. Received: {text!r}. Correct it."
            ) from None
    host = urlsplit(site).hostname if site else None
    if host:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError:
            found = []
        networks += {ipaddress.ip_network(str(one[4][0]).split("%")[0]) for one in found}
    return Guard(tuple(networks))


class GuardedAdapter(HTTPAdapter):
    """Connects requests to checked addresses only; ``watch`` is told each socket that is waited on."""

    def __init__(self, guard: Guard, watch: Any, **options: Any) -> None:
        self._guard = guard
        self._watch = watch
        super().__init__(**options)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Make a pool manager whose connections are guarded."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _pool_classes(self._guard, self._watch)


def _pool_classes(guard: Guard, watch: Any) -> Mapping[str, type[HTTPConnectionPool]]:
    """Return connection pools that ask the guard about each address before they connect to it."""

    class Guarded:
        sock: Any

        def _new_conn(self) -> socket.socket:
            return _connected(self, guard)

        def getresponse(self) -> Any:
            watch(self.sock)
            return super().getresponse()  # type: ignore[misc]

    class Plain(Guarded, HTTPConnection):
        pass

    class Secure(Guarded, HTTPSConnection):
        pass

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _connected(connection: Any, guard: Guard) -> socket.socket:
    """Resolve a connection's host, check what came, and connect to one of exactly these addresses."""
    host = connection._dns_host.strip("[]")  # noqa: SLF001 - urllib3's own hook is built on it
    try:
        found = socket.getaddrinfo(host, connection.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise NameResolutionError(connection.host, connection, socket.gaierror(str(error))) from error
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    # One private address among public ones is how a rebinding name looks.
    if not all(guard.allows(address) for address in addresses):
        raise PrivateAddressError(connection, f"{host} is {', '.join(addresses)}")
    failure: OSError = OSError("no address")
    for address in addresses[:ADDRESSES_TRIED]:
        try:
            return create_connection(
                (address, connection.port),
                connection.timeout,
                source_address=connection.source_address,
                socket_options=connection.socket_options,
            )
        except OSError as error:
            failure = error
    if isinstance(failure, TimeoutError):
        raise ConnectTimeoutError(connection, f"{host} does not answer") from failure
    raise NewConnectionError(connection, str(failure)) from failure


def _carried(ip: Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address inside an IPv6 address, if there is one."""
    if isinstance(ip, ipaddress.IPv4Address):
        return None
    if ip in NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour
