"""What is interrupted goes on where it was: no more is lost than the shards in work."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ImageOps

from dataset import relations, scan
from dataset.errors import TrayError
from dataset.prints import CROPS
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


def test_hashes_are_found_again_alone_and_among_all(tmp_path: Path) -> None:
    """Two packs give back each picture's hashes under its number, those asked for alone; a print has the same ones."""
    fill(tmp_path / "cat", range(scan.SHARD + 2))
    (tmp_path / "cat" / "bars.png").write_bytes(encoded(ImageOps.expand(drawn(99), 40, "white"), "PNG"))
    (tmp_path / "cat" / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    sources = sorted(f"cat/{path.name}" for path in (tmp_path / "cat").iterdir())
    with remembering(tmp_path / "cache", limits=LIMITS) as memory:
        _, scanned = result(scan.scan(tmp_path, sources, memory))
    whole = [one.info.sha256 for one in scanned if one.measures]
    with remembering(tmp_path / "cache", limits=LIMITS) as memory:
        prints = [memory.print_of(sha) for sha in whole]
        for some in (range(len(whole)), range(1, len(whole), 2), range(3, 4)):
            packs = [*memory.hashes({whole[number]: number for number in some})]
            levels, owners, places = (
                np.concatenate([getattr(pack, name) for pack in packs]) for name in ("levels", "owners", "places")
            )

            assert sorted(set(owners.tolist())) == [*some]
            for number in some:
                assert np.array_equal(levels[owners == number], prints[number].hashes)
                assert places[owners == number].tolist() == [*range(len(prints[number].hashes))]

    assert len(whole) == len(sources) - 1
    assert {len(one.hashes) > CROPS + 8 for one in prints} == {True, False}


def test_an_interrupted_comparison_goes_on_after_its_last_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten copies make 45 pairs: those of the first shard are not compared again, and the result is the same."""
    monkeypatch.setattr(relations, "SHARD", 32)
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


def test_copies_of_one_size_are_told_without_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both prints say enough; a file is read where one copy is larger, and may be but enlarged."""
    (tmp_path / "cat").mkdir()
    photo = drawn(1)
    twice = photo.resize((photo.width * 2, photo.height * 2))
    for name, image, quality in (("a", photo, 92), ("b", photo, 93), ("large", twice, 93)):
        (tmp_path / "cat" / f"{name}.jpg").write_bytes(encoded(image, quality=quality))
    read: list[str] = []
    real = relations._read
    monkeypatch.setattr(relations, "_read", lambda path: (read.append(path.stem), real(path))[1])

    def compared(*names: str) -> tuple[list[str], list[relations.Comparison]]:
        sources = [f"cat/{name}.jpg" for name in names]
        read.clear()
        with remembering(None, limits=LIMITS) as memory:
            _, scanned = result(scan.scan(tmp_path, sources, memory))
            shas = {one.info.sha256: source for source, one in zip(sources, scanned, strict=True)}
            _, found = result(relate(tmp_path, shas, memory))
        return sorted(read), list(found.values())

    files, (alike,) = compared("a", "b")
    assert (files, alike.verdict, alike.enlarged) == ([], "same", "")
    files, (larger,) = compared("a", "large")
    assert (files, larger.verdict) == (["a", "large"], "same")
    assert larger.enlarged == sha256((tmp_path / "cat" / "large.jpg").read_bytes()).hexdigest()


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
