"""How fast a run is served to many clients at once on loopback: median and 95th percentile of their waits, and memory.

    python benchmarks/serving.py runs/pizza --clients 64 --requests 2000 [PICTURE ...]

The server is a process of its own; the clients are threads of this one and share the machine with it. Prints one JSON
object. Without pictures, it draws some.
"""

import argparse
import http.client
import io
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SERVER = """
import sys
from pathlib import Path
from train.runs import open_run
from train.serve import Server

with Server(open_run(Path(sys.argv[1])), port=0) as server:
    print(server.port, flush=True)
    sys.stdin.read()
"""


def main() -> None:
    """Serve a run, ask it, and print the figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("run", type=Path)
    options.add_argument("pictures", type=Path, nargs="*")
    options.add_argument("--clients", type=int, default=64)
    options.add_argument("--requests", type=int, default=2000)
    chosen = options.parse_args()
    bodies = [path.read_bytes() for path in chosen.pictures] or drawn(16)
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(chosen.run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        port = int(process.stdout.readline())
        ask(port, bodies, clients=chosen.clients, requests=4 * chosen.clients)  # the first ones grow the pools
        alone = ask(port, bodies, clients=1, requests=50)
        memory, before = [resident(process.pid)], worked(process.pid)
        rounds = []
        for _ in range(5):
            rounds.append(ask(port, bodies, clients=chosen.clients, requests=chosen.requests // 5))
            memory.append(resident(process.pid))
        spent = worked(process.pid) - before
    finally:
        process.communicate()
    waits = np.concatenate([one["waits"] for one in rounds])
    result = {
        "run": chosen.run.name,
        "cores": len(os.sched_getaffinity(0)),
        "picture_bytes": round(sum(map(len, bodies)) / len(bodies)),
        "one_client": told(alone["waits"]),
        "clients": chosen.clients,
        "requests": len(waits),
        "errors": sum(one["errors"] for one in rounds),
        "per_second": round(len(waits) / sum(one["seconds"] for one in rounds), 1),
        **told(waits),
        "server_cpu_ms": round(1000 * spent / len(waits), 1),
        "resident_mb": memory,
    }
    print(json.dumps(result, indent=2))


def ask(port: int, bodies: list[bytes], *, clients: int, requests: int) -> dict[str, Any]:
    """Send requests over as many kept connections as there are clients; return their waits in seconds."""
    numbers = itertools.count()
    waits: list[float] = []
    errors: list[str] = []

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while (number := next(numbers)) < requests:
            started = time.perf_counter()
            try:
                headers = {"Content-Type": "application/octet-stream"}
                connection.request("POST", "/predict", bodies[number % len(bodies)], headers)
                answer = connection.getresponse()
                told = json.loads(answer.read())
            except (OSError, http.client.HTTPException, ValueError) as error:
                errors.append(repr(error))
                connection.close()
                continue
            waits.append(time.perf_counter() - started)
            if answer.status != 200 or "label" not in told["predictions"][0]:
                errors.append(f"{answer.status} {told}")
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in sorted(set(errors))[:3]:
        print(error, file=sys.stderr)
    return {"waits": np.array(waits), "errors": len(errors), "seconds": time.perf_counter() - started}


def told(waits: Any) -> dict[str, float]:
    """Return the median and the 95th percentile in milliseconds."""
    return {f"p{n}_ms": round(1000 * float(np.percentile(waits, n)), 1) for n in (50, 95)}


def resident(pid: int) -> float:
    """Return the resident memory of a process in MB, as Linux tells it."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def worked(pid: int) -> float:
    """Return the processor seconds that a process has used, as Linux tells them."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def drawn(n: int) -> list[bytes]:
    """Return JPEGs of 640 x 480 with some detail, no two alike."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(n):
        small = Image.fromarray(rng.integers(0, 255, (60, 80, 3), np.uint8))
        file = io.BytesIO()
        small.resize((640, 480), Image.Resampling.BICUBIC).save(file, "JPEG", quality=88)
        pictures.append(file.getvalue())
    return pictures


if __name__ == "__main__":
    main()
