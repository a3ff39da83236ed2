"""Hygiene of the stored notebooks: what a reader on GitHub would trip over. nbval runs their cells besides."""

import base64
import io
import json
import re
import subprocess
import sys
import types

import links
import pytest
from PIL import Image

from conftest import ROOT

SECOND_EDITION: list[str] = []  # the numbers of the notebooks that have been rewritten: "01"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LIMITS_MB = {"04": 2.5, "05": 2.5}
LOCAL_PATHS = re.compile(r"(/root/|/home/|/tmp/|/Users/|/content/|[A-Z]:\\)")
TIMINGS = re.compile(r"(it/s|s/it|ms/step|CPU times|Wall time|\b\d+(\.\d+)? ?(seconds|secs|ms)\b)")
ALLOWED = {"text/plain", "image/png", "image/jpeg"}


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def cells(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        cell["source"] = "".join(cell["source"])
    return cells


def code(cells):
    return [cell for cell in cells if cell["cell_type"] == "code"]


def prose(cells):
    return "\n".join(cell["source"] for cell in cells if cell["cell_type"] == "markdown")


def text_of(output):
    return "".join(output.get("text", "")) + "".join(output.get("data", {}).get("text/plain", ""))


def figures(cells):
    """Return the stored figures: (data, alt text) of each."""
    outputs = [output for cell in code(cells) for output in cell["outputs"]]
    pairs = [(output, kind) for output in outputs for kind in output.get("data", {}) if kind.startswith("image/")]
    return [(output["data"][kind], output["metadata"].get(kind, {}).get("alt", "")) for output, kind in pairs]


def test_executed_from_the_top_without_errors_or_warnings_and_static(cells):
    assert [cell["execution_count"] for cell in code(cells)] == list(range(1, len(code(cells)) + 1))
    for output in (output for cell in code(cells) for output in cell["outputs"]):
        text = text_of(output)
        assert output["output_type"] != "error" and output.get("name") != "stderr", text
        assert set(output.get("data", {})) <= ALLOWED and "\r" not in text
        assert "not so here" not in text  # every claim held
        for pattern in (LOCAL_PATHS, TIMINGS, re.compile(r" at 0x[0-9a-f]{6,}>")):
            assert not pattern.search(text), text


def test_figures_have_alt_text_and_are_opaque_and_fit_the_page(cells):
    assert figures(cells)
    for data, alt in figures(cells):
        assert len(alt) >= 20, alt
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            assert picture.width <= 1000
            assert picture.mode == "RGB" or picture.convert("RGBA").getchannel("A").getextrema() == (255, 255)


def test_small_enough(path):
    assert path.stat().st_size < 1e6 * LIMITS_MB.get(path.name[:2], 1.5)


def lines(cell):
    return [line for line in cell["source"].splitlines() if line.strip()]


def test_form(path, cells):
    """Short cells and few, the five headings that all have, and, in the second edition, a picture before any code."""
    assert all(cell["source"].strip() for cell in cells)
    headings = re.findall(r"(?m)^#+ .+$", re.sub(r"(?ms)^```.*?^```", "", prose(cells)))
    assert [heading for heading in headings if heading.startswith("# ")] == headings[:1]
    required = ["## Setup", "## What this does not show", "## Takeaways", "## Exercises", "## References"]
    assert [heading for heading in headings if heading in required] == required
    assert all(words in prose(cells) for words in ("**Overview.**", "**What to see.**", "<details>"))
    second = path.name[:2] in SECOND_EDITION
    end = next(i for i, cell in enumerate(cells) if re.search("(?m)^## Takeaways", cell["source"]))
    most_cells, most_lines, most_words = (18, 16, 1500) if second else (30, 25, 2500)
    assert 10 <= len(code(cells[:end])) <= most_cells
    assert max(len(lines(cell)) for cell in code(cells)) <= most_lines
    assert len(prose(cells[:end]).split()) <= most_words
    if second:
        first = next(i for i, cell in enumerate(cells) if figures([cell]))
        assert sum(len(lines(cell)) for cell in code(cells[: first + 1])) <= 20
        assert max(len(line) for cell in code(cells) for line in lines(cell)) <= 100
        start = cells.index(code(cells)[0])
        (opening, *_) = re.findall(r"!\[[^\]]{20,}\]\((?!\w+:)([^)]+\.(?:png|jpe?g))\)", prose(cells[:start]))
        assert (path.parent / opening).exists()
        assert sum(text_of(output).count("✓") for cell in code(cells) for output in cell["outputs"]) <= 4


def test_some_cells_are_compared_and_these_print_no_float(cells):
    compared = [cell for cell in code(cells) if "nbval-check-output" in cell["metadata"].get("tags", [])]
    assert compared
    for cell in compared:
        printed = "\n".join(text_of(output) for output in cell["outputs"])
        measured = "\n".join(line for line in printed.splitlines() if not line.startswith("✓"))
        assert printed and not re.search(r"\d\.\d", measured), measured


def test_colab_link_and_relative_links(path, cells):
    links = re.findall(r"\]\(([^)#\s]+)\)", prose(cells))
    badge = [link for link in links if "colab.research.google.com" in link]
    assert len(badge) == 1 and badge[0].endswith(f"/blob/main/notebooks/{path.name}")
    for link in links:
        assert "://" in link or (path.parent / link).exists(), f"{link} leads nowhere"


def test_setup_cells_are_identical():
    first = {"".join(code(json.loads(path.read_text(encoding="utf-8"))["cells"])[0]["source"]) for path in NOTEBOOKS}
    assert len(first) == 1


@pytest.fixture
def setup_cell(monkeypatch, tmp_path):
    """The setup cell as a function that runs it; the model is not really loaded."""
    import helpers

    monkeypatch.setattr(helpers, "load_model", lambda: "the model")
    source = "".join(code(json.loads(NOTEBOOKS[0].read_text(encoding="utf-8"))["cells"])[0]["source"])

    def run(folder, address="OWNER/NAME", **scope):
        monkeypatch.chdir(folder)
        exec(compile(links.stamped(source, address), "setup cell", "exec"), scope)
        return scope

    return run


@pytest.mark.parametrize("folder", [".", "notebooks", "data/probe/birds"])
def test_setup_cell_finds_the_project_and_may_run_twice(setup_cell, folder):
    once = setup_cell(ROOT / folder)
    before = list(sys.path)
    assert once["project"] == ROOT and once["model"] == "the model"
    assert setup_cell(ROOT / folder, **once)["project"] == ROOT and sys.path == before


def test_setup_cell_elsewhere_says_what_to_do(setup_cell, tmp_path):
    with pytest.raises(RuntimeError, match="start Jupyter in the project's folder"):
        setup_cell(tmp_path)


def test_setup_cell_on_colab_needs_the_address_and_clones_once(setup_cell, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    calls = []

    def clone(command, check):
        calls.append(command)
        (tmp_path / "cnn-filters" / "notebooks").mkdir(parents=True)
        (tmp_path / "cnn-filters" / "helpers.py").touch()

    monkeypatch.setattr(subprocess, "run", clone)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(RuntimeError, match="REPOSITORY is not set"):
        setup_cell(tmp_path, "OWNER/NAME")
    for _ in range(2):
        setup_cell(tmp_path, "somebody/fork")
    assert len(calls) == 1 and calls[0][:5] == ["git", "clone", "--quiet", "--depth", "1"]
    assert "https://github.com/somebody/fork" in calls[0]


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "data" / "README.md"], ids=str)
def test_relative_links_of_the_pages(page):
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert "://" in link or (page.parent / link).exists(), f"{link} leads nowhere"


def test_the_picture_of_the_readme_is_the_ladder_of_notebook_04():
    notebook = next(path for path in NOTEBOOKS if path.name.startswith("04"))
    stored = {alt[:10]: data for data, alt in figures(json.loads(notebook.read_text(encoding="utf-8"))["cells"])}
    assert (ROOT / "data" / "ladder.jpg").read_bytes() == base64.b64decode(stored["The ladder"])
