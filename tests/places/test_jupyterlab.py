"""JupyterLab in a browser, as a reader uses it: run all cells, watch a long one, interrupt it, run it again."""

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time

import nbformat
import psutil
import pytest

from notebooks import NOTEBOOKS, ROOT

SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},  # every cell is in the page, in view or not
}
LONG = """\
pictures = helpers.maximize(model, LAYER, [CHANNEL] * 4).images
helpers.show(helpers.image_grid(pictures), alt="Four optimized images of one channel")"""
FAULTS = 'import warnings; warnings.warn("take care")', "1 / 0"
LAST_LINE = "conv3_block4_out: image 4 of 4, step 64 of 64"
# JupyterLab draws errors as the one or the other, warnings as the second
RED = ", ".join(f'[data-mime-type="application/vnd.jupyter.{kind}"]' for kind in ("error", "stderr"))
IDLE = '.jp-Notebook-ExecutionIndicator[data-status="idle"]'


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab on copies without outputs, with settings of its own: a function from a notebook to its address."""
    home = tmp_path_factory.mktemp("lab")
    project = home / "project"
    for folder in ("notebooks", "data"):
        (project / folder).mkdir(parents=True)
    (project / "helpers.py").symlink_to(ROOT / "helpers.py")  # it finds its data next to the file that is meant
    shutil.copy(ROOT / "data" / "colab-badge.svg", project / "data")  # Jupyter shows no file behind a link
    long, faulty = stored("04"), stored("04")
    long.cells = [*code(long)[:2], nbformat.v4.new_code_cell(LONG)]  # those that set up, and one to interrupt
    faulty.cells = [nbformat.v4.new_code_cell(source) for source in FAULTS]
    for name, notebook in {"01": stored("01"), "long": long, "faulty": faulty}.items():
        nbformat.write(notebook, project / "notebooks" / f"{name}.ipynb")
    for name, values in SETTINGS.items():
        path = home / "config" / "lab" / "user-settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    token = secrets.token_hex(16)
    places = {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = {"ip": "127.0.0.1", "port": port, "port_retries": 0, "root_dir": project, "allow_root": True}
    with (home / "log").open("w") as log:
        server = psutil.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", *(f"--ServerApp.{k}={v}" for k, v in options.items())],
            env=os.environ | places | {"IPYTHONDIR": str(home / "ipython"), "JUPYTER_TOKEN": token},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for(port, server, home / "log")
            yield lambda name: f"http://127.0.0.1:{port}/lab/tree/notebooks/{name}.ipynb?reset&token={token}"  # one tab
        finally:
            family = [*server.children(recursive=True), server]
            server.terminate()  # it ends its kernels
            for left in psutil.wait_procs(family, timeout=20)[1]:
                left.kill()


def wait_for(port, server, log):
    """Return when the server answers; fail with its log if it ends or takes longer than a minute."""
    for _ in range(120):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.5)
    server.kill()
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()}")


def stored(number):
    """Return a stored notebook without its outputs, so that all that is seen comes from this run."""
    notebook = nbformat.read(next(NOTEBOOKS.glob(f"{number}_*.ipynb")), as_version=4)
    for cell in code(notebook):
        cell.outputs, cell.execution_count = [], None
    return notebook


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture
def opened(browser, lab):
    """A function that opens a notebook and waits for its kernel."""
    pages = []

    def open_notebook(name):
        pages.append(browser.new_page(viewport={"width": 1280, "height": 900}))
        pages[-1].goto(lab(name))
        pages[-1].get_by_text("(ipykernel) | Idle").wait_for(timeout=90_000)  # the circle is empty before there is one
        return pages[-1]

    yield open_notebook
    for page in pages:
        page.close()


def choose(page, *names):
    """Click through a menu."""
    for name in names:
        page.get_by_role("menuitem", name=name, exact=True).click()


def boxes(page):
    """Return the texts of what would disturb a reader: errors, warnings, dialogs, notices."""
    return page.locator(f"{RED}, .jp-Dialog, .Toastify__toast").all_inner_texts()


def wait_for_prompts(page, count):
    """Wait until `count` code cells have their number, or one has failed, and the kernel is idle."""
    page.wait_for_function(
        """([count, red]) => document.querySelector(red) ||
        [...document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")]
          .filter(prompt => /\\[\\d+\\]/.test(prompt.textContent)).length == count""",
        arg=[count, RED],
        timeout=600_000,
    )
    page.locator(IDLE).wait_for()


def test_run_all_cells(opened, screenshots):
    notebook = nbformat.read(next(NOTEBOOKS.glob("01_*.ipynb")), as_version=4)
    figures = sum("image/" in "".join(o.get("data", {})) for cell in code(notebook) for o in cell.outputs)
    page = opened("01")
    choose(page, "Run", "Run All Cells")
    wait_for_prompts(page, len(code(notebook)))
    page.screenshot(path=screenshots / "jupyterlab.png")
    assert boxes(page) == []
    assert page.locator(".jp-OutputArea-output img").count() == figures > 0
    broken = "[...document.images].filter(image => !image.naturalWidth).map(image => image.outerHTML.slice(0, 200))"
    assert page.evaluate(broken) == []


def test_progress_interruption_and_running_again(opened, screenshots):
    page = opened("long")
    cell = page.locator(".jp-CodeCell").last
    error = cell.locator(RED)

    def later_step(than):
        """Wait until the cell shows a later step than this one, and return it."""
        for _ in range(600):
            steps = re.findall(r"step (\d+) of 64", cell.locator(".jp-OutputArea").inner_text())
            if steps and int(steps[-1]) > than:
                return int(steps[-1])
            assert boxes(page) == []
            page.wait_for_timeout(200)
        pytest.fail(f"no step after {than} was shown: {cell.inner_text()}")

    choose(page, "Run", "Run All Cells")
    assert later_step(later_step(0)) < 64
    page.screenshot(path=screenshots / "jupyterlab-progress.png")
    page.locator('[data-command="notebook:interrupt-kernel"]').click()
    error.wait_for()
    page.locator(IDLE).wait_for()
    assert "KeyboardInterrupt" in error.inner_text() and LAST_LINE not in cell.inner_text()
    page.screenshot(path=screenshots / "jupyterlab-interrupted.png")

    cell.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    error.wait_for(state="detached")
    assert later_step(later_step(0)) <= 64
    cell.locator(".jp-OutputArea-output img").wait_for(timeout=300_000)
    page.locator(IDLE).wait_for()
    page.screenshot(path=screenshots / "jupyterlab-again.png")
    assert boxes(page) == []
    assert cell.locator(".jp-OutputArea-output pre").all_inner_texts() == [LAST_LINE + "\n"]


def test_each_fault_is_found(opened):
    page = opened("faulty")
    choose(page, "Run", "Run All Cells")
    page.locator(RED).nth(1).wait_for()
    choose(page, "Help", "About JupyterLab")
    page.locator(".jp-Dialog").wait_for()
    for box, words in zip(boxes(page), ("take care", "ZeroDivisionError", "Version"), strict=True):
        assert words in box
