"""Where people open the notebooks: pages as GitHub shows them, JupyterLab, Colab. `make places` runs these tests."""

from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}


def stored(number):
    """Return the notebook of a number such as "01", as it is stored."""
    return nbformat.read(next(path for path in NOTEBOOKS if path.name.startswith(number)), as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def figures(notebook):
    """Return the alt texts of a notebook's figures, in their order."""
    outputs = [output for cell in code(notebook) for output in cell.outputs]
    drawn = [(o.metadata, kind) for o in outputs for kind in o.get("data", {}) if kind.startswith("image/")]
    return [metadata.get(kind, {}).get("alt", "") for metadata, kind in drawn]
