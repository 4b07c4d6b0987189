"""When two pictures are the same: copies are found, look-alikes are not."""

import io
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from dataset.duplicates import Comparison, Star, compare, components, explain, stars
from dataset.errors import TrayError
from dataset.glance import COARSE
from dataset.images import look
from dataset.overlay import band, overlay, residue
from dataset.prints import TURNS, Bars, Print, find_bars, make_print, matches, turn_hashes, turned
from dataset.search import Hashes, candidates, join
from tests.dataset.conftest import drawn, encoded


def small(image: Image.Image) -> Image.Image:
    """Return a picture as a scan sees it."""
    found = look(encoded(image), min_side=1)[1]
    assert found
    return found


def compared(one: Image.Image, other: Image.Image) -> Comparison:
    """Compare two pictures as a build does."""
    first, second = small(one), small(other)
    return compare(make_print(first), make_print(second), lambda: (first, second))


def recoded(quality: int) -> Callable[[Image.Image], Image.Image]:
    """Return the change that saving at a quality makes."""
    return lambda image: Image.open(io.BytesIO(encoded(image, quality=quality))).convert("RGB")


def captioned(image: Image.Image) -> Image.Image:
    """Put a white bar with words below a picture."""
    page = Image.new("RGB", (image.width, int(image.height * 1.15)), "white")
    page.paste(image)
    ImageDraw.Draw(page).text((10, image.height + 8), "the best in town", fill="black")
    return page


def signed(image: Image.Image) -> Image.Image:
    """Put a small logo into a corner."""
    copy = image.copy()
    ImageDraw.Draw(copy).rectangle(
        (image.width * 0.84, image.height * 0.88, image.width * 0.98, image.height * 0.98), fill="white"
    )
    return copy


def cropped(left: float, top: float, right: float, bottom: float) -> Callable[[Image.Image], Image.Image]:
    """Return the crop that takes shares off the sides."""
    return lambda image: image.crop(
        (
            int(image.width * left),
            int(image.height * top),
            int(image.width * (1 - right)),
            int(image.height * (1 - bottom)),
        )
    )


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "a quarter of the size": lambda image: image.resize(
        (image.width // 4, image.height // 4), Image.Resampling.LANCZOS
    ),
    "twice the size": lambda image: image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC),
    "stretched": lambda image: image.resize((int(image.width * 1.2), image.height)),
    "quality 10": recoded(10),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "more contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.25),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(1.5)),
    "white border": lambda image: ImageOps.expand(image, 20, "white"),
    "black border": lambda image: ImageOps.expand(image, 36, "black"),
    "caption": captioned,
    "logo": signed,
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "turned 90": lambda image: image.transpose(Image.Transpose.ROTATE_270),
    "turned 180": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "turned 270": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "a twentieth off each side": cropped(0.05, 0.05, 0.05, 0.05),
    "a tenth off each side": cropped(0.1, 0.1, 0.1, 0.1),
    "a tenth off the left": cropped(0.1, 0, 0, 0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_the_same_whatever_was_done_to_it(change: str) -> None:
    """Sizes, qualities, light, bars, logos, mirrors, turns and crops do not hide a copy."""
    verdicts = [
        compared(drawn(seed, (480, 360)), CHANGES[change](drawn(seed, (480, 360)))).verdict for seed in (1, 2, 3)
    ]

    assert verdicts == ["same"] * 3


def test_unlike_pictures_are_different() -> None:
    """Thirty pictures of one kind, all pairs: not one is the same or related."""
    looks = [small(drawn(seed)) for seed in range(30)]
    prints = [make_print(one) for one in looks]
    verdicts = {
        compare(prints[a], prints[b], lambda a=a, b=b: (looks[a], looks[b])).verdict
        for a in range(30)
        for b in range(a + 1, 30)
    }

    assert verdicts == {"different"}


def product(seed: int, colour: tuple[int, int, int]) -> Image.Image:
    """Draw a thing of always the same outline on white; the seed gives its label."""
    image = Image.new("RGB", (360, 300), "white")
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle((100, 40, 260, 270), 24, fill=colour, outline="black", width=5)
    pen.ellipse((140, 15, 220, 60), fill="silver", outline="black", width=4)
    chance = np.random.default_rng(seed)
    for _ in range(7):
        x, y = (int(value) for value in chance.integers((115, 80), (230, 240)))
        pen.rectangle((x, y, x + 22, y + 18), fill=tuple(int(value) for value in chance.integers(0, 255, 3)))
    return image


def test_one_outline_on_white_is_not_one_picture() -> None:
    """Products that differ in their label or colour alone stay, although their hashes collide."""
    red, blue = (200, 40, 40), (40, 40, 200)
    other_label = [compared(product(seed, red), product(seed + 50, red)).verdict for seed in range(6)]
    other_colour = [compared(product(seed, red), product(seed, blue)).verdict for seed in range(6)]
    copy = [compared(product(seed, red), recoded(60)(product(seed, red))).verdict for seed in range(6)]

    assert "same" not in other_label
    assert "same" not in other_colour
    assert copy == ["same"] * 6


def cup(colour: tuple[int, int, int]) -> Image.Image:
    """Draw a cup on white: the same one in any colour."""
    image = Image.new("RGB", (320, 260), "white")
    pen = ImageDraw.Draw(image)
    pen.arc((200, 90, 290, 190), 270, 90, fill=colour, width=16)
    pen.polygon(((60, 50), (240, 50), (215, 230), (85, 230)), fill=colour)
    return image


def bottle(words: str) -> Image.Image:
    """Draw a bottle on white: the same one with any words on its label."""
    image = Image.new("RGB", (300, 400), "white")
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle((95, 120, 205, 380), 22, fill=(30, 90, 50), outline="black", width=3)
    pen.rectangle((130, 30, 170, 125), fill=(30, 90, 50), outline="black", width=3)
    pen.rectangle((98, 200, 202, 320), fill=(230, 220, 180))
    for line, word in enumerate(words.split()):
        pen.text((104, 206 + 28 * line), word, "black", ImageFont.load_default(20))
    return image


def letter(seed: int) -> Image.Image:
    """Draw a page of text: always other words in the same lines."""
    image = Image.new("RGB", (420, 560), "white")
    chance = np.random.default_rng(seed)
    for line in range(20):
        words = " ".join("".join(chance.choice(list("abcdefghijklmnoprstuvw"), 5)) for _ in range(6))
        ImageDraw.Draw(image).text((30, 25 + 26 * line), words, "black", ImageFont.load_default(17))
    return image


def test_little_that_differs_on_a_plain_ground_is_enough() -> None:
    """A cup in another shade, a bottle with other words and another page of text are other pictures; copies are not."""
    cups = [cup(colour) for colour in ((95, 30, 30), (160, 95, 95), (95, 95, 95), (225, 30, 30), (95, 95, 30))]
    bottles = [bottle(words) for words in ("dark ale of north", "pale ale of coast", "red wine far south")]
    letters = [letter(seed) for seed in range(4)]
    for shown in (cups, bottles, letters):
        for at, one in enumerate(shown):
            assert "same" not in {compared(one, other).verdict for other in shown[at + 1 :]}
            assert compared(one, recoded(50)(one)).verdict == "same"
            assert compared(one, one.resize((one.width // 2, one.height // 2))).verdict == "same"


def test_a_thing_taken_from_a_tray_makes_another_picture() -> None:
    """Two photos of one tray from one place, of which one has a thing more, are related, not the same."""
    verdicts = []
    for seed in range(5):
        tray = drawn(seed, (480, 360))
        with_apple = tray.copy()
        ImageDraw.Draw(with_apple).ellipse((180, 120, 300, 240), fill=(190, 30, 40), outline=(90, 10, 10), width=4)
        verdicts.append(compared(tray, with_apple).verdict)

    assert verdicts == ["related"] * 5


def test_the_verdict_does_not_depend_on_which_comes_first() -> None:
    """A and B are what B and A are."""
    one = drawn(1, (480, 360))
    for other in (drawn(2, (480, 360)), cropped(0.1, 0, 0, 0.1)(one), ImageOps.mirror(one), captioned(one)):
        assert compared(one, other).verdict == compared(other, one).verdict


def test_hashes_of_turns_are_those_of_turned_pictures() -> None:
    """One cosine transform gives what eight would, up to a few bits at the median."""
    grey = make_print(small(drawn(4))).views[0]
    hashes = turn_hashes(grey)
    for turn in range(len(TURNS)):
        again = turn_hashes(np.ascontiguousarray(turned(grey, turn)))[0]

        assert np.bitwise_count(hashes[turn] ^ again).sum() <= 2


def near_pairs(prints: list[Print], fresh: int) -> set[tuple[int, int]]:
    """Run the search to its end."""
    parts = [Hashes.of([(number, one.hashes)]) for number, one in reversed([*enumerate(prints)])]
    search = candidates(lambda: parts, fresh)
    try:
        while True:
            next(search)
    except StopIteration as end:
        return set(end.value)


def test_candidates_are_all_pairs_that_are_near() -> None:
    """The search over all prints finds the pairs that comparing each with each finds."""
    pictures = [drawn(seed) for seed in range(12)]
    pictures += [ImageOps.mirror(pictures[0]), cropped(0.1, 0.1, 0.1, 0.1)(pictures[1]), recoded(20)(pictures[2])]
    prints = [make_print(small(one)) for one in pictures]
    near = near_pairs(prints, len(prints))
    every = list(combinations(range(15), 2))
    ways = matches([(prints[a], prints[b]) for a, b in every])
    each = {pair for pair, (likeliest, *_) in zip(every, ways, strict=True) if likeliest.distance <= 76}

    assert near == each
    assert {(0, 12), (1, 13), (2, 14)} <= near
    assert near == near_pairs(prints, 13)


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("bits", [7, 11])
def test_the_join_finds_each_near_pair_once(bits: int, once: bool) -> None:
    """Keys within the bits are found, all of them and once, and none beyond; with ``once``, from one side at least."""
    chance = np.random.default_rng(bits)
    keys = chance.integers(0, 2**63, 400, dtype=np.uint64)
    for at in range(200, 400):
        flips = chance.choice(64, int(chance.integers(0, 16)), replace=False)
        keys[at] = keys[at - 200] ^ np.bitwise_or.reduce(np.uint64(1) << flips.astype(np.uint64), initial=np.uint64(0))
    blocks = join(keys, keys, bits=bits, once=once)
    found = [pair for a, b in blocks for pair in zip(a.tolist(), b.tolist(), strict=True)]
    apart = np.bitwise_count(keys[:, None] ^ keys[None])
    near = set(zip(*(side.tolist() for side in np.nonzero(apart <= bits)), strict=True))

    assert len(found) == len(set(found))
    if once:
        assert set(found) < near
        found += [(b, a) for a, b in found]
    assert set(found) == near


def test_few_keys_that_ask_many_find_what_is_near() -> None:
    """Two keys find all that lie within the bits among thousands, most of which no quarter of theirs leads to."""
    chance = np.random.default_rng(2)
    keys = chance.integers(0, 2**63, 3000, dtype=np.uint64)
    keys[1000:1064] = keys[0] ^ (np.uint64(1) << np.arange(64, dtype=np.uint64))
    keys[2000] = keys[1] ^ np.uint64(0b1111111)
    keys[2001] = keys[1] ^ np.uint64(0b11111111)
    found = {pair for a, b in join(keys[:2], keys, bits=7) for pair in zip(a.tolist(), b.tolist(), strict=True)}

    assert found == {(0, 0), (1, 1), (1, 2000), *((0, at) for at in range(1000, 1064))}


def test_only_the_new_are_searched_for() -> None:
    """With three new pictures in front, no pair among the old ones is found again."""
    prints = [make_print(small(recoded(30 + seed)(drawn(1)))) for seed in range(6)]

    assert {a for a, _ in near_pairs(prints, 3)} == {0, 1, 2}


def test_bars_are_found_to_the_pixel_row() -> None:
    """A border is trimmed, a frame's share is measured, and a picture without bars has none."""
    image = drawn(5)
    framed = np.asarray(ImageOps.expand(image, 30, "white").convert("L"))

    assert find_bars(framed).boxes[0] == (30, 30, 270, 210)
    assert find_bars(framed).frame == pytest.approx(1 - 240 * 180 / (300 * 240), abs=0.01)
    assert find_bars(np.asarray(image.convert("L"))) == Bars((), 0.0)


def test_an_overlay_finds_the_place() -> None:
    """A picture moved by a pixel of 64 and enlarged by 6 percent is laid back within a tenth of a pixel."""
    image = drawn(6, (256, 256)).convert("L")
    moved = image.transform(
        (256, 256), Image.Transform.AFFINE, (1.06, 0, -3.7, 0, 1.06, -3.7), Image.Resampling.BICUBIC
    )
    first, second = (
        band(np.asarray(one.resize((64, 64), Image.Resampling.LANCZOS)), *COARSE) for one in (moved, image)
    )
    over = overlay(first, second)

    assert over.placing == pytest.approx([0.06, 0, 1, 0, 0.06, 1], abs=0.1)
    assert over.placing[[0, 4]] == pytest.approx([0.06, 0.06], abs=0.01)
    assert residue(over).unlike < 0.1
    assert residue(over).loudest < 7


def test_pictures_without_structure_agree_only_with_their_like() -> None:
    """Nothing is divided by nothing: two blanks agree, a blank and a picture do not."""
    blank, picture = np.full((64, 64), 90, np.uint8), make_print(small(drawn(7))).views[0]

    assert overlay(band(blank, *COARSE), band(blank, *COARSE)).correlation == 1
    assert overlay(band(blank, *COARSE), band(picture, *COARSE)).correlation <= 0


def test_a_copy_joins_the_one_that_stays_not_another_copy() -> None:
    """In a chain a-b-c where a and c are unlike, c stays: no set is swallowed by small steps."""
    same = Comparison("same", "64 pixels", 5)
    links = {"a": {"b": same}, "b": {"a": same, "c": same}, "c": {"b": same}}

    assert stars(["a", "b", "c"], links) == [Star("a", (("b", same),)), Star("c")]
    assert stars(["b", "a", "c"], links) == [Star("b", (("a", same), ("c", same)))]


def test_components_are_named_by_their_least_member() -> None:
    """What hangs together over any number of links has one key, in whatever order the links come."""
    links = [("d", "c"), ("b", "a"), ("c", "b")]

    assert components("abcde", links) == components("edcba", links[::-1]) == dict.fromkeys("abcd", "a") | {"e": "e"}


def test_two_files_are_explained(tmp_path: Path) -> None:
    """Distances, the look that decided, and the verdict; the order of the files changes nothing but their names."""
    paths = [tmp_path / name for name in ("a.jpg", "b.jpg", "c.jpg", "page.jpg")]
    for path, data in zip(
        paths, (encoded(drawn(1)), encoded(ImageOps.mirror(drawn(1))), encoded(drawn(2)), b"<html>"), strict=True
    ):
        path.write_bytes(data)
    copy, other = explain(paths[0], paths[1]), explain(paths[0], paths[2])

    assert (copy.comparison.verdict, copy.comparison.turn, copy.same_bytes) == ("same", "mirrored", False)
    assert copy.comparison == explain(paths[1], paths[0]).comparison
    assert (other.comparison.verdict, other.comparison.stage) == ("different", "hash")
    assert "one mirrored, at 64 pixels" in copy.reason
    assert "within 76" in other.reason
    assert explain(paths[0], paths[0]).same_bytes
    assert explain(paths[0], paths[0]).reason == "the same bytes"
    with pytest.raises(TrayError, match="html"):
        explain(paths[0], paths[3])
    with pytest.raises(TrayError, match="No such file"):
        explain(paths[0], tmp_path / "none.jpg")
