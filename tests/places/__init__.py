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


def code(cells):
    return [cell for cell in cells if cell.cell_type == "code"]


def figures(cells):
    """Return the figures of cells in their order: (alt text, base64) of each."""
    outputs = [output for cell in code(cells) for output in cell.outputs]
    drawn = [(output, kind) for output in outputs for kind in output.get("data", {}) if kind.startswith("image/")]
    return [(output.metadata.get(kind, {}).get("alt", ""), output.data[kind]) for output, kind in drawn]
