"""A headless Chromium, driven by Playwright."""

import os
import shutil

import pytest

NAMES = "chromium", "chromium-browser", "google-chrome"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")  # not the session: while Playwright runs, asyncio is busy for all other tests
def browser():
    """A new headless Chromium; without one a skip in words, or a failure where REQUIRE_BROWSER=1."""
    give_up = pytest.fail if os.environ.get("REQUIRE_BROWSER") == "1" else pytest.skip
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        give_up("playwright is not installed: pip install -r tools/requirements-dev.txt")
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        give_up("no Chromium found: install chromium, or set CHROMIUM to its path")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield chromium
        chromium.close()
