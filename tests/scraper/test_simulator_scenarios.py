"""Each named scenario of the built-in site does what its name says."""

import hashlib
import io
import re
import ssl
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from PIL import Image
from selectolax.lexbor import LexborHTMLParser

from scraper.simulator import ENGINES, SCENARIOS, Address, Site
from scraper.simulator.filters import Filters, asked, suits

TERM = "cheese pizza"
PAGES = {
    "google": "google/search?udm=2&hl=en&q=cheese+pizza",
    "bing": "bing/images/search?q=cheese+pizza",
    "yahoo": "yahoo/search/images?b=1&p=cheese+pizza",
}
HEADLESS = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/156.0.0.0"}


def get(url: str, **headers: str) -> requests.Response:
    """Return the answer at an address."""
    return requests.get(url, headers=headers, timeout=30)


def page(site: Site, engine: str, **headers: str) -> requests.Response:
    """Return an engine's page for the term."""
    return get(f"{site.url}/{PAGES[engine]}", **headers)


def one_each(site: Site) -> Mapping[str, Address]:
    """Return one full-size address for each behaviour that a few terms meet."""
    terms = (TERM, "pizza", "car", "soup", "quiche")
    return {a.behaviour: a for term in terms for a in site.truth.addresses(term) if a.kind == "full"}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which sites keep what they drew for each other."""
    return tmp_path_factory.mktemp("drawn")


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_serves_or_refuses(name: str, drawn: Path) -> None:
    """No scenario breaks the site itself: each engine answers with a page, a batch or a refusal."""
    with Site(scenario=replace(SCENARIOS[name], hold=0.1, late=0), results=4, cache=drawn) as site:
        for engine in ENGINES:
            assert page(site, engine).status_code in {200, 429, 500, 999}, engine


@pytest.mark.parametrize(
    ("name", "marks"),
    [
        ("older", ("#rso h3 a g-img img", "a.iusc[href*=mediaurl]", "ul#sres li.ld[data]")),
        ("oldest", ("#islrg div[data-ri] img.rg_i", "a.iusc[href*=mediaurl]", "#sres li > a[href*='imgurl=']")),
        ("hovered", ("div[data-lpage][data-docid]:not(:has([id^=dimg]))", "a.iusc[m]", "a.media-tile[data-origurl]")),
        ("inline", ("div.ivg-i[data-docid][data-lpage]", "a.iusc[m]", "a.media-tile[data-origurl]")),
        ("clicked-older", (".H8Rx8c g-img.mNsIhb img.YQ4gaf", "a.iusc[m]", "a.media-tile[data-origurl]")),
        ("clicked", ("div[jsname=dTDiAc] > div[jsname=qQjpJ] img", "a.iusc[m]", "a.media-tile[data-origurl]")),
    ],
)
def test_older_pages_are_built_as_they_were(name: str, marks: tuple[str, str, str]) -> None:
    """The layouts of before carry the marks by which programs of their time knew them."""
    with Site(scenario=name, results=10) as site:
        for engine, mark in zip(ENGINES, marks, strict=True):
            found = LexborHTMLParser(page(site, engine).text).css(mark)
            assert len(found) == len(site.truth.offers(TERM, engine)), engine


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name.startswith("drift")])
def test_drift_changes_every_name(name: str) -> None:
    """No class, id or jsname of the plain page is left, on any engine; addresses and data stay."""
    before_drift = replace(SCENARIOS[name], renamed=False)
    with Site(scenario=before_drift, results=10) as plain, Site(scenario=name, results=10) as drifted:
        for engine in ENGINES:
            before, after = (LexborHTMLParser(page(site, engine).text) for site in (plain, drifted))
            assert names(before)
            assert not names(before) & names(after) - {"cbtn"}, engine
            assert len(after.css("img")) == len(before.css("img"))


def names(tree: LexborHTMLParser) -> set[str]:
    """Return all class names, ids and jsnames of a page, the ids of single pictures aside."""
    found = {word for node in tree.css("[class]") for word in (node.attributes["class"] or "").split()}
    found |= {node.attributes[key] or "" for key in ("id", "jsname") for node in tree.css(f"[{key}]")}
    return {name for name in found if not name.startswith("dimg_")}


def test_google_and_yahoo_refuse_a_headless_browser() -> None:
    """One that says that it is headless gets Google's puzzle and Yahoo's 500; Bing and a plain browser are served."""
    with Site(scenario="headless-blocked", results=8) as site:
        google = page(site, "google", **HEADLESS)
        assert (google.status_code, "/sorry/" in google.url) == (429, True)
        assert "unusual traffic" in google.text
        assert page(site, "yahoo", **HEADLESS).status_code == 500
        assert page(site, "bing", **HEADLESS).status_code == 200
        assert [page(site, engine).status_code for engine in ENGINES] == [200, 200, 200]


def test_a_blocked_engine_says_so_in_its_own_way() -> None:
    """Google shows its puzzle with 429, Bing its challenge, Yahoo 999; none says that one may come back."""
    with Site(scenario="blocked", results=8) as site:
        answers = {engine: page(site, engine) for engine in ENGINES}
    assert {engine: answer.status_code for engine, answer in answers.items()} == {
        "google": 429, "bing": 200, "yahoo": 999,
    }  # fmt: skip
    assert "/turing/captcha" in answers["bing"].url
    assert not any("Retry-After" in answer.headers for answer in answers.values())


def test_throttling_slows_then_thins_then_refuses_then_lifts() -> None:
    """More pages than an engine bears come late, then without addresses, then not; after a while all is well again."""
    scenario = replace(SCENARIOS["throttled"], throttle=8, lifts=1.5)
    with Site(scenario=scenario, results=80) as site:
        batch = f"{site.url}/bing/images/async?q={TERM}&first=36&count=35"
        full = [get(batch) for _ in range(8)]
        assert all(answer.elapsed.total_seconds() < 1.5 and "/photos/" in answer.text for answer in full)
        slow = get(batch)
        assert slow.elapsed.total_seconds() >= 1.5
        thin = get(batch)
        assert "/th/id/OIP" in thin.text
        assert not any(word in thin.text for word in ("/photos/", "/cdn/", "/wp-content/"))
        begun = time.monotonic()
        while "/turing/" not in (refused := get(batch)).url:
            assert time.monotonic() - begun < 20
        assert int(refused.headers["Retry-After"]) > 0
        assert page(site, "yahoo").status_code == 200
        onward = refused.url
        while "/turing/" in (again := get(onward)).url:
            assert time.monotonic() - begun < 20
            time.sleep(0.1)
        assert again.status_code == 200
        assert "/photos/" in again.text
        assert site.gate.refusals("bing") == 1


def test_consent_pages_end_with_a_cookie() -> None:
    """Google and Yahoo lead to their consent pages; rejecting there leads back to the results, for good."""
    with Site(scenario="consent", results=8) as site, requests.Session() as visitor:
        for engine, host in (("google", "consent.google.com"), ("yahoo", "consent.yahoo.com")):
            asked = visitor.get(f"{site.url}/{PAGES[engine]}", timeout=30)
            assert host in asked.url
            form = LexborHTMLParser(asked.text).css_first("form")
            fields = {field.attributes["name"]: field.attributes["value"] for field in form.css("input")}
            if engine == "yahoo":
                fields["reject"] = "reject"
            back = visitor.post(str(form.attributes["action"]), fields, timeout=30)
            assert back.url.endswith(PAGES[engine].partition("?")[2])
            assert LexborHTMLParser(back.text).css("[data-ved], [data-pos]")
            assert visitor.get(f"{site.url}/{PAGES[engine]}", timeout=30).history == []
        assert any("set_eom=true" in line.path for line in site.log)
        assert any("reject=reject" in line.path for line in site.log)


def test_consent_speaks_german() -> None:
    """In the German scenario no button holds an English word."""
    with Site(scenario="consent-german", results=8) as site:
        buttons = LexborHTMLParser(page(site, "google").text).css("button")
    assert [button.text().strip() for button in buttons] == ["Alle ablehnen", "Alle akzeptieren"]


def test_bing_repeats_itself_past_its_end() -> None:
    """Past the last result the batches start over and always name a next one; another page load has another end."""
    with Site(scenario="repeats", results=40) as site:
        seen: list[str] = []
        address = "/images/async?q=cheese+pizza&first=1&count=35&SFX=30"
        for _ in range(4):
            tree = LexborHTMLParser(get(f"{site.url}/bing{address}").text)
            seen += [str(tile.attributes["m"]) for tile in tree.css("a.iusc[m]")]
            address = str(tree.css_first("ul").attributes["data-next"])
        assert len(set(seen)) == 30
        assert len(seen) > 60
        ends = {page(site, "bing").text.partition("SFX=")[2][:3] for _ in range(12)}
        assert len(ends) > 1


def test_yahoo_hiccups_once() -> None:
    """The first answer is an empty 500, the next is the page."""
    with Site(scenario="hiccup", results=8) as site:
        first, second = page(site, "yahoo"), page(site, "yahoo")
    assert (first.status_code, first.text, second.status_code) == (500, "", 200)


def test_batches_fail_once_or_never_come() -> None:
    """A flaky site answers 503 to a batch's first request; a stuck one keeps silent."""
    for name, wanted in (("flaky", [503, 200]), ("stuck", [0, 0])):
        with Site(scenario=replace(SCENARIOS[name], hold=0.2), results=80) as site:
            batch = f"{site.url}/google/search?q={TERM}&udm=2&async=1&start=50"
            assert [status(batch), status(batch)] == wanted


def status(url: str) -> int:
    """Return the status of an answer, 0 where none comes."""
    try:
        return get(url).status_code
    except requests.ConnectionError:
        return 0


@pytest.fixture(scope="module")
def hosts() -> Iterator[Site]:
    """Return the site whose picture hosts answer in every odd way."""
    with Site(scenario="hosts", results=60) as site:
        yield site


@pytest.mark.parametrize("behaviour", SCENARIOS["hosts"].failures)
def test_hosts_answer_as_declared(hosts: Site, behaviour: str) -> None:
    """A polite visitor who follows, waits and says where it comes from gets what the truth says is to be had."""
    address = one_each(hosts)[behaviour]
    polite = {"User-Agent": "tray", "Referer": hosts.url}
    try:
        answer = get(address.url, **polite)
        if answer.status_code in (429, 503):
            assert answer.headers["Retry-After"] == "1"
            answer = get(address.url, **polite)
    except (requests.TooManyRedirects, requests.ConnectionError):
        assert behaviour in ("loop", "private")
        return
    picture = hosts.truth.identify(answer.content) if answer.status_code == 200 else None
    assert (picture == address.picture) == address.valid
    if behaviour == "referer":
        assert get(address.url).status_code == 403


@pytest.mark.parametrize("behaviour", SCENARIOS["types"].failures)
def test_types_are_what_they_are(behaviour: str) -> None:
    """The rarer formats decode to the picture; what is none is unknown to the truth."""
    with Site(scenario="types", results=40) as site:
        address = one_each(site)[behaviour]
        body = get(address.url).content
        assert (site.truth.by_sha256.get(hashlib.sha256(body).hexdigest()) is not None) == address.valid
        if address.valid:
            with Image.open(io.BytesIO(body)) as image:
                image.load()
                turned = image.getexif().get(0x0112) == 6
                assert image.size[:: -1 if turned else 1] == (address.width, address.height)
                assert turned == (behaviour == "rotated")


@pytest.mark.parametrize("behaviour", ["short", "unended", "reset", "truncated", "stall", "timeout", "huge", "endless"])
def test_bodies_do_not_come_whole(behaviour: str) -> None:
    """No broken-off, stalled or endless body is a picture of the site, however long one reads."""
    with Site(scenario=replace(SCENARIOS["bodies"], hold=0.3), results=40) as site:
        address = one_each(site)[behaviour]
        body = b""
        try:
            with requests.get(address.url, timeout=5, stream=True) as answer:
                for piece in answer.iter_content(2**16):
                    body += piece
                    if len(body) > 2**21:
                        break
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            assert behaviour in ("short", "unended", "reset", "stall", "timeout")
        assert site.truth.identify(body) is None
        assert (len(body) > 2**21) == (behaviour in ("huge", "endless"))


def test_opt_outs_are_said_in_headers_and_robots() -> None:
    """Each way to opt out is there to be read, and the truth counts none of these pictures as to be had."""
    with Site(scenario="opt-outs", results=40) as site:
        found = one_each(site)
        assert get(found["noai"].url).headers["X-Robots-Tag"] == "noai"
        assert get(found["noai-agent"].url).headers["X-Robots-Tag"].startswith("tray:")
        assert get(found["train-ai"].url).headers["Content-Usage"] == "train-ai=n"
        assert "/private/" in found["robots"].url
        host = "/".join(found["robots"].url.split("/")[:3])
        assert "Disallow: /private/" in get(f"{host}/robots.txt").text
        assert not any(found[name].valid for name in ("noai", "noimageai", "noai-agent", "train-ai", "robots"))


def test_odd_addresses_lead_where_the_truth_says() -> None:
    """What a careful program makes of an oddly written address brings the picture, unless it leads nowhere."""
    met = Counter()
    with Site(scenario="odd-addresses", results=50) as site:
        for address in site.truth.addresses(TERM):
            url = address.url
            if address.kind != "full" or not address.valid:
                continue
            if url.startswith("http%3A"):
                url = requests.utils.unquote(url)
            url = f"http:{url}" if url.startswith("//") else url
            assert site.truth.by_url(url).picture == address.picture
            answer = get(url)
            assert site.truth.identify(answer.content) == address.picture, address
            met[address.url == url] += 1
    assert min(met.values()) > 5


def test_near_duplicates_share_their_group() -> None:
    """In that scenario some pictures are others' edits: other bytes, same group."""
    with Site(scenario="near-duplicates", results=60) as site:
        pictures = {offer.picture for engine in ENGINES for offer in site.truth.offers(TERM, engine)}
    edits = [picture for picture in pictures if picture.edit]
    assert 0.08 < len(edits) / len(pictures) < 0.35
    assert {picture.edit for picture in edits} == {"mirrored", "cropped", "brighter", "framed"}
    assert all(picture.group != picture.id for picture in edits)
    assert len({picture.group for picture in pictures}) < len(pictures)


def test_a_prudish_engine_holds_back() -> None:
    """With safe search on some results are missing, in the truth too; without it all are there."""
    with Site(scenario="prudish", results=24) as site:
        for engine, strict in (("google", "&safe=active"), ("bing", "&adlt=strict"), ("yahoo", "&vm=r")):
            marks = "[data-ved], a.iusc[m], [data-pos]"
            shown, every = (
                len(LexborHTMLParser(get(f"{site.url}/{PAGES[engine]}{more}").text).css(marks)) for more in (strict, "")
            )
            assert shown == min(len(site.truth.offers(TERM, engine)), every) < every


def test_hosts_take_their_time_for_robots_txt() -> None:
    """In turn they answer at once, have none, and answer late."""
    with Site(scenario=replace(SCENARIOS["slow-robots"], robots=(0.0, -1.0, 0.4)), results=4) as site:
        answers = [get(f"{host}/robots.txt") for host in site.world.catalogue.hosts[:3]]
    assert [answer.status_code for answer in answers] == [200, 404, 200]
    assert answers[2].elapsed.total_seconds() >= 0.4


def test_a_certificate_can_be_out_of_date() -> None:
    """One host can be spoken to only by who does not look at its certificate, which ran out."""
    with Site(scenario="odd-addresses", results=60) as site:
        address = next(one for one in site.truth.addresses(TERM) if one.url.startswith(site.world.catalogue.expired))
        port = int(address.url.split(":")[2].partition("/")[0])
        pem = ssl.get_server_certificate(("127.0.0.1", port))
        with pytest.raises(requests.exceptions.SSLError):
            get(address.url)
    assert not address.valid
    # The end of its days, as the certificate itself writes it.
    assert b"200102000000Z" in ssl.PEM_cert_to_DER_cert(pem)


def test_the_table_of_behaviours_names_what_there_is() -> None:
    """Each of the 33 behaviours has scenarios and tests that exist, and every scenario plays one of them."""
    root = Path(__file__).parents[2]
    rows = [line for line in (root / "docs" / "simulator.md").read_text(encoding="utf-8").splitlines() if "| `" in line]
    tests = set(
        re.findall(r"def (test_\w+)", "".join(path.read_text(encoding="utf-8") for path in root.glob("tests/**/*.py")))
    )
    named = [re.findall(r"`([\w-]+)`", row) for row in rows]
    scenarios = {name for row in named for name in row if not name.startswith("test_")}

    assert [int(row.split("|")[1]) for row in rows] == list(range(1, 34))
    assert scenarios == set(SCENARIOS)
    assert {name for row in named for name in row} - scenarios <= tests


def test_latency_is_waited_for() -> None:
    """Where hosts are slow, a picture takes as long as the scenario says, more or less."""
    with Site(scenario=replace(SCENARIOS["clean"], latency=0.3), results=10) as site:
        waits = [get(address.url).elapsed.total_seconds() for address in site.truth.addresses(TERM)[:5]]
    assert 0.1 < sorted(waits)[2] < 10


FILTERS = [
    ("google", {"tbs": "isz:l"}, Filters(size="large")),
    ("google", {"tbs": "ic:specific,isc:red,itp:photo"}, Filters(colour="red", type="photo")),
    ("google", {"tbs": "isz:ex,iszw:640,iszh:480,il:cl,qdr:y"}, Filters(exact=(640, 480), licence=True, days=366)),
    ("google", {"imgar": "t"}, Filters(aspect="tall")),
    ("bing", {"qft": "+filterui:imagesize-medium+filterui:aspect-wide"}, Filters(size="medium", aspect="wide")),
    ("bing", {"qft": "filterui:color2-FGcls_GREEN+filterui:license-L2_L3"}, Filters(colour="green", licence=True)),
    ("bing", {"qft": "+filterui:imagesize-custom_800_600"}, Filters(exact=(800, 600))),
    ("bing", {"qft": "+filterui:age-lt10080"}, Filters(days=7)),
    ("yahoo", {"imgsz": "small", "imga": "square"}, Filters(size="small", aspect="square")),
    ("yahoo", {"imgc": "blue", "imgl": "pd", "imgt": "month"}, Filters(colour="blue", licence=True, days=31)),
    ("yahoo", {"imgty": "clipart"}, Filters(type="clipart")),
]


@pytest.mark.parametrize(("engine", "query", "filters"), FILTERS)
def test_filters_are_understood(engine: str, query: dict[str, str], filters: Filters) -> None:
    """Each engine's own parameters mean what they mean there."""
    assert asked(engine, query) == filters


@pytest.mark.parametrize(
    ("engine", "query"),
    [
        ("google", {"tbs": "isz:l,ic:specific,isc:red"}),
        ("bing", {"qft": "+filterui:imagesize-large"}),
        ("yahoo", {"imga": "tall"}),
    ],
)
def test_filtered_results_obey(engine: str, query: dict[str, str]) -> None:
    """What a page shows under a filter is of that kind, and holds pictures that the plain search did not show."""
    with Site(scenario="clean", results=60) as site:
        filters = asked(engine, query)
        offers = site.truth.offers(TERM, engine, filters)
        tree = LexborHTMLParser(requests.get(f"{site.url}/{PAGES[engine]}", query, timeout=30).text)
        shown = len(tree.css("[data-ved], a.iusc[m], [data-pos]"))
        plain = {offer.picture.id for offer in site.truth.offers(TERM, engine)}
        for offer in offers:
            assert suits(filters, offer.full.width, offer.full.height, site.truth.labels(offer.picture.id))
    assert 0 < shown <= len(offers)
    assert {offer.picture.id for offer in offers} - plain


def test_a_misspelt_word_is_asked_about() -> None:
    """Each engine offers the word that was meant, and shows its results."""
    with Site(results=8) as site:
        for path in ("google/search?udm=2&q=piza", "bing/images/search?q=piza", "yahoo/search/images?p=piza"):
            text = get(f"{site.url}/{path}").text
            assert ">pizza<" in text.replace("<b>", "")
        assert {site.truth.picture(name).kind for name in site.truth.pictures("piza")} >= {"pizza"}
