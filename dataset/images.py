"""What the bytes of a picture really are, whether they are whole, and how to turn them into a plain RGB JPEG."""

import hashlib
import io
import math
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageCms,
    ImageFile,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from dataset.errors import TrayError
from dataset.tray import MAX_BYTES, MAX_PIXELS, MIN_SIDE

Values = NDArray[np.floating[Any]]

EXTENSIONS = {
    "JPEG": ".jpg",
    "MPO": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "AVIF": ".avif",
    "GIF": ".gif",
    "BMP": ".bmp",
    "TIFF": ".tif",
    "HEIF": ".heic",
}
"""Formats that are read, by Pillow's names, and the extension that tells the truth about each."""
FORMATS = tuple(EXTENSIONS)
# MPO comes out of the JPEG opener, which has no name of its own for it.
_OPENERS = tuple(name for name in FORMATS if name not in {"MPO", "HEIF"})
# Importing a plugin registers its format; Pillow would import all forty of them otherwise.
PLUGINS = (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
STRIP = 1 << 14
"""Pixels that one matrix product takes: BLAS would set several threads on more, which costs more than it gives."""
ROWS = 256
"""Rows of a picture that are turned at once into what is held of it: copies of all of it would take gigabytes."""
SMALL_SIDE = 80
"""Pictures are decoded to at least this many pixels on the shorter side before they are measured."""

# Foreign formats worth a name in the reason; the offset is that of the mark in the file.
_FOREIGN = (
    (0, b"%PDF", "PDF"),
    (0, b"8BPS", "PSD"),
    (0, b"\x00\x00\x01\x00", "ICO"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL ", "JPEG XL"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"%!PS", "EPS"),
    *((4, b"ftyp" + brand, "HEIC") for brand in (b"hei", b"hev", b"mif1", b"msf1")),
    (4, b"ftyp", "video"),
    (0, b"\x1aE\xdf\xa3", "video"),
)
_OURS = (
    (0, b"\xff\xd8\xff"),
    (0, b"\x89PNG\r\n\x1a\n"),
    (8, b"WEBP"),
    (4, b"ftypavi"),
    (0, b"GIF8"),
    (0, b"BM"),
    (0, b"II*\x00"),
    (0, b"MM\x00*"),
)
MAX_SCANS = 500
"""Passes over a progressive JPEG, each of which may cost the time of all its pixels in a few bytes; ten are usual."""
ZEROS = 32
"""Zeros in a row that end a file that was not written to its end; none of 4,052 photographs ends in 8."""
HEAD = 1 << 16
"""Bytes in which a page says what it is, whatever comments and scripts it begins with."""
_END_MARKS = {b"\xff\xd8": b"\xff\xd9", b"\x89P": b"IEND"}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = frozenset({5, 6, 7, 8})
_BACKWARDS = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}
"""Turns after which the rows, or the columns, run against the order in which they were stored."""
_ORIENTATION = 0x0112
_DECODE_ERRORS = (OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError, EOFError, OverflowError,
                  MemoryError, ArithmeticError, AttributeError, RuntimeError, Warning)  # fmt: skip

# A PNG may hold a printer's profile or a program's notes of several megabytes; Pillow calls it broken from one on.
PngImagePlugin.MAX_TEXT_CHUNK = 1 << 24
# The caller's max_pixels is the limit here; Pillow's notes on EXIF and palettes change nothing.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What a picture's bytes are; ``error`` is empty when they are a whole picture within the limits."""

    format: str = ""
    """Pillow's name, such as ``JPEG``; empty when the bytes are no picture that is read here."""
    extension: str = ""
    """The true extension, such as ``.jpg``."""
    width: int = 0
    """Pixels, after the EXIF turn."""
    height: int = 0
    mode: str = ""
    """Pillow's mode as stored, such as ``RGB``, ``CMYK``, ``P``."""
    turn: int = 1
    """EXIF's orientation, 1 to 8: how it had to be turned."""
    sha256: str = ""
    phash: str = ""
    """256-bit perceptual hash (``imagehash.phash(hash_size=16)``, hardly a bit off) in 64 hexadecimal digits."""
    error: str = ""
    """Why it can't be used: ``empty``, ``html``, ``not an image``, ``format not allowed: SVG``, ``truncated``,
    ``damaged``, ``too small``, ``too many pixels``, ``too many scans``, ``too many bytes``."""
    notes: tuple[str, ...] = ()
    """What is odd but harmless: ``animated``, ``end marker missing``."""


def inspect(  # noqa: PLR0913 - the row of switches of look
    data: bytes,
    *,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
    min_side: int = MIN_SIDE,
    formats: tuple[str, ...] = FORMATS,
    sha256: str = "",
) -> ImageInfo:
    """Return what ``data`` is, by one decode at reduced size, which finds the damage that a full one finds.

    ``sha256`` is that of the bytes, if it is known. Never raises for bad bytes; safe to call from many threads.
    """
    info, small = look(
        data, max_pixels=max_pixels, max_bytes=max_bytes, min_side=min_side, formats=formats, colour=False,
        sha256=sha256,
    )  # fmt: skip
    if small is None:
        return info
    return replace(info, phash=phash(small, info))


def look(  # noqa: PLR0913 - the limits are one row of switches
    data: bytes,
    *,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
    min_side: int = MIN_SIDE,
    formats: tuple[str, ...] = FORMATS,
    colour: bool = True,
    side: int = SMALL_SIDE,
    sha256: str = "",
) -> tuple[ImageInfo, Image.Image | None]:
    """Return what ``data`` is, without its phash, and the picture itself at reduced size, or None when it is bad.

    The picture is RGB (or L without ``colour``), upright, sRGB, over white; its shorter side is at least
    ``side`` pixels where the original's is. For JPEGs this is the cheapest decode there is. ``sha256`` is that of
    the bytes, if it is known.
    """
    info = ImageInfo(sha256=sha256 or hashlib.sha256(data).hexdigest())
    reason = _refusal(data, max_bytes, formats)
    if reason:
        return replace(info, error=reason), None
    limits = (max_pixels, min_side)
    info, small = _look(data, info, limits=limits, formats=formats, colour=colour, side=side)
    whole = _mended(data, max_pixels) if info.error in {"truncated", "damaged"} else b""
    if not whole:
        return info, small
    blank = replace(info, error="")
    mended, small = _look(whole, blank, limits=limits, formats=formats, colour=colour, side=side)
    return replace(mended, notes=(*mended.notes, "end marker missing")), small


def _look(  # noqa: PLR0913 - the row of switches of look
    data: bytes, info: ImageInfo, *, limits: tuple[int, int], formats: tuple[str, ...], colour: bool, side: int
) -> tuple[ImageInfo, Image.Image | None]:
    max_pixels, min_side = limits
    try:
        with Image.open(io.BytesIO(data), formats=_openable()) as image:
            info = _describe(info, image)
            error = f"format not allowed: {info.format}" if info.format not in formats else ""
            error = error or ("too many pixels" if image.width * image.height > max_pixels else "")
            error = error or ("too small" if min(image.size) < min_side else "")
            error = error or ("too many scans" if image.info.get("progressive") and _scans(data) > MAX_SCANS else "")
            if error:
                return replace(info, error=error), None
            image.draft("RGB" if colour or "icc_profile" in image.info else "L", (side, side))
            _load(image, data)
            if _lacks_its_end(image, data, max_pixels) or _is_zeroed(data, max_pixels):
                return replace(info, error="truncated"), None
            turn = _turn(image)
            size = (info.height, info.width) if turn in _SIDEWAYS else (info.width, info.height)
            info = replace(info, width=size[0], height=size[1], turn=turn)
            return info, _upright(_plain(_reduced(image, side), image.info.get("icc_profile"), colour=colour), turn)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return replace(info, error="too many pixels"), None
    except _DECODE_ERRORS as damage:
        return replace(info, error=_damage(data, damage)), None


def normalise(data: bytes, *, max_side: int, quality: int) -> bytes:
    """Return the picture as a plain JPEG: upright, sRGB, over white, first frame, longer side at most ``max_side``.

    The same bytes in give the same bytes out; nothing is enlarged and no metadata goes along. Raises TrayError when
    ``data`` can't be read.
    """
    try:
        return to_jpeg(read(data, max_side=max_side), quality=quality)
    except _DECODE_ERRORS as error:
        reason = _refusal(data, len(data), FORMATS) or _damage(data, error)
        raise TrayError(f"Expected a picture. Received: {len(data)} bytes, {reason}.") from error


def read(data: bytes, *, max_side: int | None = None) -> Image.Image:
    """Return the whole picture as upright sRGB over white, its longer side at most ``max_side`` pixels.

    Raises what Pillow raises (mostly OSError) when ``data`` can't be read.
    """
    return _or_mended(data, partial(_read, max_side=max_side))


def shrunk(data: bytes, *, side: int) -> Image.Image:
    """Return the picture as ``read`` does, as small as it comes cheaply with ``side`` pixels on its shorter side.

    It is for those who resize it anyway. Raises what Pillow raises (mostly OSError) when ``data`` can't be read.
    """
    return _or_mended(data, partial(_shrunk, side=side))


def _or_mended(data: bytes, decode: Callable[[bytes], Image.Image]) -> Image.Image:
    try:
        return decode(data)
    except _DECODE_ERRORS:
        whole = _mended(data, MAX_PIXELS)
        if not whole:
            raise
        return decode(whole)


def stored(data: bytes) -> tuple[tuple[int, int], int]:
    """Return width and height of a picture as it is stored, and EXIF's orientation, 1 to 8: how it is to be shown."""
    with Image.open(io.BytesIO(data), formats=_openable()) as image:
        return image.size, _turn(image)


def to_jpeg(image: Image.Image, *, quality: int) -> bytes:
    """Return an RGB picture as JPEG without metadata."""
    out = io.BytesIO()
    image.info = {}
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def phash(small: Image.Image, info: ImageInfo) -> str:
    """Return the 256-bit perceptual hash of an L or RGB picture at reduced size in 64 hexadecimal digits.

    It is imagehash's ``phash(hash_size=16)``, hardly a bit off: which of the 16x16 lowest cosine coefficients lie above
    their median. They are taken from the picture as it is, which need not be stretched to a square first. Where the
    whole picture, which ``info`` tells of, is no multiple of the squares that became a pixel each, the last ones hold
    less than the others: counting them whole would stretch the picture by up to a hundredth.
    """
    grey = small if small.mode == "L" else small.convert("L")
    levels = np.frombuffer(grey.tobytes(), np.uint8).reshape(grey.height, grey.width)
    square = math.ceil(max(info.width / small.width, info.height / small.height))
    up, left = _BACKWARDS.get(info.turn, (1, 1))
    stored = levels[::up, ::left].astype(np.float32)
    found = low_frequencies(stored, (info.height / square, info.width / square))
    # Backwards, waves that are odd about the middle change their sign.
    found[1::2] *= up
    found[:, 1::2] *= left
    return hashes_of(found.ravel()).tobytes().hex()


def low_frequencies(grey: Values, extent: tuple[float, float] | None = None) -> Values:
    """Return the 16x16 lowest coefficients of the 2-D cosine transform of grey pictures, shape (..., rows, columns).

    ``extent`` is how many rows and columns they have, the last of each counted by the part of it that is there.
    """
    high, wide = grey.shape[-2:]
    rows, columns = extent or (high, wide)
    across = _cosines(wide, columns, grey.dtype).T
    step = max(1, STRIP // wide)
    strips = (grey[..., at : at + step, :] for at in range(0, high, step))
    return np.asarray(_cosines(high, rows, grey.dtype) @ np.concatenate([strip @ across for strip in strips], axis=-2))


def hashes_of(coefficients: Values) -> NDArray[np.uint8]:
    """Return which of 256 coefficients, along the last axis, lie above their median, packed into 32 bytes."""
    return np.packbits(above_median(coefficients), axis=-1)


def above_median(coefficients: Values) -> NDArray[np.bool_]:
    """Return which of 256 coefficients, along the last axis, lie above their median."""
    # Sorting whole rows is quicker than finding their middles: numpy sorts with vector instructions.
    ordered = np.sort(coefficients, axis=-1)
    middle = (ordered[..., 127:128] + ordered[..., 128:129]) / 2
    return np.asarray(coefficients > middle)


@lru_cache(maxsize=512)
def _cosines(length: int, extent: float, precision: np.dtype[Any]) -> Values:
    edges = np.minimum(np.arange(length + 1), extent)
    middles, widths = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    return np.asarray(2 * widths * np.cos(np.pi / extent * np.outer(np.arange(16), middles)), precision)


def _refusal(data: bytes, max_bytes: int, formats: tuple[str, ...]) -> str:
    """Name what is wrong with the bytes before any decoder sees them; empty when nothing is."""
    if not data:
        return "empty"
    if len(data) > max_bytes:
        return "too many bytes"
    return "" if any(data.startswith(mark, at) for at, mark in _OURS) else _foreign(data, formats)


def _foreign(data: bytes, formats: tuple[str, ...]) -> str:
    """Name what bytes without the mark of a format that is read here are, as far as that is known."""
    name = next((name for at, mark, name in _FOREIGN if data.startswith(mark, at)), "")
    if name == "HEIC" and (b"avif" in data[8:64] or ("HEIF" in formats and _reads_heif())):
        return ""
    if name:
        return f"format not allowed: {name}"
    head = data[:HEAD].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if re.search(rb"<!doctype html|<html|\A<(head|body|script|title|meta|h1|p|div)\b", head):
        return "html"
    return "format not allowed: SVG" if head.startswith(b"<") and b"<svg" in head else ""


@lru_cache(maxsize=1)
def _reads_heif() -> bool:
    try:
        import pillow_heif  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _openable() -> tuple[str, ...]:
    return (*_OPENERS, "HEIF") if _reads_heif() else _OPENERS


def _describe(info: ImageInfo, image: Image.Image) -> ImageInfo:
    name = image.format or ""
    # A TIFF's pages are no animation, and counting them takes a time that grows with their square.
    notes = ("animated",) if name not in {"MPO", "TIFF"} and getattr(image, "n_frames", 1) > 1 else ()
    width, height = image.size
    return ImageInfo(name, EXTENSIONS[name], width, height, image.mode, sha256=info.sha256, notes=notes)


def _scans(data: bytes) -> int:
    """Return how many scans a JPEG may have; bytes.count looks at each 0xff, of which such data are full."""
    levels = np.frombuffer(data, np.uint8)
    return int(np.count_nonzero((levels[:-1] == 0xFF) & (levels[1:] == 0xDA)))


def _damage(data: bytes, error: BaseException) -> str:
    ours = data[4:8] == b"ftyp" or any(data.startswith(mark, at) for at, mark in _OURS)
    if isinstance(error, UnidentifiedImageError) and not ours:
        return "not an image"
    end = _END_MARKS.get(data[:2])
    cut = end is not None and end not in data[-64:]
    cut |= data[8:12] == b"WEBP" and int.from_bytes(data[4:8], "little") + 8 > len(data)
    cut |= data[4:8] == b"ftyp" and _ends_within_a_box(data)
    return "truncated" if cut or "truncat" in str(error).lower() else "damaged"


def _ends_within_a_box(data: bytes) -> bool:
    """Return whether a file of boxes, as AVIF and HEIC are, is shorter than its boxes say."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size < 8:
            # Zero reaches to the end of the file; less makes no sense.
            return False
        at += size
    return at != len(data)


def _mended(data: bytes, max_pixels: int) -> bytes:
    """Return a JPEG that lost nothing but its end marker with one, else nothing.

    Behind a picture that is complete, what follows changes no pixel; behind one that is cut, it is read as picture.
    Zeros in the place of a tail are read as picture too, and may complete one pass of a progressive JPEG or the only
    one of another.
    """
    end = b"\xff\xd9"
    if not data.startswith(b"\xff\xd8") or end in data[-64:] or data.endswith(bytes(ZEROS)):
        return b""
    try:
        decoded = {_pixels(data + tail + end, max_pixels) for tail in (b"", b"\xaa" * 64, b"\x13\x57\x9b" * 24)}
    except (*_DECODE_ERRORS, Image.DecompressionBombError):
        return b""
    return data + end if len(decoded) == 1 else b""


def _lacks_its_end(image: Image.Image, data: bytes, max_pixels: int) -> bool:
    """Return whether a JPEG was cut and closed with an end marker: grey stands for what is missing.

    Before that marker, more data changes a pixel only where some is missing.
    """
    if image.format != "JPEG" or image.getpixel((image.width - 1, image.height - 1)) not in {128, (128, 128, 128)}:
        return False
    end = data.rfind(b"\xff\xd9")
    return _pixels(data[:end] + b"\x13\x57\x9b" * 24 + data[end:], max_pixels) != _pixels(data, max_pixels)


def _is_zeroed(data: bytes, max_pixels: int) -> bool:
    """Return whether zeros in the place of a JPEG's tail are read as picture, as a download leaves them that was cut.

    Zeros may also stand for a plain ground, or follow a picture that is complete: no pixel changes without these.
    """
    end = b"\xff\xd9"
    scans = data[: data.rfind(end)] if end in data[-64:] else data
    if not data.startswith(b"\xff\xd8") or not scans.endswith(bytes(ZEROS)):
        return False
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        last = image.crop((max(0, image.width - 8), max(0, image.height - 8), *image.size))
    return last.getcolors(1) is None and _pixels(scans.rstrip(b"\0") + end, max_pixels) != _pixels(data, max_pixels)


def _pixels(data: bytes, max_pixels: int) -> bytes:
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        if image.width * image.height > max_pixels:
            raise ValueError(image.size)
        return hashlib.sha256(image.tobytes()).digest()


def _read(data: bytes, max_side: int | None) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=_openable()) as image:
        if max_side:
            scale = min(1.0, max_side / max(image.size))
            image.draft("RGB", (max(1, round(image.width * scale)), max(1, round(image.height * scale))))
        _load(image, data)
        plain = _upright(_plain(image, image.info.get("icc_profile"), colour=True), _turn(image))
    scale = min(1.0, max_side / max(plain.size)) if max_side else 1.0
    if scale == 1.0:
        return plain
    size = (max(1, round(plain.width * scale)), max(1, round(plain.height * scale)))
    # Half the time of Lanczos, which takes longer than all else that is done to a picture; side by side nobody sees it.
    return plain.resize(size, Image.Resampling.HAMMING, reducing_gap=3.0)


def _shrunk(data: bytes, side: int) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=_openable()) as image:
        image.draft("RGB", (side, side))
        _load(image, data)
        return _upright(_plain(_reduced(image, side), image.info.get("icc_profile"), colour=True), _turn(image))


def _load(image: ImageFile.ImageFile, data: bytes) -> None:
    """Decode a picture from all its bytes at once: fed in pieces, the decoder starts over where one ends."""
    image.decodermaxblock = len(data)
    image.load()


def _reduced(image: Image.Image, side: int) -> Image.Image:
    """Return a picture made smaller by whole numbers, while its shorter side keeps ``side`` pixels."""
    factor = min(image.size) // side
    return image.reduce(factor) if factor > 1 and image.mode in {"RGB", "L"} else image


def _turn(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except _DECODE_ERRORS:
        return 1


def _upright(image: Image.Image, turn: int) -> Image.Image:
    return image.transpose(_TURNS[turn]) if turn in _TURNS else image


def _plain(image: Image.Image, profile: bytes | None, *, colour: bool) -> Image.Image:
    """Return a decoded picture as 8-bit sRGB (or L) without alpha."""
    if image.mode == "L" and not colour:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        image = _eight_bits(image)
    if image.has_transparency_data:
        image = _over_white(image)
    if profile:
        image = _to_srgb(image, profile)
    mode = "RGB" if colour else "L"
    return image if image.mode == mode else image.convert(mode)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return 16-bit, 32-bit or floating grey levels as 8-bit ones."""
    levels = np.asarray(image)
    top = float(np.nan_to_num(np.fmax.reduce(levels, axis=None, initial=0)))
    white = 65535 if image.mode.startswith("I;16") or 255 < top <= 65535 else top if top > 65535 else 255
    white = 1 if image.mode == "F" and 0 < top <= 1 else white
    made = np.empty(levels.shape, np.uint8)
    for at in range(0, len(levels), ROWS):
        strip = np.nan_to_num(levels[at : at + ROWS].astype(np.float64))
        made[at : at + ROWS] = (strip * (255 / white)).clip(0, 255)
    return Image.fromarray(made)


def _over_white(image: Image.Image) -> Image.Image:
    """Return a picture with alpha over white; over grey where white would hide all there is to see."""
    if image.mode in {"RGBA", "LA"} and image.getchannel("A").getextrema() == (255, 255):
        return image.convert("RGB")
    flat = _over(image, (255, 255, 255))
    return _over(image, (128, 128, 128)) if min(low for low, _ in _extrema(flat)) >= 240 else flat


def _over(image: Image.Image, ground: tuple[int, int, int]) -> Image.Image:
    flat = Image.new("RGB", image.size, ground)
    for top in range(0, image.height, ROWS):
        strip = image.crop((0, top, image.width, min(top + ROWS, image.height))).convert("RGBA")
        flat.paste(strip.convert("RGB"), (0, top), strip.getchannel("A"))
    return flat


def _extrema(image: Image.Image) -> list[tuple[int, int]]:
    bands: Any = image.getextrema()
    return list(bands)


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Return the picture in sRGB; as it is when its profile is broken or made for other modes."""
    if image.mode not in {"RGB", "CMYK", "L"}:
        image = image.convert("RGB")
    try:
        transform = _transform(profile, image.mode)
        return ImageCms.applyTransform(image, transform) or image if transform else image
    except (ImageCms.PyCMSError, *_DECODE_ERRORS):
        return image


@lru_cache(maxsize=64)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if "srgb" in (source.profile.profile_description or "").lower():
        return None
    return ImageCms.buildTransform(
        source, ImageCms.createProfile("sRGB"), mode, "RGB",
        ImageCms.Intent.PERCEPTUAL, ImageCms.Flags.NOCACHE,
    )  # fmt: skip
