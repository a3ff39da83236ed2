"""Fixtures: the default model, an averaging copy of it, and functions taken from the notebooks' own cells."""

import ast
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parent.parent

import pytest


@pytest.fixture(scope="session")
def model():
    import helpers

    return helpers.load_model("transplant")


@pytest.fixture(scope="session")
def averaging_model(model):
    """The same graph with every kernel 1 / fan-in, no bias and BatchNorm the identity, as notebook 02 makes it."""
    return functions_of("02", "averaging_copy")[0](model)


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
