"""JupyterLab in a browser, as a reader uses it: run all cells, watch a long one, interrupt it, run it again."""

import json
import os
import re
import shutil
import subprocess
import sys
import time

import nbformat
import pytest
from jupyter_server.serverapp import list_running_servers

from places import ROOT, SCREENSHOTS, code, figures, stored

pytestmark = pytest.mark.places
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},  # every cell is in the page, in view or not
}
LONG = """\
pictures = helpers.maximize(model, "conv3_block4_out", 4 * [320], size=128, steps=96).images
drawing.image_grid(pictures, ["an optimized image"])"""
# JupyterLab draws errors as the one or the other, warnings as the second
RED = ", ".join(f'[data-mime-type="application/vnd.jupyter.{kind}"]' for kind in ("error", "stderr"))
IDLE = '.jp-Notebook-ExecutionIndicator[data-status="idle"]'


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab on copies without outputs, with settings of its own: a function from a notebook to its address."""
    home = tmp_path_factory.mktemp("lab")
    project = shutil.copytree(ROOT, home / "project", ignore=shutil.ignore_patterns(".*", "build"))
    long = stored("04")
    long.cells = [code(long.cells)[0], nbformat.v4.new_code_cell(LONG)]  # the setup cell, and one to interrupt
    for name, notebook in {"01": stored("01"), "long": long}.items():
        for cell in code(notebook.cells):
            cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, project / "notebooks" / f"{name}.ipynb")
    (home / "overrides.json").write_text(json.dumps(SETTINGS))
    places = {f"JUPYTER_{name}_DIR": str(home / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    environment = os.environ | places | {"IPYTHONDIR": str(home / "ipython"), "TQDM_DISABLE": ""}
    words = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--LabApp.app_settings_dir={home}", "--allow-root"]
    with subprocess.Popen(words, cwd=project, env=environment) as server:  # what it says is shown where a test fails
        try:
            for _ in range(120):
                if running := list(list_running_servers(home / "RUNTIME")):
                    break
                time.sleep(0.5)
            address = "{url}lab/tree/notebooks/{{}}.ipynb?reset&token={token}".format(**running[0])
            yield address.format  # `reset`: one tab
        finally:
            server.terminate()  # it ends its kernels


def run_all(browser, address):
    page = browser.new_page()
    page.goto(address)
    page.get_by_text("(ipykernel) | Idle").wait_for(timeout=90_000)  # the circle is empty before there is one
    for entry in ("Run", "Run All Cells"):
        page.get_by_role("menuitem", name=entry, exact=True).click()
    return page


def boxes(page):  # the texts of what would disturb a reader: errors, warnings, dialogs, notices
    return page.locator(f"{RED}, .jp-Dialog, .Toastify__toast").all_inner_texts()


def test_run_all_cells(browser, lab):
    notebook, page = stored("01"), run_all(browser, lab("01"))
    done = page.locator(".jp-CodeCell .jp-InputPrompt").last.get_by_text(f"[{len(code(notebook.cells))}]:")
    done.or_(page.locator(RED)).first.wait_for(timeout=600_000)
    page.locator(IDLE).wait_for()
    page.screenshot(path=SCREENSHOTS / "jupyterlab.png")
    assert boxes(page) == []
    assert page.locator(".jp-OutputArea-output img").count() == len(figures(notebook.cells)) > 0
    assert page.evaluate("[...document.images].every(image => image.naturalWidth)")


def test_progress_interruption_and_running_again(browser, lab):
    page = run_all(browser, lab("long"))
    cell = page.locator(".jp-CodeCell").last
    error, picture = cell.locator(RED), cell.locator(".jp-OutputArea-output img")

    def later_step(than):  # wait until the cell's progress bar has passed a step, and return where it is
        for _ in range(600):
            steps = re.findall(r"(\d+)/\d+ \[", cell.locator(".jp-OutputArea").inner_text())
            if steps and int(steps[-1]) > than:
                return int(steps[-1])
            assert boxes(page) == [] and picture.count() == 0
            page.wait_for_timeout(200)
        pytest.fail(f"no step after {than} was shown: {cell.inner_text()}")

    later_step(later_step(0))
    page.screenshot(path=SCREENSHOTS / "jupyterlab-progress.png")
    page.locator('[data-command="notebook:interrupt-kernel"]').click()
    error.wait_for()
    page.locator(IDLE).wait_for()
    assert "KeyboardInterrupt" in error.inner_text() and picture.count() == 0

    cell.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    error.wait_for(state="detached")
    later_step(later_step(0))
    picture.wait_for(timeout=300_000)
    page.locator(IDLE).wait_for()
    assert boxes(page) == []
    assert len("".join(cell.locator(".jp-OutputArea-output pre").all_inner_texts()).strip().splitlines()) <= 1
