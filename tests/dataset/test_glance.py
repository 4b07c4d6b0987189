"""The first look at many pairs: it sends no copy away, and other things of one outline at once."""

from functools import partial

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from dataset.duplicates import compare
from dataset.glance import Glance, _likeliest, glances, placed
from dataset.prints import NEAR, Match, Print, make_print
from tests.dataset.conftest import drawn
from tests.dataset.test_duplicates import recoded


def box(seed: int) -> Image.Image:
    """Draw a box of always the same outline on white, with small things of its own on it."""
    page = Image.new("RGB", (300, 300), "white")
    pen, chance = ImageDraw.Draw(page), np.random.default_rng(seed)
    pen.polygon(((60, 70), (190, 30), (250, 220), (110, 270)), fill=(70, 60, 60))
    pen.rectangle((95, 150, 150, 215), fill=(180, 170, 160))
    pen.ellipse((165, 60, 210, 105), fill="black")
    for _ in range(70):
        x, y = chance.integers((90, 80), (200, 220)).tolist()
        wide, high = chance.integers(6, 14, 2).tolist()
        pen.rectangle((x, y, x + wide, y + high), fill=tuple(chance.integers(20, 250, 3).tolist()))
    return page


def marked(image: Image.Image) -> Image.Image:
    """Write pale lines all over a picture."""
    layer = Image.new("RGBA", image.size)
    for at in range(-300, 600, 40):
        ImageDraw.Draw(layer).line((at, 0, at + 150, 300), (255, 255, 255, 90), width=4)
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def prints(*images: Image.Image) -> list[Print]:
    """Return the prints of pictures."""
    return [make_print(image) for image in images]


def both(first: Image.Image, second: Image.Image) -> tuple[Image.Image, Image.Image]:
    """Bring both pictures of a pair."""
    return first, second


def test_other_things_of_one_outline_are_strangers_at_first_glance() -> None:
    """Of boxes with other pictures on them none needs a closer look, near as their hashes are."""
    boxes = prints(*map(box, range(6)))
    pairs = [(a, b) for at, a in enumerate(boxes) for b in boxes[at + 1 :]]

    seen = glances(pairs)

    assert all(one.found[0].distance <= NEAR for one in seen)
    assert all(one.strange for one in seen)


def test_no_copy_is_a_stranger() -> None:
    """Copies on a plain ground agree in their finest structure; marks all over, which hide it, go one way."""
    image = box(0)
    copies = (
        image.resize((120, 120), Image.Resampling.LANCZOS),
        image.resize((330, 300), Image.Resampling.BICUBIC),
        recoded(10)(image),
        ImageEnhance.Brightness(image).enhance(1.25),
        image.crop((15, 15, 285, 285)),
        image.rotate(2, Image.Resampling.BICUBIC, fillcolor="white"),
        image.transpose(Image.Transpose.ROTATE_90),
        marked(image),
    )
    own, *others = prints(image, *copies)

    seen = glances([(own, other) for other in others])

    assert [one.strange for one in seen] == [False] * len(copies)
    assert min(one.fine for one in seen[:-1]) > 0.85
    assert seen[-1].mixed < 0.02


def leafy(seed: int, strength: int) -> Image.Image:
    """Draw one scene, always in the same light, behind leaves that are so strong and of its own."""
    leaves = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (54, 72), np.uint8))
    shade = np.asarray(leaves.resize((240, 180), Image.Resampling.BICUBIC), np.float64)[..., None] - 128
    return Image.fromarray((np.asarray(drawn(3), np.float64) + shade * strength / 128).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("strength", [30, 80])
def test_other_takes_of_one_scene_are_related_without_a_closer_look(strength: int) -> None:
    """Whether the first look arrived or only the longer walk did: what differs everywhere is no copy."""
    one, other, copy = leafy(0, strength), leafy(1, strength), recoded(20)(leafy(0, strength))
    own, *others = prints(one, other, copy)

    def closer() -> tuple[Image.Image, Image.Image]:
        raise AssertionError

    assert compare(own, others[0], closer).verdict == "related"
    assert [seen.strange for seen in glances([(own, other) for other in others])] == [strength == 30, False]
    assert compare(own, others[1], partial(both, one, copy)).verdict == "same"


def test_a_thing_on_white_that_is_turned_a_little_is_the_same() -> None:
    """Two degrees leave black corners and spoil the outline: what lies between agrees, and that another thing's not."""
    image, other = box(0), box(1)
    turned = [one.rotate(2, Image.Resampling.BICUBIC) for one in (image, other)]
    own, *others = prints(image, *turned)

    found = [compare(own, one, partial(both, image, seen)).verdict for one, seen in zip(others, turned, strict=True)]

    assert found == ["same", "different"]


def test_a_glance_at_a_pair_does_not_depend_on_the_others() -> None:
    """A pair has the same figures, to the bit, alone and among others, in either place."""
    boxes = prints(box(1), box(2), drawn(3), recoded(60)(box(1)))
    pairs = [(boxes[0], boxes[1]), (boxes[2], boxes[2]), (boxes[0], boxes[3]), (boxes[3], boxes[1])]

    together = glances(pairs)

    assert [glances([pair])[0] for pair in pairs] == together
    assert not together[1].flat
    assert np.isfinite([one.fine for one in together]).all()


def test_the_way_in_which_pictures_agree_is_walked() -> None:
    """Hashes may be nearer in another turn; what lies there decides, for each pair by itself."""
    one, other = prints(drawn(1), drawn(2))
    wrong, right = Match(0, turn=1), Match(9)

    chosen = _likeliest([[(one, one, wrong), (one, one, right)], [(other, other, right), (other, other, wrong)]])

    assert [match for _, _, match in chosen] == [right, right]


def test_what_was_seen_stays_where_a_longer_walk_leads_away() -> None:
    """Of two places the one that agrees better counts, and then the walk has ended."""
    (one,) = prints(box(1))
    (seen,) = glances([(one, one)])

    led_away = placed(one, one, seen, np.array([0.0, 0, 9, 0, 0, 9]))
    led_there = placed(one, one, led_away, np.zeros(6))

    assert led_away.fine == seen.fine > 0.99
    assert led_there.settled
    assert not led_there.strange


@pytest.mark.parametrize(("fine", "mixed", "strange"), [(0.84, 0.1, True), (0.92, 0.1, False), (0.72, 0.01, False)])
def test_flat_strangers_are_told_by_their_finest_structure(fine: float, mixed: float, strange: bool) -> None:
    """Other things agree in up to .87 of it, copies in .93 at least; what marks change goes one way."""
    assert Glance((Match(40),), True, Match(40), fine=fine, mixed=mixed).strange is strange  # noqa: FBT003
