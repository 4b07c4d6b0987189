"""What stands beside an exported model: how to use it with its own runtime and nothing else."""

from collections.abc import Mapping
from typing import Any, Final

LOAD: Final[Mapping[str, tuple[str, str, str]]] = {
    "keras": (
        "tensorflow keras",
        "import keras",
        """model = keras.models.load_model("model.keras", compile=False)
answer = model(pixels)
answer = answer if isinstance(answer, dict) else {card["outputs"][0]["item"] or "probabilities": answer}""",
    ),
    "savedmodel": (
        "tensorflow",
        "import tensorflow as tf",
        """model = tf.saved_model.load("savedmodel")
answer = model.signatures["serving_default"](pixels=tf.constant(pixels))""",
    ),
    "tflite": (
        "ai-edge-litert",
        "from ai_edge_litert.interpreter import Interpreter",
        """model = Interpreter("model.tflite")
answer = model.get_signature_runner("serving_default")(pixels=pixels)""",
    ),
    "onnx": (
        "onnxruntime",
        "import onnxruntime",
        """model = onnxruntime.InferenceSession("model.onnx")
answer = dict(zip([one.name for one in model.get_outputs()], model.run(None, {"pixels": pixels})))""",
    ),
}
"""What to install, what to import, and how to get ``answer``, by format."""


def example(card: Mapping[str, Any]) -> str:
    """Return a short program that prints what the exported file says about a photo."""
    _, imports, load = LOAD[card["format"]]
    size = card["input"]["shape"][1]
    return f"""import json, sys
import numpy as np
{imports}
from PIL import Image, ImageOps

card = json.load(open("labels.json"))
photo = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert("RGBA")
photo = Image.alpha_composite(Image.new("RGBA", photo.size, "white"), photo).convert("RGB")
pixels = np.asarray(photo.resize(({size}, {size}), Image.Resampling.BILINEAR), np.float32)[None]
{load}
for output in card["outputs"]:
    said = np.asarray(answer[output["name"]])[0].tolist()
    print({{label: round(probability, 4) for label, probability in zip(output["labels"], said)}})
"""


def readme(card: Mapping[str, Any]) -> str:
    """Return the README of an export, in Markdown."""
    install, _, _ = LOAD[card["format"]]
    checked, run = card["checked"], card["run"]
    kinds = "\n".join(
        f"| `{one['name']}` | {', '.join(f'`{label}`' for label in one['labels'])} | {_threshold(one)} |"
        for one in card["outputs"]
    )
    size = card["input"]["shape"][1]
    source = "photos of its datasets" if checked["real"] else "drawn pictures, for want of its photos"
    return f"""# {run["name"]} ({card["format"]}{"" if card["precision"] == "float" else ", " + card["precision"]})

A classifier made with `tray` (run `{run["id"]}`, network `{run["network"]}`). `{card["file"]}` is the model;
`labels.json` says all of this for programs.

Input `pixels`: {size} x {size} RGB, float32 of 0 to 255, the picture stretched to the square. Nothing is to be
subtracted or divided: the model does that.

| output | probabilities of | present from |
|---|---|---|
{kinds}

Measured at export on {checked["pictures"]} {source}: the largest difference to the run's own probabilities was
{checked["largest_difference"]:.2g} ({checked["mean_difference"]:.2g} on average).
Of {checked["decisions"]} clear decisions, {100 * checked["same_decision"]:.1f} % were the run's.

```
pip install {install} pillow numpy
python example.py lunch.jpg
```

```python
{example(card)}```
"""


def _threshold(output: Mapping[str, Any]) -> str:
    if output["threshold"] is None:
        return "the most probable one counts"
    return f"`{output['labels'][-1]}` from {output['threshold']:.3g}"
