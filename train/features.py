"""Features of photos: what a frozen backbone makes of them, computed once and kept by content."""

import io
import logging
import time
import uuid
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from dataset.folder import make_folder, write_whole
from dataset.progress import Progress
from dataset.tray import Train
from train import backbones
from train.backend import keras
from train.data import Photo, decode_ahead
from train.forward import fastest

STORE = ".features"
"""Folder beside the runs that keeps features; deleting it costs nothing but time."""
BATCH = 32
CHUNK = 8
"""Batches per file of the store: what an interruption loses at most."""
ZOOM = 1.25
"""With views, photos are read this much larger, so that the middle fills the backbone's input."""

Array = np.ndarray[Any, Any]
layers = keras.layers
log = logging.getLogger("tray")


@dataclass(frozen=True, slots=True)
class Extractor:
    """A frozen backbone that turns (n, input_size, input_size, 3) pixels into (n, d) unit features."""

    model: Any
    input_size: int
    key: str
    """Names everything that the features depend on: size, views, and the backbone by the hash of its weights."""


def extractor(settings: Train) -> Extractor:
    """Return the extractor that the settings ask for; with ``augment``, the mean over four views of each photo.

    The views are the whole and the middle, each also mirrored. Of several backbones, joined by ``+``, the features
    lie side by side.
    """
    size = settings.image_size or 0
    input_size = round(size * ZOOM) if settings.augment else size
    pixels = keras.Input((input_size, input_size, 3), name="pixels")
    views = list(_views(pixels, size, input_size)) if settings.augment else [pixels]
    built = [
        backbones.build(name, size=size, weights=weights)
        for name, weights in backbones.files(settings.model, settings.weights)
    ]
    for number, backbone in enumerate(built):
        backbone.name = f"backbone_{number}"
    sides = [_unit_features(backbone, views) for backbone in built]
    unit = sides[0]
    if len(sides) > 1:
        # Each side has length 1, and so has the whole.
        unit = layers.Rescaling(len(sides) ** -0.5, name="shared_length")(layers.Concatenate(name="sides")(sides))
    hashes = "+".join(backbones.fingerprint(backbone) for backbone in built)
    return Extractor(keras.Model(pixels, unit, name="features"), input_size, f"{size}-{len(views)}-{hashes}")


def _unit_features(backbone: Any, views: Sequence[Any]) -> Any:
    pooling = layers.GlobalAveragePooling2D()
    pooled = [pooling(backbone(view, training=False)) for view in views]
    mean = layers.Average()(pooled) if len(pooled) > 1 else pooled[0]
    # Square roots tame the few strong channels; on the unit sphere the Gaussian kernel is a dot product's exponential.
    root = keras.ops.sign(mean) * keras.ops.sqrt(keras.ops.abs(mean))
    return layers.UnitNormalization()(root)


def _views(pixels: Any, size: int, input_size: int) -> Generator[Any, None, None]:
    edge = (input_size - size) // 2
    whole = layers.Resizing(size, size, name="whole")(pixels)
    middle = layers.Cropping2D(((edge, input_size - size - edge),) * 2, name="middle")(pixels)
    for view in (whole, middle):
        yield view
        yield keras.ops.flip(view, axis=2)


def embed(
    photos: Mapping[str, Photo], with_: Extractor, store: Path
) -> Generator[Progress, None, tuple[dict[str, Array], dict[str, str]]]:
    """Yield progress and return the features of each photo by its sha256, and why some photos have none.

    What ``store`` has is taken from there; what is computed goes there, a few batches at a time. Which runtime computed
    it is not part of the key: all of them are held to what Keras says.
    """
    folder = make_folder(store / with_.key)
    found = {sha256: one for sha256, one in _stored(folder) if sha256 in photos}
    missing = [photo for sha256, photo in photos.items() if sha256 not in found]
    yield Progress("embed pictures", len(found), len(photos))
    errors: dict[str, str] = {}
    fresh: dict[str, Array] = {}
    forward = fastest(lambda: with_.model, with_.input_size, ("",), store=folder, key=with_.key) if missing else None
    left = iter(missing)
    batches = decode_ahead((photo.path for photo in missing), with_.input_size, batch_size=BATCH)
    for number, batch in enumerate(batches, start=1):
        readable: dict[str, Array] = {}
        for (path, pixels), photo in zip(batch, islice(left, len(batch)), strict=True):
            if isinstance(pixels, str):
                errors[photo.sha256] = pixels
                log.warning("%s can't be read and is left out: %s", path, pixels)
            else:
                readable[photo.sha256] = pixels
        if readable and forward:
            fresh |= zip(readable, forward(np.stack(list(readable.values())))[""], strict=True)
        if number % CHUNK == 0:
            _keep(folder, fresh)
            found |= fresh
            fresh = {}
        yield Progress("embed pictures", len(found) + len(fresh) + len(errors), len(photos))
    _keep(folder, fresh)
    return found | fresh, errors


def _stored(folder: Path) -> Generator[tuple[str, Array], None, None]:
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as file:
            yield from zip(file["sha256"].tolist(), file["features"], strict=True)


def _keep(folder: Path, features: Mapping[str, Array]) -> None:
    if features:
        file = io.BytesIO()
        np.savez(file, sha256=np.array(list(features)), features=np.stack(list(features.values())))
        write_whole(folder / f"{time.time_ns():020}-{uuid.uuid4().hex[:8]}.npz", file.getvalue())
