"""What goes over the wire: the question a visitor asks, the answer, and the ways in which an answer may be sent."""

import socket
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

HUGE = 60 * 2**20  # bytes of a body that nobody should read to its end


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


def head(reply: Reply) -> bytes:
    """Return status line and headers as they go over the wire."""
    known = {status.value: status.phrase for status in HTTPStatus}
    lines = [f"HTTP/1.1 {reply.status} {known.get(reply.status, 'Odd')}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    if reply.manner in ("chunked", "unended"):
        lines.append("Transfer-Encoding: chunked")
    elif reply.manner == "huge":
        lines.append(f"Content-Length: {HUGE}")
    elif reply.manner != "endless":
        lines.append(f"Content-Length: {len(reply.body)}")
    lines.append(f"Connection: {'keep-alive' if reply.manner in ('plain', 'chunked') else 'close'}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def send(reply: Reply, to: socket.socket, stop: threading.Event, *, bodiless: bool, patience: float) -> bool:
    """Send an answer in its manner; return whether the connection may be used again.

    Every manner waits `reply.delay` seconds first; `hold` then says nothing. No waiting lasts longer than `patience`,
    and `stop` ends it at once.
    """
    if reply.delay:
        stop.wait(reply.delay)
    if reply.manner == "hold":
        return False
    if bodiless or reply.manner == "plain":
        to.sendall(head(reply) + (b"" if bodiless else reply.body))
        return True
    to.sendall(head(reply))
    misbehave(reply, to, stop, patience)
    return reply.manner == "chunked"


def misbehave(reply: Reply, to: socket.socket, stop: threading.Event, patience: float) -> None:
    """Send a body in an unusual way.

    `chunked` is only unusual; `drip` sends a byte a second, `stall` stops in the middle, `short` and `unended` close
    there, `reset` breaks off there, `huge` pads to 60 MB and `endless` never ends.
    """
    half = reply.body[: len(reply.body) // 2]
    match reply.manner:
        case "chunked":
            to.sendall(b"".join(map(chunk, (half, reply.body[len(half) :], b""))))
        case "unended":
            to.sendall(chunk(half))
        case "drip":
            for byte in reply.body[: int(patience)]:
                to.sendall(bytes([byte]))
                if stop.wait(1):
                    break
        case "stall" | "short" | "reset":
            to.sendall(half)
            if reply.manner == "stall":
                stop.wait(patience)
            elif reply.manner == "reset":
                # Closing with no time to linger sends a reset in place of an end.
                to.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        case "huge" | "endless":
            pad(reply, to, stop)


def chunk(body: bytes) -> bytes:
    """Return one piece of a chunked body."""
    return f"{len(body):x}\r\n".encode() + body + b"\r\n"


def pad(reply: Reply, to: socket.socket, stop: threading.Event) -> None:
    """Send the body and then zeros, up to the huge size or without an end."""
    to.sendall(reply.body)
    left = HUGE - len(reply.body)
    while not stop.is_set() and (left > 0 or reply.manner == "endless"):
        to.sendall(bytes(min(2**16, left) if reply.manner == "huge" else 2**16))
        left -= 2**16
