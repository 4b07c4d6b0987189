"""Features of photos: what a frozen backbone makes of them, computed once and kept by content."""

import io
import logging
import time
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from dataset.folder import make_folder, write_whole
from dataset.progress import Progress
from dataset.tray import Train
from train import backbones
from train.backend import keras, layers
from train.data import SQUARES, Photo, decode_ahead
from train.forward import fastest
from train.models import TRUNK, taken_apart
from train.runs import Run

STORE = ".features"
"""Folder beside the runs that keeps features; deleting it costs nothing but time."""
BATCH = 32
CHUNK = 8
"""Batches per file of the store: what an interruption loses at most."""
MIXES = "mixes.npy"
LARGER_MAPS = 0.25
"""How much the larger maps count where they are mixed in."""
VIEWS: tuple[Callable[[Any], Any], ...] = (lambda pixels: pixels, lambda pixels: keras.ops.flip(pixels, axis=2))
"""Ways to look at pictures, of which the first alone serves without ``augment``."""
ZOOM = 10 / 7
"""With views, photos are looked at this much larger, 320 pixels instead of 224: smaller things fill a place."""

Array = np.ndarray[Any, Any]
log = logging.getLogger("tray")


@dataclass(frozen=True, slots=True)
class Extractor:
    """A frozen backbone that turns (n, input_size, input_size, 3) pixels into (n, d) unit features."""

    model: Callable[[], Any]
    """Gives the Keras model, which is not needed where another runtime has what it needs."""
    input_size: int
    key: str
    """Names everything that the features depend on: size, views, how pictures are squared, the backbone's weights."""
    mixes: Array
    """(ways, d): ways to weigh the features, for a head to choose from."""


def extractor(settings: Train) -> Extractor:
    """Return the extractor that the settings ask for; with ``augment``, the mean over two views of each photo.

    The views are the photo and its mirror image, larger than without. The last map and the last larger one, of several
    backbones joined by ``+``, are averaged over their places, and lie side by side.
    """
    size = round((settings.image_size or 0) * (ZOOM if settings.augment else 1))
    pixels = keras.Input((size, size, 3), name="pixels")
    views = views_of(pixels, settings)
    built = [
        backbones.build(name, size=size, weights=weights)
        for name, weights in backbones.files(settings.model, settings.weights)
    ]
    for number, backbone in enumerate(built):
        backbone.name = f"backbone_{number}"
    levels = [
        [_unit(maps) for maps in zip(*(backbone(view, training=False) for view in views), strict=True)]
        for backbone in built
    ]
    parts = [part for level in zip(*levels, strict=True) for part in level]
    # Each part has length 1, and so has the whole.
    unit = layers.Rescaling(len(parts) ** -0.5, name="shared_length")(layers.Concatenate(name="parts")(parts))
    return extractor_of(keras.Model(pixels, unit, name=TRUNK), settings)


def extractor_of(trunk: Any, settings: Train) -> Extractor:
    """Return the extractor that a trunk is, also that of a finished run, whose file of weights may be gone by now."""
    built = [trunk.get_layer(f"backbone_{number}") for number in range(len(backbones.find_all(settings.model)))]
    hashes = "+".join(backbones.fingerprint(backbone) for backbone in built)
    widths = [maps.shape[-1] for level in zip(*(backbone.outputs for backbone in built), strict=True) for maps in level]
    key = f"{trunk.input_shape[1]}-{len(_views(settings))}-{SQUARES}-levels-{hashes}"
    return Extractor(lambda: trunk, trunk.input_shape[1], key, _mixes(widths, len(built)))


def known_extractor(run: Run, store: Path) -> Extractor:
    """Return the extractor that a finished run was trained with; Keras is asked where the store does not know it."""

    def trunk() -> Any:
        return taken_apart(run.model, run.items).trunk

    key = str(run.record.get("features", ""))
    mixes = store / key / MIXES
    if key and mixes.is_file():
        return Extractor(trunk, run.image_size, key, np.load(mixes))
    found = extractor_of(trunk(), run.settings)
    # An older version may have looked in another way: what its trunk gives must not mix with today's features.
    return replace(found, key=key or found.key)


def _unit(maps: Sequence[Any]) -> Any:
    """Return the mean of one level's maps over places and views, as a vector of length 1."""
    pooling = layers.GlobalAveragePooling2D()
    pooled = [pooling(one) for one in maps]
    mean = layers.Average()(pooled) if len(pooled) > 1 else pooled[0]
    # Square roots tame the few strong channels; on the unit sphere the Gaussian kernel is a dot product's exponential.
    root = keras.ops.sign(mean) * keras.ops.sqrt(keras.ops.abs(mean))
    return layers.UnitNormalization()(root)


def _mixes(widths: Sequence[int], backbones_in: int) -> Array:
    """Return ways to weigh the parts, (ways, d): the last maps, the larger ones beside them, and each backbone alone.

    The parts are the last maps of all backbones and then the larger maps of all.
    """
    n = backbones_in
    shares = [[1 / n] * n + [0.0] * n, [(1 - LARGER_MAPS) / n] * n + [LARGER_MAPS / n] * n]
    if n > 1:
        shares += [[float(one == k) for one in range(n)] + [0.0] * n for k in range(n)]
    return np.stack([np.repeat(np.array(share, np.float32) * len(widths), widths) for share in shares])


def _views(settings: Train) -> tuple[Callable[[Any], Any], ...]:
    return VIEWS if settings.augment else VIEWS[:1]


def views_of(pixels: Any, settings: Train) -> list[Any]:
    """Return the views of pictures that backbones look at: as they are, with ``augment`` also mirrored."""
    return [view(pixels) for view in _views(settings)]


def embed(
    photos: Mapping[str, Photo], with_: Extractor, store: Path
) -> Generator[Progress, None, tuple[dict[str, Array], dict[str, str]]]:
    """Yield progress and return the features of each photo by its sha256, and why some photos have none.

    What ``store`` has is taken from there; what is computed goes there, a few batches at a time. Which runtime computed
    it is not part of the key: all of them are held to what Keras says.
    """
    folder = make_folder(store / with_.key)
    _remember(with_, folder / MIXES)
    found = {sha256: one for sha256, one in _stored(folder) if sha256 in photos}
    missing = [photo for sha256, photo in photos.items() if sha256 not in found]
    yield Progress("embed pictures", len(found), len(photos))
    errors: dict[str, str] = {}
    fresh: dict[str, Array] = {}
    forward = fastest(with_.model, with_.input_size, ("",), store=folder, key=with_.key) if missing else None
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


def _remember(with_: Extractor, file: Path) -> None:
    """Write down the ways to weigh the features, by which ``known_extractor`` does without the backbone."""
    content = io.BytesIO()
    np.save(content, with_.mixes)
    if not file.is_file() or file.read_bytes() != content.getvalue():
        write_whole(file, content.getvalue())


def _keep(folder: Path, features: Mapping[str, Array]) -> None:
    if features:
        file = io.BytesIO()
        np.savez(file, sha256=np.array(list(features)), features=np.stack(list(features.values())))
        write_whole(folder / f"{time.time_ns():020}-{uuid.uuid4().hex[:8]}.npz", file.getvalue())
