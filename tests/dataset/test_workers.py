"""Who does a stage's work changes nothing of its result: threads, a cluster, and a cluster that loses a worker."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest
from distributed import Client

from dataset.build import Built, build_folder
from dataset.errors import ConfigError, TrayError
from dataset.progress import Progress
from dataset.tray import Build
from dataset.workers import HERE, hired
from tests.dataset.conftest import built, drawn, encoded, fill, tree

TINY = Build(max_side=96)
NO_DISTRIBUTED = """
import sys
sys.modules["distributed"] = None
from tray import main
main()
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return two class folders of 96 pictures, with copies, a damaged file and a page named .jpg among them."""
    source = tmp_path_factory.mktemp("photos") / "source"
    fill(source / "cat", range(48))
    fill(source / "dog", range(100, 148))
    for seed in range(6):
        (source / "dog" / f"copy{seed}.jpg").write_bytes(encoded(drawn(100 + seed), quality=50))
        (source / "cat" / f"mirrored{seed}.jpg").write_bytes(encoded(drawn(seed).transpose(0)))
    (source / "cat" / "cut.jpg").write_bytes(encoded(drawn(900))[:3000])
    (source / "cat" / "page.jpg").write_text("<html>not found</html>")
    return source


class Cluster:
    """A Dask scheduler and two workers, each a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "scheduler.json"
        self.held = ExitStack()
        self._start("scheduler", "--port", "0", "--no-dashboard", "--no-show")
        self.workers = [self._start("worker", "--no-nanny", "--nthreads", "1", "--no-dashboard") for _ in range(2)]
        deadline = time.monotonic() + 60
        while not self.file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.address = f"tcp://127.0.0.1:{_port(self.file)}"
        with Client(self.address, timeout="60s") as client:
            client.wait_for_workers(2, timeout=60)

    def _start(self, role: str, *options: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", f"distributed.cli.dask_{role}", "--host", "127.0.0.1", *options]
        process = subprocess.Popen([*command, "--scheduler-file", str(self.file)], stderr=subprocess.DEVNULL)
        self.held.callback(process.wait)
        self.held.callback(process.kill)
        return process


def _port(file: Path) -> str:
    return file.read_text(encoding="utf-8").split("tcp://", 1)[1].split('"')[0].rsplit(":", 1)[1]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run a cluster of two workers."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    with cluster.held:
        yield cluster


def test_a_cluster_that_loses_a_worker_builds_the_same_dataset(source: Path, cluster: Cluster, tmp_path: Path) -> None:
    """One of two workers killed in the middle: every byte is as on threads, and progress was shown all along."""
    here = built(source, tmp_path / "here" / "out", TINY)
    steps: list[Progress] = []
    last: Progress | Built | None = None
    settings = Build(max_side=96, engine="dask", scheduler=cluster.address)
    for last in build_folder(source, tmp_path / "there" / "out", settings):
        if isinstance(last, Progress):
            steps.append(last)
            if last.stage == "scan" and 0 < last.done < last.total:
                cluster.workers[0].kill()
    there = tree(tmp_path / "there" / "out")

    assert cluster.workers[0].wait(10) != 0
    assert cluster.workers[1].poll() is None
    assert isinstance(last, Built)
    assert last.dropped == here.dropped == {"html": 1, "near duplicate": 12, "truncated": 1}
    assert there == tree(tmp_path / "here" / "out")
    assert {"scan", "search", "compare", "normalise", "write out"} == {step.stage for step in steps}
    assert steps[0].total == 110


def test_what_one_engine_began_another_goes_on_with(source: Path, tmp_path: Path) -> None:
    """The engine is no part of what a dataset is made of: built anew by another one, nothing has changed."""
    built(source, tmp_path / "out", TINY)
    again = built(source, tmp_path / "out", Build(max_side=96, engine="dask", scheduler="tcp://127.0.0.1:1"))

    assert again.unchanged


def test_a_cluster_that_does_not_answer_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address is named, and what to do."""
    monkeypatch.setattr("dataset.workers.PATIENCE", "1s")
    with pytest.raises(TrayError, match=r"Expected a Dask cluster at tcp://127.0.0.1:1 .*run the command again"):
        hired("dask", "tcp://127.0.0.1:1").__enter__()


@pytest.mark.parametrize("address", ["nonsense", "foo://127.0.0.1:1", "tcp://127.0.0.1:port"])
def test_what_is_no_address_of_a_scheduler_is_one_sentence(address: str) -> None:
    """A slip of the pen is named before anything starts."""
    with pytest.raises(ConfigError, match="Expected the address of a Dask scheduler"):
        hired("dask", address).__enter__()


def test_without_the_package_there_is_one_sentence(source: Path, tmp_path: Path) -> None:
    """What to install is said, in one line."""
    command = ["build", "--from", str(source), "--out", str(tmp_path / "out"), "--engine", "dask"]
    done = subprocess.run(
        [sys.executable, "-c", NO_DISTRIBUTED, *command], check=False, capture_output=True, text=True, cwd=tmp_path
    )

    assert done.returncode == 1
    assert "Install it: pip install distributed" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_scheduler_without_its_engine_is_refused() -> None:
    """Threads have no scheduler."""
    with pytest.raises(ConfigError, match="Expected the engine dask"):
        hired("threads", "tcp://127.0.0.1:1").__enter__()


def test_threads_keep_the_order_and_stay_few_shards_ahead() -> None:
    """Results come in the order of the shards, and shards are taken when there is room for them."""
    taken: list[int] = []

    def shards() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = HERE.map(lambda shard, array: int(array[shard]), shards(), HERE.share(np.arange(100) * 2))

    assert next(results) == 0
    assert len(taken) < 50
    assert list(results) == list(range(2, 200, 2))


INTERRUPTED = """
import os, signal, threading, time
from distributed import SpecCluster
from dataset.workers import hired

def interrupt():
    while not any(cluster._created for cluster in list(SpecCluster._instances)):
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt, daemon=True).start()
try:
    with hired("dask"):
        pass
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interrupt_while_a_cluster_starts_is_all_there_is_to_say() -> None:
    """Whoever stops a cluster that is half started is not shown how closing that would fail, nor what else runs."""
    with socket.socket() as taken:
        # Another cluster may have the port that Dask likes best.
        with suppress(OSError):
            taken.bind(("", 8787))
            taken.listen()
        done = subprocess.run(
            [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=60, check=False
        )

    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")
