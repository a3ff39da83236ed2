"""Hygiene of the stored notebooks: what a reader on GitHub would trip over. nbval runs their cells besides."""

import base64
import io
import os
import re
import subprocess
import sys

import links
import nbformat
import pictures
import pytest
from conftest import ROOT
from PIL import Image
from places import NOTEBOOKS, code, figures

REQUIRED = "Setup", "Takeaways", "What this does not show", "Your turn", "Exercises", "Going deeper", "References"
LIMITS_MB = {"04": 2.5, "05": 2.5}
LOCAL_PATHS = r"/root/|/home/|/tmp/|/Users/|/content/|[A-Z]:\\"
TIMINGS = r"it/s|s/it|ms/step|CPU times|Wall time|\b\d+(\.\d+)? ?(seconds|secs|ms)\b"
ALLOWED = {"text/plain", "image/png", "image/jpeg"}


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def cells(path):
    return nbformat.read(path, as_version=4).cells


def prose(cells):
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def text_of(output):
    return output.get("text", "") + output.get("data", {}).get("text/plain", "")


def lines(cell):
    return [line for line in cell.source.splitlines() if line.strip()]


def test_executed_from_the_top_without_errors_or_warnings_and_static(cells):
    assert [cell.execution_count for cell in code(cells)] == list(range(1, len(code(cells)) + 1))
    for output in (output for cell in code(cells) for output in cell.outputs):
        text = text_of(output)
        assert output.output_type != "error" and output.get("name") != "stderr", text
        assert set(output.get("data", {})) <= ALLOWED and "\r" not in text
        assert "not so here" not in text  # every claim held
        assert not re.search(rf"{LOCAL_PATHS}|{TIMINGS}| at 0x[0-9a-f]{{6,}}>", text), text


def test_figures_have_alt_text_and_are_opaque_and_fit_the_page(cells):
    assert figures(cells)
    for alt, data in figures(cells):
        assert len(alt) >= 20, alt
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            assert picture.width <= 1000
            assert picture.mode == "RGB" or picture.convert("RGBA").getchannel("A").getextrema() == (255, 255)


def test_form(path, cells):
    """A picture before any code, short cells and few, and the headings that all five have."""
    assert path.stat().st_size < 1e6 * LIMITS_MB.get(path.name[:2], 1.5)
    assert all(cell.source.strip() for cell in cells)
    headings = re.findall(r"(?m)^#+ .+$", re.sub(r"(?ms)^```.*?^```", "", prose(cells)))
    assert [heading for heading in headings if heading.startswith("# ")] == headings[:1]
    assert tuple(h[3:] for h in headings if h.startswith("## ") and h[3:] in REQUIRED) == REQUIRED
    assert all(words in prose(cells) for words in ("**Overview.**", "**What to see.**", "<details>"))
    end = next(i for i, cell in enumerate(cells) if re.search("(?m)^## Takeaways", cell.source))
    assert 10 <= len(code(cells[:end])) <= 18
    assert max(len(lines(cell)) for cell in code(cells)) <= 16
    assert max(len(line) for cell in code(cells) for line in lines(cell)) <= 100
    told = re.sub(r"\(https?:[^)]*\)|!\[[^\]]*\]\([^)]*\)", "", prose(cells[:end]))
    assert len(re.findall(r"\w+", told)) <= 1500
    first = next(i for i, cell in enumerate(cells) if figures([cell]))
    assert sum(len(lines(cell)) for cell in code(cells[: first + 1])) <= 20
    start = cells.index(code(cells)[0])
    (opening, *_) = re.findall(r"!\[[^\]]{20,}\]\((?!\w+:)([^)]+\.(?:png|jpe?g))\)", prose(cells[:start]))
    assert (path.parent / opening).exists()
    assert sum(text_of(output).count("✓") for cell in code(cells) for output in cell.outputs) <= 4


def test_some_cells_are_compared_and_these_print_no_float(cells):
    compared = [cell for cell in code(cells) if "nbval-check-output" in cell.metadata.get("tags", [])]
    assert compared
    for cell in compared:
        printed = "\n".join(text_of(output) for output in cell.outputs)
        assert printed and not re.search(r"(?m)^(?!✓).*\d\.\d", printed), printed


def test_colab_link_and_relative_links(path, cells):
    links = re.findall(r"\]\(([^)#\s]+)\)", prose(cells))
    badge = [link for link in links if "colab.research.google.com" in link]
    assert len(badge) == 1 and badge[0].endswith(f"/blob/main/notebooks/{path.name}")
    for link in links:
        assert "://" in link or (path.parent / link).exists(), f"{link} leads nowhere"


SETUP = [code(nbformat.read(path, as_version=4).cells)[0] for path in NOTEBOOKS]


def test_setup_cells_are_identical_and_short():
    assert len({cell.source for cell in SETUP}) == 1 and len(lines(SETUP[0])) <= 10


@pytest.fixture
def setup_cell(tmp_path):
    """A function that runs the setup cell twice in a folder: what it printed, or how it failed. `project` is a stub."""
    project = tmp_path / "project"
    for folder in (project / "data/probe/birds", project / "notebooks", tmp_path / "empty"):
        folder.mkdir(parents=True)
    (project / "helpers.py").write_text("load_model = lambda: 'the model'")
    (project / "drawing.py").touch()
    for words in ("init --quiet", "add .", "-c user.name=a -c user.email=a@b.c commit --quiet -m stub"):
        subprocess.run(["git", *words.split()], cwd=project, check=True)
    local = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{project.as_uri()}.insteadOf"}
    local |= {"GIT_CONFIG_VALUE_0": "https://github.com/somebody/fork", "GIT_ALLOW_PROTOCOL": "file"}

    def run(folder, before="", address="OWNER/NAME"):
        source = f"{before}\n{2 * (links.stamped(SETUP[0].source, address) + chr(10))}\nprint(helpers.__file__, model)"
        words = [sys.executable, "-c", source]
        found = subprocess.run(words, cwd=tmp_path / folder, env=os.environ | local, capture_output=True, text=True)
        return found.stdout.strip() or found.stderr.strip().splitlines()[-1]

    return run


def test_setup_cell_finds_the_project_from_within_and_says_what_to_do_elsewhere(setup_cell, tmp_path):
    for folder in (".", "notebooks", "data/probe/birds"):
        assert setup_cell(f"project/{folder}") == f"{tmp_path / 'project' / 'helpers.py'} the model"
    assert setup_cell("empty").startswith("AssertionError: no project here: start Jupyter in its folder")


def test_setup_cell_on_colab_fetches_the_project_or_says_what_to_do(setup_cell, tmp_path):
    colab = "import sys; sys.modules['google.colab'] = sys"
    assert "on Colab, write its owner/name above" in setup_cell("empty", colab)
    clone = tmp_path / "empty" / "cnn-filters"
    assert setup_cell("empty", colab, "somebody/fork") == f"{clone / 'helpers.py'} the model"


def test_relative_links_of_the_pages():
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "data" / "README.md"):
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
            assert "://" in link or (page.parent / link).exists(), f"{page}: {link} leads nowhere"


def test_the_pictures_of_the_readme_are_figures_of_the_notebooks():
    for name, (number, alt) in pictures.README.items():
        (notebook,) = (path for path in NOTEBOOKS if path.name.startswith(number))
        assert (ROOT / "data" / "pictures" / f"{name}.jpg").read_bytes() == pictures.stored(notebook, alt)
