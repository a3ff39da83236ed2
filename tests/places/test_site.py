"""The site in a real browser: the front page and the atlas by mouse, keyboard and address, on a phone, in the dark."""

import pytest
import website

from places import PHONE

expect = pytest.importorskip("playwright.sync_api").expect
LAYER = "conv3_block4_out"
pytestmark = pytest.mark.places


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    website.make_site(folder / "none", folder / "site")
    return (folder / "site").as_uri()


@pytest.fixture
def visit(browser, site):
    """A function that opens an address of the site; in the end no fault was met, and nothing was asked of a host."""
    pages, faults = [], []

    def opened(address, **options):
        page = browser.new_page(**options)
        page.on("pageerror", lambda error: faults.append(f"script: {error}"))
        page.on("console", lambda message: message.type == "error" and faults.append(message.text))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or faults.append(request.url))
        page.on("requestfailed", lambda request: faults.append(f"fails: {request.url}"))
        page.goto(f"{site}/{address}")
        pages.append(page)
        return page

    yield opened
    for page in pages:
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
        assert page.locator("img[alt='']:visible, .tile:not([aria-label]):visible").count() == 0
        page.close()
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("options", [{}, PHONE, {"color_scheme": "dark"}], ids=["desktop", "phone", "dark"])
def test_front_page(visit, options):
    page = visit("index.html", **options)
    expect(page.locator(".notebooks li")).to_have_count(5)
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 100)")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (max(paper) < 64) == ("color_scheme" in options)
    page.click(f"a[href='atlas.html#{LAYER}']")
    expect(page.locator("#grid .tile")).to_have_count(512)


def test_sort_and_find(visit):
    page = visit(f"atlas.html#{LAYER}")
    for by in ("drive", "robust"):
        page.select_option("#sort", by)
        values = page.eval_on_selector_all("#grid .tile", "tiles => tiles.map(tile => Number(tile.dataset.value))")
        assert values == sorted(values, reverse=True) and values[0] > values[-1]
    page.select_option("#sort", "likeness")
    numbers = page.eval_on_selector_all("#grid .tile", "tiles => tiles.map(tile => Number(tile.textContent))")
    assert numbers == page.evaluate(f"ATLAS.{LAYER}.order")
    page.fill("#filter", "320")
    expect(page.locator("#grid .tile")).to_have_count(1)
    page.press("#filter", "Enter")
    expect(page.locator("dialog[open] h2")).to_have_text("conv3, channel 320")


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desktop", "phone"])
def test_a_channel_by_click_and_by_address(visit, options):
    page = visit(f"atlas.html#{LAYER}", **options)
    name = page.locator("dialog[open] h2")
    page.click("#grid .tile >> nth=7")
    expect(name).to_have_text("conv3, channel 7")
    assert [page.locator(f"#{part} .tile").count() for part in ("strongest", "nearest")] == [5, 8]
    page.click("#nearest .item >> nth=0")
    expect(name).not_to_have_text("conv3, channel 7")
    page.go_back()
    expect(name).to_have_text("conv3, channel 7")
    page.go_back()
    expect(name).to_have_count(0)
    page = visit(f"atlas.html#{LAYER}/320", **options)
    expect(page.locator("dialog[open] #numbers")).to_contain_text("Drive")
    page.click("#close")
    page.wait_for_url(f"**#{LAYER}")


def test_a_wrong_address(visit):
    for wrong, words in ((f"{LAYER}/512", "channels 0 to 511"), ("conv9", "no layer"), (f"{LAYER}/x", "no photo")):
        expect(visit(f"atlas.html#{wrong}").locator("#notice")).to_contain_text(words)


def test_by_keyboard(visit):
    page = visit(f"atlas.html#{LAYER}")
    page.focus("#grid .tile")
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("dialog[open] h2")).to_have_text("conv3, channel 1")
    page.keyboard.press("ArrowRight")
    expect(page.locator("dialog[open] h2")).to_have_text("conv3, channel 2")
    page.keyboard.press("Escape")
    expect(page.locator(":focus")).to_have_text("2")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.offsetTop > document.querySelector('#grid .tile').offsetTop")


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desktop", "phone"])
def test_a_photo_place_by_place(visit, options):
    page = visit(f"atlas.html#{LAYER}/photos", **options)
    expect(page.locator("#photos img")).to_have_count(38)
    page.click("#photos a >> text=goldfish")
    expect(page.locator("#mosaic .tile")).to_have_count(49)
    (page.tap if options else page.hover)("#mosaic .tile >> nth=16")
    channel = page.evaluate(f"ATLAS.{LAYER}.photos.goldfish.channels[2][2][1]")
    expect(page.locator("#place .item").nth(1)).to_contain_text(f"channel {channel}")
    page.click("#place .item >> nth=1")
    expect(page.locator("dialog[open] h2")).to_have_text(f"conv3, channel {channel}")
    page.click("#close")
    page.wait_for_url(f"**#{LAYER}/goldfish")
