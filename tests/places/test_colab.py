"""Colab: each notebook from an empty folder to its end, in .venv-colab, an environment of Colab's versions.

A stand-in for `google.colab` is imported when the kernel starts; git answers for github.com with the last commit here.
"""

import os
import re
import subprocess

import links
import nbformat
import pytest
from packaging.requirements import Requirement

from places import NOTEBOOKS, ROOT, code, figures

pytestmark = pytest.mark.places
PYTHON = ROOT / ".venv-colab" / "bin" / "python"
ADDRESS = "somebody/cnn-pictures"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_to_its_end_and_draws_every_figure(tmp_path, path):
    if not PYTHON.exists():
        words = "there is no .venv-colab: `make places` builds it"
        pytest.fail(words) if os.environ.get("REQUIRE_BROWSER") == "1" else pytest.skip(words)
    content, startup = tmp_path / "content", tmp_path / "profile_default/startup"
    for folder in (content, startup):
        folder.mkdir(parents=True)
    (startup / "colab.py").write_text("import sys\nsys.modules['google.colab'] = sys\n")
    local = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{ROOT.as_uri()}.insteadOf"}
    local |= {"GIT_CONFIG_VALUE_0": f"https://github.com/{ADDRESS}", "IPYTHONDIR": str(tmp_path)}
    ours = {name: value for name, value in os.environ.items() if name not in ("RESNET50V2_WEIGHTS", "CHECKS")}

    notebook = nbformat.reads(links.stamped(path.read_text(encoding="utf-8"), ADDRESS), as_version=4)
    stored = figures(notebook.cells)
    notebook.cells.append(nbformat.v4.new_code_cell(code(notebook.cells)[0].source))  # the setup cell once more
    nbformat.write(notebook, content / "notebook.ipynb")
    words = [PYTHON.with_name("jupyter-execute"), "--inplace", "--timeout=1200", content / "notebook.ipynb"]
    run = subprocess.run(words, env=ours | local, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]

    drawn = figures(nbformat.read(content / "notebook.ipynb", as_version=4).cells)
    assert len(drawn) == len(stored) > 0 and all(alt for alt, _ in drawn)
    assert {entry.name for entry in content.iterdir()} == {"notebook.ipynb", "cnn-filters"}
    assert (content / "cnn-filters/.git/shallow").exists()  # the last commit, without its history


def test_colabs_versions_are_within_the_requirements():
    pins = dict(re.findall(r"(?m)^([\w-]+)==(\S+)$", (ROOT / "tools/colab-constraints.txt").read_text("utf-8").lower()))
    lines = re.findall(r"(?m)^\w.*$", (ROOT / "requirements.txt").read_text(encoding="utf-8"))
    checked = [need for need in map(Requirement, lines) if need.name in pins]
    assert len(checked) >= 7 and all(need.specifier.contains(pins[need.name]) for need in checked)
