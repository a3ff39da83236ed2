"""Colab: the setup cell in an empty folder, in an environment with Colab's versions, against a clone on this machine.

`make places` builds that environment, .venv-colab. A stand-in for `google.colab` is imported when the kernel starts,
as Colab does it; git answers for github.com with this repository's last commit.
"""

import json
import os
import subprocess

import links
import nbformat
import pytest
from conftest import ROOT

PYTHON = ROOT / ".venv-colab" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ADDRESS = "somebody/cnn-pictures"
RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read("../notebook.ipynb", as_version=4)
try:
    NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": "."}}).execute()
finally:
    nbformat.write(notebook, "../executed.ipynb")
"""
QUESTIONS = "import json; print(json.dumps([helpers.__file__, len(helpers.list_images(helpers.PROBE)), sys.path]))"


@pytest.fixture
def colab(tmp_path, monkeypatch):
    """A function that runs a notebook as Colab would: the cells given, {name of a cell: source}, in an empty folder."""
    if not PYTHON.exists():
        words = "there is no .venv-colab: `make places` builds it"
        pytest.fail(words) if os.environ.get("REQUIRE_BROWSER") == "1" else pytest.skip(words)
    content, package, startup = tmp_path / "content", tmp_path / "packages/google/colab", tmp_path / "profile_default"
    for folder in (content, package, startup / "startup"):
        folder.mkdir(parents=True)
    (package / "__init__.py").touch()
    (startup / "startup" / "colab.py").write_text("import google.colab\n")
    local = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{ROOT.as_uri()}.insteadOf"}
    local |= {"GIT_CONFIG_VALUE_0": f"https://github.com/{ADDRESS}", "PYTHONPATH": str(package.parent.parent)}
    local |= {"IPYTHONDIR": str(tmp_path), "CHECKS": "strict"}
    environment = {
        name: value for name, value in os.environ.items() if name not in ("RESNET50V2_WEIGHTS", "PYTHONPATH")
    }

    def run(notebook):
        nbformat.write(notebook, tmp_path / "notebook.ipynb")
        words = [PYTHON, "-c", RUN]
        found = subprocess.run(words, cwd=content, env={**environment, **local}, capture_output=True, text=True)
        return nbformat.read(tmp_path / "executed.ipynb", as_version=4), found

    run.content = content
    return run


def stamped(path, address=ADDRESS):
    """Return a stored notebook as a fork's, its code cells alone."""
    notebook = nbformat.reads(links.stamped(path.read_text(encoding="utf-8"), address), as_version=4)
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return notebook


def printed(cell):
    return "".join(output.get("text", "") for output in cell.outputs)


def packages():
    words = [PYTHON, "-m", "pip", "list", "--disable-pip-version-check", "--format=freeze"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_notebook_01_fetches_the_project_and_runs_to_its_end(colab):
    before, notebook = packages(), stamped(NOTEBOOKS[0])
    setup, questions = notebook.cells[0], nbformat.v4.new_code_cell(QUESTIONS)
    notebook.cells = [setup, questions, *notebook.cells, nbformat.v4.new_code_cell(QUESTIONS)]  # the setup cell twice
    executed, run = colab(notebook)
    assert run.returncode == 0, run.stderr[-2000:]
    clone = colab.content / "cnn-filters"
    file, photos, path = json.loads(printed(executed.cells[1]))
    assert os.path.samefile(file, clone / "helpers.py") and photos > 300
    assert json.loads(printed(executed.cells[-1])) == [file, photos, path]  # the second time changed nothing
    assert [entry.name for entry in colab.content.iterdir()] == ["cnn-filters"]
    depth = subprocess.run(["git", "rev-list", "--count", "HEAD"], cwd=clone, capture_output=True, text=True)
    assert depth.stdout.strip() == "1"
    assert packages() == before  # nothing was installed, nothing removed
    stored = [cell for cell in stamped(NOTEBOOKS[0]).cells if "nbval-check-output" in cell.metadata.get("tags", [])]
    tagged = [cell for cell in executed.cells if "nbval-check-output" in cell.metadata.get("tags", [])]
    assert [printed(cell) for cell in tagged] == [printed(cell) for cell in stored] and stored


@pytest.mark.parametrize("path", NOTEBOOKS[1:], ids=lambda path: path.stem)
def test_the_setup_cell_of_the_others(colab, path):
    notebook = stamped(path)
    notebook.cells = [notebook.cells[0], nbformat.v4.new_code_cell(QUESTIONS)]
    executed, run = colab(notebook)
    assert run.returncode == 0, run.stderr[-2000:]
    assert os.path.samefile(json.loads(printed(executed.cells[1]))[0], colab.content / "cnn-filters" / "helpers.py")


def test_an_address_that_was_not_stamped_is_said_so(colab):
    notebook = stamped(NOTEBOOKS[0], "OWNER/NAME")
    notebook.cells = notebook.cells[:1]
    executed, run = colab(notebook)
    assert run.returncode != 0 and not any(colab.content.iterdir())
    assert "REPOSITORY is not set: write the owner/name" in executed.cells[0].outputs[-1]["evalue"]
