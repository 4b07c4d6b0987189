"""What is interrupted goes on where it was: no more is lost than the shards in work."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from dataset import relations, scan
from dataset.errors import TrayError
from dataset.progress import Progress
from dataset.relations import relate
from dataset.scan import remembering
from tests.dataset.conftest import drawn, encoded, fill

LIMITS = (10**8, 10**8)


def result(steps: Any) -> tuple[list[Progress], Any]:
    """Run a stage to its end; return its progress and what it returned."""
    seen = []
    try:
        while True:
            seen.append(next(steps))
    except StopIteration as end:
        return seen, end.value


def test_an_interrupted_scan_goes_on_after_its_last_shard(tmp_path: Path) -> None:
    """Stopped after the first shard, the second run finds its files known and reads the others alone."""
    sources = sorted(f"cat/{path.name}" for path in fill(tmp_path / "cat", range(3 * scan.SHARD)).iterdir())
    with remembering(tmp_path / "cache", limits=LIMITS) as memory:
        steps = scan.scan(tmp_path, sources, memory)
        assert [next(steps).done, next(steps).done] == [0, scan.SHARD]
        steps.close()
    with remembering(tmp_path / "cache", limits=LIMITS) as memory:
        seen, scanned = result(scan.scan(tmp_path, sources, memory))

    assert seen[0] == Progress("scan", scan.SHARD, 3 * scan.SHARD)
    assert [one.info.sha256 for one in scanned] == [
        sha256((tmp_path / one).read_bytes()).hexdigest() for one in sources
    ]


def test_an_interrupted_comparison_goes_on_after_its_last_shard(tmp_path: Path) -> None:
    """Ten copies make 45 pairs: those of the first shard are not compared again, and the result is the same."""
    (tmp_path / "cat").mkdir()
    for number in range(10):
        (tmp_path / "cat" / f"{number}.jpg").write_bytes(encoded(drawn(1), quality=50 + number))
    sources = sorted(f"cat/{path.name}" for path in (tmp_path / "cat").iterdir())

    def usable(memory: scan.Memory) -> dict[str, str]:
        _, scanned = result(scan.scan(tmp_path, sources, memory))
        return {one.info.sha256: source for source, one in zip(sources, scanned, strict=True)}

    with remembering(None, limits=LIMITS) as memory:
        _, whole = result(relate(tmp_path, usable(memory), memory))
    with remembering(tmp_path / "cache", limits=LIMITS) as memory:
        steps = relate(tmp_path, usable(memory), memory)
        assert next(step for step in steps if step.stage == "compare").done == relations.SHARD
        steps.close()
    with remembering(tmp_path / "cache", limits=LIMITS) as memory:
        seen, found = result(relate(tmp_path, usable(memory), memory))
        left = memory.base.execute("SELECT count(*) FROM different").fetchone()

    assert [(step.done, step.total) for step in seen if step.stage == "compare"] == [(45 - relations.SHARD,) * 2]
    assert found == whole
    assert len(found) == 45
    assert left == (0,)
    assert {how.verdict for how in found.values()} == {"same"}


def test_only_a_damaged_memory_is_thrown_away(tmp_path: Path) -> None:
    """What is no database begins anew; what merely can't be opened now is named and stays as it is."""
    (tmp_path / "damaged").write_bytes(b"no database" * 1000)
    (tmp_path / "closed").mkdir()
    with remembering(tmp_path / "damaged", limits=LIMITS) as memory:
        memory.note("built", "yes")
    with pytest.raises(TrayError, match="Expected to write to"), remembering(tmp_path / "closed", limits=LIMITS):
        pass
    with remembering(tmp_path / "damaged", limits=LIMITS) as memory:
        assert memory.recall("built") == "yes"
    assert (tmp_path / "closed").is_dir()
