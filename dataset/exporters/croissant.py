"""Croissant 1.0 metadata (JSON-LD): the files of an export with their checksums, and the records in them."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from dataset.exporters.examples import Dataset

CONTEXT: Final[Mapping[str, Any]] = {
    "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs", "column": "cr:column",
    "conformsTo": "dct:conformsTo", "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/", "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"}, "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"}, "extract": "cr:extract", "field": "cr:field",
    "fileProperty": "cr:fileProperty", "fileObject": "cr:fileObject", "fileSet": "cr:fileSet", "format": "cr:format",
    "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath", "key": "cr:key",
    "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path", "recordSet": "cr:recordSet",
    "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated", "replace": "cr:replace",
    "sc": "https://schema.org/", "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField",
    "transform": "cr:transform",
}  # fmt: skip
MEDIA: Final = {
    ".zip": "application/zip", ".tar": "application/x-tar", ".tfrecord": "application/octet-stream",
    ".jsonl": "application/jsonlines", ".json": "application/json", ".txt": "text/plain", ".md": "text/markdown",
}  # fmt: skip
PLACE: Final = r"([^/]+)/[^/]+/[^/]+$"
LABEL: Final = r"[^/]+/([^/]+)/[^/]+$"


def croissant(dataset: Dataset, out: Path, files: Sequence[str], licence: str, *, pictures: str) -> str:
    """Return the metadata of an export in ``out``.

    ``files`` are its files but for loose pictures; ``pictures`` is the zip that holds the pictures, ``.`` where they
    lie loose, or nothing where they can't be had one by one. ``pictures.jsonl`` is one of the files.
    """
    objects = [_file(out, name) for name in files]
    document: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": dataset.name,
        "description": f"{len(dataset.examples)} pictures of {', '.join(dataset.class_names)}, for classification.",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "license": licence,
        "version": "1.0.0",
        "distribution": [*objects, *([_pictures(pictures, dataset)] if pictures else [])],
        "recordSet": [_splits(dataset), _labels(dataset), *([_images()] if pictures else []), _metadata()],
    }
    web = any(str(url).startswith("http") for one in dataset.examples for url in one.about.get("urls") or ())
    if web:
        document["rai:dataCollection"] = "Web search for images; pictures.jsonl gives the address of each."
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _file(out: Path, name: str) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with (out / name).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{size} B",
        "encodingFormat": MEDIA.get(Path(name).suffix, "application/octet-stream"),
        "sha256": digest.hexdigest(),
    }


def _pictures(place: str, dataset: Dataset) -> dict[str, Any]:
    formats = sorted({one.format for one in dataset.examples})
    suffixes = sorted({one.path.suffix.lower() for one in dataset.examples})
    return {
        "@type": "cr:FileSet",
        "@id": "pictures",
        "name": "pictures",
        **({} if place == "." else {"containedIn": {"@id": place}}),
        "encodingFormat": f"image/{formats[0]}",
        "includes": [f"*/*/*{suffix}" for suffix in suffixes],
    }


def _images() -> dict[str, Any]:
    """Describe the pictures themselves: split and label are read from their paths."""
    return {
        "@type": "cr:RecordSet",
        "@id": "images",
        "name": "images",
        "field": [
            _field("images/image", "sc:ImageObject", "pictures", {"fileProperty": "content"}),
            _field("images/split", "sc:Text", "pictures", {"fileProperty": "fullpath"}, regex=PLACE),
            _field("images/label", "sc:Text", "pictures", {"fileProperty": "fullpath"}, regex=LABEL),
        ],
    }


def _metadata() -> dict[str, Any]:
    """Describe the table of pictures."""
    names = ("file_name", "label", "split", "group", "source_sha256")
    return {
        "@type": "cr:RecordSet",
        "@id": "metadata",
        "name": "metadata",
        "key": {"@id": "metadata/file_name"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"metadata/{name}",
                "name": name,
                "dataType": "sc:Text",
                "source": {"fileObject": {"@id": "pictures.jsonl"}, "extract": {"column": name}},
            }
            for name in names
        ],
    }


def _field(name: str, kind: str, files: str, extract: Mapping[str, str], *, regex: str = "") -> dict[str, Any]:
    source: dict[str, Any] = {"fileSet": {"@id": files}, "extract": dict(extract)}
    if regex:
        source["transform"] = {"regex": regex}
    return {"@type": "cr:Field", "@id": name, "name": name.rpartition("/")[2], "dataType": kind, "source": source}


def _splits(dataset: Dataset) -> dict[str, Any]:
    urls = {"train": "cr:TrainingSplit", "val": "cr:ValidationSplit", "test": "cr:TestSplit"}
    rows = [{"name": split, "url": urls[split]} for split in dataset.splits]
    return _named("splits", "cr:Split", {"name": "sc:Text", "url": "sc:URL"}, rows)


def _labels(dataset: Dataset) -> dict[str, Any]:
    rows = [{"name": name, "number": number} for number, name in enumerate(dataset.class_names)]
    return _named("labels", "sc:Enumeration", {"name": "sc:Text", "number": "sc:Integer"}, rows)


def _named(table: str, kind: str, fields: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a table that lies in the description itself, its rows known by their name."""
    return {
        "@type": "cr:RecordSet",
        "@id": table,
        "name": table,
        "dataType": kind,
        "key": {"@id": f"{table}/name"},
        "field": [
            {"@type": "cr:Field", "@id": f"{table}/{name}", "name": name, "dataType": of} for name, of in fields.items()
        ],
        "data": [{f"{table}/{name}": value for name, value in row.items()} for row in rows],
    }
