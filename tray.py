"""The command line: parses, calls, shows progress, prints. Results go to stdout, everything else to stderr."""

import errno
import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import click

# Everything heavier than click is imported inside the command that needs it: `tray --help` answers at once.
if TYPE_CHECKING:
    from dataset.errors import TrayError
    from dataset.tray import ClassPlan, Scrape, Train, Tray
    from scraper.doctor import Finding
    from train.runs import Run

Wrapped = TypeVar("Wrapped", bound=Callable[..., Any])
log: Final = logging.getLogger("tray")
FETCH_STATUS: Final = {
    "private address": 403, "opted out": 403, "address not allowed": 400, "too many bytes": 413, "timeout": 504,
}  # fmt: skip
"""What the service answers when it can't fetch an address that it was sent; 502 for all else."""
UNREAD: Final = 20
"""Pictures that an import could not read which are named."""
SURE: Final = 0.05
"""Below this p, a difference between two runs is called more than chance."""


class Folder(click.Path):
    """A path that is no file, and not empty as an unset variable of a shell is: that would be the folder one is in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if value == "":
            self.fail("Expected a folder. Received: nothing. Say . for this one.", param, ctx)
        return super().convert(value, param, ctx)


FOLDER: Final = Folder(path_type=Path, file_okay=False)
ANEW: Final = frozenset({"evaluate", "explain", "predict", "report"})
"""Commands that keep nothing of what they have begun: all others go on where they were interrupted."""


class Command(click.Command):
    """A command with -v and -q that turns a TrayError into one line and its exit code."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [
            click.Option(["-v", "--verbose"], is_flag=True, help="Say more; show the traceback of an error."),
            click.Option(["-q", "--quiet"], is_flag=True, help="Say nothing but results and errors."),
        ]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; every error that the user can mend ends here."""
        from dataset.errors import TrayError

        verbose, quiet = ctx.params.pop("verbose"), ctx.params.pop("quiet")
        ctx.obj = Voice(verbose=verbose, quiet=quiet)
        try:
            return super().invoke(ctx)
        except TrayError as error:
            log.debug("", exc_info=True)
            click.echo(f"tray: {error}", err=True)
            ctx.exit(error.exit_code)
        except OSError as error:
            # What is read and written lies where the user said; a failure that names no file is no answer to that,
            # but that a disk is full is one.
            if error.filename is None and error.errno != errno.ENOSPC:
                raise
            log.debug("", exc_info=True)
            click.echo(
                f"tray: Expected to read or write {error.filename or 'what it makes'}. Received: {error.strerror}. "
                f"Mend that and run the command again; what was kept stays.",
                err=True,
            )
            ctx.exit(1)
        except KeyboardInterrupt:
            then = "begins anew" if ctx.command.name in ANEW else "goes on from here"
            click.echo(f"tray: interrupted; nothing that was kept is lost, the same command {then}.", err=True)
            ctx.exit(130)


class Voice:
    """How much is said on stderr: the level of the log, and whether progress is drawn."""

    def __init__(self, *, verbose: bool, quiet: bool) -> None:
        self.quiet = quiet
        log.handlers = [_AboveTheBars()]
        log.propagate = False
        log.setLevel(logging.DEBUG if verbose else logging.ERROR if quiet else logging.INFO)

    def bar(self, **options: Any) -> Any:
        """Return a tqdm bar on stderr, silent with -q."""
        from tqdm import tqdm

        return tqdm(**{"disable": self.quiet} | options, file=sys.stderr, dynamic_ncols=True, mininterval=0.5)


class _AboveTheBars(logging.Handler):
    """Writes a log line above the progress bars instead of through them."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        tqdm.write(self.format(record), file=sys.stderr)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="tray")
def main() -> None:
    """Image datasets from web search, cleaned and split honestly, and the classifiers trained on them."""


main.command_class = Command

CONFIG: Final = Path("tray.toml")
config_option = click.option(
    "--config", type=click.Path(path_type=Path), default=CONFIG, show_default=True, help="The tray to work on."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def split_commas(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """Return the words of a comma-separated flag."""
    return None if value is None else tuple(word.strip() for word in value.split(","))


def split_pairs(_context: click.Context, _option: click.Parameter, value: tuple[str, ...]) -> dict[str, str] | None:
    """Return the names and values of a repeatable NAME=VALUE flag; None when it was not given."""
    if any("=" not in pair for pair in value):
        raise click.BadParameter(f"Expected NAME=VALUE. Received: {', '.join(value)}.")
    return dict(pair.split("=", 1) for pair in value) or None


def none_if_empty(_context: click.Context, _option: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return None for a repeatable flag that was not given, so that the file's value stands."""
    return value or None


def scrape_options(command: Wrapped) -> Wrapped:
    """Add the flags of the [scrape] table."""
    options = (
        click.option("--limit", type=int, help="Distinct pictures wanted per class folder, over all engines."),
        click.option("--engines", callback=split_commas, help="Comma-separated: google,bing,yahoo."),
        click.option("--site", help="Origin to search instead of the engines' own, such as the built-in site's."),
        click.option(
            "--display", type=click.Choice(["auto", "headless", "screen", "xvfb"]), help="Where browsers show."
        ),
        click.option("--browser", help="Path of a Chromium or Chrome."),
        click.option("--driver", help="Path of its chromedriver."),
        click.option("--pace", type=float, help="Factor on every human pause; 1 is the human rhythm."),
        click.option("--seed", type=int, help="Seed of the human rhythm."),
        click.option("--full-only", "kinds", flag_value="full-only", help="Keep full-size pictures only."),
        click.option("--thumbnails", "kinds", flag_value="thumbnails", help="Keep thumbnails only; hosts are spared."),
        click.option("--contact", help="Address or page for the user agent of downloads."),
        click.option("--sweep/--no-sweep", default=None, help="Search on by size, colour, date when terms run out."),
        click.option(
            "--filter",
            "filters",
            multiple=True,
            callback=split_pairs,
            metavar="NAME=VALUE",
            help="size, exact, min_size, colour, type, aspect, date, licence, safe, language or market.",
        ),
        click.option("--grid", help="Address of a Selenium Grid, whose browsers are used instead of one here."),
        click.option("--grid-sessions", type=int, help="Browsers of the grid that each engine uses side by side."),
        click.option(
            "--allow-network",
            "allow_networks",
            multiple=True,
            callback=none_if_empty,
            help="Private network that pictures may come from, as a CIDR.",
        ),
        click.option(
            "--ignore-opt-outs", is_flag=True, default=None, help="Fetch from hosts that opted out; recorded."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def train_options(command: Wrapped) -> Wrapped:
    """Add the flags of the [train] table."""
    options = (
        click.option(
            "--mode", type=click.Choice(["binary", "multiclass"]), help="One classifier per item, or one for all."
        ),
        click.option("--model", help="Name of the network: cnn, cnn64, or a backbone such as mobilenetv2."),
        click.option("--image-size", type=int, help="Side in pixels of the network's square input."),
        click.option("--batch-size", type=int, help="Pictures per step of training."),
        click.option("--epochs", type=int, help="Epochs at most."),
        click.option("--patience", type=int, help="Epochs without a better validation accuracy before it stops."),
        click.option(
            "--learning-rate", type=float, help="Step of the optimizer; --find-lr tells one for cnn and cnn64."
        ),
        click.option(
            "--schedule", type=click.Choice(["constant", "cosine", "plateau"]), help="How the learning rate goes on."
        ),
        click.option(
            "--augment",
            is_flag=True,
            default=None,
            help="Flip and rotate the training pictures; a backbone looks closer at each, and mirrored.",
        ),
        click.option(
            "--trays", is_flag=True, default=None, help="Learn from trays put together from the pictures too."
        ),
        click.option(
            "--augment-by",
            callback=split_commas,
            help="Comma-separated, for cnn and cnn64: zoom,contrast,grey,inversion.",
        ),
        click.option(
            "--mixed-precision/--whole-precision", default=None, help="16-bit floats; by default where faster."
        ),
        click.option("--tensorboard", is_flag=True, default=None, help="Log each epoch into the run's tensorboard/."),
        click.option("--weights", help="Weights file of a backbone, instead of Keras's download."),
        click.option("--wanted-precision", type=float, help="Precision of each threshold; by default the best F1."),
        click.option(
            "--independent", is_flag=True, default=None, help="Items share nothing; each is a run by itself too."
        ),
        click.option(
            "--fine-tune",
            type=int,
            metavar="N",
            help="Topmost convolutions of a backbone that learn too, after its head.",
        ),
        click.option("--robust", is_flag=True, default=None, help="Labels that the others contradict count less."),
    )
    for option in reversed(options):
        command = option(command)
    return command


# ---------------------------------------------------------------- the commands


@main.command()
@click.argument("names", nargs=-1, metavar="[TERM|ITEM]...")
@click.option("--into", type=FOLDER, help="Class folder for the TERMs; no tray.toml is needed then.")
@click.option("--dry-run", is_flag=True, help="List what would be tried, or forgotten; change nothing.")
@click.option("--forget", metavar="ADDRESS|HOST", help="Delete what came from there, and keep it from coming back.")
@config_option
@scrape_options
@json_option
@click.pass_obj
def scrape(
    voice: Voice, /, names: tuple[str, ...], into: Path | None, config: Path, as_json: bool, dry_run: bool,
    forget: str | None, **flags: Any,
) -> None:  # fmt: skip
    """Fill class folders from image search: TERMs into one folder, or the ITEMs of tray.toml (all by default)."""
    from dataset.errors import ConfigError
    from dataset.origin import tell_if_renamed
    from dataset.tray import ClassPlan, class_plans, load, override

    site = flags.pop("site")
    tray = load(config) if not into else tray_of(config)
    settings = override(tray.scrape, **flags)
    if forget is not None:
        from scraper.forget import forget as forget_in

        show(plain(forget_in(into or tray.raw, forget, pool=tray.pool, dry_run=dry_run)), as_json, print_pairs)
        return
    if into:
        if not all(map(str.strip, names or ("",))):
            raise ConfigError("Expected a term to search for. Received: none. Say: tray scrape pizza --into DIR")
        into = into.absolute()
        plans, folder = [ClassPlan(into.name, tuple(dict.fromkeys(names)), settings.limit)], into.parent
    else:
        plans, folder = class_plans(tray, names), tray.raw
        tell_if_renamed(tray, plans)
        if flags["limit"]:
            plans = [replace(plan, limit=settings.limit) for plan in plans]
    if dry_run:
        from scraper.scrape import preview

        for candidate in preview(plans, folder, settings, engines=engines_of(tray, settings, site), site=site):
            click.echo(json.dumps(plain(candidate)) if as_json else candidate.urls[0])
        return
    result, failure = scrape_into(voice, plans, folder, tray=tray, settings=settings, site=site)
    show(result, as_json, print_scrape)
    if failure:
        raise failure


@main.command()
@click.argument("items", nargs=-1, metavar="[ITEM]...")
@click.option("--from", "source", type=FOLDER, help="Any folder of class folders; no tray.toml is needed then.")
@click.option("--out", type=FOLDER, help="Where the dataset of --from goes.")
@click.option("--dry-run", is_flag=True, help="Show what would go and why; write nothing.")
@click.option("--engine", type=click.Choice(["threads", "dask"]), help="Who works: this process, or a Dask cluster.")
@click.option("--scheduler", metavar="ADDRESS", help="The Dask cluster's scheduler; by default a cluster starts here.")
@config_option
@json_option
@click.pass_obj
def build(
    voice: Voice,
    /,
    items: tuple[str, ...],
    source: Path | None,
    out: Path | None,
    dry_run: bool,
    config: Path,
    as_json: bool,
    **flags: Any,
) -> None:
    """Verify, drop duplicates, normalise and split: class folders become datasets."""
    from dataset.build import build, build_folder
    from dataset.errors import ConfigError, NotEnoughImages
    from dataset.tray import load, override

    if bool(source) != bool(out) or (source and items):
        raise ConfigError(
            "Expected --from DIR with --out DIR and no items, or items alone. Say: tray build --from A --out B"
        )
    if source and out:
        settings = override(tray_of(config).build, **flags)
        steps = build_folder(source, out, settings, dry_run=dry_run)
    else:
        tray = load(config)
        steps = build(replace(tray, build=override(tray.build, **flags)), items, dry_run=dry_run)
    built = follow(voice, steps)
    show(plain(built), as_json, print_plan if dry_run else print_build)
    if built.short:
        raise NotEnoughImages(built.short[0])


@main.command()
@click.argument("first", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("second", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def explain(first: Path, second: Path, as_json: bool) -> None:
    """Say why two pictures count as the same, related or different."""
    from dataset.duplicates import explain

    show(plain(explain(first, second)), as_json, print_explanation)


@main.command()
@click.argument("folder", type=FOLDER, metavar="DIR")
@config_option
@json_option
@click.pass_obj
def report(voice: Voice, /, folder: Path, config: Path, as_json: bool) -> None:
    """Write a class folder, a folder of them or a built dataset as one HTML page.

    Raw pictures are flagged by the limits in [build.checks] of tray.toml, where there is one.
    """
    from dataset.report.page import write_report

    settings = tray_of(config).build
    show({"report": str(follow(voice, write_report(folder, settings)))}, as_json, print_pairs)


@main.command()
@click.argument("items", nargs=-1, metavar="[ITEM]...")
@click.option("--data", type=FOLDER, help="Any folder of class folders; no tray.toml is needed then.")
@config_option
@train_options
@click.option("--to", type=click.Path(path_type=Path), metavar="RUN", help="Add the ITEM to a run; its others stay.")
@click.option("--find-lr", is_flag=True, help="Do not train: try learning rates, and tell which one to train at.")
@json_option
@click.pass_obj
def train(
    voice: Voice, /, items: tuple[str, ...], data: Path | None, config: Path, to: Path | None, find_lr: bool,
    as_json: bool, **flags: Any,
) -> None:  # fmt: skip
    """Train one binary classifier per item, or one multi-class model."""
    from dataset.errors import ConfigError
    from dataset.tray import load, override

    if data and items and not to:
        raise ConfigError("Expected --data DIR or items of tray.toml. Received: both. Leave one out.")
    tray = load(config) if not data else tray_of(config)
    if to:
        run = add_items(voice, tray, items, data, to=to, flags=flags)
        show(describe_run(run), as_json, print_run)
        return
    settings = override(tray.train, **flags)
    if find_lr:
        from train.plan import effective
        from train.rates import find_rates

        datasets = datasets_in(data, flags["mode"]) if data else datasets_of(tray, items, settings)
        show(plain(follow(voice, find_rates(datasets, effective(settings)))), as_json, print_rates)
        return
    if data:
        from train.fit import train as fit

        run = follow(voice, fit(datasets_in(data, flags["mode"]), tray.runs, settings, name=data.absolute().name))
    else:
        run = train_tray(voice, tray, items, settings=settings)
    show(describe_run(run), as_json, print_run)


@main.command()
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.option(
    "--data", type=FOLDER, help="A labelled folder, also one the run never saw; by default its own test split."
)
@click.option("--out", type=FOLDER, help="Where plots and predictions go; without it, nothing is written.")
@click.option("--compare", "other", type=click.Path(path_type=Path), help="Another run, on the same pictures.")
@click.option("--folds", type=click.IntRange(min=2), help="Cross-validate the run's way of training on all pictures.")
@click.option(
    "--tray", "as_tray", is_flag=True, help="Judge lists of trays: laid from pictures, or by trays.csv in DIR."
)
@json_option
@click.pass_obj
def evaluate(
    voice: Voice, /, run: Path, data: Path | None, out: Path | None, other: Path | None, folds: int | None,
    as_tray: bool, as_json: bool,
) -> None:  # fmt: skip
    """Judge a run on a labelled folder, or tell whether another is better."""
    from dataset.errors import ConfigError
    from train.evaluate import evaluate
    from train.runs import open_run

    if sum(map(bool, (out or as_tray, other, folds))) > 1:
        raise ConfigError(
            "Expected one of --out, --compare and --folds (and --tray with --out alone). Received: several. Leave the "
            "others out."
        )
    if as_tray:
        from train.canteen import evaluate_trays

        show(plain(follow(voice, evaluate_trays(open_run(run), data, out))), as_json, print_trays)
        return
    if other:
        from train.compare import compare

        show(plain(follow(voice, compare(open_run(run), open_run(other), data))), as_json, print_comparison)
        return
    if folds:
        from train.folds import cross_validate

        show(plain(follow(voice, cross_validate(open_run(run), data, folds=folds))), as_json, print_evaluation)
        return
    show(plain(follow(voice, evaluate(open_run(run), data, out))), as_json, print_evaluation)


@main.command()
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="IMAGE...")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="Labels shown per picture.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["table", "csv", "jsonl", "json"]),
    default="table",
    help="How the answer is written, a picture at a time.",
)
@click.option("--json", "kind", flag_value="json", help="Print JSON instead of a table.")
@click.option("--tray", "as_tray", is_flag=True, help="Look at windows of each picture too, and say what lies where.")
@click.option("--draw", type=FOLDER, help="With --tray: copies of the pictures with boxes go there.")
@click.pass_obj
def predict(
    voice: Voice, /, run: Path, images: tuple[Path, ...], top: int, kind: str, as_tray: bool, draw: Path | None
) -> None:
    """Give each picture's labels and probabilities; for a binary run, which items are on the tray."""
    from dataset.errors import TrayError
    from dataset.folder import subfolders, unreadable
    from train.answers import written
    from train.predict import labels_of, predict
    from train.runs import open_run
    from train.trays import drawn, survey

    opened = open_run(run)
    labels = labels_of(opened)
    files = image_files(images)
    found: Iterable[Any]
    if as_tray or draw:
        labels, found = [], survey(opened, files)
        found = drawn(found, draw) if draw else found
    else:
        found = predict(opened, files, top=len(labels) if kind == "csv" else top)
    # Counted first and listed again, so that a million files are never held.
    total = sum(1 for _ in image_files(images))
    for folder in filter(Path.is_dir, images):
        for name, why in unreadable(folder):
            log.warning("%s is left out: %s.", folder / name, why)
    if not total:
        log.warning("There are no pictures in %s.", ", ".join(map(str, images)))
        if inner := [str(path) for folder in images for path in subfolders(folder)]:
            log.warning("Folders in it are not looked into. Name them: tray predict %s %s", run, " ".join(inner))
    unread: Counter[bool] = Counter()
    for line in written(watched(voice, found, unread, total=total), cast(Any, kind), labels=labels):
        click.echo(line)
    if unread[True] and not unread[False]:
        raise TrayError(f"Expected pictures that can be read. Received: {total} that can't; the rows say why.")
    if unread[True]:
        log.warning("%d of %d files could not be read; their rows say why.", unread[True], total)


@main.command()
@click.option(
    "--page", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Test the selectors on a saved page."
)
@click.option("--live", is_flag=True, help="Ask each engine one harmless query and say what matched.")
@config_option
@scrape_options
@json_option
@click.pass_context
def doctor(context: click.Context, /, page: Path | None, live: bool, config: Path, as_json: bool, **flags: Any) -> None:
    """Look at browser, driver, display, disk and Keras, and say what to mend."""
    from dataset.tray import override
    from scraper.doctor import examine

    site = flags.pop("site")
    tray = tray_of(config)
    settings = override(tray.scrape, **flags)
    engines = engines_of(tray, settings, site)
    findings = list(examine(settings, engines=engines, live=live, page=page, site=site))
    findings += [] if page else examine_keras()
    show(plain(findings), as_json, print_findings)
    if not all(finding.ok for finding in findings):
        context.exit(1)


@main.command()
@click.argument("folder", type=FOLDER, metavar="DIR")
@click.option("--port", type=int, default=0, help="Port of the page; by default a free one.")
@click.option("--run", "run_path", type=click.Path(path_type=Path), help="A run whose doubts are shown first.")
@click.option("--raw", type=FOLDER, help="Class folders that a built DIR came from, if they lie elsewhere.")
@click.option("--no-open", is_flag=True, help="Do not open the page in a browser.")
def review(folder: Path, port: int, run_path: Path | None, raw: Path | None, no_open: bool) -> None:
    """Keep, drop or relabel pictures by keyboard, on a local page; the next build obeys."""
    from dataset.review.server import Review
    from dataset.review.suspicions import from_run

    with Review(folder, port=port, suspicions=from_run(run_path) if run_path else (), raw=raw) as page:
        click.echo(page.url)
        if not no_open:
            click.launch(page.url)
        page.wait()


@main.command("import")
@click.argument("kind", metavar="FORMAT")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--out", type=FOLDER, required=True, help="Where the class folders go.")
@click.option("--relabel", type=click.Path(path_type=Path, dir_okay=False), help="Two columns: label, what it becomes.")
@click.option("--split", help="Take one of the source's own splits alone.")
@click.option("--images", type=FOLDER, help="Where the pictures lie, when not beside the labels.")
@click.option("--names", type=click.Path(path_type=Path, dir_okay=False), help="Table of class names.")
@click.option("--file", help="CSV: column of the file names.")
@click.option("--label", help="CSV and parquet: column of the labels.")
@click.option("--split-column", help="CSV: column of the splits.")
@click.option("--delimiter", help=r"CSV: what separates the columns; \t is a tab.")
@click.option(
    "--where", multiple=True, callback=split_pairs, metavar="COLUMN=VALUE", help="CSV: take these rows alone."
)
@click.option("--pattern", help="File names: regular expression with a group named label.")
@click.option(
    "--level", type=int, help="Nested folders, zip and tar: the level that names the class; -1 is the innermost, 0 all."
)
@click.option("--crop", is_flag=True, default=None, help="One picture per box instead of the whole picture.")
@click.option("--margin", type=float, help="Part of a box's sides that --crop adds around it, 0 to 10; 0.1 by default.")
@click.option("--coarse", is_flag=True, default=None, help="CIFAR-100: the twenty coarse classes.")
@json_option
@click.pass_obj
def import_(
    voice: Voice, /, kind: str, source: Path, out: Path, relabel: Path | None, split: str | None,
    as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Bring a public dataset into class folders; FORMAT is folders, zip, csv, voc, coco, huggingface, ..."""
    from dataset.importers import import_dataset
    from dataset.importers.labels import read_table

    given = {name: value for name, value in options.items() if value is not None}
    table = read_table(relabel) if relabel else None
    show(
        plain(follow(voice, import_dataset(kind, source, out, relabel=table, split=split, **given))),
        as_json,
        print_import,
    )


@main.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="RUN|DIR")
@click.option("--format", "kind", required=True, help="RUN: keras, savedmodel, tflite, onnx. DIR: zip, tfrecord, ...")
@click.option("--out", type=FOLDER, help="Where it goes; by default beside RUN or DIR.")
@click.option("--precision", type=click.Choice(["float", "float16", "int8"]), default="float", help="RUN: of tflite.")
@click.option("--pictures", type=FOLDER, help="RUN: pictures to check and calibrate by, if its own are gone.")
@click.option("--item", help="RUN: this item's classifier alone.")
@click.option("--licence", default="unknown", help="DIR: licence of the pictures, for the card.")
@click.option("--owner", default="", help="DIR: Kaggle user name.")
@json_option
@click.pass_obj
def export(
    voice: Voice, /, folder: Path, kind: str, out: Path | None, precision: str, pictures: Path | None, as_json: bool,
    item: str | None, licence: str, owner: str,
) -> None:  # fmt: skip
    """Hand a model or a dataset on, in the form that others take."""
    from dataset.export import FORMATS, Terms, export_dataset
    from dataset.origin import is_built

    if kind in FORMATS or is_built(folder):
        done = follow(voice, export_dataset(folder, kind, out, terms=Terms(licence=licence, owner=owner)))
    else:
        done = export_run(folder, kind, out, precision=precision, pictures=pictures, item=item)
    show(plain(done), as_json, print_pairs)


@main.command()
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.option("--port", type=int, default=8000, show_default=True, help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 is everybody's.")
@config_option
def serve(run: Path, port: int, host: str, config: Path) -> None:
    """Put a run behind a web page and a JSON API."""
    from scraper.download import Fetcher
    from scraper.guard import guard_for
    from train.runs import open_run
    from train.serve import Limits, Refused, Server

    settings = tray_of(config).scrape
    fetcher = Fetcher(replace(settings, max_bytes=Limits().body), guard_for(None, settings.allow_networks))

    def fetch(url: str) -> bytes:
        fetched = fetcher.fetch(url)
        if fetched.error:
            status = FETCH_STATUS.get(fetched.error, 502)
            raise Refused(f"Expected a picture at {url}. Received: {fetched.error}.", status)
        return fetched.data

    with closing(fetcher), Server(open_run(run), fetch=fetch, host=host, port=port) as server:
        click.echo(server.url)
        server.wait()


@main.command()
@config_option
@scrape_options
@json_option
@click.pass_obj
def run(voice: Voice, /, config: Path, as_json: bool, **flags: Any) -> None:
    """Scrape, build, train, evaluate, report; what is done already is skipped."""
    from dataset.tray import load, override

    site = flags.pop("site")
    tray = load(config)
    tray = replace(tray, scrape=override(tray.scrape, **flags))
    show(run_tray(voice, tray, site=site, modes=(tray.train.mode,)), as_json, print_all)


@main.command()
@click.option("--into", type=FOLDER, default="demo", show_default=True, help="Where everything goes.")
@click.option("--fast", is_flag=True, help="Fewer pictures and epochs.")
@click.option("--scenario", default="realistic", show_default=True, help="How the built-in site behaves.")
@json_option
@click.pass_obj
def demo(voice: Voice, /, into: Path, fast: bool, scenario: str, as_json: bool) -> None:
    """Run the whole pipeline offline: the built-in search site, a real Chromium, cleaning, training, reports."""
    show(run_demo(voice, into, fast=fast, scenario=scenario), as_json, print_demo)


# ---------------------------------------------------------------- the stages, with their progress

AT_MOST = "{desc}: {n_fmt} of at most {total_fmt} pictures [{elapsed}, {rate_fmt}{postfix}]"
"""The bar while nothing can be foretold."""
CAME = "{desc}: {n_fmt} pictures [{elapsed}]"
"""The bar at the end."""


def tray_of(config: Path) -> "Tray":
    """Return the tray of a command that needs none; a file that somebody named has to be there."""
    from dataset.tray import Tray, load

    return load(config) if config != CONFIG or config.exists() else Tray()


def engines_of(tray: "Tray", settings: "Scrape", site: str | None) -> list[Any]:
    """Return the engines that the settings name, with the tray's repairs, pointed at a site where one is given."""
    from scraper.engines import ENGINES, pointed_at, repaired

    engines = [repaired(ENGINES[name], tray.engines.get(name, {}), file=tray.file) for name in settings.engines]
    return [pointed_at(engine, site) for engine in engines] if site else engines


def scrape_into(
    voice: Voice, plans: Sequence["ClassPlan"], folder: Path, *, tray: "Tray", settings: "Scrape", site: str | None
) -> tuple[dict[str, Any], "TrayError | None"]:
    """Scrape; return what came per engine and per class, and why pictures are missing where every engine failed."""
    from dataset.errors import TrayError
    from dataset.folder import count_distinct
    from scraper.scrape import Outlook, Summary, scrape

    engines: dict[str, Any] = {}
    failure: TrayError | None = None
    wanted, had = sum(plan.limit for plan in plans), sum(count_distinct(folder / plan.name) for plan in plans)
    steps: Any = scrape(plans, folder, settings, engines=engines_of(tray, settings, site), site=site)
    bar = voice.bar(total=wanted, initial=had, desc="scrape", unit="picture", bar_format=AT_MOST, smoothing=0.05)
    with bar, closing(steps):
        try:
            for step in steps:
                if isinstance(step, Outlook):
                    bar.total, bar.bar_format = max(bar.n, step.pictures), None if step.firm else AT_MOST
                    bar.set_postfix_str(f"{step.ended} of {step.searches} searches ended", refresh=False)
                elif isinstance(step, Summary):
                    engines[step.engine] = {key: value for key, value in plain(step).items() if key != "engine"}
                    log.info("%s: %s", step.engine, step.stopped_because)
                elif step.kept and not step.copy_of:
                    bar.total = max(bar.total, bar.n + 1)
                    bar.update()
        except TrayError as error:
            if not engines:
                raise
            failure = error
        bar.bar_format = CAME
    classes = {
        plan.name: {"path": str(folder / plan.name), "distinct": count_distinct(folder / plan.name)} for plan in plans
    }
    return {"engines": engines, "classes": classes}, failure


def examine_keras() -> Iterator["Finding"]:
    """Say which Keras and TensorFlow train here, and on what."""
    from scraper.doctor import Finding
    from train.backend import keras, tf
    from train.silence import quiet

    try:
        with quiet():
            devices = ", ".join(device.device_type for device in tf.config.list_physical_devices())
    except ImportError as error:
        yield Finding("keras", ok=False, detail=f"{error}; run make env")
        return
    yield Finding("keras", ok=True, detail=f"{keras.__version__} on TensorFlow {tf.__version__}, {devices}")


def follow(voice: Voice, steps: Any) -> Any:
    """Draw the progress that a stage yields; return its last value, the result."""
    from dataset.progress import Progress

    stage = ""
    # Closed also when a stage fails, before its error is told: a bar that is left open is drawn into the sentence.
    with ExitStack() as bars, closing(steps):
        for step in steps:
            if not isinstance(step, Progress):
                return step
            if step.stage != stage:
                bars.close()
                # What was done before this run began says nothing of the rate.
                bar = voice.bar(total=step.total, desc=step.stage, unit=step.unit, initial=step.done)
                bars.callback(bar.close)
                stage = step.stage
            bar.set_postfix_str(step.note, refresh=step.done == bar.n)
            bar.update(step.done - bar.n)
    raise AssertionError("a stage ends with its result")


def export_run(
    folder: Path, kind: str, out: Path | None, *, precision: str, pictures: Path | None, item: str | None
) -> Any:
    """Export a run; by default to a folder named after it and the format, beside it."""
    from dataset.folder import pictures as pictures_in
    from train.export import export
    from train.runs import open_run

    run = open_run(folder)
    run = run.only(item) if item else run
    words = (run.path.name, item, kind, "" if precision == "float" else precision)
    out = out or run.path.with_name("-".join(filter(None, words)))
    given = tuple(pictures_in(pictures)) if pictures else ()
    return export(run, out, format=cast(Any, kind), precision=cast(Any, precision), pictures=given)


def datasets_of(tray: "Tray", items: tuple[str, ...], settings: "Train") -> dict[str, Path]:
    """Return the built datasets that the settings' mode trains on, by item, and tell which of them are outdated.

    Raises ConfigError for a choice among fewer than two items, and TrayError for what was not built yet.
    """
    from dataset.errors import ConfigError, TrayError
    from dataset.origin import tell_if_outdated

    if settings.mode != "multiclass":
        found = {item: tray.built / item for item in tray.select(items)}
    elif len(tray.items) > 1:
        found = {"": tray.built / "multiclass"}
    else:
        raise ConfigError(
            f"Expected two items or more in {tray.file}, for one model to choose among. Received: {len(tray.items)}. "
            f"Add one, or say --mode binary."
        )
    for folder in found.values():
        if not folder.is_dir():
            raise TrayError(f"Expected a dataset in {folder}. Received: no such folder. Build first: tray build")
        tell_if_outdated(folder, tray)
    return found


def datasets_in(folder: Path, mode: str | None) -> dict[str, Path]:
    """Return what a folder of class folders trains: a classifier per class where that is asked for, else one of all."""
    from dataset.origin import tell_if_outdated
    from dataset.tray import BACKGROUND
    from train.data import classes_of

    tell_if_outdated(folder)
    names = classes_of(folder) if mode == "binary" else ()
    if len(names) > 2:
        return {name: folder for name in names if name != BACKGROUND}
    return {folder.absolute().name: folder}


def add_items(
    voice: Voice, tray: "Tray", items: tuple[str, ...], data: Path | None, *, to: Path, flags: Mapping[str, Any]
) -> "Run":
    """Add items of tray.toml, or classes of a folder, to a finished run: they become a new run beside it."""
    from dataset.errors import ConfigError
    from dataset.tray import override
    from train.data import classes_of
    from train.fit import train
    from train.runs import open_run

    earlier = open_run(to)
    if data and not items and len(names := classes_of(data)) == 2:
        items = names[1:]
    if not items:
        raise ConfigError("Expected an item to add. Received: none. Say: tray train burger --to runs/binary")
    folder = earlier.path.parent
    settings = override(earlier.settings, **flags)
    datasets = dict.fromkeys(items, data) if data else datasets_of(tray, items, replace(settings, mode="binary"))
    run: Run = follow(voice, train(datasets, folder.parent, settings, name=folder.name, to=earlier))
    return run


def train_tray(voice: Voice, tray: "Tray", items: tuple[str, ...], *, settings: "Train") -> "Run":
    """Train what the settings' mode asks for: the items side by side, or one model for all."""
    from train.fit import train

    datasets = datasets_of(tray, items, settings)
    name = "multiclass" if settings.mode == "multiclass" else items[0] if len(items) == 1 else "binary"
    run: Run = follow(voice, train(datasets, tray.runs, settings, name=name))
    return run


def run_tray(voice: Voice, tray: "Tray", *, site: str | None, modes: Sequence[str]) -> dict[str, Any]:
    """Scrape, build, train in each mode, and report; return what each stage gave and the seconds it took."""
    from dataset.build import build
    from dataset.origin import tell_if_renamed
    from dataset.report.page import write_report
    from dataset.tray import class_plans, override

    clock = Clock()
    plans = class_plans(tray)
    tell_if_renamed(tray, plans)
    result, failure = scrape_into(voice, plans, tray.raw, tray=tray, settings=tray.scrape, site=site)
    # With fewer pictures than wanted the rest can be done, with none it can't.
    if failure and not any(one["distinct"] for one in result["classes"].values()):
        raise failure
    clock.lap("scrape")
    result["built"] = plain(follow(voice, build(tray)))
    clock.lap("build")
    result["runs"] = {}
    for mode in modes:
        run = train_tray(voice, tray, (), settings=override(tray.train, mode=mode))
        result["runs"][mode] = describe_run(run)
        clock.lap(f"train {mode}")
    together = tray.built / "multiclass"  # which a tray of one item has not
    datasets = [together] if str(together) in result["built"]["paths"] else [tray.built / name for name in tray.items]
    result["reports"] = [str(follow(voice, write_report(folder, tray.build))) for folder in (tray.raw, *datasets)]
    result["reports"] += [str(Path(run["run"]) / "report.html") for run in result["runs"].values()]
    clock.lap("report")
    return result | {"seconds": clock.laps}


def describe_run(run: "Run") -> dict[str, Any]:
    """Return a run's paths and figures, per item where it has several."""
    folders = {item: run.path / "items" / item if len(run.items) > 1 else run.path for item in run.items}
    return {
        "run": str(run.path),
        "report": str(run.report),
        "metrics": run.record["metrics"],
        "items": {item: {"run": str(folders[item]), **one} for item, one in run.metrics["items"].items()},
    }


def run_demo(voice: Voice, into: Path, *, fast: bool, scenario: str) -> dict[str, Any]:
    """Run the pipeline on the built-in site, judge it against the site's truth, and predict fresh pictures."""
    from dataset.folder import make_folder, write_whole
    from dataset.tray import load
    from scraper import simulator
    from train.predict import predict
    from train.runs import open_run

    started = time.perf_counter()
    played = simulator.named(scenario)
    config = make_folder(into) / "tray.toml"
    if not config.exists():
        write_whole(config, simulator.DEMO_TRAY.read_bytes())
    tray = load(config)
    if fast:
        tray = replace(tray, train=replace(tray.train, epochs=5))
    with simulator.Site(scenario=played, results=10 if fast else 36) as site:
        log.info("The built-in search site plays Google, Bing and Yahoo Images at %s", site.url)
        result = run_tray(voice, tray, site=site.url, modes=("binary", "multiclass"))
        result |= plain(simulator.judge(tray, site.truth))
    clock = Clock()
    fresh = list(simulator.draw_fresh(tray.items, into / "fresh"))
    result["fresh"] = plain(list(predict(open_run(Path(result["runs"]["binary"]["run"])), fresh)))
    clock.lap("predict")
    seconds = {"all": round(time.perf_counter() - started, 1), **result["seconds"], **clock.laps}
    return result | {"seconds": seconds, "items": result["runs"]["binary"]["items"]}


class Clock:
    """Seconds per stage, lap by lap."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Book the seconds since the last lap under ``name``."""
        now = time.perf_counter()
        self.laps[name] = round(now - self._last, 1)
        self._last = now


def watched(voice: Voice, predictions: Iterable[Any], unread: Counter[bool], *, total: int) -> Iterator[Any]:
    """Yield predictions and draw how far they are; count in ``unread`` the files that could not be read."""
    # On a terminal the answers themselves are the progress.
    with voice.bar(total=total, desc="predict", unit="picture", disable=voice.quiet or sys.stdout.isatty()) as bar:
        for one in predictions:
            unread[bool(one.error)] += 1
            bar.update()
            yield one


def image_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the pictures that were named, and those in folders that were named."""
    from dataset.errors import TrayError
    from dataset.folder import pictures

    for path in paths:
        if path.is_dir():
            yield from pictures(path)
        elif path.exists():
            yield path
        else:
            raise TrayError(f"Expected a picture or a folder of pictures. Received: {path}, and there is none.")


# ---------------------------------------------------------------- printing


def show(result: Any, as_json: bool, table: Callable[[Any], None]) -> None:
    """Print a result as JSON, or by its table."""
    if as_json:
        click.echo(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        table(result)


def plain(value: Any) -> Any:
    """Return dataclasses, paths and sets as what JSON knows."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain({field: getattr(value, field) for field in value.__dataclass_fields__})
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def print_rows(heading: Sequence[str], *rows: Sequence[object]) -> None:
    """Print rows in columns under their heading: words to the left, numbers to the right."""
    lines = [heading, *([f"{cell:.3f}" if isinstance(cell, float) else spoken(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    numeric = [isinstance(cell, (int, float)) for cell in rows[0]] if rows else [False] * len(heading)
    for line in lines:
        cells = zip(line, widths, numeric, strict=True)
        click.echo(
            "  ".join(cell.rjust(width) if right else cell.ljust(width) for cell, width, right in cells).rstrip()
        )


def spoken(value: Any) -> str:
    """Return a value, however nested, as a person writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {spoken(one)}" for name, one in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(spoken, value)) or "none"
    return str(value)


def print_all(result: dict[str, Any]) -> None:
    """Print what every stage did, and the paths to look at."""
    print_stages(result)
    print_ways(result)


def print_stages(result: dict[str, Any]) -> None:
    """Print what came, what was built and how good the runs are."""
    print_scrape(result)
    click.echo()
    print_build(result["built"])
    for mode, run in result["runs"].items():
        click.echo(f"\n{mode}")
        print_run(run)


def print_ways(result: dict[str, Any]) -> None:
    """Print how long each stage took, and the paths to look at."""
    click.echo()
    print_rows(("stage", "seconds"), *result["seconds"].items())
    click.echo("\nlook at")
    for path in result["reports"]:
        click.echo(f"  {path}")


def print_demo(result: dict[str, Any]) -> None:
    """Print what the demo did, how good it was, and the paths to look at."""
    print_stages(result)
    click.echo("\nfresh pictures, never offered by the site")
    print_rows(
        ("picture", "on the tray", "probability"),
        *((Path(one["file"]).name, one["label"], max(one["probabilities"].values())) for one in result["fresh"]),
    )
    click.echo(
        f"\nrecall {result['recall']:.3f}, precision {result['precision']:.3f} against the site's truth; "
        f"duplicates left {result['duplicates_left']}"
    )
    print_ways(result)


def print_import(result: dict[str, Any]) -> None:
    """Print what an import brought per class, and which pictures of the source it could not read."""
    unread = result.pop("unread")
    print_rows(("class", "pictures"), *result.pop("classes").items())
    click.echo()
    splits = {name or "none": count for name, count in result.pop("splits").items()}
    print_pairs(result | {"unread": len(unread), "splits": splits})
    for one in unread[:UNREAD]:
        click.echo(f"  {one['source']}  {one['reason']}")
    if len(unread) > UNREAD:
        click.echo(f"  ... and {len(unread) - UNREAD:,} more; --json lists them all.")


def print_scrape(result: dict[str, Any]) -> None:
    """Print per engine what came and why it stopped, and per class what is there."""
    if result["engines"]:
        fields = ("seen", "kept", "rejected")
        rows = [
            (name, *(one[key] for key in fields), one["stopped_because"]) for name, one in result["engines"].items()
        ]
        print_rows(("engine", *fields, "stopped because"), *rows)
        click.echo()
    if refused := [f"{name} {one['refusals']}" for name, one in result["engines"].items() if one["refusals"]]:
        click.echo(f"Refusals, each followed by a wait and by asking for less: {', '.join(refused)}.\n")
    sweeps = [
        (name, one["term"], one["filters"], one["new"])
        for name, engine in result["engines"].items()
        for one in engine["searches"]
        if one["sweep"]
    ]
    if sweeps:
        print_rows(("engine", "term", "sweep", "new"), *sweeps)
        click.echo()
    print_rows(
        ("class", "distinct", "folder"),
        *((name, one["distinct"], one["path"]) for name, one in result["classes"].items()),
    )


def print_build(result: dict[str, Any]) -> None:
    """Print what was kept, what was dropped and why, and the counts of every dataset."""
    click.echo(f"kept {result['kept']:,}")
    for reason, count in result["dropped"].items():
        click.echo(f"dropped {count:,}: {reason}")
    click.echo()
    rows = [
        (dataset, label, clean, *(splits.get(split, {}).get(label, 0) for split in ("train", "val", "test")))
        for dataset, splits in result["splits"].items()
        for label, clean in result["available"][dataset].items()
    ]
    print_rows(("dataset", "class", "clean", "train", "val", "test"), *rows)


def print_plan(result: dict[str, Any]) -> None:
    """Print every file that a build would leave out, and why, and then what it would make."""
    for one in result["rejected"]:
        why = "; ".join(text for text in (one["detail"], one["kept"] and f"see {one['kept']}") if text)
        click.echo(f"{one['source']}  {one['reason']}{f'  ({why})' if why else ''}")
    click.echo()
    print_build(result)


def print_run(result: dict[str, Any]) -> None:
    """Print a run's figures and where to look."""
    fields, rows = ["macro F1"], []
    for item, one in result["items"].items():
        title, figures = item or "all", [one["macro_f1"]]
        if len(one["per_class"]) == 2:
            positive, score = list(one["per_class"].items())[-1]
            fields = ["precision", "recall", "F1"]
            figures = [score[field.lower()] for field in fields]
            # A folder of two classes need not be called as the one that the figures are of.
            title = f"{item}: {positive}" if item not in {"", positive} else positive
        rows.append((title, one["accuracy"], between(one["interval"]), *figures, one["n"]))
    print_rows((f"judged on {result['metrics']['judged_on']}", "accuracy", "95 %", *fields, "pictures"), *rows)
    click.echo(f"\nrun     {result['run']}\nreport  {result['report']}")


def print_comparison(result: dict[str, Any]) -> None:
    """Print how two runs did on the same pictures, and whether the difference may be chance."""
    alone = (result["only_first_right"], result["only_second_right"])
    print_rows(("run", "right", "right alone"), *zip(("first", "second"), result["accuracy"], alone, strict=True))
    verdict = "more than chance gives" if result["p"] < SURE else "chance may give as much"
    click.echo(
        f"\n{result['n']:,} pictures of {result['judged_on']}; p = {result['p']:.3g} (McNemar, exact): {verdict}"
    )
    if result["classifiers"] > 1:
        click.echo(f"A picture is right where all {result['classifiers']} classifiers are right about it.")
    print_seen(result["seen"])


def print_rates(found: Mapping[str, Any]) -> None:
    """Print the learning rate to train each dataset's network at."""
    print_rows(
        ("dataset", "--learning-rate"),
        *(
            (item or "multiclass", f"{one['suggested']:.2g}" if one["suggested"] else "none made the loss fall clearly")
            for item, one in found.items()
        ),
    )


def print_evaluation(result: dict[str, Any]) -> None:
    """Print accuracy and the report per class."""
    fields = ("precision", "recall", "f1", "support")
    rows = [(name, *(one[field] for field in fields)) for name, one in result["per_class"].items()]
    print_rows(("class", *fields), *rows)
    if result["interval"]:
        click.echo(
            f"\naccuracy {result['accuracy']:.3f} (95 %: {between(result['interval'])}), "
            f"macro F1 {result['macro_f1']:.3f}, {result['n']:,} pictures"
        )
    else:
        click.echo(f"\n{result['accuracy']:.3f} of {result['n']:,} decisions right, mean F1 {result['f1']:.3f}")
    print_seen(result["seen"])


def print_seen(seen: int) -> None:
    """Say that some of the judged pictures are those that were learned from."""
    if seen:
        click.echo(f"Of these pictures, {seen:,} were learned from: the figures flatter.")


def between(interval: Sequence[float]) -> str:
    """Return an interval of shares as text."""
    return " to ".join(f"{end:.3f}" for end in interval)


def print_trays(result: dict[str, Any]) -> None:
    """Print how well trays were listed, by windows and by the whole picture alone."""
    print_rows(
        ("looked at", "mean average precision", "exactly right"),
        ("whole and windows", result["mean_average_precision"], result["exactly_right"]),
        ("whole alone", result["whole_alone"], result["whole_exactly_right"]),
    )
    click.echo(f"\n{result['n']:,} trays with {result['foods']} foods each, {result['judged_on']}")


def print_findings(findings: list[dict[str, Any]]) -> None:
    """Print what the doctor found."""
    for one in findings:
        click.echo(f"{'ok  ' if one['ok'] else 'FAIL'}  {one['what']}: {one['detail']}")


def print_explanation(result: dict[str, Any]) -> None:
    """Print two files, the verdict on them and the reason."""
    names = ("a", "b", "reason")
    print_pairs({"verdict": result["comparison"]["verdict"]} | {name: result[name] for name in names})


def print_pairs(result: dict[str, Any]) -> None:
    """Print a flat result, a name and a value a line."""
    width = max(map(len, result))
    for name, value in result.items():
        click.echo(f"{name.ljust(width)}  {spoken(value)}")


if __name__ == "__main__":
    main()
