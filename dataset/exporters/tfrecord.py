"""TFRecord shards, written without TensorFlow: frames with checksums around ``tf.train.Example`` messages."""

import hashlib
import io
import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import IO

from PIL import Image

from dataset.exporters.crc32c import masked
from dataset.exporters.examples import Dataset, Example
from dataset.exporters.parts import Part, shards

LOADING = """\
import tensorflow as tf

features = {
    "image/encoded": tf.io.FixedLenFeature([], tf.string),
    "image/class/label": tf.io.FixedLenFeature([], tf.int64),
}

def parse(record):
    example = tf.io.parse_single_example(record, features)
    return tf.io.decode_image(example["image/encoded"], 3, expand_animations=False), example["image/class/label"]

train = tf.data.TFRecordDataset(tf.io.gfile.glob("*-train-*.tfrecord")).map(parse)
"""


def parts(dataset: Dataset, shard_bytes: int) -> Iterator[Part]:
    """Yield the shards ``NAME-train-00000-of-00003.tfrecord`` of each split."""
    for split in dataset.splits:
        runs = shards(dataset.of(split), shard_bytes)
        for number, run in enumerate(runs):
            yield Part(
                f"{dataset.name}-{split}-{number:05d}-of-{len(runs):05d}.tfrecord", partial(_write, run), len(run)
            )


def frame(data: bytes) -> bytes:
    """Return a record in its frame: length, masked checksum of the length, data, masked checksum of the data."""
    length = struct.pack("<Q", len(data))
    return b"".join([length, struct.pack("<I", masked(length)), data, struct.pack("<I", masked(data))])


def message(example: Example) -> bytes:
    """Return a picture as a serialised ``tf.train.Example``; features in the order of their names."""
    data = example.data()
    with Image.open(io.BytesIO(data)) as picture:
        width, height = picture.size
    values: dict[str, bytes | int] = {
        "image/class/label": example.number,
        "image/class/text": example.label.encode(),
        "image/encoded": data,
        "image/filename": example.file_name.encode(),
        "image/format": example.format.encode(),
        "image/height": height,
        "image/sha256": hashlib.sha256(data).hexdigest().encode(),
        "image/width": width,
    }
    return _example(values)


def _write(run: Sequence[Example], file: IO[bytes]) -> Iterator[None]:
    for example in run:
        file.write(frame(message(example)))
        yield


def _example(values: Mapping[str, bytes | int]) -> bytes:
    # Example.features = 1; Features.feature = 1, a map whose entries have key = 1 and value = 2.
    entries = (_field(1, name.encode()) + _field(2, _feature(value)) for name, value in sorted(values.items()))
    return _field(1, b"".join(_field(1, entry) for entry in entries))


def _feature(value: bytes | int) -> bytes:
    # Feature.bytes_list = 1, Feature.int64_list = 3; both lists keep their values in field 1.
    if isinstance(value, bytes):
        return _field(1, _field(1, value))
    return _field(3, _field(1, _varint(value)))


def _field(number: int, data: bytes) -> bytes:
    """Return a field of the wire type 2: its number, the length, the bytes."""
    return b"".join([_varint(number << 3 | 2), _varint(len(data)), data])


def _varint(value: int) -> bytes:
    """Return a number of 0 or more in groups of seven bits, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
