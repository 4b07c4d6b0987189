"""The three search engines as values: where to search, what a result looks like, and how to read one.

A value of a result is named by a finder, one short string: ``[css]@attribute``, then ``{key}`` of the JSON in it or
``?parameter`` of the address in it. ``a.iusc@m{murl}`` is the key ``murl`` of the JSON in the attribute ``m`` of
``a.iusc``; ``@data-lpage`` is an attribute of the tile itself; ``h3@text`` is text. The first finder that finds wins.

A marker says what kind of page it is: a CSS selector of something visible, ``text:...`` in the page's text (case
does not matter), ``url:...`` in its address, or ``status:...`` of its answer.
"""

import html as entities
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qs, quote, quote_plus, unquote, urljoin, urlsplit, urlunsplit

from selectolax.lexbor import LexborHTMLParser, LexborNode

from dataset.errors import ConfigError
from dataset.folder import Kind

Inquiry = tuple[str, str, str]
"""One search: name of the engine, term, and filters in words."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One search engine: data, not a subclass. Every tuple has the newest first."""

    name: str
    index: str
    """Whose index answers; engines that share one find much the same."""
    url: str
    """Address of a result page, with ``{q}`` for the quoted term."""
    tile: tuple[str, ...]
    """Selectors of one result; of nested matches the outermost counts."""
    checked: tuple[str, ...]
    """When each selector of ``tile`` was last seen in use, as year and month."""
    full: tuple[str, ...]
    cached: tuple[str, ...] = ()
    """The engine's own copy in full size."""
    thumbnail: tuple[str, ...] = ("img@src", "img@data-src")
    page: tuple[str, ...] = ()
    """Address of the page that hosts the picture."""
    title: tuple[str, ...] = ("img@alt",)
    width: tuple[str, ...] = ()
    height: tuple[str, ...] = ()
    reveal: str = ""
    """Selector of the link that comes into a tile only when the mouse is over it."""
    panel: tuple[str, ...] = ()
    """Pictures in full size that a click on a tile opens, on pages where the mouse alone brings nothing."""
    inline: str = ""
    """What the page's scripts say of a tile, as a regular expression: its ``data-docid``, address, height, width."""
    offset: str = ""
    """Parameter of the address with the number of a page's first result, for pages that bring no more by themselves."""
    consent: tuple[str, ...] = ()
    """Buttons that refuse cookies, then those that merely close the question."""
    more: tuple[str, ...] = ()
    """Buttons that bring further results."""
    end: tuple[str, ...] = ()
    """Markers of the end of results."""
    none: tuple[str, ...] = ()
    """Markers of a page that says that there are no results."""
    blocked: tuple[str, ...] = ()
    """Markers of a captcha or a refusal."""
    wall: tuple[str, ...] = ()
    """Markers of a consent page in place of results."""
    headless: bool = False
    """Whether it answers a browser that says that it is headless."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One result: the addresses of one picture, best first, and what the engine says about it."""

    urls: tuple[str, ...]
    kinds: tuple[Kind, ...]
    """What each address promises: full, cached or thumbnail."""
    engine: str
    term: str
    rank: int
    page: str = ""
    title: str = ""
    width: int = 0
    height: int = 0
    filters: str = ""
    """What the search asked for beside its term, in the words of scraper.filters."""

    @property
    def search(self) -> Inquiry:
        """The search that found it."""
        return self.engine, self.term, self.filters


MARK: Final = "data-full"
"""What the browser's reader writes into a tile whose full size it found elsewhere on the page."""
REFUSAL: Final = "[data-refusal]"
"""The button that look.js marks as the one which refuses, by its names or by its words in any of REFUSING."""
REFUSING: Final = re.compile(
    # Names in the page's code, and English.
    r"reject|declin|refus(e|al)|\bdeny|opt-?out|without accepting|(only|just) (the )?(necessary|essential|required)"
    r"|(necessary|essential)s? only"
    # German, French, Spanish, Catalan, Italian, Portuguese, Romanian.
    r"|ablehn|verweiger|ohne (zustimmung|einwilligung)|nur (notwendig|erforderlich|essenziell)"
    r"|refuser|sans accepter|rechaz|rebutj|sin aceptar|s[oó]lo (las )?(necesari|esencial)"
    r"|rifiut|senza accettare|solo (i )?(necessari|essenzial)|rejeit|recus|sem aceitar|respinge"
    # Dutch, Swedish, Danish, Norwegian, Finnish.
    r"|weiger|afwijz|zonder te accepteren|alleen (noodzakelijk|essenti)|avvisa?|\bneka|afvis|avsl[åa]|hylk[äa]"
    # Polish, Czech, Slovak, Slovene, Croatian, Hungarian, Lithuanian, Latvian, Estonian.
    r"|odrzu[ćc]|tylko niezb[ęe]dne|odm[íi]tn|odmietn|zavrn|odbij|elutas|atmesti|noraid[īi]t|keeldu"
    # Greek, Bulgarian, Russian, Ukrainian, Turkish, Arabic, Hebrew, Chinese, Japanese, Korean.
    r"|απόρριψη|απορριψη|отхвърл|отклон|відхил|reddet|رفض|דחה|דחייה|拒绝|拒絕|拒否|거부"
)
"""What a button that refuses is called, in small letters; for Python and JavaScript alike."""
MORE: Final = "[data-more]"
"""The button that look.js marks as the one which brings more: by its words in any of MORE_WORDS, or by its place."""
MORE_WORDS: Final = re.compile(
    # Names in the page's code, and English.
    r"(show|see|load|view|get)[ _-]?more|more[ _-]?(res|images|pictures|photos)|^more$"
    # German, French, Spanish, Catalan, Italian, Portuguese, Romanian.
    r"|mehr (anzeigen|laden|sehen|bilder|ergebnisse)|weitere (bilder|ergebnisse)"
    r"|(voir|afficher|charger) plus|plus (de r[ée]sultats|d.images)|(ver|mostrar|cargar) m[áa]s"
    r"|m[áa]s (resultados|im[áa]genes)|m[ée]s (resultats|imatges)|(mostra|mostra.n|carrega) m[ée]s"
    r"|(mostra|carica|vedi|visualizza) (altr|di pi[ùu])|altr[ie] (risultati|immagini)"
    r"|(ver|mostrar|carregar|exibir) mais|mais (resultados|imagens)|mai multe (rezultate|imagini)"
    # Dutch, Swedish, Danish, Norwegian, Finnish.
    r"|meer (laden|weergeven|tonen|bekijken|resultaten|afbeeldingen)|(laad|toon|bekijk) meer"
    r"|(visa|ladda|hämta|vis|indlæs|hent|last inn|se) (fler|mer)|flere? (bilder|billeder|result)"
    r"|(näytä|lataa|katso) lisää|lisää (kuvia|tuloksia)"
    # Polish, Czech, Slovak, Slovene, Croatian, Hungarian, Lithuanian, Latvian, Estonian.
    r"|(pokaż|zobacz|wyświetl|załaduj|wczytaj) więcej|więcej (wyników|obrazów|grafik|zdjęć)"
    r"|(zobrazit|načíst|ukázat) (další|více)|další (výsledky|obrázky)|více (výsledků|obrázků)"
    r"|(zobraziť|načítať) (ďalšie|viac)|ďalšie (výsledky|obrázky)|(pokaži|prikaži|naloži) več|več (rezultatov|slik)"
    r"|(prikaži|učitaj|pogledaj) (više|još)|više (rezultata|slika)"
    r"|további (találat|kép)|több (találat|kép|megjelen|betölt)"
    r"|(rodyti|įkelti) daugiau|daugiau (rezultatų|vaizdų)|(rādīt|ielādēt|skatīt) vairāk|vairāk (rezultātu|attēlu)"
    r"|(kuva|näita|laadi|vaata) (rohkem|veel)|rohkem (tulemusi|pilte)"
    # Greek, Bulgarian, Russian, Ukrainian, Turkish, Arabic, Hebrew, Chinese, Japanese, Korean.
    r"|(εμφάνιση|προβολή|φόρτωση|δείτε) περισσότερ|περισσότερ(ες εικόνες|ων εικόνων)"
    r"|(покажи|зареди|виж) (още|повече)|още (резултати|изображения)"
    r"|(показать|загрузить|смотреть) (ещё|еще|больше)|(ещё|еще|больше) (результат|картин|изображен)"
    r"|(показати|завантажити) (ще|більше)|(ще|більше) (результат|зображен)"
    r"|daha fazla (göster|gör|yükle|sonuç|görsel|resim)"
    r"|(عرض|تحميل) المزيد|مزيد من (النتائج|الصور)|הצג עוד|עוד (תוצאות|תמונות)"
    r"|(显示|顯示|查看|加载|載入)更多|更多(结果|結果|图片|圖片)|もっと(見る|表示)|さらに(表示|見る)|더 ?보기|결과 더"
)
"""What a button that brings more results is called, in small letters; for Python and JavaScript alike."""

GOOGLE: Final = Engine(
    name="google",
    index="google",
    url="https://www.google.com/search?q={q}&udm=2&hl=en",
    tile=(
        "a:has(> img[id^='dimg_']), a:has(g-img img[id^='dimg_'])",
        "div[data-lpage][data-docid]",
        "#rso a:has(g-img)",
        "div.ivg-i[data-docid]",
        "div[jsname='dTDiAc']:has(img)",
        "div.H8Rx8c, g-img.mNsIhb",
        "#islrg div[data-ri]:has(img), .islib:has(img)",
    ),
    checked=("2026-09", "2025-11", "2025-02", "2025-01", "2024-04", "2023-11", "2020-10"),
    full=("a[href*='imgres']@href?imgurl", f"@{MARK}"),
    thumbnail=("img@src", "img@data-src", "img@data-iurl"),
    page=("a[href*='imgres']@href?imgrefurl", "@data-lpage", "[data-lpage]@data-lpage"),
    title=("h3@text", "img@alt"),
    width=("a[href*='imgres']@href?w", f"@{MARK}-width"),
    height=("a[href*='imgres']@href?h", f"@{MARK}-height"),
    reveal="a[href*='imgres?']",
    panel=("img.iPVvYb", "div[jsname='figiqf'] img", "img.r48jcc", "img.n3VNCb"),
    inline=r'\[0,"([^"]+)",\["[^"]+",\d+,\d+\],\["([^"]+)",(\d+),(\d+)\]',
    consent=(
        "#W0wltc",
        "form[action*='consent'] input[name='set_eom'][value='true'] ~ button",
        REFUSAL,
        "form[action*='consent'] button",
        "form[action*='consent'] input[type='submit']",
    ),
    more=("input[type='button'][value*='more' i]", "input.mye4qd", "a[aria-label='More results']", MORE),
    end=("text:you've reached the end", "text:looks like you've reached the end"),
    none=("text:did not match any image results", "text:did not match any documents", "text:no results found for"),
    blocked=("url:/sorry/", "url:sorry.google", "status:429", "text:detected unusual traffic", "#recaptcha"),
    wall=("url:consent.google", "form[action*='consent'][action*='/save']"),
)

BING: Final = Engine(
    name="bing",
    index="bing",
    url="https://www.bing.com/images/search?q={q}&form=HDRSC2&first=1&setlang=en",
    tile=("a.iusc[m]", "a.iusc[href*='mediaurl=']"),
    checked=("2026-10", "2020-06"),
    full=("a@m{murl}", "a@href?mediaurl"),
    cached=("a@href?cdnurl",),
    thumbnail=("a@m{turl}", "img@src", "img@data-src"),
    page=("a@m{purl}",),
    title=("a@m{t}", "a@m{desc}", "img@alt"),
    width=("a@href?expw",),
    height=("a@href?exph",),
    consent=("#bnp_btn_reject", REFUSAL, "#bnp_btn_accept"),
    more=("a.btn_seemore", MORE),
    end=("text:no more results", "text:that's all the results", ".dgControl:not([data-nexturl])"),
    none=("text:there are no results for", "text:no results found for", ".no_results"),
    blocked=(
        "url:/turing/captcha",
        "url:/challenge",
        "status:429",
        "text:verify you are a human",
        "text:solve the challenge",
    ),
    headless=True,
)

YAHOO: Final = Engine(
    name="yahoo",
    index="bing",
    url="https://images.search.yahoo.com/search/images?p={q}&b=1&ei=UTF-8",
    tile=("li:has(> a[data-origurl]), a[data-origurl]", "li.ld[data]", "#sres li:has(a[href*='imgurl='])"),
    checked=("2026-09", "2026-08", "2025-06"),
    full=("a@data-origurl", "li@data{ourl}", "li@data{iurl}", "a@data-iurl", "a[href*='imgurl=']@href?imgurl"),
    thumbnail=("img@src", "img@data-src", "a@href?turl"),
    page=("a@data-referenceurl", "li@data{rurl}", "a[href*='imgurl=']@href?rurl"),
    title=(".tile-title@text", "li@data{tt}", "a[href*='imgurl=']@href?tt", "img@alt"),
    width=("img@data-meta{ow}", "li@data{w}", "a[href*='imgurl=']@href?w"),
    height=("img@data-meta{oh}", "li@data{h}", "a[href*='imgurl=']@href?h"),
    consent=("button[name='reject']", "button.reject-all", REFUSAL, "button[name='agree']"),
    more=("button[name='more-res']", MORE),
    offset="b",
    end=("text:no more results", "text:you've seen all"),
    none=("text:we did not find results for", "text:no results found", "text:did not find any image results"),
    blocked=("status:500", "status:999", "status:429"),
    wall=("url:guce.", "url:consent.yahoo", "url:/collectConsent", "url:/consent?"),
)

ENGINES: Final[Mapping[str, Engine]] = MappingProxyType({"google": GOOGLE, "bing": BING, "yahoo": YAHOO})

ORIGINS: Final = {
    "https://www.google.com": "/google",
    "https://www.bing.com": "/bing",
    "https://images.search.yahoo.com": "/yahoo",
}

GENERAL_FULL: Final = (
    *(f"*@*{{{key}}}" for key in ("murl", "ourl", "iurl", "imgurl", "mediaurl", "ou", "original", "full")),
    *(f"*@*?{parameter}" for parameter in ("imgurl", "mediaurl", "murl", "iurl", "ou")),
    *(f"*@data-{name}" for name in ("origurl", "iurl", "imgurl", "full", "original", "url")),
)
SELECTORS: Final = frozenset({"tile", "reveal", "panel", "consent", "more"})
FINDER: Final = re.compile(r"(?P<css>.*)@(?P<attribute>[\w*-]+)(?:\{(?P<key>\w+)\}|\?(?P<parameter>\w+))?")
OF_ENGINES: Final = re.compile(r"^https?://[^/]+/(images\?q=tbn:|th(/id/|\?id=)OIP\b)")
"""Addresses of the engines' own thumbnails."""
# A picture that stands in for one that is not loaded yet is a 1x1 GIF or an SVG of a few bytes.
PLACEHOLDER: Final = re.compile(r"data:image/(gif[;,].{0,110}$|svg)|about:blank")


def pointed_at(engine: Engine, site: str) -> Engine:
    """Return the engine as it is served by another origin, such as the built-in site's.

    Raises ConfigError for what is no origin.
    """
    if not _is_origin(site):
        raise ConfigError(
            f"Expected an origin such as http://127.0.0.1:8600 for --site. Received: {site!r}. Correct it."
        )
    for origin, prefix in ORIGINS.items():
        if engine.url.startswith(origin):
            return replace(engine, url=site.rstrip("/") + prefix + engine.url.removeprefix(origin))
    return engine


def _is_origin(site: str) -> bool:
    try:
        parts = urlsplit(site)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def repaired(engine: Engine, overrides: Mapping[str, str | list[str]], *, file: Path = Path("tray.toml")) -> Engine:
    """Return the engine with the values of a tray.toml's ``[engines.<name>]`` in place of its own.

    Raises ConfigError, which names the ``file``, for a key that an engine does not have and a value that it can't take.
    """
    known = {field.name: field.type for field in fields(Engine) if field.name not in {"name", "index", "headless"}}
    changes: dict[str, str | tuple[str, ...]] = {}
    for key, value in overrides.items():
        where = f"{file}, key 'engines.{engine.name}.{key}'"
        if key not in known:
            raise ConfigError(f"{where}: expected one of {', '.join(known)}. Received: {key!r}. Correct or remove it.")
        single = isinstance(getattr(engine, key), str)
        if single and not isinstance(value, str):
            raise ConfigError(f"{where}: expected one string. Received: {value!r}. Write it without brackets.")
        values = (value,) if isinstance(value, str) else tuple(value)
        _check(where, key, values)
        changes[key] = values[0] if single else values
    if "tile" in changes and "checked" not in changes:
        changes["checked"] = (str(file),) * len(changes["tile"])
    return replace(engine, **changes)  # type: ignore[arg-type]


def general(engine: Engine) -> Engine:
    """Return the engine without its selectors: a reader for the day when the page has changed.

    A result is then whatever surrounds one large picture and no other, and its addresses are where every engine has
    to have them: in links with ``imgurl=``, in JSON, in attributes of data.
    """
    return replace(
        engine,
        tile=(),
        checked=(),
        full=GENERAL_FULL,
        cached=("*@*?cdnurl",),
        thumbnail=("*@*{turl}", "img@src", "img@data-src"),
        page=("*@*{purl}", "*@*{rurl}", "*@*?imgrefurl", "*@*?rurl", "*@data-lpage", "*@data-referenceurl"),
        title=("img@alt",),
        width=("*@*?expw", "*@*?w", "*@*{ow}", f"@{MARK}-width"),
        height=("*@*?exph", "*@*?h", "*@*{oh}", f"@{MARK}-height"),
        reveal="a[href*='imgurl=']" if engine.reveal else "",
        panel=("img",) if engine.panel else (),
    )


def address(engine: Engine, term: str) -> str:
    """Return the address of the engine's result page for a term."""
    return engine.url.replace("{q}", quote_plus(term, errors="replace"))


def read(engine: Engine, html: str | Iterable[str], term: str, *, first_rank: int = 1) -> list[Candidate]:
    """Return the results on a page (a string) or in the HTML of single tiles, in their order.

    Tiles without any address (advertisements, related searches, not loaded) are passed over; they keep their rank.
    """
    tiles = parsed_tiles(engine, html) if isinstance(html, str) else [LexborHTMLParser(tile) for tile in html]
    found = (read_tile(engine, tile, term, rank) for rank, tile in enumerate(tiles, first_rank))
    return [candidate for candidate in found if candidate]


def read_tile(engine: Engine, tile: LexborHTMLParser, term: str, rank: int) -> Candidate | None:
    """Return the result in one parsed tile; None when it holds no address of a picture."""
    addresses: dict[str, Kind] = {}
    kinds: tuple[tuple[Kind, tuple[str, ...]], ...] = (
        ("full", engine.full),
        ("cached", engine.cached),
        ("thumbnail", engine.thumbnail),
    )
    for promised, finders in kinds:
        for value in found(tile, finders):
            if url := clean_address(value, engine.url):
                # An engine that has had enough of us gives its thumbnail for the picture.
                kind: Kind = "thumbnail" if OF_ENGINES.search(url) else promised
                addresses.setdefault(url, kind)
                break
    if not addresses or (not engine.tile and "full" not in addresses.values()):
        return None
    return Candidate(
        urls=tuple(addresses),
        kinds=tuple(addresses.values()),
        engine=engine.name,
        term=term,
        rank=rank,
        page=clean_address(next(found(tile, engine.page), ""), engine.url),
        title=_plain(next(found(tile, engine.title), "")),
        width=_number(next(found(tile, engine.width), "")),
        height=_number(next(found(tile, engine.height), "")),
    )


def found(tile: LexborHTMLParser, finders: Iterable[str]) -> Iterator[str]:
    """Yield the values that the finders find in a tile, placeholders left out."""
    for finder in finders:
        css, attribute, key, parameter = parsed_finder(finder)
        nodes = tile.css(css) if css else [node for node in [_root(tile)] if node]
        for node in nodes:
            for raw in _values(node, attribute):
                value = inside(raw, key, parameter)
                if value and not PLACEHOLDER.match(value):
                    yield value


@lru_cache(maxsize=512)
def parsed_finder(finder: str) -> tuple[str, str, str, str]:
    """Return a finder's selector, attribute, JSON key and parameter; raises ValueError when it is not one."""
    match = FINDER.fullmatch(finder)
    if not match:
        raise ValueError(finder)
    return match["css"], match["attribute"], match["key"] or "", match["parameter"] or ""


def clean_address(raw: str, base: str = "") -> str:
    """Return an address as a client asks for it; empty when it is none that a picture can have.

    Undoes what pages do to addresses: entities, double percent-encoding, missing scheme, stray quotes, fragments.
    """
    url = raw.strip().strip("\"'")
    if url[:5].lower() == "data:":
        return url
    if "&amp;" in url:
        url = entities.unescape(url)
    if re.match(r"[a-z]+%3a", url, re.IGNORECASE):
        url = unquote(url)
    url = re.sub(r"(%22|%27|[\"'<>\s])+$", "", url)
    if url.startswith("/"):
        url = urljoin(base, url)
    elif not re.match(r"[a-z][a-z0-9+.-]*:(?!\d)", url, re.IGNORECASE):
        url = f"http://{url}"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return ""
    if (
        parts.scheme not in {"http", "https"}
        or not host
        or ("." not in host and ":" not in host and host != "localhost")
    ):
        return ""
    path = quote(parts.path, safe="/%:@!$&'()*+,;=~-._", errors="replace")
    query = quote(parts.query, safe="/%:@!$&'()*+,;=~-._?[]{}|", errors="replace")
    return urlunsplit((parts.scheme.lower(), parts.netloc, path, query, ""))


def _values(node: LexborNode, attribute: str) -> Iterator[str]:
    """Yield an element's text, one attribute, or, for ``*``, all of them."""
    if attribute == "text":
        yield node.text(strip=True)
    elif attribute == "*":
        yield from filter(None, node.attributes.values())
    else:
        yield node.attributes.get(attribute) or ""


def parsed_tiles(engine: Engine, html: str) -> list[LexborHTMLParser]:
    """Return the outermost tiles of a whole page, each parsed by itself."""
    page = LexborHTMLParser(html)
    said = _said_inline(engine, page)
    if not engine.tile:
        return [LexborHTMLParser(_marked(node, said)) for node in _around_pictures(page)]
    chosen: list[LexborHTMLParser] = []
    inside: set[int] = set()
    for node in page.css(", ".join(engine.tile)):
        if node.mem_id not in inside:
            inside.update(child.mem_id for child in node.css("*"))
            chosen.append(LexborHTMLParser(_marked(node, said)))
    return chosen


def _said_inline(engine: Engine, page: LexborHTMLParser) -> dict[str, tuple[str, str, str]]:
    """Return what a page's scripts say of its tiles, by their ids: address, height and width."""
    scripts = "".join(script.text() for script in page.css("script")) if engine.inline else ""
    found = re.finditer(engine.inline, scripts) if scripts else ()
    return {one[1]: (_unescaped(one[2]), one[3], one[4]) for one in found}


def _marked(node: LexborNode, said: Mapping[str, tuple[str, str, str]]) -> str:
    """Return a tile's HTML, with what the page's scripts say of it."""
    named = [node, *node.css("[data-docid]")] if said else []
    for one in named:
        if about := said.get(one.attributes.get("data-docid") or ""):
            for name, value in zip(("", "-height", "-width"), about, strict=True):
                node.attrs[MARK + name] = value
            break
    return node.html or ""


def _unescaped(text: str) -> str:
    """Return a JavaScript string without its escapes."""
    return re.sub(r"\\(?:x|u00)([0-9a-fA-F]{2})", lambda match: chr(int(match[1], 16)), text).replace("\\/", "/")


def _around_pictures(page: LexborHTMLParser) -> Iterator[LexborNode]:
    """Yield, for each picture that is not declared small, the largest element that holds it and no other."""
    pictures = [node for node in page.css("img") if _large(node)]
    holds: dict[int, int] = {}
    for picture in pictures:
        node = picture.parent
        while node:
            holds[node.mem_id] = holds.get(node.mem_id, 0) + 1
            node = node.parent
    for picture in pictures:
        node = picture
        while node.parent and node.parent.tag not in {"body", "html"} and holds.get(node.parent.mem_id) == 1:
            node = node.parent
        yield node


def _large(picture: LexborNode) -> bool:
    sides = [_number(picture.attributes.get(side) or "") for side in ("width", "height")]
    return all(side == 0 or side >= 60 for side in sides)


def _root(tile: LexborHTMLParser) -> LexborNode | None:
    return tile.body.child if tile.body else None


def inside(raw: str, key: str, parameter: str) -> str:
    """Return the JSON key or the address parameter of an attribute's value, or the value itself."""
    if key:
        if not raw.startswith("{"):
            return ""
        try:
            value = json.loads(raw).get(key, "")
        except (ValueError, AttributeError):
            return ""
        return str(value)
    if parameter:
        values = parse_qs(urlsplit(raw).query, max_num_fields=200).get(parameter) if "=" in raw else None
        return values[0] if values else ""
    return raw


def _plain(title: str) -> str:
    # Bing wraps what matched into private-use characters.
    return " ".join(re.sub(r"[\ue000-\uf8ff\x00-\x1f]", " ", title).split())[:300]


def _number(text: str) -> int:
    digits = text.split(".", maxsplit=1)[0]
    return int(digits) if digits.isdecimal() and len(digits) < 7 else 0


def _check(where: str, key: str, values: tuple[str, ...]) -> None:
    """Raise ConfigError for a selector, finder or address that can't be used."""
    empty = LexborHTMLParser("<p>")
    for value in values:
        try:
            if key in SELECTORS:
                empty.css(value)
            elif key == "inline":
                re.compile(value)
            elif key in {"full", "cached", "thumbnail", "page", "title", "width", "height"}:
                empty.css(parsed_finder(value)[0] or "p")
        except Exception:  # noqa: BLE001 - selectolax's own error type moved between its versions
            wanted = "a finder such as 'a@href?imgurl'"
            wanted = "a CSS selector" if key in SELECTORS else "a regular expression" if key == "inline" else wanted
            raise ConfigError(f"{where}: expected {wanted}. Received: {value!r}. Correct or remove it.") from None
        if key == "url" and "{q}" not in value:
            raise ConfigError(f"{where}: expected an address with {{q}} for the term. Received: {value!r}. Add it.")
