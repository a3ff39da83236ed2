"""The site in a real browser: the front page and the atlas by mouse, keyboard and address, on a phone, in the dark."""

import pytest
import website

pytestmark = [pytest.mark.places, pytest.mark.skipif(not website.ATLAS.exists(), reason="no atlas is stored")]
LAYER = "conv3_block4_out"
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


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
    assert page.locator(".notebooks li").count() == 5 and page.locator(".covers li").count() >= 1
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 100)")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (max(paper) < 64) == (options.get("color_scheme") == "dark")
    page.click(f"a[href='atlas.html#{LAYER}']")
    assert page.locator("#grid .tile").count() == 512


def test_sort_and_find(visit):
    page = visit(f"atlas.html#{LAYER}")
    for by in ("drive", "robust"):
        page.select_option("#sort", by)
        values = page.eval_on_selector_all("#grid .tile", "tiles => tiles.map(tile => Number(tile.dataset.value))")
        assert values == sorted(values, reverse=True) and values[0] > values[-1]
    page.select_option("#sort", "likeness")
    numbers = page.eval_on_selector_all("#grid .tile", "tiles => tiles.map(tile => Number(tile.textContent))")
    assert numbers == page.evaluate(f"ATLAS.{LAYER}.order")
    page.fill("#filter", "32")
    assert page.locator("#grid .tile").count() == 11 and page.locator("#count").text_content() == "11 of 512"
    page.fill("#filter", "320")
    page.press("#filter", "Enter")
    assert page.locator("#channel-name").text_content() == "conv3, channel 320"


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desktop", "phone"])
def test_a_channel_by_click_and_by_address(visit, options):
    page = visit(f"atlas.html#{LAYER}", **options)
    page.click("#grid .tile >> nth=7")
    page.wait_for_url(f"**#{LAYER}/7")
    assert [page.locator(f"#{part} .tile").count() for part in ("strongest", "nearest")] == [5, 8]
    page.click("#nearest .item >> nth=0")
    page.wait_for_function("!document.title.includes('channel 7 ')")
    page.go_back()
    assert page.locator("#channel-name").text_content() == "conv3, channel 7"
    page.go_back()
    assert page.locator("dialog[open]").count() == 0
    page = visit(f"atlas.html#{LAYER}/320", **options)
    assert "Drive" in page.locator("#numbers").text_content()
    page.click("#close")
    page.wait_for_url(f"**#{LAYER}")
    assert page.locator("dialog[open]").count() == 0


@pytest.mark.parametrize(
    "wrong", {f"{LAYER}/512": "channels 0 to 511", "conv9": "no layer", f"{LAYER}/x": "no photo"}.items()
)
def test_a_wrong_address(visit, wrong):
    page = visit(f"atlas.html#{wrong[0]}")
    assert wrong[1] in page.locator("#notice").text_content() and page.locator("#grid .tile").count() == 512


def test_by_keyboard(visit):
    page = visit(f"atlas.html#{LAYER}")
    page.focus("#grid .tile")
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "Enter", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    page.wait_for_url("**/3")
    assert page.locator("#channel-name").text_content() == "conv3, channel 3"
    page.keyboard.press("Escape")
    page.wait_for_function("document.activeElement.textContent == 3")
    assert page.url.endswith(f"#{LAYER}") and page.locator("dialog[open]").count() == 0
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.offsetTop > document.querySelector('#grid .tile').offsetTop")


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desktop", "phone"])
def test_a_photo_place_by_place(visit, options):
    page = visit(f"atlas.html#{LAYER}/photos", **options)
    assert page.locator("#photos img").count() == 38
    page.click("#photos a >> text=goldfish")
    assert page.locator("#mosaic .tile").count() == 49
    (page.tap if options else page.hover)("#mosaic .tile >> nth=16")
    channels = page.evaluate(f"ATLAS.{LAYER}.photos.goldfish.channels[2][2]")
    assert (
        page.eval_on_selector_all("#place .item", "all => all.map(one => Number(one.hash.split('/')[1]))") == channels
    )
    page.click("#place .item >> nth=1")
    page.wait_for_url(f"**#{LAYER}/{channels[1]}")
    page.click("#close")
    page.wait_for_url(f"**#{LAYER}/goldfish")
