"""Judge the cleaning stage's verdicts: what is called the same, related or different, and what is flagged.

    python benchmarks/cleaning_verdicts.py --data FOLDER [--only traps,known,...] [--pictures 120] [--json FILE]

FOLDER holds folders of class folders of real photographs; sets that are not there are left out. ``--sheets DIR`` writes
every merged pair as a picture, to be judged by eye. imagededup is asked the same questions where it can be imported;
it wants torch, so best install it in an environment of its own and name that with PYTHONPATH.

- ``traps``: sets of look-alikes. What a build drops, beyond the copies that were confirmed by eye, is wrong.
- ``known``: a real scrape whose copies are known. How many of its groups are found, and what else goes.
- ``recall``: transforms of real photographs, and the share that is called the same, or at least related.
- ``sides``: pairs across the splits of a build, and what moves when 500 pictures come in.
- ``flags``: the share of ordinary photographs that is flagged, and of what should be.
"""

import argparse
import csv
import hashlib
import io
import json
import logging
import random
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from dataset.build import CACHE, Built, build_folder
from dataset.duplicates import CLOSE, compare
from dataset.folder import METADATA, POOL, class_folders, pictures
from dataset.images import look
from dataset.prints import make_print
from dataset.quality import flags, measure
from dataset.relations import Pairs, relate
from dataset.scan import remembering, scan
from dataset.tray import MAX_BYTES, MAX_PIXELS, Build, Checks, Split

Change = Callable[[Image.Image], bytes]
Row = dict[str, Any]

TRAPS = ("bikes", "products10", "trash6", "food8", "pizza_not_pizza", "decor7", "imagenet_sample", "cifar10_32px")
ALL = Build(max_side=64, min_side=1, split=Split(val=0, test=0))
"""Nothing is left out for its size or for want of a side."""
DRAWN = "drawn"
HELD_OUT = ("imagenet_sample",)
"""Sets that no threshold was chosen on."""
COPIES: dict[str, tuple[frozenset[str], ...]] = {
    "bikes": (frozenset({"mountain_bike_101.jpg", "mountain_bike_3.jpg"}),),
}
"""Copies in the sets of look-alikes, confirmed by eye."""


def main() -> None:
    """Run the parts that were asked for; print a table for each, and write all of them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--sets", default=",".join((*TRAPS, DRAWN)), help="sets of look-alikes for traps")
    parser.add_argument("--look-alikes", type=int, default=40, help="pictures of each drawn family")
    parser.add_argument("--pictures", type=int, default=120, help="photographs for each transform and set")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheets", type=Path)
    asked = parser.parse_args()
    found = {}
    for name in asked.only.split(","):
        found[name] = PARTS[name](asked)
        print(f"\n## {name}\n\n{table(found[name])}", flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def table(rows: Sequence[Row]) -> str:
    """Return rows as a table of text, the columns in the order of the first row."""
    if not rows:
        return "(nothing to judge)"
    cells = [list(rows[0]), *([_cell(row.get(name, "")) for name in rows[0]] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(cells[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _cell(value: Any) -> str:
    return f"{value:.1%}" if isinstance(value, float) else str(value)


# What a build drops


def built(source: Path, out: Path, settings: Build) -> tuple[Built, Pairs]:
    """Build a folder; return what was made, and all pairs that are not different."""
    *_, last = build_folder(source, out, settings)
    assert isinstance(last, Built)
    files = [f"{name}/{path.name}" for name, folder in class_folders(source).items() for path in pictures(folder)]
    with remembering(out / POOL / CACHE, limits=(settings.max_pixels, settings.max_bytes)) as memory:
        scanned = finished(scan(source, files, memory))
        usable = {one.info.sha256: file for file, one in zip(files, scanned, strict=True) if one.measures}
        pairs: Pairs = finished(relate(source, usable, memory))
    return last, pairs


def finished(work: Iterator[Any]) -> Any:
    """Run a stage to its end and return its result."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def traps(asked: argparse.Namespace) -> list[Row]:
    """Count what a build drops from sets of look-alikes, and what of that is no copy."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for one in asked.sets.split(","):
            folder = draw_look_alikes(Path(name) / DRAWN, asked.look_alikes) if one == DRAWN else asked.data / one
            if not folder.is_dir():
                continue
            source = as_class_folders(folder, Path(name) / folder.name)
            last, pairs = built(source, Path(name) / "out" / folder.name, ALL)
            true = COPIES.get(folder.name, ())
            dropped = [one for one in last.rejected if one.reason in {"near duplicate", "conflict"}]
            wrong = [one for one in dropped if {Path(one.source).name, Path(one.kept).name} not in true]
            verdicts = Counter(how.verdict for how in pairs.values())
            rows.append(
                {
                    "set": folder.name,
                    "pictures": last.kept + sum(last.dropped.values()),
                    "dropped": len(dropped),
                    "wrong": len(wrong),
                    "related pairs": verdicts["related"],
                    "imagededup drops": imagededup_drops(source),
                }
            )
            sheet([(source / one.kept, source / one.source) for one in dropped], asked.sheets, folder.name)
            closest = sorted(pairs.items(), key=lambda one: -one[1].closer)
            paths = contents(source)
            likely = [(paths[a], paths[b]) for (a, b), how in closest if how.verdict == "related"][:30]
            sheet(likely, asked.sheets, f"{folder.name}, related")
    return rows


def as_class_folders(folder: Path, there: Path) -> Path:
    """Return a folder of class folders; the pictures of a flat one are linked into two."""
    if any(path.is_dir() for path in folder.iterdir()):
        return folder
    for at, path in enumerate(pictures(folder)):
        (there / "ab"[at % 2]).mkdir(parents=True, exist_ok=True)
        (there / "ab"[at % 2] / path.name).symlink_to(path)
    return there


def contents(source: Path) -> dict[str, Path]:
    """Return a file of each content, by its SHA-256."""
    files = (path for folder in class_folders(source).values() for path in pictures(folder))
    return {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in files}


def imagededup_drops(folder: Path) -> int | str:
    """Return how many pictures imagededup would remove at its default; empty where it can't be imported."""
    try:
        from imagededup.methods import PHash
    except ImportError:
        return ""
    logging.getLogger("imagededup").setLevel(logging.ERROR)
    hasher = PHash(verbose=False)
    codes = {
        path.relative_to(folder).as_posix(): hasher.encode_image(image_file=str(path))
        for one in class_folders(folder).values()
        for path in pictures(one)
    }
    found = {name: code for name, code in codes.items() if code}
    return len(hasher.find_duplicates_to_remove(encoding_map=found, num_enc_workers=0, num_dist_workers=0))


def sheet(pairs: Sequence[tuple[Path, Path]], folder: Path | None, name: str, *, height: int = 160) -> None:
    """Write pairs of pictures side by side into one PNG, to be judged by eye."""
    if folder is None or not pairs:
        return
    cells = []
    for pair in pairs:
        shown = []
        for path in pair:
            with Image.open(path) as image:
                shown.append(image.convert("RGB").resize((max(1, image.width * height // image.height), height)))
        cell = Image.new("RGB", (sum(one.width for one in shown) + 12, height + 8), "red")
        cell.paste(shown[0], (4, 4))
        cell.paste(shown[1], (shown[0].width + 8, 4))
        cells.append(cell)
    wide = max(cell.width for cell in cells)
    whole = Image.new("RGB", (3 * wide, -(-len(cells) // 3) * (height + 8)), "grey")
    for at, cell in enumerate(cells):
        whole.paste(cell, (at % 3 * wide, at // 3 * (height + 8)))
    folder.mkdir(parents=True, exist_ok=True)
    whole.save(folder / f"{name}.png")


def known(asked: argparse.Namespace) -> list[Row]:
    """Count the known groups of copies that a build finds in a real scrape, and what it drops beyond them."""
    source = asked.data / "scraped_pizza_raw"
    if not source.is_dir():
        return []
    groups = defaultdict(set)
    with (source / "DUPLICATE_GROUPS.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            groups[row["group"]].add(row["path"].removeprefix("scraped_pizza_raw/"))
    with tempfile.TemporaryDirectory() as name:
        last, _ = built(source, Path(name) / "out", ALL)
    dropped = {one.source: one.kept for one in last.rejected if one.kept}
    found = [group for group in groups.values() if len(group - dropped.keys()) == 1]
    beyond = {one: kept for one, kept in dropped.items() if not any({one, kept} <= group for group in groups.values())}
    wrong = [one for one in beyond if one not in ALSO]
    sheet([(source / kept, source / one) for one, kept in beyond.items()], asked.sheets, "beyond the known groups")
    sheet([(source / kept, source / one) for one, kept in dropped.items()], asked.sheets, "scrape")
    return [
        {
            "groups": len(groups),
            "found": len(found),
            "share": len(found) / len(groups),
            "dropped": len(dropped),
            "beyond the list": len(beyond),
            "wrong": len(wrong),
            "imagededup drops": imagededup_drops(source),
        }
    ]


ALSO = frozenset({"savoyard/images (56).jpg"})
"""Copies in the scrape that its list does not have, confirmed by eye."""


# Look-alikes that are drawn


def draw_look_alikes(folder: Path, count: int) -> Path:
    """Write families of pictures that look alike and are not the same, a class folder for each."""
    for name, draw in FAMILIES.items():
        (folder / name).mkdir(parents=True)
        for seed in range(count):
            draw(np.random.default_rng((seed, len(name))), seed).save(folder / name / f"{seed:03}.jpg", quality=88)
    return folder


def _words(chance: np.random.Generator, count: int) -> str:
    return " ".join("".join(chance.choice(list("abcdefghijklmnoprstuvw"), 5)) for _ in range(count))


def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def _grain(image: Image.Image, chance: np.random.Generator, spread: float = 4) -> Image.Image:
    noise = chance.normal(0, spread, (image.height, image.width, 1))
    return Image.fromarray(np.clip(np.asarray(image, np.float64) + noise, 0, 255).astype(np.uint8))


def bottle(chance: np.random.Generator, _: int) -> Image.Image:
    """Draw a bottle of always the same outline on white, with a label of its own."""
    image = Image.new("RGB", (300, 400), "white")
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle((95, 120, 205, 380), 22, fill=(30, 90, 50), outline="black", width=3)
    pen.rectangle((130, 30, 170, 125), fill=(30, 90, 50), outline="black", width=3)
    label = tuple(int(level) for level in chance.integers(120, 255, 3))
    pen.rectangle((98, 200, 202, 320), fill=label)
    for line in range(4):
        pen.text((104, 206 + 28 * line), _words(chance, 2), "black", _font(16))
    return image


def cup(_: np.random.Generator, at: int) -> Image.Image:
    """Draw a cup of always the same outline on white, in a colour of its own: 64 of them, told apart with ease."""
    image = Image.new("RGB", (320, 260), "white")
    pen = ImageDraw.Draw(image)
    colour = tuple((30, 95, 160, 225)[at >> shift & 3] for shift in (0, 2, 4))
    pen.arc((200, 90, 290, 190), 270, 90, fill=colour, width=16)
    pen.polygon(((60, 50), (240, 50), (215, 230), (85, 230)), fill=colour)
    pen.ellipse((60, 35, 240, 68), fill=tuple(level // 2 for level in colour))
    return image


def tray(chance: np.random.Generator, _: int) -> Image.Image:
    """Draw one tray seen from above, in which always other things lie in the same dishes."""
    image = Image.new("RGB", (400, 300), (150, 110, 80))
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle((15, 15, 385, 285), 20, fill=(205, 200, 190), outline=(120, 110, 100), width=4)
    for x, y, size in ((120, 150, 95), (270, 100, 60), (290, 220, 55)):
        pen.ellipse((x - size, y - size, x + size, y + size), fill="white", outline=(180, 180, 180), width=3)
        food = tuple(int(level) for level in chance.integers(40, 220, 3))
        for _ in range(18):
            dx, dy = chance.normal(0, size / 3, 2)
            r = int(chance.integers(4, 16))
            pen.ellipse((x + dx - r, y + dy - r, x + dx + r, y + dy + r), fill=food)
    return _grain(image, chance)


def letter(chance: np.random.Generator, _: int) -> Image.Image:
    """Draw a page of text, always other words in the same lines."""
    image = Image.new("RGB", (420, 560), "white")
    for line in range(20):
        ImageDraw.Draw(image).text((30, 25 + 26 * line), _words(chance, 6), "black", _font(17))
    return image


def board(chance: np.random.Generator, _: int) -> Image.Image:
    """Draw a chess board on which the pieces stand elsewhere."""
    image = Image.new("RGB", (320, 320), (240, 217, 181))
    pen = ImageDraw.Draw(image)
    for at in range(64):
        x, y = at % 8 * 40, at // 8 * 40
        if (at // 8 + at) % 2:
            pen.rectangle((x, y, x + 39, y + 39), fill=(181, 136, 99))
    for at in chance.choice(64, 14, replace=False):
        x, y = int(at) % 8 * 40, int(at) // 8 * 40
        pen.ellipse((x + 8, y + 8, x + 32, y + 32), fill=("black", "white")[int(chance.integers(2))])
    return image


def clock(chance: np.random.Generator, at: int) -> Image.Image:
    """Draw a clock on a wall, whose hands show another time."""
    image = Image.new("RGB", (300, 300), (222, 214, 200))
    pen = ImageDraw.Draw(image)
    pen.ellipse((30, 30, 270, 270), fill="white", outline="black", width=8)
    for hour in range(12):
        angle = hour * np.pi / 6
        pen.text((141 + 98 * np.sin(angle), 138 - 98 * np.cos(angle)), str(hour or 12), "black", _font(20))
    for length, width, angle in ((60, 9, (at % 12 + at // 12 / 4) * np.pi / 6), (85, 5, at // 12 * np.pi / 2)):
        pen.line((150, 150, 150 + length * np.sin(angle), 150 - length * np.cos(angle)), fill="black", width=width)
    return _grain(image, chance)


def sky(chance: np.random.Generator, _: int) -> Image.Image:
    """Draw a sky over a sea, with small clouds in other places."""
    levels = np.linspace(1, 0, 300)[:, None, None] * np.array([90, 60, 10]) + np.array([110, 160, 230])
    image = Image.fromarray(np.broadcast_to(levels, (300, 400, 3)).clip(0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 210, 400, 300), fill=(30, 80, 130))
    for _ in range(6):
        x, y = chance.integers(20, 380), chance.integers(20, 160)
        pen.ellipse((x - 30, y - 9, x + 30, y + 9), fill=(250, 250, 250))
    return _grain(image.filter(ImageFilter.GaussianBlur(2)), chance)


def shelf(chance: np.random.Generator, _: int) -> Image.Image:
    """Draw a shelf of goods, of which a few stand in another order."""
    image = Image.new("RGB", (400, 300), (90, 70, 60))
    pen = ImageDraw.Draw(image)
    kinds = np.random.default_rng(7).integers(30, 230, (6, 3))
    for row in range(3):
        for place in range(10):
            colour = tuple(int(level) for level in kinds[int(chance.integers(6))])
            pen.rectangle((8 + place * 39, 12 + row * 97, 40 + place * 39, 88 + row * 97), fill=colour)
    return _grain(image, chance)


def form(chance: np.random.Generator, at: int) -> Image.Image:
    """Draw a printed form that others have filled in, the first one nobody."""
    image = Image.new("RGB", (420, 560), (248, 246, 240))
    pen = ImageDraw.Draw(image)
    for line in range(14):
        y = 30 + 37 * line
        pen.text((24, y), ("name", "street", "town", "date")[line % 4], (90, 90, 90), _font(13))
        pen.line((100, y + 18, 396, y + 18), fill=(120, 120, 120))
        if at:
            pen.text((110, y - 2), _words(chance, 4), (40, 50, 150), _font(16))
    return _grain(image, chance, 2)


def ball(chance: np.random.Generator, at: int) -> Image.Image:
    """Draw a ball with some dots, always in the same grey levels, grey or in one of seven colours."""
    ys, xs = np.mgrid[0:300, 0:300]
    inside = np.hypot(xs - 150, ys - 160) < 105
    light = 90 + 80 * np.clip(1 - np.hypot(xs - 115, ys - 120) / 170, 0, 1)
    grey = np.where(inside, light, 244 - 30 * np.exp(-(((ys - 268) / 12) ** 2) - ((xs - 150) / 80) ** 2))
    for dot in range(at // 8):
        grey[np.hypot(xs - 90 - 32 * dot, ys - 160) < 14] = 60
    blue, red = (32 * np.cos(at * np.pi / 3.5), 32 * np.sin(at * np.pi / 3.5)) if at % 8 else (0, 0)
    tint = np.array([1.402 * red, -0.344 * blue - 0.714 * red, 1.772 * blue])
    rgb = grey[..., None] + inside[..., None] * tint
    return _grain(Image.fromarray(rgb.clip(0, 255).astype(np.uint8)), chance, 2)


FAMILIES: dict[str, Callable[[np.random.Generator, int], Image.Image]] = {
    one.__name__: one for one in (bottle, cup, tray, letter, board, clock, sky, shelf, form, ball)
}


# Transforms


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    """Return a picture's bytes as JPEG."""
    return encoded(image.convert("RGB"), "JPEG", quality=quality)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    """Return a picture's bytes in a format."""
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def scaled(factor: float, across: float = 1.0) -> Change:
    """Return the change of size."""
    return lambda image: jpeg(
        image.resize((int(image.width * factor * across), int(image.height * factor)), Image.Resampling.LANCZOS)
    )


def recoded(quality: int) -> Change:
    """Return the change that saving at a quality makes."""
    return lambda image: jpeg(image, quality)


def cropped(left: float, top: float, right: float, bottom: float) -> Change:
    """Return the crop that takes shares off the sides."""

    def crop(image: Image.Image) -> bytes:
        wide, high = image.size
        return jpeg(image.crop((int(wide * left), int(high * top), int(wide * (1 - right)), int(high * (1 - bottom)))))

    return crop


def watermarked(image: Image.Image) -> bytes:
    """Write pale words all over a picture."""
    layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
    pen, font = ImageDraw.Draw(layer), _font(max(10, image.height // 14))
    for y in range(0, image.height, max(20, image.height // 5)):
        for x in range(-20, image.width, max(60, image.width // 3)):
            pen.text((x + y % 37, y), "stockphoto", fill=(255, 255, 255, 90), font=font)
    return jpeg(Image.alpha_composite(image.convert("RGBA"), layer))


def signed(share: float) -> Change:
    """Return the change that puts a red logo of so much of the width into a corner."""

    def sign(image: Image.Image) -> bytes:
        copy = image.copy()
        wide, high = image.size
        box = (wide * (0.98 - share), high * (0.97 - 0.6 * share), wide * 0.98, high * 0.97)
        ImageDraw.Draw(copy).rectangle(box, fill=(220, 30, 30))
        return jpeg(copy)

    return sign


def captioned(image: Image.Image) -> bytes:
    """Put a white bar with words below a picture."""
    page = Image.new("RGB", (image.width, int(image.height * 1.15)), "white")
    page.paste(image)
    font = _font(max(8, image.height // 16))
    ImageDraw.Draw(page).text((10, image.height * 1.03), "the best pizza in town", fill="black", font=font)
    return jpeg(page)


def headed(image: Image.Image) -> bytes:
    """Put a black bar with white words above a picture."""
    page = Image.new("RGB", (image.width, int(image.height * 1.2)), "black")
    page.paste(image, (0, page.height - image.height))
    font = _font(max(10, image.height // 12))
    ImageDraw.Draw(page).text((10, image.height * 0.04), "when you are hungry", fill="white", font=font)
    return jpeg(page)


def letterboxed(image: Image.Image) -> bytes:
    """Put a picture into a black square."""
    side = max(image.size)
    page = Image.new("RGB", (side, side), "black")
    page.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return jpeg(page)


def hued(image: Image.Image) -> bytes:
    """Turn all colours by 17 degrees."""
    hue, saturation, value = image.convert("HSV").split()
    return jpeg(Image.merge("HSV", (hue.point([(level + 12) % 256 for level in range(256)]), saturation, value)))


def noisy(image: Image.Image) -> bytes:
    """Add grain."""
    return jpeg(_grain(image, np.random.default_rng(0), 8))


def warmed(image: Image.Image) -> bytes:
    """Shift the white balance."""
    bands = [
        band.point([min(255, int(level * gain)) for level in range(256)])
        for band, gain in zip(image.split(), (1.1, 1.0, 0.88), strict=True)
    ]
    return jpeg(Image.merge("RGB", bands))


def turned(degrees: float) -> Change:
    """Return the turn by a few degrees, black where nothing was."""
    return lambda image: jpeg(image.rotate(degrees, Image.Resampling.BICUBIC))


def transposed(how: Image.Transpose) -> Change:
    """Return the turn or mirror."""
    return lambda image: jpeg(image.transpose(how))


def bordered(share: float, colour: str) -> Change:
    """Return the change that adds a border."""
    return lambda image: jpeg(ImageOps.expand(image, max(1, int(min(image.size) * share)), colour))


def forwarded(image: Image.Image) -> bytes:
    """Do what a picture goes through on its way over the web: smaller, brighter, cut a little, poorly saved."""
    bright = ImageEnhance.Brightness(image).enhance(1.1)
    wide, high = bright.size
    bright = bright.crop((int(wide * 0.03), int(high * 0.03), int(wide * 0.97), int(high * 0.97)))
    return jpeg(bright.resize((int(wide * 0.6), int(high * 0.6)), Image.Resampling.LANCZOS), 60)


CORE: dict[str, Change] = {
    **{f"size x {factor}": scaled(factor) for factor in (0.25, 0.5, 0.75, 1.5, 2)},
    "stretched by 15 %": scaled(1, 1.15),
    **{f"quality {level}": recoded(level) for level in (90, 50, 30, 10)},
    "WebP": lambda image: encoded(image, "WEBP", quality=70),
    "AVIF": lambda image: encoded(image, "AVIF", quality=50),
    "PNG": lambda image: encoded(image, "PNG"),
    "GIF": lambda image: encoded(image.convert("P"), "GIF"),
    "brighter": lambda image: jpeg(ImageEnhance.Brightness(image).enhance(1.25)),
    "darker": lambda image: jpeg(ImageEnhance.Brightness(image).enhance(0.75)),
    "contrast": lambda image: jpeg(ImageEnhance.Contrast(image).enhance(1.3)),
    "gamma": lambda image: jpeg(image.point([int(255 * (level / 255) ** 0.8) for level in range(256)] * 3)),
    "saturation": lambda image: jpeg(ImageEnhance.Color(image).enhance(1.5)),
    "hue": hued,
    "white balance": warmed,
    "grey": lambda image: jpeg(image.convert("L")),
    "blur": lambda image: jpeg(image.filter(ImageFilter.GaussianBlur(1.5))),
    "sharpen": lambda image: jpeg(image.filter(ImageFilter.SHARPEN)),
    "noise": noisy,
    "watermark all over": watermarked,
}
WHOLE: dict[str, Change] = {
    "mirrored": transposed(Image.Transpose.FLIP_LEFT_RIGHT),
    "upside down": transposed(Image.Transpose.FLIP_TOP_BOTTOM),
    "turned 90": transposed(Image.Transpose.ROTATE_270),
    "turned 180": transposed(Image.Transpose.ROTATE_180),
    "turned 270": transposed(Image.Transpose.ROTATE_90),
    "border 3 %": bordered(0.03, "white"),
    "border 8 %": bordered(0.08, "black"),
    "letterbox": letterboxed,
    "caption bar": captioned,
    "headline bar": headed,
}
PARTLY: dict[str, Change] = {
    "crop 10 % (5 % a side)": cropped(0.05, 0.05, 0.05, 0.05),
    "crop 10 % on the left": cropped(0.1, 0, 0, 0),
    "crop 10 % at the bottom": cropped(0, 0, 0, 0.1),
    "crop 10 % at a corner": cropped(0, 0.1, 0.1, 0),
    "crop 20 % (10 % a side)": cropped(0.1, 0.1, 0.1, 0.1),
    "crop 40 % (20 % a side)": cropped(0.2, 0.2, 0.2, 0.2),
    "logo of 10 %": signed(0.1),
    "logo of 20 %": signed(0.2),
    "turned by 2 degrees": turned(2),
    "turned by 5 degrees": turned(5),
    "smaller, brighter, cut, q60": forwarded,
}
KINDS = {"core": CORE, "whole": WHOLE, "partly": PARTLY}
NAMED = (
    *(f"size x {factor}" for factor in (0.25, 0.5, 2)), "quality 10", "quality 30", "WebP", "GIF", "PNG",
    "watermark all over", "brighter", "contrast", "gamma", "saturation", "hue", "grey", "blur", "sharpen",
    "stretched by 15 %",
)  # fmt: skip
"""The 18 core transforms that other tools were measured with."""


def recall(asked: argparse.Namespace) -> list[Row]:
    """Return per transform and kind of photographs the share of copies that is called the same, or related."""
    sets = {
        "photographs": ("food8", "pizza_not_pizza"),
        "held out": HELD_OUT,
        "on plain ground": ("products10", "trash6", "bikes"),
    }
    chosen = {title: some_photos(asked.data, names, asked.pictures) for title, names in sets.items()}
    rows: list[Row] = []
    with ProcessPoolExecutor() as workers:
        seen = {
            title: list(workers.map(verdicts_of, photos, chunksize=4)) for title, photos in chosen.items() if photos
        }
    for kind, changes in KINDS.items():
        for change in changes:
            row: Row = {"kind": kind, "transform": change}
            for title, verdicts in seen.items():
                counts = Counter(one[change] for one in verdicts)
                row[title] = counts["same"] / len(verdicts)
                row[f"{title}, with related"] = (counts["same"] + counts["related"]) / len(verdicts)
            rows.append(row)
        part = [row for row in rows if row["kind"] == kind]
        rows.append(mean_of(part, "mean"))
        if kind == "core":
            rows.append(mean_of([row for row in part if row["transform"] in NAMED], f"mean of {len(NAMED)}"))
    return rows


def mean_of(rows: Sequence[Row], title: str) -> Row:
    """Return the mean of each share as a row."""
    shares = [name for name in rows[0] if name not in {"kind", "transform"}]
    means = {name: float(np.mean([row[name] for row in rows])) for name in shares}
    return {"kind": rows[0]["kind"], "transform": title} | means


def some_photos(data: Path, names: Iterable[str], count: int) -> list[Path]:
    """Return photographs of the sets that are large enough to be made smaller, the same ones each time."""
    photos = []
    for name in names:
        for path in sorted((data / name).rglob("*.jpg")):
            with Image.open(path) as image:
                if min(image.size) >= 180:
                    photos.append(path)
    random.Random(0).shuffle(photos)
    return photos[:count]


def verdicts_of(path: Path) -> dict[str, str]:
    """Return what each transform of a photograph is called."""
    with Image.open(path) as opened:
        original = opened.convert("RGB")
    small = seen_of(path.read_bytes())
    own = make_print(small)
    found = {}
    for changes in KINDS.values():
        for name, change in changes.items():
            copy = seen_of(change(original))
            found[name] = compare(own, make_print(copy), partial(_both, small, copy)).verdict
    return found


def _both(first: Image.Image, second: Image.Image) -> tuple[Image.Image, Image.Image]:
    return first, second


def seen_of(data: bytes) -> Image.Image:
    """Return a picture as a scan sees it, at the size of the closer look."""
    small = look(data, min_side=1, side=CLOSE)[1]
    assert small
    return small


# Splits


def sides(asked: argparse.Namespace) -> list[Row]:
    """Count SAME and RELATED pairs across splits, before and after 500 pictures came in, and what moved."""
    photos = some_photos(asked.data, ("food8", "pizza_not_pizza", "trash6", "products10"), 1300)
    if len(photos) < 1000:
        return []
    old, new = photos[:800], photos[800:1100]
    settings = Build(max_side=64, split=Split(val=0.15, test=0.15))
    rows = []
    with tempfile.TemporaryDirectory() as name:
        source, out = Path(name) / "source", Path(name) / "out"
        write(source, old)
        write_copies(source, old[:100], seed=1)
        first = dealt(source, out, settings)
        write(source, new)
        write_copies(source, old[100:250] + old[:50], seed=2)
        second = dealt(source, out, settings)
        for title, (last, pairs, where) in (("first build", first), ("500 added", second)):
            # Only what is in the dataset has a side.
            across = Counter(
                how.verdict for (a, b), how in pairs.items() if a in where and b in where and where[a] != where[b]
            )
            verdicts = Counter(how.verdict for how in pairs.values())
            shares = Counter(where.values())
            rows.append(
                {
                    "build": title,
                    "pictures": last.kept,
                    "same pairs": verdicts["same"],
                    "related pairs": verdicts["related"],
                    "same across": across["same"],
                    "related across": across["related"],
                    "moved": sum(where.get(sha, side) != side for sha, side in first[2].items()),
                    "held out": last.dropped.get("held out", 0),
                    "val": shares["val"] / len(where),
                    "test": shares["test"] / len(where),
                }
            )
    return rows


def dealt(source: Path, out: Path, settings: Build) -> tuple[Built, Pairs, dict[str, str]]:
    """Build, and return what was made, the pairs, and the split of each content that is in the dataset."""
    last, pairs = built(source, out, settings)
    lines = [json.loads(line) for line in (out / METADATA).read_text(encoding="utf-8").splitlines()]
    return last, pairs, {line["sha256"]: line["split"] for line in lines}


def write(source: Path, photos: Iterable[Path]) -> None:
    """Write photographs into two class folders."""
    for path in photos:
        folder = source / ("pizza" if path.parent.name == "pizza" else "other")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{path.parent.name}_{path.name}").write_bytes(path.read_bytes())


def write_copies(source: Path, photos: Sequence[Path], *, seed: int) -> None:
    """Write a changed copy of each photograph beside it: some are the same, some only related."""
    changes = [*CORE.values(), *WHOLE.values(), *PARTLY.values(), *PARTLY.values()]
    chance = random.Random(seed)
    for path in photos:
        with Image.open(path) as image:
            data = chance.choice(changes)(image.convert("RGB"))
        folder = source / ("pizza" if path.parent.name == "pizza" else "other")
        (folder / f"copy{seed}_{path.parent.name}_{path.name}").write_bytes(data)


# Flags


def flagged(asked: argparse.Namespace) -> list[Row]:
    """Return the share of pictures that each flag marks, on ordinary photographs and on what should be flagged."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        drawn = draw_look_alikes(Path(name) / "drawn", 20)
        folders = [asked.data / one for one in (*TRAPS, "scraped_pizza_raw")]
        folders += [drawn / one for one in ("letter", "cup", "bottle", "board")]
        for folder in folders:
            if not folder.is_dir():
                continue
            paths = [path for one in [folder, *folder.rglob("*")] if one.is_dir() for path in pictures(one)]
            counts: Counter[str] = Counter()
            for path in paths:
                found = flags_of(path)
                counts.update(found)
                counts["any"] += bool(found)
            which = ", ".join(f"{flag} {count}" for flag, count in counts.most_common() if flag != "any")
            rows.append(
                {"set": folder.name, "pictures": len(paths), "any flag": counts["any"] / len(paths), "which": which}
            )
    return rows


def flags_of(path: Path) -> tuple[str, ...]:
    """Return a file's flags."""
    data = path.read_bytes()
    info, small = look(data, max_pixels=MAX_PIXELS, max_bytes=MAX_BYTES, min_side=1)
    return tuple(flags(info, measure(small, info, size=len(data)), Checks())) if small else ()


PARTS: dict[str, Callable[[argparse.Namespace], list[Row]]] = {
    "traps": traps, "known": known, "recall": recall, "sides": sides, "flags": flagged,
}  # fmt: skip

if __name__ == "__main__":
    main()
