"""The stored notebooks as pages of nbconvert, whose family GitHub renders with: whole, on any screen, in the dark."""

import nbformat
import pytest
from nbconvert import HTMLExporter
from PIL import Image
from website import to_html

from places import NOTEBOOKS, PHONE, ROOT, SCREENSHOTS, figures

pytestmark = pytest.mark.places
SITE = "http://site.test/"  # never asked: every request is answered from the repository, or noted as a fault
DEVICES = {"desktop": {"viewport": {"width": 1280, "height": 900}}, "phone": PHONE}
# The width is given, since a phone zooms out of a page that is too wide, and then has a larger innerWidth.
LOOK = """
width => {
  const found = [], wide = document.documentElement.scrollWidth;
  if (wide > width) found.push(`the page is ${wide} px wide, the screen ${width}`);
  for (const box of document.querySelectorAll("body *"))
    if (getComputedStyle(box).overflowX == "hidden" && box.scrollWidth > box.clientWidth + 1)
      found.push(`cut off: ${box.textContent.trim().slice(0, 60)}`);
  for (const image of document.images) {
    const box = image.getBoundingClientRect(), tag = `${image.alt} ${image.outerHTML}`.slice(0, 90);
    if (!image.alt || image.alt.startsWith("No desc")) found.push(`no alt text: ${tag}`);
    if (!image.complete || !image.naturalWidth) found.push(`does not load: ${tag}`);
    if (box.left < 0 || box.right > width) found.push(`wider than the page: ${tag}`);
  }
  return found;
}
"""


def visit(browser, html, device):
    """Open a page as if it lay in notebooks/, all folds open; return it and what is wrong with it."""
    page, faults = browser.new_page(**DEVICES[device]), []
    page.on("console", lambda message: message.type == "error" and faults.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: faults.append(f"script: {error}"))

    def answer(route):
        name = route.request.url.removeprefix(SITE)
        if name == "notebooks/page.html":
            route.fulfill(body=html, content_type="text/html; charset=utf-8")
        elif (ROOT / name).is_file():
            route.fulfill(path=ROOT / name)
        else:
            faults.append(f"asks for {name}")
            route.abort()

    page.route("**/*", answer)
    page.goto(SITE + "notebooks/page.html")
    page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    return page, faults + page.evaluate(LOOK, DEVICES[device]["viewport"]["width"])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_page(browser, monkeypatch, path, theme):
    monkeypatch.setattr(HTMLExporter, "theme", theme)
    notebook = nbformat.read(path, as_version=4)
    html = to_html(notebook, path.stem)
    for device in DEVICES:
        page, faults = visit(browser, html, device)
        shot = SCREENSHOTS / f"{path.stem}-{device}-{theme}.jpg"
        page.screenshot(path=shot, full_page=True, scale="css", type="jpeg", quality=80)
        assert not faults, f"{device}:\n" + "\n".join(faults)
        assert page.locator(".jp-Cell").count() == len(notebook.cells)
        shown = page.locator(".jp-OutputArea-output img").evaluate_all("images => images.map(image => image.alt)")
        assert shown == [alt for alt, _ in figures(notebook.cells)] != []
        with Image.open(shot) as picture:  # the margin has the colour of the theme
            assert (picture.convert("L").getpixel((1, picture.height // 2)) > 127) == (theme == "light")
        page.close()
