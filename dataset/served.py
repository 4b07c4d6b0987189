"""A WSGI application on a port of this machine, for as long as it is held open."""

import logging
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

import waitress  # type: ignore[import-untyped,unused-ignore]

from dataset.errors import TrayError

HERE: Final = "127.0.0.1"
PORTS: Final = 65535
EVERYWHERE: Final = frozenset({"0.0.0.0", "::", "*"})  # noqa: S104 - an address is only shown here


class Served:
    """An application behind waitress, from ``__enter__`` to ``__exit__``; ``port`` and ``url`` say where.

    ``port`` 0 takes a free one; ``options`` are waitress's own. ``channel`` is the class of its connections where
    another one is wanted. Raises TrayError on entering when the port is taken.
    """

    def __init__(
        self,
        app: Any,
        *,
        host: str = HERE,
        port: int = 0,
        backlog: int = 128,
        channel: type | None = None,
        **options: Any,
    ) -> None:
        self.app = app
        self.port = port
        self.url = ""
        self._host, self._backlog, self._channel, self._options = host, backlog, channel, options

    def __enter__(self) -> Self:
        # That requests wait in line is what the line is for.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        listening = _listening(self._host, self.port, self._backlog)
        self._server: Any = waitress.create_server(self.app, sockets=[listening], ident=None, **self._options)
        if self._channel:
            self._server.channel_class = self._channel
        self.port = int(listening.getsockname()[1])
        shown = HERE if self._host in EVERYWHERE else self._host
        self.url = f"http://{f'[{shown}]' if ':' in shown else shown}:{self.port}/"
        self._thread = threading.Thread(target=self._server.run, name="served", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The loop owns its sockets, so it closes them itself, and ends when none is left.
        # A loop that is awake already may run the closing, and shut the trigger, before the wake-up call is written.
        with suppress(OSError):
            self._server.trigger.pull_trigger(self._close)
        self._thread.join(timeout=5)
        self._server.task_dispatcher.shutdown()

    def wait(self) -> None:
        """Serve until the process is interrupted."""
        while self._thread.is_alive():
            self._thread.join(timeout=0.5)

    def _close(self) -> None:
        for one in list(self._server._map.values()):  # noqa: SLF001 - waitress has no other way to end its loop
            one.close()


def _listening(host: str, port: int, backlog: int) -> socket.socket:
    """Return a socket that listens; waitress would leave its own pieces open where the port is taken."""
    if not 0 <= port <= PORTS:
        raise TrayError(f"Expected a port from 0 to {PORTS}. Received: {port}. Name another one.")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        raise TrayError(
            f"Expected {host} port {port} to be free. Received: {error.strerror or error}. "
            f"Name another port, or 0 and a free one is taken."
        ) from error
