"""What goes over the wire: the question a visitor asks, the answer, and the ways in which an answer may be sent."""

import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    """One line of the request log; `time` is in seconds since the epoch, `path` holds the query too."""

    time: float
    host: str
    path: str
    status: int
    user_agent: str
    referer: str


@dataclass(frozen=True, slots=True)
class Visit:
    """A question: the origin that was asked, the path as it came, the query, and the headers by small letters."""

    origin: str
    target: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        """The path without the query, still percent-encoded."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query's last value of each name."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    def number(self, name: str, default: int) -> int:
        """Return a whole number of the query, or the default where there is none."""
        value = self.query.get(name, "")
        return int(value) if value.isdecimal() and len(value) < 9 else default


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and how it is sent: `plain`, or one of the bad manners of `send`."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    manner: str = "plain"
    delay: float = 0.0

    @classmethod
    def page(cls, html: str, status: int = 200, **headers: str) -> "Reply":
        """Return an HTML page."""
        return cls(
            status, html.encode(), {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", **headers}
        )

    @classmethod
    def picture(cls, body: bytes, kind: str = "jpeg") -> "Reply":
        """Return a picture that may be cached."""
        return cls(200, body, {"Content-Type": f"image/{kind}", "Cache-Control": "public, max-age=86400"})

    @classmethod
    def moved(cls, url: str, status: int = 302) -> "Reply":
        """Return a redirect."""
        return cls(status, b"", {"Location": url})


def head(reply: Reply, *, close: bool) -> bytes:
    """Return status line and headers as they go over the wire."""
    lines = [
        f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"
        if reply.status in set(HTTPStatus)
        else f"HTTP/1.1 {reply.status} Odd"
    ]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    if "Content-Length" not in reply.headers and reply.manner != "endless":
        lines.append(f"Content-Length: {len(reply.body)}")
    lines.append(f"Connection: {'close' if close else 'keep-alive'}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def send(reply: Reply, to: socket.socket, stop: threading.Event, *, bodiless: bool = False) -> bool:
    """Send an answer in its manner; return whether the connection may be used again.

    Every manner waits `reply.delay` seconds first, and `hold` then says nothing; `stop` ends every waiting at once.
    """
    if reply.delay:
        stop.wait(reply.delay)
    if reply.manner == "hold":
        return False
    to.sendall(head(reply, close=False) + (b"" if bodiless else reply.body))
    return True
