"""The built-in search site serves what its ground truth says."""

import hashlib
import io
import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest
import requests
from PIL import Image
from selectolax.lexbor import LexborHTMLParser as HTMLParser

from dataset.errors import TrayError
from scraper.simulator import ENGINES, NOTHING, SCENARIOS, Address, Site
from scraper.simulator.pictures import KINDS
from scraper.simulator.words import WORDS, kind_of

TERM = "cheese pizza"
PATIENCE = 0.4


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Return a realistic site with few results."""
    with Site(seed=3, results=40) as site:
        yield site


def fetched(address: Address) -> tuple[int, bytes]:
    """Return status and body of an address; status 0 for a host that does not answer in time."""
    try:
        # Drawing may take a moment on a busy machine, silence lasts.
        patience = PATIENCE if address.behaviour == "timeout" else 30
        answer = requests.get(address.url, timeout=patience)
    except requests.Timeout:
        return 0, b""
    return answer.status_code, answer.content


def decoded(body: bytes) -> Image.Image | None:
    """Return the whole picture, or None for what does not decode to its end."""
    try:
        image = Image.open(io.BytesIO(body))
        image.load()
    except OSError:
        return None
    return image


def test_every_address_does_what_the_truth_says(site: Site) -> None:
    """Valid addresses bring a whole picture of the declared size and format; invalid ones fail as declared."""
    addresses = site.truth.addresses(TERM)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(fetched, addresses))
    for address, (status, body) in zip(addresses, answers, strict=True):
        image = decoded(body) if status == 200 else None
        assert (image is not None) == address.valid, address
        if image is not None:
            assert (image.width, image.height) == (address.width, address.height), address
            assert str(image.format).lower() == address.format, address
            assert site.truth.identify(body) == address.picture
        else:
            assert site.truth.identify(body) is None
            assert status == {"404": 404, "403": 403, "timeout": 0}.get(address.behaviour, 200), address
    kinds = Counter(address.kind for address in addresses)
    assert min(kinds[kind] for kind in ("full", "cached", "thumbnail")) > 30


def test_about_one_full_size_address_in_eight_fails() -> None:
    """Over many terms the share of addresses that fail is near an eighth, and every way to fail is met."""
    with Site(seed=4, results=100) as site:
        terms = ("pizza", "quiche", "car", "apple", "soup")
        full = [address for term in terms for address in site.truth.addresses(term) if address.kind == "full"]
    failed = Counter(address.behaviour for address in full if not address.valid)
    assert 0.10 < sum(failed.values()) / len(full) < 0.15
    assert set(failed) == {"404", "403", "html", "timeout", "truncated"}
    lying = [a for a in full if a.url.split("?")[0].endswith((".jpg", ".jpeg")) and a.format != "jpeg"]
    assert {address.format for address in lying} == {"webp", "png"}


def test_same_seed_same_site() -> None:
    """Two sites of one seed agree on every path and every byte; another seed differs."""
    found = []
    for seed in (5, 5, 6):
        with Site(seed=seed, results=12) as site:
            addresses = site.truth.addresses("green apple")
            bodies = [fetched(address)[1] for address in addresses if address.valid][:6]
            found.append(([address.path.split("riu=")[0] for address in addresses], bodies))
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_addresses_outlive_the_ports(site: Site) -> None:
    """An address written down before a restart is known after it, on other ports."""
    address = site.truth.addresses(TERM)[0]
    with Site(seed=3, results=40) as again:
        known = again.truth.by_url(address.url)
        assert known is not None
        assert known.picture == address.picture
        assert known.url != address.url
        assert again.truth.identify(address.url) == (address.picture if address.valid else None)


def test_engines_overlap_and_bing_and_yahoo_more(site: Site) -> None:
    """Each engine shows about two thirds of a term's pictures; Yahoo shares more with Bing than with Google."""
    shown = {engine: {offer.picture.id for offer in site.truth.offers(TERM, engine)} for engine in ENGINES}
    together = set().union(*shown.values())
    for engine in ENGINES:
        assert 0.55 < len(shown[engine]) / len(together) < 0.8
    assert len(shown["yahoo"] & shown["bing"]) > len(shown["yahoo"] & shown["google"])
    assert all(shown[one] != shown[other] for one, other in itertools.combinations(ENGINES, 2))


def test_terms_of_one_kind_share_some_pictures(site: Site) -> None:
    """Two terms for pizza have some pictures in common and most not; a term for another kind has none."""
    cheese, margherita, quiche = (site.truth.pictures(term) for term in (TERM, "margherita", "quiche"))
    assert 0.05 < len(cheese & margherita) / len(cheese) < 0.35
    assert not cheese & quiche


@pytest.mark.parametrize(
    ("term", "kind"),
    [
        ("Pepperoni  PIZZA", "pizza"),
        ("margherita", "pizza"),
        ("granny smith apple", "apple"),
        ("apple pie", "pie"),
        ("empty food tray", "empty_tray"),
        ("french fries", "fries"),
        ("tomatoes", "tomato"),
        ("fried eggs", "fried_egg"),
        ("cars", "car"),
        ("people", "people"),
    ],
)
def test_a_term_means_a_kind(term: str, kind: str) -> None:
    """Words decide what a term brings, the last one first."""
    assert kind_of(term) == kind


def test_every_word_names_a_kind_that_is_drawn() -> None:
    """No word leads to a kind without a painter, and an unknown term means some kind."""
    assert set(WORDS.values()) <= set(KINDS)
    assert kind_of("flurbled gnarx") in KINDS


def test_some_results_are_off_topic(site: Site) -> None:
    """A few of a term's pictures show something else, and the truth says so."""
    kinds = [offer.picture.kind for term in (TERM, "pizza", "margherita") for offer in site.truth.offers(term, "bing")]
    assert 0 < sum(kind != "pizza" for kind in kinds) < 0.12 * len(kinds)


def test_score_tells_recall_junk_and_duplicates(site: Site) -> None:
    """A folder with every second picture, one junk file and one picture twice is scored so."""
    good = {offer.picture.id: offer.full for offer in site.truth.offers(TERM, "google") if offer.full.valid}
    kept = list(good.values())[::2]
    files = [(hashlib.sha256(fetched(address)[1]).hexdigest(), address.url) for address in kept]
    again = site.truth.by_url(kept[0].url.replace("&hop=1", ""))
    assert again is not None
    files += [files[0], ("0" * 64, site.url + "/google/decor/logo.png")]
    score = site.truth.score([TERM], files)
    assert (score.kept, score.junk, score.duplicates, score.found) == (len(kept) + 2, 1, 1, len(kept))
    assert score.recall == len(kept) / len(site.truth.pictures(TERM))
    assert score.full_share == 1


def test_google_page_names_no_link_before_it_is_pointed_at(site: Site) -> None:
    """The served tiles carry the hosting page and a placeholder, and no address of a picture."""
    page = HTMLParser(requests.get(f"{site.url}/google/search", {"q": TERM, "udm": "2"}, timeout=30).text)
    tiles = page.css("div#search div[data-lpage][data-docid]")
    offers = site.truth.offers(TERM, "google")
    assert [tile.attributes["data-lpage"] for tile in tiles] == [offer.page for offer in offers[: len(tiles)]]
    assert all(
        (tile.css_first("img[id^=dimg_]").attributes["src"] or "").startswith("data:image/gif") for tile in tiles
    )
    assert not page.css("a[href*=imgurl]")


def test_google_takes_the_older_parameter_too(site: Site) -> None:
    """udm=2 and tbm=isch give the same grid; without either there are no images."""
    pages = [
        requests.get(f"{site.url}/google/search", {"q": TERM, **more}, timeout=30).text
        for more in ({"udm": "2"}, {"tbm": "isch"}, {})
    ]
    counts = [len(HTMLParser(page).css("[data-docid]")) for page in pages]
    assert counts[0] == counts[1] > 0
    assert counts[2] == 0


def test_bing_without_a_browser_gives_all_its_results(site: Site) -> None:
    """Following the next address that the page names ends with every result, in order, its JSON intact."""
    found, address = [], f"/images/async?q={TERM.replace(' ', '+')}&first=1&count=15"
    while address:
        page = HTMLParser(requests.get(f"{site.url}/bing{address}", timeout=30).text)
        found += [json.loads(tile.attributes["m"]) for tile in page.css("a.iusc[m]")]
        address = page.css_first("ul.dgControl_list").attributes["data-next"]
    offers = site.truth.offers(TERM, "bing")
    assert [one["murl"] for one in found] == [offer.full.url for offer in offers]
    assert [one["purl"] for one in found] == [offer.page for offer in offers]
    beyond = f"{site.url}/bing/images/async?q={TERM}&first={len(offers) + 1}&count=35"
    assert requests.get(beyond, timeout=30).text == ""


def test_yahoo_serves_its_tiles_by_offset(site: Site) -> None:
    """The page at an offset carries the tiles from there; beyond the end there are none; `q` is no parameter."""

    def tiles(**query: object) -> list[str | None]:
        page = HTMLParser(requests.get(f"{site.url}/yahoo/search/images", query, timeout=30).text)
        return [tile.attributes["data-origurl"] for tile in page.css("ul.image-results__list li.tile > a.media-tile")]

    urls = [offer.full.url for offer in site.truth.offers(TERM, "yahoo")]
    assert tiles(p=TERM, b=1) == urls
    assert tiles(p=TERM, b=11) == urls[10:]
    assert tiles(p=TERM, b=len(urls) + 1) == []
    assert tiles(q=TERM) == []


def test_a_word_that_nobody_knows_has_no_results(site: Site) -> None:
    """The made-up word brings each engine's page without results, and the truth expects none."""
    for path in ("google/search?udm=2&q=", "bing/images/search?q=", "yahoo/search/images?p="):
        page = requests.get(f"{site.url}/{path}{NOTHING}", timeout=30).text
        assert "did" in page or "no results" in page
        assert "imgurl" not in page
    assert site.truth.pictures(NOTHING) == set()


def test_the_log_names_every_request(site: Site) -> None:
    """A request is logged with its host, path, status, user agent and referer."""
    address = site.truth.addresses("soup")[0]
    requests.get(
        address.url, timeout=30, headers={"Referer": "http://here/", "User-Agent": "me"}, allow_redirects=False
    )
    line = site.log[-1]
    assert (line.host, address.url.endswith(line.path)) == (address.url.split("/")[2], True)
    assert (line.user_agent, line.referer) == ("me", "http://here/")
    assert time.time() - line.time < 30


def test_picture_hosts_are_many(site: Site) -> None:
    """The full-size addresses of a term are spread over more than twenty origins."""
    hosts = {address.url.split("/")[2] for address in site.truth.addresses(TERM) if address.kind == "full"}
    assert len(hosts) > 20


def test_leaving_the_site_lets_go_who_waits_and_frees_the_port() -> None:
    """A visitor who waits on a silent host is let go when the site ends, and the ports can be taken again."""
    with ThreadPoolExecutor(1) as pool, ExitStack() as opened:
        site = opened.enter_context(Site(seed=3, results=100))
        silent = next(a for term in ("pizza", "car") for a in site.truth.addresses(term) if a.behaviour == "timeout")
        waiting = pool.submit(requests.get, silent.url, timeout=50)
        while not site.log:
            time.sleep(0.01)
        begun = time.monotonic()
        opened.close()
        assert isinstance(waiting.exception(), requests.ConnectionError)
        assert time.monotonic() - begun < 5
    with pytest.raises(requests.ConnectionError):
        requests.get(site.url, timeout=5)


def test_a_port_of_ones_own_gives_the_same_addresses_again() -> None:
    """On a named port the engines and every picture have the same addresses at each start."""
    for port in range(18_000, 30_000, 500):
        with suppress(TrayError), Site(port=port, results=10) as site:
            break
    else:
        pytest.skip("no row of free ports")
    with Site(port=port, results=10) as again:
        assert again.url == site.url == f"http://127.0.0.1:{port}"
        assert again.truth.addresses(TERM) == site.truth.addresses(TERM)


def test_a_taken_port_is_said_in_one_sentence(site: Site) -> None:
    """Starting a second site on the same port names the port and what to do."""
    taken = int(site.url.rpartition(":")[2])
    with pytest.raises(TrayError, match=f"port {taken} is not free"), Site(port=taken):
        pass


def test_an_unknown_scenario_names_those_there_are() -> None:
    """A scenario that does not exist is refused with the list of those that do."""
    with pytest.raises(TrayError, match="realistic"):
        Site(scenario="calm")


def test_the_clean_scenario_is_clean() -> None:
    """In the clean scenario every address works and nothing is what it does not say."""
    assert SCENARIOS["clean"].failing == 0
    with Site(scenario="clean", results=60) as site:
        addresses = site.truth.addresses(TERM)
        offers = site.truth.offers(TERM, "google")
    assert {address.behaviour for address in addresses} == {"ok"}
    assert len({offer.picture.id for offer in offers}) == len(offers)


def test_a_folder_keeps_what_was_drawn(tmp_path) -> None:
    """With a folder given, a second site serves the same bytes and draws nothing again."""
    bodies = []
    for _ in range(2):
        with Site(seed=8, results=6, cache=tmp_path) as site:
            address = next(a for a in site.truth.addresses("car") if a.valid and a.kind == "full")
            bodies.append(fetched(address)[1])
        kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        if len(bodies) == 1:
            before = kept
    assert bodies[0] == bodies[1]
    assert before == kept
