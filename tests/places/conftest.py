"""A headless Chromium, driven by Playwright."""

import os
import shutil
from importlib.util import find_spec

import pytest

NAMES = "chromium", "chromium-browser", "google-chrome"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


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
