"""Who does the work of a stage: threads of this process, or the workers of a Dask cluster.

A stage cuts its work into shards and brings a pure function; where it is done changes no byte of the result. Another
kind of cluster is another class with the two verbs of ``Workers``.
"""

import atexit
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any, Final, Protocol, TypeVar

from dataset.errors import ConfigError, TrayError

log: Final = logging.getLogger("tray")
WORKERS: Final = max(2, os.cpu_count() or 1)
"""Threads of this process."""
KEPT: Final = 8 << 20
"""Bytes of a block that comes and goes: about what the arrays of one shard take."""
PATIENCE: Final = "30s"
"""How long a cluster may take to answer, and to bring its first worker."""

Shard = TypeVar("Shard")
Task = TypeVar("Task")
Result = TypeVar("Result")


class Workers(Protocol):
    """The two things that a stage asks for."""

    def map(self, work: Callable[..., Result], shards: Iterable[Shard], *shared: Any) -> Iterator[Result]:
        """Yield ``work(shard, *shared)`` of each shard, in order, a few shards ahead of who asks."""

    def share(self, array: Any) -> Any:
        """Bring an array to every worker once; return what stands for it among ``shared``."""


class Threads:
    """Threads of this process: decoding leaves Python's lock alone."""

    def __init__(self, count: int = WORKERS) -> None:
        self.count = count

    def map(self, work: Callable[..., Result], shards: Iterable[Shard], *shared: Any) -> Iterator[Result]:
        """Yield ``work(shard, *shared)`` of each shard, in order."""
        _keep_memory()
        pool = ThreadPoolExecutor(self.count)
        try:
            for task in _begun(lambda shard: pool.submit(work, shard, *shared), shards, ahead=2 * self.count):
                yield task.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def share(self, array: Any) -> Any:
        """Return the array itself."""
        return array


def _keep_memory() -> None:
    """Let this process keep the memory that one shard frees for the next one.

    glibc gives it back to the system and asks for it anew, page by page, unless it has seen a larger block come and go.
    Other allocators learn nothing from it. A block that nothing is written to takes no memory.
    """
    import numpy as np

    np.empty(KEPT, np.uint8)


class Dask:
    """The workers of a Dask cluster; they read and write the same paths as this process.

    What a worker held when it was lost is done again by another.
    """

    def __init__(self, client: Any) -> None:
        self.client = client

    def map(self, work: Callable[..., Result], shards: Iterable[Shard], *shared: Any) -> Iterator[Result]:
        """Yield ``work(shard, *shared)`` of each shard, in order."""
        ahead = 2 * max(2, sum(self.client.nthreads().values()))
        for task in _begun(lambda shard: self.client.submit(work, shard, *shared, pure=False), shards, ahead=ahead):
            yield task.result()

    def share(self, array: Any) -> Any:
        """Copy the array to every worker."""
        return self.client.scatter(array, broadcast=True)


def _begun(submit: Callable[[Shard], Task], shards: Iterable[Shard], *, ahead: int) -> Iterator[Task]:
    """Yield each shard's task, in order, with ``ahead`` of them begun at most."""
    tasks: deque[Task] = deque()
    for shard in shards:
        tasks.append(submit(shard))
        if len(tasks) >= ahead:
            yield tasks.popleft()
    while tasks:
        yield tasks.popleft()


class Alone:
    """The thread that asks, for work on small arrays, which keeps Python's lock.

    Two threads would take turns, and half as much time again.
    """

    def map(self, work: Callable[..., Result], shards: Iterable[Shard], *shared: Any) -> Iterator[Result]:
        """Yield ``work(shard, *shared)`` of each shard, in order."""
        _keep_memory()
        for shard in shards:
            yield work(shard, *shared)

    def share(self, array: Any) -> Any:
        """Return the array itself."""
        return array


HERE: Final = Threads()
ALONE: Final = Alone()


@contextmanager
def hired(engine: str, scheduler: str | None = None) -> Iterator[Workers]:
    """Hold the workers of an engine: ``threads``, or ``dask`` with the address of its scheduler.

    Without an address, a cluster of one process per core starts here and ends with the work. Raises ConfigError for
    what is no address, TrayError when the package is missing, the cluster does not answer, or is lost.
    """
    if engine == "threads":
        if scheduler:
            raise ConfigError(f"Expected the engine dask where there is a scheduler. Received: {engine}, {scheduler}.")
        yield HERE
        return
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        raise TrayError(
            "Expected the package distributed for the engine dask, and it is not installed. "
            "Install it: pip install distributed. Or leave --engine out: one machine needs no cluster."
        ) from None
    # What it has to say of workers that come and go, the errors below say in a sentence.
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if scheduler:
        _check_address(distributed, scheduler)
    where = scheduler or "this machine"
    with ExitStack() as held:
        try:
            cluster = scheduler or held.enter_context(_started(distributed))
            client = held.enter_context(distributed.Client(cluster, timeout=PATIENCE))
            client.wait_for_workers(1, timeout=PATIENCE)
            _check_alike(client, where)
        except OSError as error:
            raise _lost(where, error) from error
        try:
            yield Dask(client)
        except (distributed.KilledWorker, distributed.comm.CommClosedError, CancelledError) as error:
            raise _lost(where, error) from error


def _started(distributed: Any) -> Any:
    """Start a cluster of one process per core here."""
    try:
        # Without a dashboard there is still a server for it, which complains where the usual port is taken.
        return distributed.LocalCluster(
            threads_per_worker=1,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": ":0"},
            silence_logs=logging.CRITICAL,
        )
    except KeyboardInterrupt:
        # Half a cluster can't be closed, which distributed would try at exit; its processes end with this one.
        atexit.unregister(distributed.deploy.spec.close_clusters)
        raise


def _check_address(distributed: Any, scheduler: str) -> None:
    try:
        distributed.comm.get_address_host_port(scheduler)
    except ValueError as error:
        raise ConfigError(
            f"Expected the address of a Dask scheduler, such as tcp://10.0.0.1:8786. "
            f"Received: {scheduler!r} ({error}). Correct it."
        ) from None


def _lost(where: str, error: Exception) -> TrayError:
    said = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".")
    return TrayError(
        f"Expected a Dask cluster at {where} with at least one worker until the work is done. Received: "
        f"{said}. What was done is kept: mend the cluster and run the command again."
    )


def made_with() -> dict[str, str]:
    """Return the versions on which the bytes of a result depend."""
    import numpy as np
    import PIL

    from dataset.scan import VERSION

    return {"tray's measures": VERSION, "Pillow": PIL.__version__, "numpy": np.__version__}


def _check_alike(client: Any, where: str) -> None:
    """Refuse workers whose results would differ from those of this process."""
    ours = made_with()
    for address, theirs in sorted(client.run(made_with, on_error="return").items()):
        if theirs != ours:
            raise TrayError(
                f"Expected the workers at {where} to have tray with {ours}. Received from {address}: {theirs}. "
                f"Install the same versions there, and run the command again."
            )
