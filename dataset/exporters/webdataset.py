"""WebDataset shards: plain tars in which the files of one picture share a name."""

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from functools import partial
from typing import IO

from dataset.exporters.examples import Dataset, Example, row
from dataset.exporters.parts import Part, shards

LOADING = """\
import glob
import webdataset

shards = sorted(glob.glob("train-*.tar"))
train = webdataset.WebDataset(shards, shardshuffle=False).decode("pil").to_tuple("jpg;png", "cls")
"""


def parts(dataset: Dataset, shard_bytes: int) -> Iterator[Part]:
    """Yield the shards ``train-000000.tar`` of each split: ``KEY.jpg``, ``KEY.cls`` and ``KEY.json`` per picture."""
    for split in dataset.splits:
        for number, run in enumerate(shards(dataset.of(split), shard_bytes)):
            yield Part(f"{split}-{number:06d}.tar", partial(_write, run), len(run))


def _write(run: Sequence[Example], file: IO[bytes]) -> Iterator[None]:
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for example in run:
            said = json.dumps(row(example), ensure_ascii=False, sort_keys=True).encode()
            for suffix, data in (
                (example.path.suffix.lower(), example.data()),
                (".cls", str(example.number).encode()),
                (".json", said),
            ):
                # The name, the size and nothing else: no owner and no time, so that the bytes are always the same.
                member = tarfile.TarInfo(example.key + suffix)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
            yield
