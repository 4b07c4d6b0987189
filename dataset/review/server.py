"""The review page on a local port: what it is told, what it may ask for, and who may ask at all."""

import json
import secrets
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, cast

from flask import Flask, Response, abort, jsonify, request

from dataset.errors import TrayError
from dataset.review.catalogue import Catalogue, Picture, open_catalogue
from dataset.review.decisions import Decisions, check_label
from dataset.review.suspicions import Suspicion, find, match, suspicion
from dataset.review.thumbnails import LARGE, THUMBNAIL, Thumbnails, Unreadable
from dataset.review.verdicts import WORDS, Word
from dataset.served import HERE, Served

THREADS: Final = 8
MAX_BODY: Final = 4 * 2**20
PAGE: Final = Path(__file__).parent / "page"
ABOUT: Final = ("url", "page", "title", "engine", "term", "rank", "width", "height")
"""What the page tells of a picture's record."""
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Review(Served):
    """The review of one folder, served on this machine alone while it is held open.

    Use it as a context manager::

        with Review(Path("data/raw")) as review:
            webbrowser.open(review.url)
            review.wait()

    ``port`` 0 takes a free one. ``suspicions`` are findings besides those that lie at hand. Raises TrayError when
    there is no picture in ``folder`` or the port is taken.
    """

    def __init__(
        self, folder: Path, *, port: int = 0, suspicions: Iterable[Suspicion] = (), raw: Path | None = None
    ) -> None:
        self.catalogue = open_catalogue(folder, raw=raw)
        self.decisions = Decisions(self.catalogue)
        app = make_app(self.catalogue, self.decisions, [*find(self.catalogue), *suspicions])
        super().__init__(app, port=port, threads=THREADS)


def make_app(catalogue: Catalogue, decisions: Decisions, suspicions: Iterable[Suspicion]) -> Flask:
    """Return the page and its little JSON interface as a WSGI application that answers this machine's own pages."""
    app = Flask(__name__, static_folder=str(PAGE), static_url_path="/page")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    # Numbers of pictures mean nothing to a server that was started anew: a page that holds old ones loads again.
    started = secrets.token_hex(4)
    album = describe(catalogue, match(catalogue, suspicions)) | {"started": started}

    @app.after_request
    def sealed(response: Response) -> Response:
        response.headers.update(HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    @app.errorhandler(TrayError)
    def said(error: TrayError) -> tuple[Response, int]:
        return jsonify(error=str(error)), 409

    app.before_request(_refuse_strangers)
    _show(app, catalogue, json.dumps(album, ensure_ascii=False).encode())
    _listen(app, decisions, len(catalogue.pictures), started)
    return app


def _show(app: Flask, catalogue: Catalogue, album: bytes) -> None:
    """Give the application what is looked at."""
    thumbnails = Thumbnails()

    @app.get("/")
    def index() -> Response:
        return Response((PAGE / "index.html").read_bytes(), mimetype="text/html")

    @app.get("/album")
    def pictures() -> Response:
        return Response(album, mimetype="application/json")

    @app.get("/thumbnail/<int:number>")
    def thumbnail(number: int) -> Response:
        return scaled(number, THUMBNAIL)

    @app.get("/picture/<int:number>")
    def large(number: int) -> Response:
        return scaled(number, LARGE)

    @app.get("/about/<int:number>")
    def about(number: int) -> Response:
        picture = numbered(number)
        record = {key: value for key, value in asdict(picture.record).items() if value and key in ABOUT}
        copies = [_below(catalogue.root, place.path) for place in picture.places[1:]]
        return jsonify(path=_below(catalogue.root, picture.places[0].path), copies=copies, **record)

    def numbered(number: int) -> Picture:
        if number >= len(catalogue.pictures):
            abort(404)
        return catalogue.pictures[number]

    def scaled(number: int, side: int) -> Response:
        try:
            data = thumbnails.get(numbered(number).shown, side)
        except Unreadable as error:
            return Response(str(error), status=404, mimetype="text/plain")
        response = Response(data, mimetype="image/jpeg")
        response.headers["Cache-Control"] = "private, max-age=86400, immutable"
        return response


def _listen(app: Flask, decisions: Decisions, pictures: int, started: str) -> None:
    """Give the application what is decided, and what all windows hear of it."""

    @app.get("/verdicts")
    def verdicts() -> Response:
        count, _ = decisions.since(0)
        said = [[index, *one] for index, one in decisions.verdicts().items()]
        return jsonify(started=started, count=count, verdicts=said)

    @app.get("/changes")
    def changes() -> Response:
        return news(max(0, request.args.get("since", 0, type=int)))

    @app.post("/decide")
    def decide() -> Response:
        body = _body(started)
        chosen, verdict = body.get("pictures"), body.get("verdict")
        if not isinstance(chosen, list) or verdict not in WORDS:
            raise TrayError("Expected pictures and a verdict. Load the page again.")
        if not all(type(one) is int and 0 <= one < pictures for one in chosen):
            raise TrayError("Expected the numbers of pictures. Load the page again.")
        label = check_label(str(body.get("label", ""))) if verdict == "relabel" else ""
        decisions.decide(dict.fromkeys(chosen), cast("Word", verdict), label=label, window=_window(body))
        return news(_since(body))

    @app.post("/undo")
    def undo() -> Response:
        body = _body(started)
        return news(_since(body), turned=decisions.undo(_window(body)))

    @app.post("/redo")
    def redo() -> Response:
        body = _body(started)
        return news(_since(body), turned=decisions.redo(_window(body)))

    def news(since: int, **more: Any) -> Response:
        count, changed = decisions.since(since)
        listed = [[one.picture, one.verdict, one.label, one.window] for one in changed]
        return jsonify(started=started, count=count, changes=listed, **more)


def describe(catalogue: Catalogue, findings: dict[int, list[tuple[Suspicion, int]]]) -> dict[str, Any]:
    """Return what the page needs of every picture to sort and filter: rows of numbers into lists of words."""
    words: dict[str, dict[str, int]] = {key: {} for key in ("label", "split", "engine", "term", "reason")}

    def number(key: str, word: str) -> int:
        return words[key].setdefault(word, len(words[key]))

    rows = []
    for index, picture in enumerate(catalogue.pictures):
        record = picture.record
        why = [
            [number("reason", one.reason), round(one.score, 3), one.detail, twin]
            for one, twin in findings.get(index, ())
        ]
        rows.append(
            [
                picture.places[0].file,
                number("label", picture.label),
                number("split", picture.split),
                number("engine", record.engine),
                number("term", record.term),
                round(suspicion(one.score for one, _ in findings.get(index, ())), 4),
                why,
            ]
        )
    return {
        "name": catalogue.root.name,
        "path": str(catalogue.root),
        "kind": catalogue.form,
        "labels": catalogue.labels,
        "goes_to_raw": catalogue.form != "dataset" or catalogue.raw is not None,
        "words": {key: list(known) for key, known in words.items()},
        "pictures": rows,
    }


def _refuse_strangers() -> None:
    """Answer 403 to other sites' pages: a name that was pointed at this address, or a request from elsewhere."""
    port = request.environ["SERVER_PORT"]
    ours = {f"{HERE}:{port}", f"localhost:{port}"}
    host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
    if host not in ours:
        abort(403, "Another name than this machine's own.")
    elsewhere = request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}
    # A link from another page may open this one, which shows nothing to the page it came from.
    opened = request.path == "/" and request.headers.get("Sec-Fetch-Mode") == "navigate"
    if elsewhere and not opened:
        abort(403, "A request from another site's page.")
    if origin is not None and origin != f"http://{host}":
        abort(403, "A request from another site's page.")
    if request.method not in {"GET", "HEAD"} and (origin is None or not request.is_json):
        abort(403, "Decisions come from the page alone.")


def _body(started: str) -> dict[str, Any]:
    """Return what a page of this server sent; another one's numbers mean other pictures."""
    body = request.get_json(silent=True)
    if not isinstance(body, dict) or body.get("started") != started:
        raise TrayError("Expected a request of a page that this server served. Load the page again.")
    return body


def _window(body: dict[str, Any]) -> str:
    return str(body.get("window", ""))[:32]


def _since(body: dict[str, Any]) -> int:
    since = body.get("since")
    return since if type(since) is int and since >= 0 else 0


def _below(root: Path, path: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
