"""The service on a port: how many are served at once, and what is refused before it reaches a route."""

import ctypes
import json
import sys
from types import TracebackType
from typing import Final, Self

from waitress.channel import HTTPChannel
from waitress.task import ErrorTask

from dataset.errors import TrayError
from dataset.served import HERE, Served
from train.runs import Run
from train.serve.app import make_app
from train.serve.pictures import Limits
from train.serve.service import Fetch, Service

THREADS: Final = 32
CONNECTIONS: Final = 1000
ARENA_MAX: Final = -8  # malloc.h: M_ARENA_MAX
ARENAS: Final = 2
SECONDS: Final = 60
"""For which a connection may say nothing."""


class Server(Served):
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
        super().__init__(
            make_app(self.service),
            host=host,
            port=port,
            backlog=CONNECTIONS,
            channel=_Channel,
            threads=THREADS,
            connection_limit=CONNECTIONS,
            channel_timeout=SECONDS,
            # Up to twice the limit Flask reads no body and says so; what is larger is not even received.
            max_request_body_size=2 * self.service.limits.body,
            asyncore_use_poll=True,
        )

    def __enter__(self) -> Self:
        try:
            return super().__enter__()
        except TrayError:
            self.service.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self.service.close()


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
