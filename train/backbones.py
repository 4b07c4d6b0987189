"""Networks that others trained on ImageNet, by name: what they expect, and how to build them frozen."""

import contextlib
import hashlib
import os
import re
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from dataset.errors import ConfigError, TrayError
from train.backend import keras, layers

Preprocessing = Literal["centred", "torch", "caffe", "inside"]
"""What becomes of pixels of 0..255: x/127.5 - 1; ImageNet's mean and deviation; BGR less its mean; nothing."""

BY_CHANCE = "by chance"
"""In place of a file: weights drawn by chance, to see that a network can be built."""
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE_MEAN = (103.939, 116.779, 123.68)


@dataclass(frozen=True, slots=True)
class Backbone:
    """One of keras.applications, without its own classifier."""

    application: str
    preprocessing: Preprocessing
    size: int = 224
    """Side in pixels of the square input it was trained on."""
    alpha: float | None = None
    """Width of a MobileNet."""
    smallest: int = 32


BACKBONES: Mapping[str, Backbone] = {
    "mobilenet": Backbone("MobileNet", "centred", alpha=1.0),
    "mobilenetv2": Backbone("MobileNetV2", "centred", alpha=1.0),
    "mobilenetv3small": Backbone("MobileNetV3Small", "inside", alpha=1.0),
    "mobilenetv3large": Backbone("MobileNetV3Large", "inside", alpha=1.0),
    "efficientnetb0": Backbone("EfficientNetB0", "inside", 224),
    "efficientnetb1": Backbone("EfficientNetB1", "inside", 240),
    "efficientnetb2": Backbone("EfficientNetB2", "inside", 260),
    "efficientnetb3": Backbone("EfficientNetB3", "inside", 300),
    "efficientnetb4": Backbone("EfficientNetB4", "inside", 380),
    "efficientnetb5": Backbone("EfficientNetB5", "inside", 456),
    "efficientnetb6": Backbone("EfficientNetB6", "inside", 528),
    "efficientnetb7": Backbone("EfficientNetB7", "inside", 600),
    "efficientnetv2b0": Backbone("EfficientNetV2B0", "inside", 224),
    "efficientnetv2b1": Backbone("EfficientNetV2B1", "inside", 240),
    "efficientnetv2b2": Backbone("EfficientNetV2B2", "inside", 260),
    "efficientnetv2b3": Backbone("EfficientNetV2B3", "inside", 300),
    "efficientnetv2s": Backbone("EfficientNetV2S", "inside", 384),
    "efficientnetv2m": Backbone("EfficientNetV2M", "inside", 480),
    "efficientnetv2l": Backbone("EfficientNetV2L", "inside", 480),
    "resnet50": Backbone("ResNet50", "caffe"),
    "resnet101": Backbone("ResNet101", "caffe"),
    "resnet152": Backbone("ResNet152", "caffe"),
    "resnet50v2": Backbone("ResNet50V2", "centred"),
    "resnet101v2": Backbone("ResNet101V2", "centred"),
    "resnet152v2": Backbone("ResNet152V2", "centred"),
    "densenet121": Backbone("DenseNet121", "torch"),
    "densenet169": Backbone("DenseNet169", "torch"),
    "densenet201": Backbone("DenseNet201", "torch"),
    "inceptionv3": Backbone("InceptionV3", "centred", 299, smallest=75),
    "inceptionresnetv2": Backbone("InceptionResNetV2", "centred", 299, smallest=75),
    "xception": Backbone("Xception", "centred", 299, smallest=71),
    "nasnetmobile": Backbone("NASNetMobile", "centred", 224),
    "nasnetlarge": Backbone("NASNetLarge", "centred", 331),
    "vgg16": Backbone("VGG16", "caffe"),
    "vgg19": Backbone("VGG19", "caffe"),
    "convnexttiny": Backbone("ConvNeXtTiny", "inside"),
    "convnextsmall": Backbone("ConvNeXtSmall", "inside"),
    "convnextbase": Backbone("ConvNeXtBase", "inside"),
    "convnextlarge": Backbone("ConvNeXtLarge", "inside"),
    "convnextxlarge": Backbone("ConvNeXtXLarge", "inside"),
}
# mobilenet_0.50_224: the width and the size are part of a MobileNet's name.
SIZED = re.compile(r"(?P<name>[a-z0-9]+?)(_(?P<alpha>\d\.\d+))?(_(?P<size>\d{2,3}))?")


def find(name: str) -> Backbone | None:
    """Return a backbone by its name, such as ``mobilenetv2`` or ``mobilenet_0.50_224``; None when there is none."""
    parts = SIZED.fullmatch(name.lower().replace("-", "_"))
    if not parts or parts["name"] not in BACKBONES:
        return None
    backbone = BACKBONES[parts["name"]]
    if parts["alpha"]:
        if backbone.alpha is None:
            return None
        backbone = replace(backbone, alpha=float(parts["alpha"]))
    return replace(backbone, size=int(parts["size"])) if parts["size"] else backbone


def find_all(name: str) -> list[Backbone]:
    """Return the backbones of a model's name, several joined by ``+``; none when one of them is not known."""
    found = [find(one) for one in name.split("+")]
    return [one for one in found if one] if all(found) else []


def files(name: str, weights: str | None) -> list[tuple[str, str | None]]:
    """Return each backbone of a model's name with its file of weights; several files are parted by commas.

    Raises ConfigError when there are files, but not one for each.
    """
    names = name.split("+")
    given: list[str | None] = list(weights.split(",")) if weights else [None] * len(names)
    if len(given) != len(names):
        raise ConfigError(
            f"Expected a file of weights for each of {', '.join(names)}, parted by commas. Received: {weights}."
        )
    return list(zip(names, given, strict=True))


def build(name: str, *, size: int, weights: str | None) -> Any:
    """Return a frozen Keras model from (n, size, size, 3) pixels of 0..255 to its last map and the last larger one.

    Both are (n, h, w, channels).
    ``weights`` is a file; without one, Keras takes ImageNet's from its own folder or downloads them.
    Raises ConfigError for a file that does not fit, TrayError when nothing can be downloaded.
    """
    backbone = find(name)
    if backbone is None:
        raise ConfigError(f"Expected a backbone out of {', '.join(BACKBONES)}. Received: {name!r}.")
    pixels = keras.Input((size, size, 3), name="pixels")
    network = _application(name, backbone, size, weights)
    network.trainable = False
    maps = keras.Model(network.input, [network.output, _larger_map(network)], name="backbone")
    return keras.Model(pixels, maps(preprocess(pixels, backbone.preprocessing), training=False), name="features")


def _larger_map(network: Any) -> Any:
    """Return the last map that is larger than a network's output: less of a whole, more of parts and textures."""
    side = network.output.shape[1]
    maps = [
        layer.output for layer in network.layers if not isinstance(layer, (layers.ZeroPadding2D, layers.InputLayer))
    ]
    return next((one for one in reversed(maps) if len(one.shape) == 4 and one.shape[1] > side), network.output)


def preprocess(pixels: Any, kind: Preprocessing) -> Any:
    """Return pixels of 0..255 as a backbone was trained on, by layers that any Keras can load."""
    if kind == "centred":
        return layers.Rescaling(1 / 127.5, offset=-1, name="centred")(pixels)
    if kind == "torch":
        scale = [1 / (255 * deviation) for deviation in DEVIATION]
        offset = [-mean / deviation for mean, deviation in zip(MEAN, DEVIATION, strict=True)]
        return layers.Rescaling(scale, offset=offset, name="standardised")(pixels)
    if kind == "caffe":
        blue_first = keras.ops.flip(pixels, axis=-1)
        return layers.Rescaling(1, offset=[-mean for mean in CAFFE_MEAN], name="less_mean")(blue_first)
    return pixels


def fingerprint(model: Any) -> str:
    """Return a hash of a model's weights."""
    digest = hashlib.sha256()
    for array in model.get_weights():
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]


def _application(name: str, backbone: Backbone, size: int, weights: str | None) -> Any:
    options: dict[str, Any] = {"include_top": False, "input_shape": (size, size, 3)}
    if backbone.alpha is not None:
        options["alpha"] = backbone.alpha
    make = getattr(keras.applications, backbone.application)
    if weights == BY_CHANCE:
        return make(weights=None, **options)
    if weights:
        if not Path(weights).is_file():
            raise ConfigError(
                f"Expected a file of weights for {name!r}. Received: {weights}, and there is no such file."
            )
        try:
            with warnings.catch_warnings():
                # Keras only warns of layers that it found no weights for; they would be left to chance.
                warnings.filterwarnings("error", message="Skipping")
                warnings.filterwarnings("ignore", message=".*input_shape")
                return make(weights=weights, **options)
        except (ValueError, OSError, KeyError, TypeError, UserWarning) as error:
            raise ConfigError(
                f"Expected weights of {backbone.application}{_width(backbone)} without its top. Received: {weights}, "
                f"which does not fit: {_first_line(error)}. Name the backbone that the file belongs to."
            ) from error
    try:
        # Keras says on stdout that it downloads, where results belong.
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*input_shape")
            return make(weights="imagenet", **options)
    except ValueError as error:
        raise ConfigError(
            f"Expected a variant of {backbone.application} that has ImageNet weights. Received: {name!r} at {size} "
            f"pixels: {_first_line(error)}."
        ) from error
    except Exception as error:
        # Keras's download raises a bare Exception.
        folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
        raise TrayError(
            f"Expected to download the ImageNet weights of {name!r}. Received: {_first_line(error)}. Connect to the "
            f"internet, put Keras's file into {folder / 'models'}, or name a file with --weights."
        ) from error


def _width(backbone: Backbone) -> str:
    return "" if backbone.alpha is None else f" with alpha {backbone.alpha:g}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300].rstrip(".")
