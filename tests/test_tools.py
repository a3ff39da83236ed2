"""The maintainers' tools: trials and environments."""

import base64
import io
import os
import re
import sys

import environments
import execute
import nbformat
import numpy as np
import pytest
import trials
from conftest import ROOT
from PIL import Image


def executed(printed="1", shade=0.0):
    """A notebook of one cell that printed a text and one that drew a grey square."""
    Image.fromarray(np.full((8, 8, 3), 100 + shade, np.uint8)).save(buffer := io.BytesIO(), "png")
    data = {"image/png": base64.b64encode(buffer.getvalue()).decode()}
    outputs = nbformat.v4.new_output("stream", text=printed), nbformat.v4.new_output("display_data", data)
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=[output]) for output in outputs])


def test_two_executions_are_told_apart_by_text_and_by_figures():
    assert trials.differences(executed(), executed(shade=2)) == []
    assert "printed '1', then '2'" in trials.differences(executed(), executed("2"))[0]
    fewer = executed()
    fewer.cells[1].outputs = []
    for other in (executed(shade=3), fewer):
        assert trials.differences(executed(), other) == ["figure 1 differs"]


@pytest.mark.parametrize("path", execute.chosen(""), ids=lambda path: path.stem)
def test_every_notebook_can_be_given_another_photo_layer_and_channel(path):
    notebook = nbformat.read(path, as_version=4)
    trials.choose_others(notebook, path.name[:2])
    assert "blackbird" in next(cell.source for cell in notebook.cells if trials.LINE.search(cell.source))
    with pytest.raises(ValueError, match="notebook 07 has 0 lines PHOTO"):
        trials.choose_others(executed(), "07")


def test_oldest_requirements_hold_every_package_to_its_lower_bound():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    lowest = environments.oldest(text)
    packages = re.findall(r"(?m)^([\w-]+)>=([\d.]+)", text)
    assert len(packages) > 5 and ">=" not in lowest
    assert all(f"\n{name}=={bound}.*\n" in lowest for name, bound in packages)


def test_an_interpreter_that_is_missing_is_said_to_be(tmp_path):
    assert environments.build(tmp_path, "3.99", tmp_path) == (None, "no Python 3.99 on this machine")


def test_every_link_of_the_site_leads_somewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(execute, "execute", lambda path: nbformat.read(path, as_version=4))
    execute.build(execute.chosen("03"), tmp_path)  # the other pages show what is stored
    pages = sorted((tmp_path / "site").glob("*.html"))
    assert {"index", *(path.stem for path in execute.chosen(""))} <= {page.stem for page in pages}
    for page in pages:
        for link in re.findall(r'href="([^"#:]+)"', page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link} leads nowhere"


def test_weights_are_found_from_where_the_command_was_given(tmp_path, monkeypatch):
    (tmp_path / "my.weights.h5").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(execute, "build", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["execute.py", "run"])
    for given, seen in (("my.weights.h5", str(tmp_path / "my.weights.h5")), ("imagenet", "imagenet")):
        monkeypatch.setenv("RESNET50V2_WEIGHTS", given)
        monkeypatch.delenv("CHECKS", raising=False)
        execute.main()
        assert os.environ["RESNET50V2_WEIGHTS"] == seen and "CHECKS" not in os.environ


def test_no_bar_is_stored_and_a_cell_that_fails_is_told_in_words(tmp_path, monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE")
    for name, code in (("bar", "import tqdm; print(*tqdm.tqdm([1, 2]))"), ("broken", "1 / 0")):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    (cell,) = execute.execute(tmp_path / "bar.ipynb").cells
    assert [(output.name, output.text) for output in cell.outputs] == [("stdout", "1 2\n")]
    with pytest.raises(execute.NotebookError, match=r"broken\.ipynb failed:(.|\n)*ZeroDivisionError"):
        execute.execute(tmp_path / "broken.ipynb")
    with pytest.raises(SystemExit, match="no notebook starts with '07'"):
        execute.chosen("07")
