"""The card that goes with a dataset: what is in it, how it was made, under which terms, and how to load it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from dataset.exporters.examples import Dataset
from dataset.exporters.huggingface import SPLITS

CLASSES = "CLASS_NAMES"
"""What the names of the classes, in the order of their numbers, stand for in an example of loading."""
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def card(dataset: Dataset, licence: str, loading: str, *, front: bool = False) -> str:
    """Return the card as Markdown, with Hugging Face's YAML in front where ``front``."""
    return (_front(dataset, licence) if front else "") + _text(dataset, licence, loading)


def _front(dataset: Dataset, licence: str) -> str:
    """Return the YAML; its strings are JSON's, which YAML takes as they are."""
    size = next((name for most, name in SIZES if len(dataset.examples) < most), "1M<n<10M")
    files = "".join(f"  - split: {SPLITS[split]}\n    path: {split}/**\n" for split in dataset.splits)
    return (
        f"---\nlicense: {_quoted(licence.lower())}\npretty_name: {_quoted(dataset.name)}\n"
        f"task_categories:\n- image-classification\nsize_categories:\n- {_quoted(size)}\n"
        f"configs:\n- config_name: default\n  data_files:\n{files}---\n\n"
    )


def _text(dataset: Dataset, licence: str, loading: str) -> str:
    splits = dataset.splits
    rows = [
        f"| {name} | {' | '.join(str(counts[split]) for split in splits)} | {sum(counts.values())} |"
        for name, counts in dataset.counts().items()
    ]
    table = "\n".join([f"| class | {' | '.join(splits)} | all |", "|---|" + "---|" * (len(splits) + 1), *rows])
    return (
        f"# {dataset.name}\n\n{len(dataset.examples)} pictures of {len(dataset.class_names)} classes.\n\n{table}\n\n"
        f"## How it was made\n\n{_making(dataset.card, dataset)}\n"
        f"## Terms of use\n\n{_terms(licence, dataset)}\n\n"
        f"## Loading it\n\n```python\n{loading.replace(CLASSES, _quoted(dataset.class_names))}```\n"
    )


def _making(card: Mapping[str, Any], dataset: Dataset) -> str:
    terms = sorted({str(term) for one in dataset.examples for term in one.about.get("terms") or ()})
    engines = sorted({str(engine) for one in dataset.examples for engine in one.about.get("engines") or ()})
    lines = []
    if engines:
        lines.append(f"- Sources: {', '.join(engines)}.")
    if terms:
        lines.append(f"- Terms: {', '.join(terms[:40])}{' ...' if len(terms) > 40 else ''}.")
    if card:
        dropped = ", ".join(f"{count} {reason}" for reason, count in (card.get("rejected") or {}).items())
        config = card.get("config") or {}
        quality, side = config.get("quality", "?"), config.get("max_side", "?")
        saved = f"saved as JPEG of quality {quality}, the longer side at most {side} pixels"
        lines += [
            f"- Left out: {dropped or 'nothing'}.",
            "- Near-duplicates were removed over all classes, and pictures that belong together share a split.",
            f"- Pictures were turned upright, converted to sRGB and {saved}.",
        ]
    return "\n".join(lines or ["- Class folders as they lay on disk."]) + "\n"


def _terms(licence: str, dataset: Dataset) -> str:
    web = any(str(url).startswith("http") for one in dataset.examples for url in one.about.get("urls") or ())
    said = f"Licence: {licence}."
    if web:
        said += (
            " The pictures were found by web search; the rights in each remain with its owner, whose address "
            "pictures.jsonl gives. Nothing here grants a licence to them."
        )
    return said


def _quoted(word: str | Sequence[str]) -> str:
    return json.dumps(word, ensure_ascii=False)
