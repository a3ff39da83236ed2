"""Run notebooks in other circumstances than their own; the stored ones stay as they are.

python tools/trials.py variants [--only 03]   to its end with another photo, layer and channel; with other weights;
                                              and rounding as a GPU does, where the compared outputs must be the stored
python tools/trials.py repeat [--only 03]     twice in a row: the same text, and images that hardly differ
"""

import base64
import io
import itertools
import os
import re
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a script, it has to find helpers.py

import nbformat
import numpy as np
from execute import ROOT, NotebookError, arguments, chosen, execute
from PIL import Image

import helpers

TOLERANCE = 2.0  # of 255: mean absolute difference of two images that count as the same
LINE = re.compile(r"^(PHOTO(?:, [A-Z]+)*) = .*$", re.MULTILINE)
OTHERS = {"PHOTO": "../probe/birds/blackbird_01.jpg", "CHANNEL": 7}  # the photo by a path, as a reader's own
LAYERS = {"02": "conv4_block2_preact_relu", "04": "conv4_block2_out"}  # 02 looks at a ReLU, 04 before one
ROUNDING = """
import functools, keras, tensorflow as tf

@tf.custom_gradient
def tf32(x):  # 10 bits of mantissa, as the tensor cores of a GPU keep of what they multiply, unless told not to
    if not tf.config.experimental.tensor_float_32_execution_enabled():
        return tf.identity(x), lambda gradient: gradient
    bits = tf.bitcast(x, tf.int32)
    return tf.bitcast(tf.bitwise.bitwise_and(bits + 0x1000, ~0x1FFF), tf.float32), lambda gradient: gradient

def rounded(call):
    return functools.wraps(call)(lambda self, x, *others, **named: call(self, tf32(x), *others, **named))

for kind in (keras.layers.Conv2D, keras.layers.Dense):
    kind.call = rounded(kind.call)
"""


def choose_others(notebook: nbformat.NotebookNode, number: str) -> None:
    """Change the one line that begins with PHOTO, the photo, layer and channel; ValueError without it."""
    found = [cell for cell in notebook.cells if cell.cell_type == "code" and LINE.search(cell.source)]
    if len(found) != 1:
        raise ValueError(f"notebook {number} has {len(found)} lines PHOTO, … = …, expected one")
    names = LINE.search(found[0].source)[1]
    values = [repr((OTHERS | {"LAYER": LAYERS.get(number)})[name]) for name in names.split(", ")]
    found[0].source = LINE.sub(f"{names} = {', '.join(values)}", found[0].source)


def shaken_weights() -> str:
    """Write another weights file, the default with 5 % of noise on every number, and return its path."""
    path = ROOT / "build" / "shaken.weights.h5"
    path.parent.mkdir(exist_ok=True)
    model, random = helpers.load_model("transplant"), np.random.default_rng(0)
    model.set_weights([w * random.normal(1, 0.05, w.shape).astype(w.dtype) for w in model.get_weights()])
    model.save_weights(path)
    return str(path)


def texts(notebook: nbformat.NotebookNode, tag: str | None = None) -> list[str]:
    """Return what each code cell printed; of the cells with a tag alone, if wanted."""
    cells = [c for c in notebook.cells if c.cell_type == "code" and tag in (None, *c.metadata.get("tags", []))]
    return ["".join(o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in c.outputs) for c in cells]


def images(notebook: nbformat.NotebookNode) -> list[np.ndarray]:
    """Return the figures of a notebook as arrays, (height, width, 3) in 0 to 255."""
    outputs = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    found = [data[kind] for data in outputs for kind in ("image/png", "image/jpeg") if kind in data]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), float) for data in found]


def differences(one: nbformat.NotebookNode, other: nbformat.NotebookNode) -> list[str]:
    """Return in words what differs between two executions of a notebook: texts at all, images by over TOLERANCE."""
    pairs = enumerate(zip(texts(one), texts(other), strict=True), 1)
    found = [f"code cell {n} printed {left!r}, then {right!r}" for n, (left, right) in pairs if left != right]
    for number, (left, right) in enumerate(itertools.zip_longest(images(one), images(other)), 1):
        if np.shape(left) != np.shape(right) or np.abs(left - right).mean() > TOLERANCE:
            found.append(f"figure {number} differs")
    return found


def try_variants(path: Path) -> list[str]:
    """Run a notebook in three variants; return in words what differs from what is stored where nothing should."""
    stored = texts(nbformat.read(path, as_version=4), "nbval-check-output")
    variants = {
        "another photo, layer and channel": (lambda n: choose_others(n, path.name[:2]), {}),
        "other weights": (None, {"RESNET50V2_WEIGHTS": shaken_weights()}),
        "a GPU's rounding": (lambda n: n.cells.insert(0, nbformat.v4.new_code_cell(ROUNDING)), {"CHECKS": "strict"}),
    }
    for words, (change, environment) in variants.items():
        print(f"{path.name} with {words}", flush=True)
        os.environ.update({"RESNET50V2_WEIGHTS": "", "CHECKS": ""} | environment)
        executed = execute(path, change)
    same = texts(executed, "nbval-check-output") == stored
    return [] if same else [f"{path.name} with {words}: a compared output is not the stored one"]


def main() -> None:
    given, failed = arguments(__doc__, ["variants", "repeat"]), []
    for path in chosen(given.only):
        try:
            if given.command == "variants":
                failed += try_variants(path)
            else:
                failed += [f"{path.name}: {words}" for words in differences(execute(path), execute(path))]
        except NotebookError as error:
            failed.append(str(error))
    sys.exit("\n".join(failed) or 0)


if __name__ == "__main__":
    main()
