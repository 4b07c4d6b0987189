"""The configuration: what a tray.toml says, and what it says when it is wrong."""

from pathlib import Path

import pytest

from dataset.errors import ConfigError
from dataset.tray import Build, Scrape, Train, Tray, class_plans, load, override, parse

EXAMPLE = """
[scrape]
engines = ["bing"]
limit = 40
[build]
split = { val = 0.2, test = 0 }
[items.pizza]
terms = ["pizza", "cheese pizza"]
negatives = ["quiche"]
[items.apple]
terms = ["apple"]
limit = 7
[background]
terms = ["table"]
"""


@pytest.fixture
def example(tmp_path: Path) -> Tray:
    """Return the example as read from a file."""
    path = tmp_path / "tray.toml"
    path.write_text(EXAMPLE, encoding="utf-8")
    return load(path)


def test_what_the_file_says_beats_the_defaults(example: Tray, tmp_path: Path) -> None:
    """Keys that are there are taken, the others keep their defaults, and folders lie beside the file."""
    assert example.scrape.engines == ("bing",)
    assert example.build.split.val == 0.2
    assert example.build.max_side == Build().max_side
    assert list(example.items) == ["pizza", "apple"]
    assert example.raw == tmp_path / "data" / "raw"


def test_one_folder_is_planned_for_each_item_its_look_alikes_and_the_background(example: Tray) -> None:
    """An item's limit beats the section's."""
    plans = {plan.name: (plan.terms, plan.limit) for plan in class_plans(example)}

    assert plans == {
        "pizza": (("pizza", "cheese pizza"), 40),
        "not_pizza": (("quiche",), 40),
        "apple": (("apple",), 7),
        "background": (("table",), 40),
    }


def test_a_flag_beats_the_file(example: Tray) -> None:
    """Flags that were given replace values, None does not."""
    assert override(example.scrape, limit=5, pace=None).limit == 5
    assert override(example.scrape, limit=None) == example.scrape


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[scrape]\nlimits = 3", ["scrape.limits", "Did you mean 'limit'"]),
        ("[items.pizza]\nterm = ['a']", ["items.pizza.term", "Did you mean 'terms'"]),
        ("[scrape]\nlimit = 0", ["scrape.limit", "Received: 0"]),
        ("[scrape]\nengines = ['duckduckgo']", ["scrape.engines", "duckduckgo"]),
        ("[train]\nmode = 'both'", ["train.mode", "binary", "both"]),
        ("[items.pizza]\nterms = []", ["items.pizza.terms"]),
        ("[build]\nsplit = { val = 0.5, test = 0.5 }", ["build.split", "below 1"]),
        ("[items.not_pizza]\nterms = ['x']", ["not_pizza", "Rename"]),
        ("[items.multiclass]\nterms = ['x']", ["multiclass", "Rename"]),
        ("[items.'a/b']\nterms = ['x']", ["a/b", "Rename"]),
        ("file = '/'", ["file", "Remove"]),
        ("[items]\nx = ['term']", ["items.x", "[items.x] and below it terms = [", "Received: ['term']"]),
        ("[items.pizza]", ["items.pizza.terms", "missing", "below [items.pizza]: terms = ["]),
        ("[items.pizza]\nterms = [' ']", ["items.pizza.terms", "Received: ' '"]),
        ("[items.pizza]\nterms = ['a']\nlimit = true", ["items.pizza.limit", "whole number"]),
        ("[scrape]\npace = inf", ["scrape.pace", "finite"]),
        ("[scrape]\npace = 1e308", ["scrape.pace", "1000 or less"]),
        ("[scrape]\npage_timeout = 1e308", ["scrape.page_timeout", "86400 or less"]),
        ("[train]\nseed = -1", ["train.seed", "0 or more"]),
        ("[scrape]\nengines = ['gogle']", ["'scrape.engines'", "Did you mean 'google'"]),
        ("[scrape.filters]\nexact = '800'", ["scrape.filters.exact", "such as 800x600"]),
        ("[scrape.filters]\ndate = '2024-02-30..2024-03-01'", ["scrape.filters.date", "a range of days"]),
        ("[scrape.filters]\ndate = '2024-03-02..2024-03-01'", ["scrape.filters.date", "a range of days"]),
        ("[engines.bign]\ntile = 'a'", ["'engines.bign' is not known", "Did you mean 'bing'"]),
        ("[engines]\nbing = 'a'", ["engines.bing", "[engines.bing] and below it tile = "]),
        ("[engines.bing]\ntile = [3]", ["'engines.bing.tile'", "text in quotes, or a list"]),
        ("[items.a]\nterms = ['x', 'Y']\n[items.b]\nterms = ['y']", ["'y' in items.a.terms and items.b.terms"]),
        ("[items.a]\nterms = ['x']\nnegatives = ['x']", ["'x' in items.a.terms and items.a.negatives"]),
        ("[items.a]\nterms = ['x']\n[background]\nterms = ['x']", ["'x' in items.a.terms and background.terms"]),
        ("[items\n", ["valid TOML"]),
    ],
)
def test_a_mistake_is_one_sentence_with_file_and_key(tmp_path: Path, text: str, words: list[str]) -> None:
    """The sentence names the file, the key, and what was expected."""
    path = tmp_path / "tray.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)

    assert str(path) in str(caught.value)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [True, -7, 0.5, "nonsense", [], ["nonsense", 3], {"a": {"b": 1}}], ids=str)
@pytest.mark.parametrize(
    "section", ["background", "scrape", "scrape.filters", "build", "build.split", "build.checks", "train"]
)
def test_whatever_a_key_holds_the_sentence_is_ours(section: str, wrong: object) -> None:
    """Every key of every table is told in the words of TOML, none in those of Python's types."""
    outer, _, inner = section.partition(".")
    table = getattr(Tray(), outer)
    for key in (getattr(table, inner) if inner else table).__dataclass_fields__:
        said = {key: wrong}
        try:
            parse({outer: {inner: said} if inner else said}, file=Path("tray.toml"))
        except ConfigError as error:
            text = str(error)
            assert text.startswith("tray.toml: key ")
            assert not any(
                word in text.split("Received", maxsplit=1)[0]
                for word in ("dictionary", "instance", "tuple", "valid", "pattern")
            )


def test_a_missing_file_and_one_that_is_no_text_are_sentences(tmp_path: Path) -> None:
    """Neither ends in a traceback."""
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "tray.toml")
    (tmp_path / "tray.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        load(tmp_path / "tray.toml")


def test_an_unknown_item_is_named_with_those_that_exist(example: Tray) -> None:
    """Selecting nothing is selecting all; a wrong name gets the nearest right one."""
    assert list(example.select(())) == ["pizza", "apple"]
    assert list(example.select(("apple",))) == ["apple"]
    with pytest.raises(ConfigError, match=r"'piza'.*Did you mean 'pizza'"):
        example.select(("piza",))
    with pytest.raises(ConfigError, match=r"an item of two\.toml \(it has none\)"):
        parse({}, file=Path("two.toml")).select(("pizza",))


def test_a_wrong_flag_is_a_sentence(example: Tray) -> None:
    """What a flag may not say is told as for the file."""
    with pytest.raises(ConfigError, match=r"command line.*limit"):
        override(example.scrape, limit=-1)
    with pytest.raises(ConfigError, match=r"'filters.siz' is not known; expected one of size, .*mean 'size'"):
        override(example.scrape, filters={"siz": "large"})


def test_what_is_named_twice_counts_once() -> None:
    """Neither an engine nor a term is asked twice; spaces around a term do not make it another one."""
    tray = parse(
        {"items": {"x": {"terms": ["b", "a", "b "]}}, "scrape": {"engines": ["bing", "bing"]}}, file=Path("nothing")
    )

    assert tray.items["x"].terms == ("b", "a")
    assert tray.scrape.engines == ("bing",)


def test_a_term_may_be_shared_where_no_picture_is_lost(tmp_path: Path) -> None:
    """Another item's term is a fine look-alike, and who keeps conflicts may ask for one term twice."""
    items = "[items.a]\nterms = ['x']\nnegatives = ['y', 'z']\n[items.b]\nterms = ['y']\n"
    (tmp_path / "tray.toml").write_text(items + "[background]\nterms = ['z']")
    assert load(tmp_path / "tray.toml").items["a"].negatives == ("y", "z")

    (tmp_path / "tray.toml").write_text("[build]\nconflicts = 'keep-all'\n" + items.replace("'y']\n", "'x']\n"))
    assert load(tmp_path / "tray.toml").items["b"].terms == ("x",)


def test_an_empty_tray_has_every_default() -> None:
    """Nothing in the file is the same as no sections."""
    tray = parse({}, file=Path("nothing"))

    assert (tray.scrape, tray.build, tray.train) == (Scrape(), Build(), Train())
