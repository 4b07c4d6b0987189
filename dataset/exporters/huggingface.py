"""An image folder as Hugging Face's ``datasets`` loads it: splits, metadata files with labels, and a card."""

import json
from collections.abc import Iterator

from dataset.exporters.examples import Dataset, row
from dataset.exporters.parts import Part, text

SPLITS = {"train": "train", "val": "validation", "test": "test"}
"""What the splits are called there."""
JOINED = {"urls": " ", "pages": " ", "terms": ", ", "engines": ", "}
"""Lists that become one string, and what stands between their parts."""
LOADING = """\
from datasets import ClassLabel, load_dataset

loaded = load_dataset("PATH_OR_NAME").cast_column("label", ClassLabel(names=CLASS_NAMES))
"""


def parts(dataset: Dataset) -> Iterator[Part]:
    """Yield the pictures as copies, and per split a ``metadata.jsonl``, which says their labels."""
    for split in dataset.splits:
        lines = []
        for example in dataset.of(split):
            inside = example.file_name.removeprefix(f"{split}/")
            said = row(example) | {"file_name": inside}
            del said["split"]
            # A list that is empty in every row of a split has no type, and splits of other types do not load.
            said |= {name: separator.join(said[name]) for name, separator in JOINED.items()}
            lines.append(json.dumps(said, ensure_ascii=False) + "\n")
            yield Part(example.file_name, copy=example.path)
        yield text(f"{split}/metadata.jsonl", "".join(lines))
