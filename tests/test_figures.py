"""Figures: one scale for all maps, alt text, blocks drawn from the graph, and what is refused."""

import base64
import io

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image

import drawing
import helpers


def test_maps_share_one_scale():
    maps = [np.array([[0.0, 1.0]]), np.array([[-5.0, 3.0]]), np.zeros((1, 2))]
    for signed, given, expected in ((True, maps, (-5, 5)), (False, [np.abs(m) for m in maps], (0, 5))):
        figure = drawing.map_grid(given, columns=2, signed=signed)
        limits = {image.get_clim() for axes in figure.axes for image in axes.images}
        assert limits == {expected} and len([axes for axes in figure.axes if axes.get_label() == "<colorbar>"]) == 1
    assert {i.get_clim() for a in drawing.map_grid(maps, signed=True, limit=2).axes for i in a.images} == {(-2, 2)}


def test_grids_refuse_what_cannot_be_shown():
    holes = [np.array([[np.nan, 2]])]
    for maps, words in (([], "no pictures"), ([np.array([[-1.0, 2]])], "negative"), (holes, "NaN")):
        with pytest.raises(ValueError, match=words):
            drawing.map_grid(maps)
    with pytest.raises(ValueError, match="NaN"):
        drawing.image_grid(holes)


@pytest.mark.parametrize(("kind", "noise"), [("png", 0), ("jpeg", 1)])
def test_a_figure_shows_itself_with_its_alt_text_opaque_and_not_too_wide(monkeypatch, kind, noise):
    published = []
    shell = InteractiveShell.instance()
    monkeypatch.setattr(shell.display_pub, "publish", lambda data, metadata, **_: published.append((data, metadata)))
    pictures = noise * np.random.default_rng(0).random((5, 80, 80, 3))
    shell.display_formatter.format(drawing.image_grid(pictures, ["one\nof five", *"abcd"]))
    InteractiveShell.clear_instance()
    ((data, metadata),) = published
    assert metadata[f"image/{kind}"]["alt"] == "Pictures in a grid, row by row: one of five; a; b; c; d"
    with Image.open(io.BytesIO(base64.b64decode(data[f"image/{kind}"]))) as picture:
        assert picture.width <= 1000 and picture.convert("RGBA").getchannel("A").getextrema() == (255, 255)


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("conv3_block1", "1×1 conv\n256 → 512"),
        ("conv3_block2", "shortcut: x itself"),
        ("conv3_block4", "max-pool\n1×1 /2"),
    ],
)
def test_blocks_are_drawn_from_the_graph(model, block, words):
    (axes,) = drawing.draw_block(model, block).axes
    texts = [text.get_text() for text in axes.texts]
    assert words in texts and "+" in texts
    assert sum("conv" in text for text in texts) == (4 if block == "conv3_block1" else 3)
    assert ("3×3 conv /2\n128 → 128" in texts) == (block == "conv3_block4")


def test_pictures_of_classes_come_with_their_judges_verdicts(tmp_path):
    gallery = helpers.class_pictures()
    assert [entry.index for entry in gallery] == list(range(0, 1000, 50))
    assert all(entry.image.shape == (224, 224, 3) and len(entry.named) == 2 for entry in gallery)
    texts = [axes.get_title() for axes in drawing.class_gallery(gallery).axes]
    for entry, text in zip(gallery, texts, strict=True):
        assert ("both name it" in text) == all(first == entry.index for first in entry.named.values())
    with pytest.raises(ValueError, match="restores them"):
        helpers.class_pictures(tmp_path)
