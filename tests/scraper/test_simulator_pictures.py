"""The drawn pictures: of every kind, repeatable, distinct, the same at every size."""

from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import imagehash
import numpy as np
import pytest
from PIL import Image

from scraper.simulator.pictures import KINDS, draw

SMALL = (160, 120)


def fingerprint(image: Image.Image) -> np.ndarray:
    """Return the 256 bits by which near-duplicates are found."""
    return imagehash.phash(image, hash_size=16).hash.ravel()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_in_colour_at_the_asked_size(kind):
    """Each kind gives an RGB picture of exactly the size asked for, landscape or portrait, with something on it."""
    for size in ((160, 120), (90, 141)):
        image = draw(kind, 3, size)

        assert (image.mode, image.size) == ("RGB", size)
        assert np.asarray(image).std() > 8


def test_kinds_hold_the_foods_and_what_could_be_taken_for_them():
    """Pizza has its look-alikes and its backgrounds beside it."""
    wanted = {"pizza", "burger", "salad", "cookie", "apple", "quiche", "frittata", "tomato", "empty_tray", "people"}

    assert wanted <= set(KINDS)


def test_seed_decides_the_picture():
    """The same seed gives the same pixels, another seed others, and the same seed of another kind others too."""
    first = draw("pizza", 7, SMALL).tobytes()

    assert first == draw("pizza", 7, SMALL).tobytes()
    assert first != draw("pizza", 8, SMALL).tobytes()
    assert first != draw("quiche", 7, SMALL).tobytes()


def test_drawing_leaves_the_random_state_of_others_alone():
    """Neither does drawing move the global random numbers, nor do they change the picture."""
    np.random.seed(1)  # noqa: NPY002 - the global state is what is tested
    expected = draw("salad", 5, SMALL).tobytes()
    drawn_after = np.random.random()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002

    assert drawn_after == np.random.random()  # noqa: NPY002
    assert expected == draw("salad", 5, SMALL).tobytes()


def test_threads_draw_the_same_pictures():
    """Pictures drawn side by side in threads are those drawn one after another."""
    jobs = [(kind, seed) for kind in ("pizza", "donut", "people") for seed in range(6)]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda job: draw(*job, SMALL).tobytes(), jobs))

    assert [draw(*job, SMALL).tobytes() for job in jobs] == together


@pytest.mark.parametrize("kind", ["pizza", "empty_plate", "cookie", "building"])
def test_another_seed_is_another_picture(kind):
    """No pair of seeds comes near the distance at which pictures count as the same, save at most one in 200."""
    prints = [fingerprint(draw(kind, seed, SMALL)) for seed in range(30)]
    distances = np.array([np.count_nonzero(a != b) for a, b in combinations(prints, 2)])

    assert np.mean(distances <= 60) <= 1 / 200
    assert np.median(distances) > 100


@pytest.mark.parametrize("kind", ["pizza", "burger", "tree"])
def test_size_does_not_change_the_composition(kind):
    """A large and a small copy of the same seed are the same picture up to resampling."""
    for seed in range(4):
        large, small = draw(kind, seed, (1200, 900)), draw(kind, seed, (300, 225))

        assert np.count_nonzero(fingerprint(large) != fingerprint(small)) <= 10
        apart = np.abs(np.asarray(large.resize((40, 30), Image.Resampling.BOX), float) - small.resize((40, 30), 4))
        assert apart.mean() < 4


def test_unknown_kind_is_refused_with_the_known_ones():
    """A kind nobody can draw is named in the message, beside those that exist."""
    with pytest.raises(ValueError, match=r"(?s)pizza.*Received: 'pizzza'"):
        draw("pizzza", 1, SMALL)
