"""Run the notebooks under other circumstances than their own. The stored notebooks stay as they are.

python tools/trials.py variants [--only 03]   to its end with another photo, layer and channel; with other weights;
                                              and rounding as a GPU does, where the compared outputs must be the stored
python tools/trials.py repeat [--only 03]     twice in a row: the same text, and images that hardly differ
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import re
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import nbformat
import numpy as np
from PIL import Image

from notebooks import NotebookError, chosen, execute

ROOT = Path(__file__).resolve().parent.parent
TOLERANCE = 2.0  # of 255: the mean absolute difference up to which two images count as the same
LINE = re.compile(r"^(PHOTO, (?:SECOND, )?LAYER, CHANNEL) = .*$", re.MULTILINE)
PHOTOS = ["../probe/birds/blackbird_01.jpg", "goldfish.jpg"]  # one of them by a path, as a reader's own would be
LAYERS = {"03": ("conv4_block1_1_conv", 17)}  # notebook 03 looks at a 1×1 convolution, the others at any layer
ROUNDING = """
import functools
import keras
import tensorflow as tf

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
    """Change the line PHOTO, LAYER, CHANNEL of a notebook; ValueError if it has none."""
    layer, channel = LAYERS.get(number, ("conv4_block2_out", 7))
    changed = 0
    for cell in notebook.cells:
        if cell.cell_type == "code" and (line := LINE.search(cell.source)):
            photos = PHOTOS if "SECOND" in line[1] else PHOTOS[:1]
            cell.source = LINE.sub(f"{line[1]} = {', '.join(map(repr, [*photos, layer, channel]))}", cell.source)
            changed += 1
    if changed != 1:
        raise ValueError(f"notebook {number} has {changed} lines PHOTO, LAYER, CHANNEL = …, expected one")


def shaken_weights() -> Path:
    """Write another weights file, the default with 5 % of noise on every number, and return its path."""
    sys.path.insert(0, str(ROOT))
    import helpers

    path = ROOT / "build" / "shaken.weights.h5"
    path.parent.mkdir(exist_ok=True)
    model, random = helpers.load_model("transplant"), np.random.default_rng(0)
    model.set_weights([w * random.normal(1, 0.05, w.shape).astype(w.dtype) for w in model.get_weights()])
    model.save_weights(path)
    return path


def texts(notebook: nbformat.NotebookNode, compared_only: bool = False) -> list[str]:
    """Return what each code cell printed; of the cells that nbval compares alone, if wanted."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    cells = [c for c in cells if not compared_only or "nbval-check-output" in c.metadata.get("tags", [])]
    return ["".join(o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in c.outputs) for c in cells]


def images(notebook: nbformat.NotebookNode) -> list[np.ndarray]:
    """Return the figures of a notebook as arrays, (height, width, 3) in 0 to 255."""
    outputs = [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]
    found = [data for o in outputs for kind, data in o.get("data", {}).items() if kind in ("image/png", "image/jpeg")]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), float) for data in found]


def differences(one: nbformat.NotebookNode, other: nbformat.NotebookNode) -> list[str]:
    """Return in words what differs between two executions of a notebook: texts at all, images by over TOLERANCE."""
    found = [
        f"code cell {number} printed {left!r}, then {right!r}"
        for number, (left, right) in enumerate(zip(texts(one), texts(other), strict=True), 1)
        if left != right
    ]
    pairs = images(one), images(other)
    if [image.shape for image in pairs[0]] != [image.shape for image in pairs[1]]:
        return [*found, "the number or the sizes of the figures differ"]
    apart = [float(np.abs(left - right).mean()) for left, right in zip(*pairs, strict=True)]
    return found + [f"figure {k} differs by {d:.2f} of 255" for k, d in enumerate(apart, 1) if d > TOLERANCE]


def try_variants(paths: list[Path]) -> list[str]:
    """Run each notebook in three variants; return what failed, in words."""
    weights, failed = str(shaken_weights()), []
    for path in paths:
        stored = texts(nbformat.read(path, as_version=4), compared_only=True)
        variants = {
            "another photo, layer and channel": (lambda n, p=path: choose_others(n, p.name[:2]), {}),
            "other weights": (None, {"RESNET50V2_WEIGHTS": weights}),
            "a GPU's rounding": (
                lambda n: n.cells.insert(0, nbformat.v4.new_code_cell(ROUNDING)),
                {"CHECKS": "strict"},
            ),
        }
        for words, (change, environment) in variants.items():
            print(f"{path.name} with {words}", flush=True)
            for name in ("RESNET50V2_WEIGHTS", "CHECKS"):
                os.environ.pop(name, None)
            os.environ.update(environment)
            try:
                executed = execute(path, change)
            except NotebookError as error:
                failed.append(f"with {words}: {error}")
                continue
            if "CHECKS" in environment and texts(executed, compared_only=True) != stored:
                failed.append(f"{path.name} with {words}: a compared output is not the stored one")
    return failed


def repeat(paths: list[Path]) -> list[str]:
    """Run each notebook twice; return what differs, in words."""
    failed = []
    for path in paths:
        try:
            one, other = execute(path), execute(path)
        except NotebookError as error:
            failed.append(str(error))
            continue
        failed += [f"{path.name}: {words}" for words in differences(one, other)]
        apart = [np.abs(a - b).mean() for a, b in zip(images(one), images(other), strict=False) if a.shape == b.shape]
        print(f"{path.name}: {len(apart)} figures, at most {max(apart, default=0):.3f} of 255 apart", flush=True)
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["variants", "repeat"])
    parser.add_argument("--only", default="", metavar="NN", help="only the notebooks whose names start so, e.g. 03")
    arguments = parser.parse_args()
    failed = (try_variants if arguments.command == "variants" else repeat)(chosen(arguments.only))
    sys.exit("\n".join(failed) if failed else 0)


if __name__ == "__main__":
    main()
