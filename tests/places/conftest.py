"""A headless Chromium, driven by Playwright, and a second try for one test that needs it."""

import os
import shutil
from importlib.util import find_spec

import pytest
from _pytest.runner import runtestprotocol

NAMES = "chromium", "chromium-browser", "google-chrome"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
tried_again = []


def pytest_runtest_protocol(item, nextitem):
    """Run a failed test of the browser once more, one in a session: on a busy machine Chromium can be too late."""
    if tried_again or "browser" not in getattr(item, "fixturenames", ()):  # a notebook's cell has none
        return None
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    if any(report.failed for report in reports):
        tried_again.append(item.nodeid)
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    return True


def pytest_terminal_summary(terminalreporter):
    for name in tried_again:
        terminalreporter.write_line(f"failed, and was tried once more: {name}")


@pytest.fixture(scope="module")  # not the session: while Playwright runs, asyncio is busy for all other tests
def browser():
    """A new headless Chromium; without one a skip in words, or a failure where REQUIRE_BROWSER=1."""
    give_up = pytest.fail if os.environ.get("REQUIRE_BROWSER") == "1" else pytest.skip
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if program is None or not find_spec("playwright"):
        give_up("Chromium (or CHROMIUM, the path of one) and tools/requirements-dev.txt have to be installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=program, args=FLAGS) as chromium:
        yield chromium
