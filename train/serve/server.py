"""The service on a port: how many are served at once, and what is refused before it reaches a route."""

import ctypes
import json
import logging
import socket
import sys
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

import waitress
from waitress.channel import HTTPChannel
from waitress.task import ErrorTask

from dataset.errors import TrayError
from train.runs import Run
from train.serve.app import make_app
from train.serve.pictures import Limits
from train.serve.service import Fetch, Service

HERE: Final = "127.0.0.1"
THREADS: Final = 32
CONNECTIONS: Final = 1000
ARENA_MAX: Final = -8  # malloc.h: M_ARENA_MAX
ARENAS: Final = 2
SECONDS: Final = 60
"""For which a connection may say nothing."""


class Server:
    """A run, served while it is held open.

    Use it as a context manager::

        with Server(open_run(Path("runs/pizza")), port=8000) as server:
            print(server.url)
            server.wait()

    ``port`` 0 takes a free one. ``fetch`` gets the bytes behind the addresses that are sent; without it only files are
    taken. Raises RunNotFound when the model can't be read, TrayError when the port is taken.
    """

    def __init__(
        self,
        run: Run,
        *,
        fetch: Fetch | None = None,
        host: str = HERE,
        port: int = 8000,
        limits: Limits | None = None,
    ) -> None:
        _keep_together()
        self.service = Service(run, fetch=fetch, limits=limits)
        self.app = make_app(self.service)
        self.host = host
        self._wanted = port

    def __enter__(self) -> Self:
        # That requests wait in line is what the line is for.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        # waitress would leave its pieces open where the port is taken.
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            listening = socket.create_server((self.host, self._wanted), family=family, backlog=CONNECTIONS)
        except (OSError, OverflowError) as error:
            self.service.close()
            raise TrayError(
                f"Expected {self.host} port {self._wanted} to be free. Received: {error}. "
                f"Name another port, or 0 and a free one is taken."
            ) from error
        self._server: Any = waitress.create_server(
            self.app,
            sockets=[listening],
            threads=THREADS,
            connection_limit=CONNECTIONS,
            channel_timeout=SECONDS,
            # Up to twice the limit Flask reads no body and says so; what is larger is not even received.
            max_request_body_size=2 * self.service.limits.body,
            asyncore_use_poll=True,
            ident=None,
        )
        self._server.channel_class = _Channel
        self.port = int(self._server.effective_port)
        shown = HERE if self.host in {"0.0.0.0", "::", "*"} else self.host  # noqa: S104 - it is only looked at
        self.url = f"http://{f'[{shown}]' if ':' in shown else shown}:{self.port}/"
        self._thread = threading.Thread(target=self._server.run, name="serve", daemon=True)
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
        self.service.close()

    def wait(self) -> None:
        """Serve until the process is interrupted."""
        while self._thread.is_alive():
            self._thread.join(timeout=0.5)

    def _close(self) -> None:
        for one in list(self._server._map.values()):  # noqa: SLF001 - waitress has no other way to end its loop
            one.close()


def _keep_together() -> None:
    """Ask glibc for two arenas: with one for each thread that decodes, memory grows long after it should be flat."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        mallopt(ARENA_MAX, ARENAS)


class _Refusal(ErrorTask):  # type: ignore[misc,unused-ignore]
    """What waitress refuses by itself, such as a body far too large, as JSON like all the rest."""

    def execute(self) -> None:
        """Write the answer."""
        error = self.request.error
        body = json.dumps({"error": f"{error.reason}: {error.body}", "status": error.code}).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", "application/json"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):  # type: ignore[misc,unused-ignore]
    error_task_class = _Refusal
