"""The only configuration: what one tray.toml says, with every default written once, here."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, is_dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated
from pydantic_core import ErrorDetails

from dataset.errors import ConfigError, did_you_mean

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
EngineName = Literal["google", "bing", "yahoo"]
Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1, strict=True)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Term = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


def _once(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return each value once: what is named twice would be searched twice."""
    return tuple(dict.fromkeys(values))


Terms = Annotated[tuple[Term, ...], AfterValidator(_once)]
Level = Annotated[float, Field(ge=0, le=255)]
Portion = Annotated[float, Field(ge=0, le=1)]
Colour = Literal[
    "color", "bw", "red", "orange", "yellow", "green", "teal", "blue", "purple", "pink", "white", "gray", "black",
    "brown",
]  # fmt: skip
DAY = r"(19|20)\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
SIDES = r"^[1-9]\d{0,4}x[1-9]\d{0,4}$"
DATE = rf"^(day|week|month|year|{DAY}\.\.{DAY})$"
LANGUAGE = r"^[a-z]{2}$"
MARKET = r"^[a-z]{2}-[A-Z]{2}$"

# What a picture may weigh and must measure, wherever it comes from.
MIN_SIDE = 64
MAX_PIXELS = 100_000_000
MAX_BYTES = 50_000_000

# `multiclass` and `background` are folders that tray makes itself; `not_` marks an item's negative side.
BACKGROUND = "background"
"""Class of what is on trays and in rooms but is no item."""
MULTICLASS = "multiclass"
"""Dataset of all items together."""
RESERVED = frozenset({MULTICLASS, "binary", BACKGROUND})
ITEM_NAME = re.compile(r"[^\W_][\w-]*")


@validated(frozen=True, slots=True, config=STRICT)
class Item:
    """One [items.*] table: what to search for, how many pictures, and which look-alikes are not it."""

    terms: Annotated[Terms, Field(min_length=1)]
    limit: Count | None = None
    negatives: Terms = ()


@validated(frozen=True, slots=True, config=STRICT)
class Background:
    """The [background] table: what is on trays and in rooms but is no item."""

    terms: Terms = ()
    limit: Count | None = None


def _days(value: str) -> str:
    """Return an age or a range of days; raises ValueError for days that no calendar has, and for a range backwards."""
    first, _, last = value.partition("..")
    if last and date.fromisoformat(first) > date.fromisoformat(last):
        raise ValueError
    return value


@validated(frozen=True, slots=True, config=STRICT)
class Filters:
    """The [scrape.filters] table: what a search asks for beside its term; scraper.filters says who can do what."""

    size: Literal["small", "medium", "large"] | None = None
    exact: Annotated[str, Field(pattern=SIDES)] | None = None
    """Exact width and height, such as ``800x600``."""
    min_size: Annotated[str, Field(pattern=SIDES)] | None = None
    """Least width and height."""
    colour: Colour | None = None
    type: Literal["photo", "clipart", "line", "animated", "transparent"] | None = None
    aspect: Literal["tall", "square", "wide"] | None = None
    date: Annotated[str, Field(pattern=DATE), AfterValidator(_days)] | None = None
    """Greatest age, or a range such as ``2024-01-01..2024-06-30``."""
    licence: (
        Literal["creative-commons", "public-domain", "share", "share-commercially", "modify", "modify-commercially"]
        | None
    ) = None
    safe: Literal["on", "moderate", "off"] = "on"
    language: Annotated[str, Field(pattern=LANGUAGE)] | None = None
    """Language of the hosting pages, such as ``en``."""
    market: Annotated[str, Field(pattern=MARKET)] | None = None
    """Language and country whose results are wanted, such as ``en-GB``."""


@validated(frozen=True, slots=True, config=STRICT)
class Scrape:
    """The [scrape] table."""

    engines: Annotated[tuple[EngineName, ...], Field(min_length=1), AfterValidator(_once)] = ("google", "bing", "yahoo")
    limit: Count = 1800
    """Distinct pictures wanted per class folder, over all engines."""
    pace: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """Factor on every human pause: 1 is the human rhythm; lower is for a site of one's own."""
    seed: int = 0
    display: Literal["auto", "headless", "screen", "xvfb"] = "auto"
    browser: str | None = None
    driver: str | None = None
    kinds: Literal["best", "full-only", "thumbnails"] = "best"
    """Full size, else cached copy, else thumbnail; or full size only; or thumbnails only."""
    downloads: Annotated[int, Field(ge=1, le=32)] = 16
    """Downloads in flight at most."""
    per_host: Annotated[int, Field(ge=1)] = 2
    host_spacing: Annotated[float, Field(ge=0, le=86_400)] = 0.2
    """Seconds between two requests to one host; a ``pace`` below 1 shortens them on a site of one's own only."""
    connect_timeout: Seconds = 5.0
    read_timeout: Seconds = 15.0
    total_timeout: Seconds = 30.0
    """Seconds that a picture may take; on a slow line one that comes steadily may take ten times as many."""
    page_timeout: Seconds = 30.0
    """Seconds in which a result page has to answer and load."""
    max_bytes: Count = 25_000_000
    max_pixels: Count = MAX_PIXELS
    min_side: Count = MIN_SIDE
    """Pictures whose shorter side is below this many pixels are rejected."""
    contact: str = ""
    """Address or page put into the user agent of downloads, so that hosts can reach whoever scrapes."""
    ignore_opt_outs: bool = False
    allow_networks: tuple[str, ...] = ()
    """Private networks that pictures may come from, such as ``10.1.0.0/16``."""
    filters: Filters = field(default_factory=Filters)
    sweep: bool | None = None
    """Whether, after the terms themselves, each is searched again by size, colour, date and so on until the limit is
    reached; by default on the live engines, and not on a site of one's own."""
    grid: str | None = None
    """Address of a Selenium Grid, or of any W3C remote, whose browsers are used instead of one here."""
    grid_sessions: Annotated[int, Field(ge=1, le=64)] = 4
    """Browsers of the grid that each engine uses side by side, one term in each."""


@validated(frozen=True, slots=True, config=STRICT)
class Split:
    """Shares of each class that go to validation and test, in whole groups of near-duplicates; the rest trains."""

    val: Share = 0.1
    test: Share = 0.1


Flag = Literal[
    "small", "extreme aspect", "dark", "washed out", "blurred", "low information", "near uniform",
    "screenshot or text", "drawing", "placeholder", "framed", "collage",
]  # fmt: skip


@validated(frozen=True, slots=True, config=STRICT)
class Checks:
    """The [build.checks] table: from where on a measure of quality flags a picture, and what follows.

    A flag goes to the report and to the review, for a person to decide; only a blank is left out by itself. Each
    measure is described in dataset.quality.
    """

    drop: tuple[Flag, ...] = ()
    """Flags whose pictures are left out."""
    off: tuple[Flag, ...] = ()
    """Flags that are not raised."""
    small: Annotated[float, Field(ge=0)] = 128
    """Pixels of the shorter side below which a picture is ``small``; below ``build.min_side`` it is left out."""
    extreme_aspect: Annotated[float, Field(ge=1)] = 4
    """Longer side over shorter side above which the aspect is extreme."""
    dark: Level = 80
    """Grey level, 0 to 255, that all but a twentieth of the pixels of a ``dark`` picture lie below."""
    washed_out: Level = 150
    """Grey level that all but a twentieth of a ``washed out`` picture lie above, within a span of 80 levels."""
    blurred: Annotated[float, Field(ge=0)] = 60
    """Variance of the Laplacian at the sharpest places, at 80x80 pixels, below which a picture is ``blurred``."""
    low_information: Annotated[float, Field(ge=0)] = 0.15
    """Bits of the file per pixel below which there is hardly anything left of it."""
    near_uniform: Portion = 0.85
    """Share of pixels without any step to their neighbours above which a picture is ``near uniform``."""
    blank: Portion = 0.97
    """The same above which it is blank, and left out."""
    graphic: Portion = 0.92
    """Share of pixels in the 16 commonest colours above which a picture with few tones is a ``drawing`` or a
    ``screenshot or text``, and no photograph."""
    graphic_gentle: Portion = 0.055
    """Share of gentle steps of light, as any camera sees them, that it has at most then."""
    placeholder: Annotated[int, Field(ge=2)] = 4
    """Addresses of one host, or files, with the same bytes from which these are taken for a ``placeholder``."""
    framed: Portion = 0.15
    """Share of the picture in plain bars above which it is ``framed``."""
    collage: Portion = 0.97
    """Share of the width or height that a thin plain band between the parts of a ``collage`` takes at least."""


@validated(frozen=True, slots=True, config=STRICT)
class Build:
    """The [build] table."""

    split: Split = field(default_factory=Split)
    seed: int = 0
    """Salt of the split: another seed deals the groups anew."""
    max_side: Count = 640
    """Longer side in pixels of a normalised picture; smaller ones are never enlarged."""
    quality: Annotated[int, Field(ge=1, le=100)] = 92
    """JPEG quality of normalised pictures."""
    min_side: Count = MIN_SIDE
    max_pixels: Count = MAX_PIXELS
    max_bytes: Count = MAX_BYTES
    conflicts: Literal["drop", "keep-first", "keep-all"] = "drop"
    """What happens to one picture that lies in two classes, where neither a person's verdict in the review decides nor,
    with ``drop``, three times as many searches for one class as for the other."""
    balance: Annotated[float, Field(gt=0)] = 1.0
    """Negatives per positive in a binary dataset."""
    cap: Count | None = None
    """Pictures per class at most."""
    engine: Literal["threads", "dask"] = "threads"
    """Who does the work: this process, or the workers of a Dask cluster; the result is the same to the byte."""
    scheduler: str | None = None
    """Address of the Dask cluster's scheduler, such as ``tcp://10.0.0.1:8786``; without one, a cluster starts here."""
    checks: Checks = field(default_factory=Checks)


@validated(frozen=True, slots=True, config=STRICT)
class Train:
    """The [train] table."""

    mode: Literal["binary", "multiclass"] = "binary"
    model: str = "cnn"
    image_size: Annotated[int, Field(ge=16, le=1024)] | None = None
    """Side in pixels of the network's square input; by default the model's own (180 for ``cnn``)."""
    batch_size: Count = 32
    epochs: Count = 30
    patience: Count = 5
    """Epochs without a better validation accuracy before training stops."""
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    schedule: Literal["constant", "cosine", "plateau"] = "constant"
    """Whether the learning rate stays, falls along a cosine over all epochs, or is halved when validation stalls."""
    augment: bool = False
    """Whether a network is shown each picture flipped and turned, and a backbone each closer, and mirrored."""
    trays: bool = False
    """Whether trays put together from the training pictures are learned from, for ``tray predict --tray``."""
    augment_by: tuple[Literal["zoom", "contrast", "grey", "inversion"], ...] = ()
    """What a network that trains from nothing is shown beside flips and rotations."""
    mixed_precision: bool | None = None
    """Whether a network computes with halves of its floats; by default on GPUs that are faster so."""
    tensorboard: bool = False
    """Whether each epoch is also logged for TensorBoard, in the run's folder."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    weights: str | None = None
    fine_tune: Annotated[int, Field(ge=0)] = 0
    """How many of a backbone's topmost convolutions learn too, after its head, at a tenth of the learning rate."""
    wanted_precision: Annotated[float, Field(gt=0, le=1)] | None = None
    """Precision that each threshold is to reach on validation, at the most recall; by default the best F1."""
    independent: bool = False
    """Whether items share nothing in training: each is also a run by itself, in the run's ``items/``."""
    robust: bool = False
    """Whether photos whose label is contradicted by the others count less."""


@validated(frozen=True, slots=True, config=STRICT)
class Tray:
    """One tray.toml: the items and how to scrape, build and train them."""

    items: dict[str, Item] = field(default_factory=dict)
    background: Background = field(default_factory=Background)
    scrape: Scrape = field(default_factory=Scrape)
    build: Build = field(default_factory=Build)
    train: Train = field(default_factory=Train)
    engines: dict[EngineName, dict[str, str | list[str]]] = field(default_factory=dict)
    """Repairs of an engine's selectors: ``[engines.bing] tile = "a.iusc[m]"``."""
    file: Path = Path("tray.toml")
    """Where all this stands, in the folder that ``data/`` and ``runs/`` lie in."""

    @property
    def root(self) -> Path:
        """Folder of the file."""
        return self.file.parent

    @property
    def raw(self) -> Path:
        """Folder of the class folders, as scraped."""
        return self.root / "data" / "raw"

    @property
    def pool(self) -> Path:
        """Folder of the normalised pictures that all datasets share."""
        return self.root / "data" / "pool"

    @property
    def built(self) -> Path:
        """Folder of the built datasets."""
        return self.root / "data" / "built"

    @property
    def runs(self) -> Path:
        """Folder of the training runs."""
        return self.root / "runs"

    def select(self, names: tuple[str, ...]) -> Mapping[str, Item]:
        """Return the named items, or all when none is named.

        Raises ConfigError for a name that the file does not have.
        """
        if not names:
            return MappingProxyType(self.items)
        for name in names:
            if name not in self.items:
                raise ConfigError(
                    f"Expected an item of {self.file} ({', '.join(self.items) or 'it has none'}). "
                    f"Received: {name!r}.{did_you_mean(name, list(self.items))}"
                )
        return {name: self.items[name] for name in names}


@dataclass(frozen=True, slots=True)
class ClassPlan:
    """One class folder to be filled: its name, the terms to search for, and how many pictures are enough."""

    name: str
    terms: tuple[str, ...]
    limit: int


def class_plans(tray: Tray, names: tuple[str, ...] = ()) -> list[ClassPlan]:
    """Return what to scrape for the named items (all when none is named): items, look-alikes, background."""
    plans = []
    for name, item in tray.select(names).items():
        limit = item.limit or tray.scrape.limit
        plans.append(ClassPlan(name, item.terms, limit))
        if item.negatives:
            plans.append(ClassPlan(f"not_{name}", item.negatives, limit))
    if tray.background.terms:
        plans.append(ClassPlan(BACKGROUND, tray.background.terms, tray.background.limit or tray.scrape.limit))
    return plans


def load(path: Path) -> Tray:
    """Read a tray.toml.

    Raises ConfigError, in one sentence that names the file, the key, what was expected and what was received.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"Expected a configuration at {path}, and there is no such file. "
            f'Write one, two lines will do: [items.pizza] and below it terms = ["pizza", "cheese pizza"]. '
            f"Or name another with --config."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Expected a readable UTF-8 file at {path}. Received: {error}.") from None
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: expected valid TOML. Received: {error}.") from None
    return parse(table, file=path)


def parse(table: Mapping[str, Any], *, file: Path) -> Tray:
    """Turn the tables of a tray.toml into a Tray; errors name the file."""
    if "file" in table:
        raise ConfigError(f"{file}: key 'file' is not expected. Received: {table['file']!r}. Remove it.")
    try:
        tray = TypeAdapter(Tray).validate_python({**table, "file": file})
    except ValidationError as error:
        raise ConfigError(f"{file}: {_sentence(error, Tray)}") from None
    for name in tray.items:
        if name in RESERVED or name.startswith("not_") or not ITEM_NAME.fullmatch(name):
            raise ConfigError(
                f"{file}: expected the name of an item in letters, digits, '-' and '_', other than "
                f"{', '.join(sorted(RESERVED))} and not_... . Received: [items.{name}]. Rename it."
            )
    if tray.build.split.val + tray.build.split.test >= 1:
        raise ConfigError(
            f"{file}: key 'build.split': expected val + test below 1. "
            f"Received: val={tray.build.split.val}, test={tray.build.split.test}."
        )
    if clash := _clash_of_terms(tray):
        term, first, second = clash
        raise ConfigError(
            f"{file}: expected no term in two classes, for all its pictures would be in conflict, and left out. "
            f"Received: {term!r} in {first} and {second}. Take it out of one."
        )
    return tray


def _clash_of_terms(tray: Tray) -> tuple[str, str, str] | None:
    """Return a term that is asked for as two things which no picture can be, and both keys; None where none is."""
    if tray.build.conflicts != "drop":
        return None
    owners: dict[str, str] = {}
    asked = [(f"items.{name}.terms", term) for name, item in tray.items.items() for term in item.terms]
    for key, term in (*asked, *(("background.terms", term) for term in tray.background.terms)):
        if owners.setdefault(term.casefold(), key) != key:
            return term, owners[term.casefold()], key
    for name, item in tray.items.items():
        for term in item.negatives:
            if owners.get(term.casefold()) == f"items.{name}.terms":
                return term, f"items.{name}.terms", f"items.{name}.negatives"
    return None


def override(section: Any, **flags: Any) -> Any:
    """Return a section with the flags that were given (not None) in place of its values.

    Raises ConfigError when a flag holds something that the section does not take.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    if not given:
        return section
    values = {name: getattr(section, name) for name in type(section).__dataclass_fields__} | given
    try:
        return type(section)(**values)
    except ValidationError as error:
        raise ConfigError(f"command line: {_sentence(error, type(section))}") from None


EXAMPLES: Final[Mapping[Any, str]] = {
    Item: 'terms = ["pizza", "cheese pizza"]',
    Background: 'terms = ["empty plate", "people"]',
    Scrape: "limit = 500",
    Filters: 'size = "large"',
    Build: "max_side = 640",
    Split: "val = 0.1",
    Checks: 'drop = ["dark"]',
    Train: 'model = "mobilenetv2"',
}
"""A line that each table may hold."""
A_DATE: Final = "day, week, month, year, or a range of days such as 2024-01-01..2024-06-30"
PATTERNS: Final = {
    SIDES: "width and height in pixels, such as 800x600",
    DATE: A_DATE,
    LANGUAGE: "two small letters, such as en",
    MARKET: "language and country, such as en-GB",
}
WORDS: Final = {
    "tuple_type": "a list in brackets",
    "string_type": "text in quotes",
    "string_too_short": "a word at least",
    "too_short": "one entry at least",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} or less",
    "literal_error": "{expected}",
    "value_error": A_DATE,
}
"""What was expected, by pydantic's names for what is wrong."""


def _sentence(error: ValidationError, top: Any) -> str:
    """Say the first of pydantic's complaints about a ``top`` table as one sentence."""
    # A misspelt key also leaves the right one missing: the misspelling is what the user has to see.
    first = min(error.errors(), key=lambda one: one["type"] != "unexpected_keyword_argument")
    # Positions in lists and the ways that pydantic tried are no keys.
    path = [part for part in first["loc"] if isinstance(part, str) and not part.startswith(("tuple[", "list["))]
    if path[-1] == "[key]":
        return _unknown(path[:-1], get_args(EngineName))
    if first["type"] == "unexpected_keyword_argument":
        return _unknown(path, [name for name in _table_at(top, path[:-1]).__dataclass_fields__ if name != "file"])
    if path[0] == "engines" and path[-1] == "str":
        return f"key {'.'.join(path[:-1])!r}: expected text in quotes, or a list of it. Received: {first['input']!r}."
    where = ".".join(path)
    table = _table_at(top, path)
    if first["type"] in {"missing", "missing_argument"}:
        return f"key {where!r} is missing. Write below [{'.'.join(path[:-1])}]: {EXAMPLES[table]}."
    return f"key {where!r}: expected {_expected(first, where, table)}. Received: {first['input']!r}.{_nearest(first)}"


def _expected(wrong: ErrorDetails, where: str, table: Any) -> str:
    kind, values = wrong["type"], wrong.get("ctx", {})
    if kind == "string_pattern_mismatch":
        return PATTERNS[values["pattern"]]
    if kind == "dataclass_type":
        return f"a table, such as [{where}] and below it {EXAMPLES[table]}"
    if kind == "dict_type" and where == "items":
        return f"tables, such as [items.pizza] and below it {EXAMPLES[Item]}"
    if kind == "dict_type":
        return """a table, such as [engines.bing] and below it tile = "a.iusc[m]\""""
    return WORDS[kind].format_map(values)


def _nearest(wrong: ErrorDetails) -> str:
    """Ask about the nearest of the words that a key takes, where it takes only some."""
    known = re.findall(r"'([^']*)'", wrong.get("ctx", {}).get("expected", ""))
    return did_you_mean(str(wrong["input"]), known)


def _unknown(path: list[str], known: Iterable[str]) -> str:
    known = tuple(known)
    return (
        f"key {'.'.join(path)!r} is not known; expected one of {', '.join(known)}. "
        f"Received: {path[-1]!r}.{did_you_mean(path[-1], known)}"
    )


def _table_at(top: Any, path: Iterable[str]) -> Any:
    """Return the innermost table that a path of keys leads into."""
    table = top
    for key in path:
        hint = get_type_hints(table).get(key)
        inner = get_args(hint)[-1] if get_origin(hint) is dict else hint
        table = inner if is_dataclass(inner) else table
    return table
