"""The human rhythm."""

from dataclasses import replace
from statistics import median

import pytest
import requests

from scraper import pacing
from scraper.pacing import Allowance, FullShare, Rhythm
from scraper.simulator import SCENARIOS, Site


def pauses(seed: object, count: int = 400, pace: float = 1.0) -> list[float]:
    """Return the pauses of a rhythm, which nobody has to wait for."""
    waited: list[float] = []
    rhythm = Rhythm(pace, str(seed), sleep=waited.append)
    for _ in range(count):
        rhythm.pause()
    return waited


def test_a_seed_gives_the_same_rhythm():
    """Two rhythms of one seed pause alike, those of another seed do not."""
    assert pauses(1) == pauses(1)
    assert pauses(1) != pauses(2)


def test_pauses_are_log_normal_within_limits():
    """The median is about a second, the shortest 0.3 s, the longest 6 s."""
    waited = pauses(3)

    assert 0.85 < median(waited) < 1.15
    assert min(waited) >= 0.3
    assert max(waited) <= 6.0


def test_pace_is_a_factor():
    """Half the pace means half of each pause."""
    assert [one / 2 for one in pauses(4)] == pauses(4, pace=0.5)


def test_eyes_rest_after_many_results():
    """After 150 to 250 results a pause is a rest of 10 to 30 s."""
    waited: list[float] = []
    rhythm = Rhythm(1.0, 0, sleep=waited.append)
    for _ in range(25):
        rhythm.pause(10)

    assert 1 <= len([one for one in waited if 10 <= one <= 30]) <= 2


def test_back_off_doubles_and_ends():
    """Each refusal doubles the wait, up to half an hour; what the host asks for is the least."""
    waited: list[float] = []
    rhythm = Rhythm(0.01, 0, sleep=waited.append)
    for refusals in (1, 2, 3, 9):
        rhythm.back_off(rhythm.shut_for(refusals))
    rhythm.back_off(rhythm.shut_for(1, asked=500))

    first, second, third, last, asked = waited
    assert 48 <= first <= 72
    assert 96 <= second <= 144
    assert 192 <= third <= 288
    assert 1440 <= last <= 2160
    assert asked == 500


def test_slowing_down_lengthens_every_pause():
    """A rhythm that was told to slow down pauses half as long again."""
    waited: list[float] = []
    quick, slow = (Rhythm(1.0, 7, sleep=waited.append) for _ in range(2))
    slow.slow_down()
    quick.pause()
    slow.pause()

    assert waited[1] == waited[0] * 1.5


def test_a_falling_share_of_full_sizes_is_noticed():
    """Results that suddenly name thumbnails only are noticed within one window of results, and again while it lasts."""
    watch = FullShare()

    assert not any(watch.falls([True] * 9 + [False]) for _ in range(20))
    noticed = [watch.falls([False] * 5) for _ in range(20)]
    assert noticed.index(True) <= 3
    assert sum(noticed) >= 2
    watch.falls([True] * 30)
    assert not any(watch.falls([True] * 10) for _ in range(20))
    assert not any(FullShare().falls([False] * 30) for _ in range(3))


def test_few_full_sizes_from_the_start_are_the_engines_way():
    """An engine whose results name few full sizes all along is not slowed down for that."""
    watch = FullShare()

    assert not any(watch.falls([number % 3 == 0 for number in range(30)]) for _ in range(10))


def test_refused_once_is_refused_never_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its one refusal an engine is asked for less in its minute than it bears: its own log shows it."""
    minute, bears, wanted = 0.8, 8, 24
    monkeypatch.setattr(pacing, "MINUTE", minute)
    scenario = replace(SCENARIOS["curt"], throttle=bears, minute=minute, lifts=0.5)
    rhythm = Rhythm(0.0, 0, door=0.0)
    got = 0
    with Site(scenario=scenario, results=4) as site, requests.Session() as visitor:
        while got < wanted:
            rhythm.before_asking()
            answer = visitor.get(f"{site.url}/bing/images/search?q=pizza", timeout=5)
            if "/turing/" in answer.url:
                rhythm.slow_down(wait=0.1)
                rhythm.back_off(rhythm.shut_for(1, float(answer.headers["Retry-After"])))
                continue
            rhythm.allowance.count(0.0)
            got += 1
        assert site.gate.refusals("bing") == 1
        times = [line.time for line in site.log if line.status == 200][-12:]

    assert all(later - earlier > minute * 0.99 for earlier, later in zip(times, times[bears:], strict=False))


def test_an_allowance_shrinks_and_stays() -> None:
    """Half of what came before the refusal is allowed, then half of that; the wait ends when the oldest is over."""
    now = [0.0]
    allowance = Allowance(lambda: now[0])
    allowance.count(*[0.0] * 12)
    assert allowance.wait() == 0
    allowance.lower(share=0.5)
    now[0] = 20.0
    assert (allowance.most, allowance.wait()) == (6, 40)
    now[0] = 61.0
    assert allowance.wait() == 0
    allowance.count(*[0.0] * 6)
    allowance.lower(share=0.5, wait=120)
    assert (allowance.most, allowance.period, allowance.wait()) == (6, 120, 120)
    now[0] = 130.0
    allowance.lower(share=0.5)
    assert (allowance.most, allowance.wait()) == (3, 51)


@pytest.mark.parametrize(("bears", "batches"), [(2, 1), (3, 3), (5, 4), (12, 3)])
def test_refused_a_few_times_at_most_however_little_an_engine_bears(bears: int, batches: int) -> None:
    """Of pages that load more behind themselves too, twenty searches come through after at most two refusals."""
    now = [0.0]
    rhythm = Rhythm(1.0, 0, sleep=lambda seconds: now.__setitem__(0, now[0] + seconds))
    rhythm.allowance = Allowance(lambda: now[0])
    asked: list[float] = []
    refusals = 0

    def refuses() -> bool:
        asked.append(now[0])
        return sum(now[0] - one < 60 for one in asked) >= 1.5 * bears

    def searched() -> bool:
        rhythm.before_asking()
        if refuses():
            return False
        rhythm.allowance.count(0.0)
        came = [now[0] for _ in range(batches) if not refuses()]
        rhythm.pause()
        rhythm.allowance.count(*(now[0] - one for one in came))
        return len(came) == batches

    done = 0
    while done < 20:
        if searched():
            done += 1
            rhythm.between_terms()
        else:
            refusals += 1
            asked.clear()
            rhythm.slow_down()
            rhythm.back_off(rhythm.shut_for(1))

    assert refusals <= 2


def test_who_refuses_the_first_visit_says_nothing_of_numbers() -> None:
    """A wall before the first results lengthens the pauses only: who passes it by hand is not held to one page."""
    waited: list[float] = []
    rhythm = Rhythm(1.0, 0, sleep=waited.append)
    rhythm.allowance.count(0.0)
    rhythm.slow_down()
    rhythm.before_asking()

    assert waited == []
