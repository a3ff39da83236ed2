"""The maintainers' tools: trials, environments, the site, the repository's address."""

import base64
import io
import os
import re
import shutil
import subprocess
import sys

import environments
import execute
import links
import nbformat
import numpy as np
import pytest
import trials
import yaml
from conftest import ROOT, refuses
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


def test_every_notebook_can_be_given_another_photo_layer_and_channel():
    for path in execute.chosen(""):
        notebook = nbformat.read(path, as_version=4)
        trials.choose_others(notebook, path.name[:2])
        assert "blackbird" in next(cell.source for cell in notebook.cells if trials.LINE.search(cell.source))
    refuses("notebook 07 has 0 lines PHOTO", trials.choose_others, executed(), "07")


def test_oldest_requirements_hold_every_package_to_its_lower_bound(tmp_path):
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    lowest, packages = environments.oldest(text), re.findall(r"(?m)^([\w-]+)>=([\d.]+)", text)
    assert len(packages) > 5 and ">=" not in lowest
    assert all(f"\n{name}=={bound}.*\n" in lowest for name, bound in packages)
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
    refuses("no notebook starts with '07'", execute.chosen, "07", error=SystemExit)


def test_the_address_is_the_same_everywhere():
    address = links.PLACE.read_text(encoding="utf-8").strip()
    for page in links.PAGES:
        found = links.ADDRESS.findall(page.read_text(encoding="utf-8"))
        assert set(found) == {address} and len(found) >= 2, f"{page.name}: make links REPO={address} stamps {address}"


def test_an_address_that_is_none_changes_nothing(monkeypatch):
    for arguments in ([], ["nobody"], ["a/b/c"], ["https://github.com/a/b"], ["a/b", "c/d"]):
        monkeypatch.setattr(sys, "argv", ["links.py", *arguments])
        refuses("make links REPO=owner/name", links.main, error=SystemExit)


@pytest.mark.skipif(os.name == "nt", reason="the workflow runs on Linux")
def test_the_workflow_stamps_a_fork_with_one_commit(tmp_path):
    (job,) = yaml.safe_load((ROOT / ".github/workflows/address.yml").read_text(encoding="utf-8"))["jobs"].values()
    fork, environment = tmp_path / "fork", os.environ | {"GITHUB_REPOSITORY": "some-body/a.fork"}
    shutil.copytree(ROOT, fork, ignore=shutil.ignore_patterns(".*", "build", "data", "__pycache__"))

    def run(script):
        return subprocess.check_output(["bash", "-ec", script], cwd=fork, env=environment, text=True)

    run("git init -qb main && git add . && git -c user.name=a -c user.email=a@b.c commit -qm first")
    run("git init -q --bare ../origin && git remote add origin ../origin && git push -qu origin main")
    for _ in range(2):  # the second finds nothing to do
        run(job["steps"][-1]["run"])
    assert run("git log --format=%s origin/main") == "Stamp the address some-body/a.fork\nfirst\n"
    for path in links.PAGES:
        stamped, text = run(f"git show origin/main:{path.relative_to(ROOT)}"), path.read_text(encoding="utf-8")
        assert set(links.ADDRESS.findall(stamped)) == {"some-body/a.fork"}
        assert links.stamped(stamped, links.ADDRESS.findall(text)[0]) == text  # nothing else has changed
