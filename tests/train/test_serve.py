"""A served run: its JSON API over real HTTP, and what stands behind it."""

import base64
import http.client
import io
import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pytest_httpserver import HTTPServer

from dataset.errors import RunNotFound, TrayError
from tests.train.conftest import COLOURS, draw
from train.predict import predict
from train.runs import Run
from train.serve import Limits, Refused, Server
from train.serve.batches import Batches
from train.trays import survey
from train.where import Eye

LIMITS = Limits(body=200_000, pixels=1_000_000, pictures=4)
RAW = {"Content-Type": "application/octet-stream"}


def fetch(url: str) -> bytes:
    """Fetch as a guarded fetcher does: with a sentence when nothing came, and a status where an address is refused."""
    if "forbidden" in url:
        raise Refused(f"Expected a public address. Received: {url}.", 403)
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            data: bytes = answer.read()
    except urllib.error.URLError as error:
        raise TrayError(f"Expected a picture at {url}. Received: {error}.") from error
    return data


@pytest.fixture(scope="module")
def server(items_run: Run) -> Iterator[Server]:
    """Return a server of a run with three items."""
    with Server(items_run, fetch=fetch, port=0, limits=LIMITS) as server:
        yield server


@pytest.fixture(scope="module")
def plain_server(plain_run: Run) -> Iterator[Server]:
    """Return a server of a run of one classifier, which fetches nothing."""
    with Server(plain_run, port=0, limits=LIMITS) as server:
        yield server


@pytest.fixture(scope="module")
def red(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a picture of a tomato."""
    return drawn(tmp_path_factory.mktemp("red"), "tomato")


@pytest.fixture(scope="module")
def violet(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a picture of a plum."""
    return drawn(tmp_path_factory.mktemp("violet"), "plum")


def drawn(folder: Path, kind: str) -> bytes:
    """Return the bytes of a drawn picture."""
    draw(folder / "a.png", COLOURS[kind], [91])
    return (folder / "a.png").read_bytes()


def ask(
    server: Server, path: str, body: bytes | None = None, headers: dict[str, str] | None = None, method: str = ""
) -> tuple[int, Any, dict[str, str]]:
    """Return status, JSON and headers of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request(method or ("GET" if body is None else "POST"), path, body, headers or {})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, json.loads(data) if data else None, dict(answer.getheaders())


def form(**files: bytes) -> tuple[bytes, dict[str, str]]:
    """Return files as a multipart body with its headers."""
    parts = [
        f'--edge\r\nContent-Disposition: form-data; name="{name}"; filename="{name}.png"\r\n\r\n'.encode()
        + data
        + b"\r\n"
        for name, data in files.items()
    ]
    return b"".join([*parts, b"--edge--\r\n"]), {"Content-Type": "multipart/form-data; boundary=edge"}


def as_json(value: Any) -> tuple[bytes, dict[str, str]]:
    """Return a JSON body with its headers."""
    return json.dumps(value).encode(), {"Content-Type": "application/json"}


def png(width: int, height: int) -> bytes:
    """Return a picture of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(file, "PNG")
    return file.getvalue()


def test_raw_bytes_are_answered_as_predict_answers(server: Server, items_run: Run, red: bytes, tmp_path: Path) -> None:
    """The service and the command line say the same of the same bytes."""
    (tmp_path / "red.png").write_bytes(red)
    (expected,) = predict(items_run, [tmp_path / "red.png"])
    status, told, headers = ask(server, "/predict", red, RAW)
    (answer,) = told["predictions"]

    assert status == 200
    assert headers["Content-Type"] == "application/json"
    assert answer["label"] == expected.label == "tomato"
    assert answer["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5)
    assert list(answer["probabilities"]) == list(expected.probabilities)
    assert answer["items"] == pytest.approx(expected.items, abs=1e-5)
    assert (answer["width"], answer["height"]) == (64, 48)


@pytest.mark.parametrize("kind", ["image/png", "application/x-www-form-urlencoded", "text/html", ""])
def test_raw_bytes_need_no_right_type(server: Server, red: bytes, kind: str) -> None:
    """Command line tools call any body a form; the bytes tell what it is."""
    status, told, _ = ask(server, "/predict", red, {"Content-Type": kind} if kind else {})

    assert (status, told["predictions"][0]["label"]) == (200, "tomato")


def test_several_files_are_answered_in_their_order(server: Server, red: bytes, violet: bytes) -> None:
    """A batch tells each by its name; one that is no picture spoils nothing."""
    status, told, _ = ask(server, "/predict", *form(one=red, page=b"<html>", two=violet))
    one, page, two = told["predictions"]

    assert status == 200
    assert (one["file"], one["label"]) == ("one.png", "tomato")
    assert (page["file"], page["status"]) == ("page.png", 415)
    assert "html" in page["error"]
    assert (two["file"], two["label"]) == ("two.png", "plum")


def test_addresses_are_fetched(server: Server, httpserver: HTTPServer, red: bytes, violet: bytes) -> None:
    """One address or a list, as JSON or as plain text, alone or in a form."""
    httpserver.expect_request("/red.png").respond_with_data(red)
    httpserver.expect_request("/violet.png").respond_with_data(violet)
    first, second = httpserver.url_for("/red.png"), httpserver.url_for("/violet.png")
    text = {"Content-Type": "text/plain"}
    bodies = [
        (as_json({"url": first}), ["tomato"]),
        (as_json({"urls": [first, second]}), ["tomato", "plum"]),
        (as_json([second, first]), ["plum", "tomato"]),
        ((f"{first}\n{second}\n".encode(), text), ["tomato", "plum"]),
        (
            (f"url={urllib.request.quote(second)}".encode(), {"Content-Type": "application/x-www-form-urlencoded"}),
            ["plum"],
        ),
    ]
    for (body, headers), expected in bodies:
        status, told, _ = ask(server, "/predict", body, headers)

        assert (status, [one["label"] for one in told["predictions"]]) == (200, expected)


def test_a_data_address_needs_no_fetching(plain_server: Server, red: bytes) -> None:
    """A program that has only JSON sends the bytes inside it."""
    body, headers = as_json({"url": f"data:image/png;base64,{base64.b64encode(red).decode()}"})
    status, told, _ = ask(plain_server, "/predict", body, headers)

    assert (status, told["predictions"][0]["label"]) == (200, "tomato")
    assert told["predictions"][0]["items"].keys() == {"tomato"}


def test_an_item_is_asked_by_its_name(server: Server, httpserver: HTTPServer, red: bytes) -> None:
    """POST /<item> takes the picture's address as raw body, and says whether the item is there."""
    httpserver.expect_request("/red.png").respond_with_data(red)
    address = httpserver.url_for("/red.png").encode()
    status, tomato, _ = ask(server, "/tomato", address)
    _, plum, _ = ask(server, "/plum", address, {"Content-Type": "application/x-www-form-urlencoded"})

    assert status == 200
    assert (tomato["item"], tomato["present"], tomato["threshold"]) == ("tomato", True, pytest.approx(0.5, abs=0.5))
    assert tomato["probability"] == tomato["probabilities"]["tomato"] >= tomato["threshold"]
    assert not plum["present"]
    assert plum["file"] == address.decode()


def test_a_run_is_asked_by_its_name(server: Server, plain_server: Server, red: bytes) -> None:
    """POST /<run> answers for the whole run, as /predict does for one picture."""
    whole = ask(server, "/binary", red)[1]
    one = ask(plain_server, "/not_tomato", red)[1]

    assert whole["label"] == "tomato"
    assert len(whole["probabilities"]) == 3
    assert not one["present"]


def test_where_the_model_looked(server: Server, red: bytes) -> None:
    """A heat map tells its label, its probability and the layer that it was taken from; rows are of 0..1."""
    status, told, _ = ask(server, "/where?label=plum", red)
    rows = np.array(told["rows"])
    best = ask(server, "/where", red)[1]

    assert (status, told["label"], told["method"]) == (200, "plum", "conv3")
    assert rows.ndim == 2
    assert rows.min() >= 0
    assert rows.max() in {0, 1}
    assert best["label"] == "tomato"
    assert best["probability"] == pytest.approx(
        ask(server, "/predict", red)[1]["predictions"][0]["probabilities"]["tomato"], abs=1e-5
    )


def test_without_a_convolution_patches_are_hidden() -> None:
    """A model of dense layers alone is asked what it loses when each part of the picture is painted over."""
    from train.backend import keras

    inputs = keras.Input((20, 20, 3))
    dense = keras.layers.Dense(2, use_bias=False)
    model = keras.Model(inputs, keras.layers.Softmax()(dense(keras.layers.Flatten()(inputs))))
    weights = np.zeros((20, 20, 3, 2), np.float32)
    weights[4:6, 14:16, :, 1] = 0.01
    dense.set_weights([weights.reshape(-1, 2)])
    pixels = np.random.default_rng(0).integers(0, 100, (20, 20, 3), np.uint8)
    pixels[4:6, 14:16] = 250
    heat = Eye(model, lambda some: {"": np.asarray(model(some.astype(np.float32)))}).heat(pixels, "", 1)

    assert heat.method == "occlusion"
    assert np.unravel_index(heat.rows.argmax(), heat.rows.shape) == (2, 7)


@pytest.mark.parametrize("views", [1, 2])
def test_a_backbone_inside_the_model_is_looked_into(views: int) -> None:
    """Maps are found in models within models; what speaks for red is where red is, for blue elsewhere.

    A backbone that looks at the mirrored picture too finds it in the same place.
    """
    from train.backend import keras

    layers = keras.layers
    inner = keras.Input((16, 16, 3))
    convolution = layers.Conv2D(2, 1, use_bias=False, name="last")
    trunk = keras.Model(inner, layers.ReLU()(layers.BatchNormalization()(convolution(inner))), name="trunk")
    outer = keras.Input((16, 16, 3))
    seen = [outer, keras.ops.flip(outer, axis=2)][:views]
    means = [layers.GlobalAveragePooling2D()(trunk(one)) for one in seen]
    shared = layers.Average()(means) if views > 1 else means[0]
    dense = {name: layers.Dense(2, activation="softmax", use_bias=False, name=name) for name in ("b", "a")}
    model = keras.Model(outer, {name: layer(shared) for name, layer in dense.items()})
    # One map answers to red and the other to blue; the head "a" takes red for class 1 and blue for class 0.
    convolution.set_weights([np.array([[1, 0], [0, 0], [0, 1]], np.float32).reshape(1, 1, 3, 2)])
    dense["a"].set_weights([np.array([[0, 0.1], [0.1, 0]], np.float32)])
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[2:5, 10:13, 0] = 255
    pixels[12:15, 1:4, 2] = 255
    eye = Eye(model, lambda some: {name: np.asarray(one) for name, one in model(some.astype(np.float32)).items()})
    red, blue = eye.heat(pixels, "a", 1), eye.heat(pixels, "a", 0)

    assert (red.method, blue.method) == ("last", "last")
    assert red.rows.shape == (8, 8)
    assert np.argwhere(red.rows > 0.5).tolist() == [[1, 5]]
    assert np.argwhere(blue.rows > 0.5).tolist() == [[6, 1]]


REFUSED = [
    ("/predict", b"", {}, 400, "Received: none"),
    ("/predict", b"hello there", RAW, 415, "not an image"),
    ("/predict", b"<html><body>no</body></html>", RAW, 415, "html"),
    ("/predict", b"<svg xmlns='x'></svg>", RAW, 415, "SVG"),
    ("/predict", b"%PDF-1.7 ...", RAW, 415, "PDF"),
    ("/predict", png(64, 48)[:-40], RAW, 422, "cut off"),
    ("/predict", png(1001, 1000), RAW, 413, "1,000,000 pixels"),
    ("/predict", b"x" * 300_000, RAW, 413, "200,000 bytes"),
    ("/predict", b"x" * 500_000, RAW, 413, "Too Large"),
    ("/predict", *form(a=b"x" * 120_000, b=b"x" * 120_000), 413, "200,000 bytes"),
    ("/predict", b"{", {"Content-Type": "application/json"}, 400, "Expected JSON"),
    ("/predict", *as_json({"uri": "x"}), 400, '"url"'),
    ("/predict", *as_json({"url": 5}), 400, '"url"'),
    ("/predict", *as_json([]), 400, "Received: none"),
    ("/predict", *as_json({"url": "file:///etc/passwd"}), 400, "http://"),
    ("/predict", *as_json({"url": "data:image/png;base64,!!"}), 400, "base64"),
    ("/predict", *as_json({"url": f"http://a.example/{'x' * 8192}"}), 400, "at most 8192"),
    ("/predict", *as_json({"url": "http://127.0.0.1:1/x.jpg"}), 502, "127.0.0.1:1"),
    ("/predict", *as_json({"url": "http://forbidden.example/"}), 403, "public address"),
    ("/predict", *as_json(["http://a.example/x.jpg"] * 5), 413, "at most 4 pictures"),
    ("/predict", *form(), 400, "Received: none"),
    ("/predict", b"lunch.jpg", {"Content-Type": "text/plain"}, 400, "'lunch.jpg'"),
    ("/predict?top=many", b"x", RAW, 400, "?top="),
    ("/predict?preview=99999", b"x", RAW, 400, "?preview="),
    ("/where?label=quince", png(64, 48), RAW, 404, "tomato, lettuce, plum"),
    ("/where", *form(a=png(64, 48), b=png(64, 48)), 400, "one picture"),
    ("/quince", b"x", RAW, 404, "quince"),
    ("/a/b", b"x", RAW, 404, "/predict"),
    ("/model", b"x", RAW, 405, "POST"),
]


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "said"), REFUSED, ids=[f"{n}-{one[3]}" for n, one in enumerate(REFUSED)]
)
def test_what_cant_be_answered_is_refused_in_json(
    server: Server, *, path: str, body: bytes, headers: dict[str, str], status: int, said: str
) -> None:
    """Every refusal has its status, and a sentence in JSON."""
    got, told, answered = ask(server, path, body, headers)

    assert (got, told["status"]) == (status, status)
    assert said in told["error"]
    assert answered["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [("/predict", "GET", "POST"), ("/tomato", "GET", "POST"), ("/tomato", "DELETE", "POST"), ("/health", "PUT", "GET")],
)
def test_another_method_is_told_which_is_right(server: Server, path: str, method: str, allowed: str) -> None:
    """405 names the methods that are allowed."""
    status, told, headers = ask(server, path, method=method)

    assert (status, told["status"]) == (405, 405)
    assert allowed in headers["Allow"]


def test_a_service_that_fetches_nothing_says_so(plain_server: Server) -> None:
    """Without a fetcher an address is 501, and the model's card tells."""
    status, told, _ = ask(plain_server, "/tomato", b"http://a.example/x.jpg")

    assert (status, "fetches no addresses" in told["error"]) == (501, True)
    assert ask(plain_server, "/model")[1]["fetches"] is False


def test_other_sites_pages_are_refused(server: Server, red: bytes) -> None:
    """A browser says that a request comes from another site; programs say nothing and are answered."""
    status, told, _ = ask(server, "/predict", red, {"Sec-Fetch-Site": "cross-site"})

    assert (status, told["status"]) == (403, 403)
    assert ask(server, "/predict", red, {"Sec-Fetch-Site": "same-origin"})[0] == 200


@pytest.mark.parametrize("path", ["/predict", "/predict?tray=1"])
def test_an_answer_costs_one_small_decode(server: Server, decodes: list[tuple[int, int]], path: str) -> None:
    """A picture is decoded once to be checked, measured and looked at, and not at its full size."""
    picture = io.BytesIO()
    Image.linear_gradient("L").resize((960, 720)).convert("RGB").save(picture, "JPEG")
    decodes.clear()
    (answer,) = ask(server, path, picture.getvalue(), RAW)[1]["predictions"]
    ((width, height),) = decodes

    assert (answer["width"], answer["height"]) == (960, 720)
    assert (width * 2, height * 2) <= (960, 720)


def test_a_tray_is_looked_at_by_windows(server: Server, items_run: Run, red: bytes, tmp_path: Path) -> None:
    """With ?tray=1 the answer is that of `tray predict --tray`; what is no picture, or has no windows, is refused."""
    (tmp_path / "red.png").write_bytes(red)
    (known,) = survey(items_run, [tmp_path / "red.png"])
    (one,) = ask(server, "/predict?tray=1&preview=64", red, RAW)[1]["predictions"]

    assert one["seen"] == [
        {"item": was.item, "probability": pytest.approx(was.probability), "present": was.present, "box": list(was.box)}
        for was in known.seen
    ]
    assert one["label"] == known.label
    assert (one["width"], one["height"]) == (known.width, known.height)
    assert one["preview"].startswith("data:image/jpeg")
    assert ask(server, "/predict?tray=1", png(20_000, 20), RAW)[0] == 422
    assert ask(server, "/predict?tray=1", b"no picture", RAW)[0] == 415
    assert ask(server, "/predict?tray=2", red, RAW)[0] == 400


def test_health_and_model_tell_what_runs(server: Server, items_run: Run, red: bytes) -> None:
    """Health counts answers; the model's card tells labels, thresholds and limits; nothing runs what is not its own."""
    _, before, headers = ask(server, "/health")
    ask(server, "/predict", red)
    after, card = ask(server, "/health")[1], ask(server, "/model")[1]

    assert after["status"] == "ok"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert after["answered"] == before["answered"] + 1
    assert card["labels"] == list(items_run.items)
    assert {one["name"]: one["threshold"] for one in card["items"]} == items_run.thresholds
    assert card["limits"] == {"body": 200_000, "pixels": 1_000_000, "pictures": 4}
    assert str(items_run.path.parent) not in json.dumps(card)


def test_the_schema_tells_what_is_answered(server: Server, red: bytes) -> None:
    """Every route is in the schema, and real answers have just the fields that it names."""
    schema = ask(server, "/schema")[1]
    rules = {rule.rule.replace("<item>", "{item}") for rule in server.app.url_map.iter_rules()}
    kinds = schema["components"]["schemas"]
    answers = {
        "Prediction": ask(server, "/predict?preview=32", red)[1]["predictions"][0],
        "Failure": ask(server, "/predict", *form(a=b"x", b=red))[1]["predictions"][0],
        "ItemAnswer": ask(server, "/tomato", red)[1],
        "Where": ask(server, "/where", red)[1],
        "Model": ask(server, "/model")[1],
        "Health": ask(server, "/health")[1],
        "Error": ask(server, "/predict", b"x")[1],
    }

    assert {*schema["paths"], "/", "/page/<path:filename>"} == rules
    for name, answer in answers.items():
        assert set(kinds[name]["required"]) <= set(answer) <= set(kinds[name]["properties"]), name


def test_many_clients_at_once_are_all_answered(server: Server, red: bytes, violet: bytes) -> None:
    """64 clients, each with its own connection and pictures: nobody gets an error or another's answer."""
    wrong: list[Any] = []

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        for turn in range(4):
            body, expected = ((red, "tomato"), (violet, "plum"))[(number + turn) % 2]
            try:
                connection.request("POST", "/predict", body, RAW)
                told = json.loads(connection.getresponse().read())
                if told["predictions"][0]["label"] != expected:
                    wrong.append(told)
            except Exception as error:  # noqa: BLE001 - whatever it is, it should not have been
                wrong.append(repr(error))
        connection.close()

    clients = [threading.Thread(target=client, args=(number,)) for number in range(64)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()

    assert wrong == []


def test_waiting_requests_share_a_pass() -> None:
    """What comes while one pass is under way goes into the next together, each row back to its own asker."""
    passes: list[int] = []
    begun, go = threading.Event(), threading.Event()

    def forward(pixels: Any) -> dict[str, Any]:
        passes.append(len(pixels))
        begun.set()
        assert go.wait(30)
        return {"": pixels.reshape(len(pixels), -1)}

    batches = Batches(forward, most=4)
    answers: dict[int, Any] = {}
    askers = [
        threading.Thread(target=lambda n=n: answers.update({n: batches(np.full((1, 1), n))}))  # type: ignore[misc]
        for n in range(6)
    ]
    askers[0].start()
    assert begun.wait(30)
    for one in askers[1:]:
        one.start()
    while batches.waiting < 5:
        pass
    go.set()
    for one in askers:
        one.join()
    batches.close()

    assert passes == [1, 4, 1]
    assert {n: answer[""].tolist() for n, answer in answers.items()} == {n: [[n]] for n in range(6)}


def test_a_failing_pass_fails_those_who_asked() -> None:
    """An exception reaches its askers, and the next is answered."""

    def forward(pixels: Any) -> dict[str, Any]:
        if pixels.sum() < 0:
            raise ValueError("negative light")
        return {"": pixels}

    batches = Batches(forward)
    with pytest.raises(ValueError, match="negative light"):
        batches(np.array([[-1]]))

    assert batches(np.array([[1]]))[""].tolist() == [[1]]
    batches.close()


def test_a_port_that_is_taken_is_told(plain_run: Run) -> None:
    """The sentence names the port and says what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(TrayError, match="Name another port"), Server(plain_run, port=taken.getsockname()[1]):
            pass


def test_a_run_without_its_model_is_not_served(plain_run: Run, tmp_path: Path) -> None:
    """What can't be loaded is said before the port is opened."""
    with pytest.raises(RunNotFound, match=r"model\.keras"):
        Server(Run(tmp_path, plain_run.record), port=0)
