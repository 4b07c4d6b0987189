"""The routes of the page and of the JSON API."""

from pathlib import Path
from typing import Any, Final

from flask import Flask, Response, abort, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from train.serve.pictures import HOW, Limits, Refused, sent
from train.serve.service import LARGEST_PREVIEW, TOP, Service, Wanted

PAGE: Final = Path(__file__).parent / "page"
ROUTES: Final = {"predict": "POST", "where": "POST", "health": "GET", "model": "GET", "schema": "GET"}
MOST_LABELS: Final = 100_000
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def make_app(service: Service) -> Flask:  # noqa: C901 - one small function for each route
    """Return the page and the JSON API of a service as a WSGI application; every error is JSON with its status."""
    app = Flask(__name__, static_folder=str(PAGE), static_url_path="/page")
    app.config["MAX_CONTENT_LENGTH"] = service.limits.body
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.json.sort_keys = False  # type: ignore[attr-defined]
    # The most probable label comes first; what is looked up by name goes by name all the same.

    @app.before_request
    def not_from_strangers() -> None:
        if request.method == "POST" and request.headers.get("Sec-Fetch-Site") == "cross-site":
            abort(403, "Expected a request of this service's own page or of a program. Received: one of another site.")

    @app.after_request
    def sealed(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response

    @app.errorhandler(Refused)
    def refused(error: Refused) -> tuple[Response, int]:
        return jsonify(error=str(error), status=error.status), error.status

    @app.errorhandler(HTTPException)
    def failed(error: HTTPException) -> Response:
        return _as_json(error, service.limits)

    @app.get("/")
    def page() -> Response:
        return Response((PAGE / "index.html").read_bytes(), mimetype="text/html")

    @app.get("/health")
    def health() -> Response:
        return jsonify(service.health)

    @app.get("/model")
    def model() -> Response:
        return jsonify(service.card)

    @app.get("/schema")
    def schema() -> Response:
        return Response((PAGE / "schema.json").read_bytes(), mimetype="application/json")

    @app.post("/predict")
    def predict() -> Response:
        wanted = Wanted(
            _number("top", TOP, 1, MOST_LABELS),
            _number("preview", 0, 0, LARGEST_PREVIEW),
            bool(_number("tray", 0, 0, 1)),
        )
        return jsonify(predictions=service.answer(sent(request, service.limits), wanted))

    @app.post("/where")
    def where() -> Response:
        return jsonify(service.where(_single(), request.args.get("label")))

    @app.route("/<item>", methods=["GET", "POST"])
    def one_item(item: str) -> Response:
        known = item == service.card["name"] or service.knows(item)
        if not known and item in ROUTES:
            raise MethodNotAllowed([ROUTES[item]])
        if not known:
            service.output(item)  # refuses, and names those that are known
        if request.method != "POST":
            raise MethodNotAllowed(["POST"])
        return jsonify(service.answer_item(_single(), item))

    def _single() -> Any:
        pictures = sent(request, service.limits)
        if len(pictures) > 1:
            raise Refused(f"Expected one picture. Received: {len(pictures)}. Send several to /predict.")
        return pictures[0]

    return app


def _number(name: str, default: int, least: int, most: int) -> int:
    """Return a number of the query."""
    text = request.args.get(name)
    if text is None:
        return default
    if not text.isdecimal() or not text.isascii() or not least <= int(text[:9]) <= most:
        raise Refused(f"Expected ?{name}= a whole number of {least} to {most}. Received: {text[:40]!r}.")
    return int(text)


def _as_json(error: HTTPException, limits: Limits) -> Response:
    """Return werkzeug's own refusals as JSON."""
    status = error.code or 500
    said = {
        404: "Expected /, /health, /model, /schema, /predict, /where or an item of this run.",
        405: f"Expected another method for {request.path[:100]}. Received: {request.method}. {HOW}",
        413: f"Expected a body of at most {limits.body:,} bytes. Received: more. Send fewer or smaller pictures.",
        500: "Something failed that should not have. The server's log says what.",
    }
    headers = {}
    if status == 405:
        headers["Allow"] = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
    response = jsonify(error=said.get(status, error.description or error.name), status=status)
    response.status_code = status
    response.headers.update(headers)
    return response
