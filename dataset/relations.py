"""How the scanned pictures hang together: every pair that is the same or related, found once and remembered."""

import json
from collections.abc import Generator, Sequence
from dataclasses import asdict

from dataset.duplicates import Comparison, candidates, compare
from dataset.progress import Progress
from dataset.scan import Memory

Pairs = dict[tuple[str, str], Comparison]


def relate(sha256s: Sequence[str], memory: Memory) -> Generator[Progress, None, Pairs]:
    """Compare the pictures that are new with all; yield Progress and return the pairs that are not different."""
    compared = {sha for (sha,) in memory.base.execute("SELECT sha256 FROM compared")}
    shas = sorted(sha256s, key=lambda sha: (sha in compared, sha))
    fresh = sum(sha not in compared for sha in shas)
    if fresh:
        hashes = memory.hashes(shas)
        found = list(candidates(hashes, fresh))
        for done, (first, second) in enumerate(found):
            if done % 64 == 0:
                yield Progress("compare", done, len(found), "pair")
            a, b = sorted((shas[first], shas[second]))
            comparison = compare(memory.print_of(a), memory.print_of(b))
            if comparison.verdict != "different":
                memory.base.execute(
                    "INSERT OR REPLACE INTO pairs VALUES (?, ?, ?)", (a, b, json.dumps(asdict(comparison)))
                )
        yield Progress("compare", len(found), len(found), "pair")
        memory.base.executemany("INSERT OR IGNORE INTO compared VALUES (?)", [(sha,) for sha in shas[:fresh]])
        memory.base.commit()
    here = set(shas)
    rows = memory.base.execute("SELECT a, b, comparison FROM pairs ORDER BY a, b")
    return {(a, b): Comparison(**json.loads(text)) for a, b, text in rows if a in here and b in here}
