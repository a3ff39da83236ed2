"""Fixtures: the default model, an averaging copy of it, and functions taken from the notebooks' own cells."""

import ast
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parent.parent

import keras
import numpy as np
import pytest


@pytest.fixture(scope="session")
def model():
    import helpers

    return helpers.load_model("transplant")


@pytest.fixture(scope="session")
def averaging_model(model):
    """The same graph with every kernel 1 / fan-in, no bias and BatchNorm the identity: each cell averages its field."""
    copy = keras.models.clone_model(model)
    for layer in copy.layers:
        if isinstance(layer, keras.layers.Conv2D):
            kernel = np.full(layer.kernel.shape, 1 / np.prod(layer.kernel.shape[:3]), np.float32)
            layer.set_weights([kernel] + ([np.zeros(layer.bias.shape)] if layer.use_bias else []))
        elif isinstance(layer, keras.layers.BatchNormalization):
            ones = np.ones(layer.gamma.shape)
            layer.set_weights([np.sqrt(ones + layer.epsilon), 0 * ones, 0 * ones, ones])
    return copy


def functions_of(number, *names, **given):
    """Return functions defined in the cells of notebook `number`, run with its imports and the names in `given`."""
    path = next((ROOT / "notebooks").glob(f"{number}_*.ipynb"))
    cells = [c for c in json.loads(path.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code"]
    import helpers

    scope = {"helpers": helpers, **given}
    for cell in cells[1:]:  # the first is the setup cell
        for node in ast.parse("".join(cell["source"])).body:
            wanted = isinstance(node, ast.FunctionDef) and node.name in names
            if wanted or isinstance(node, ast.Import | ast.ImportFrom):
                exec(compile(ast.Module([node], []), path.name, "exec"), scope)
    return [scope[name] for name in names]
