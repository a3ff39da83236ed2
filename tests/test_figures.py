"""Figures: one scale for all maps, alt text, blocks drawn from the graph, and what is refused."""

import base64
import io

import numpy as np
import pytest
from conftest import refuses
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image

import drawing
import helpers


def test_maps_share_one_scale_and_what_cannot_be_shown_is_refused():
    maps = [np.array([[0.0, 1.0]]), np.array([[-5.0, 3.0]]), np.zeros((1, 2))]
    for signed, given, expected in ((True, maps, (-5, 5)), (False, [np.abs(m) for m in maps], (0, 5))):
        figure = drawing.map_grid(given, columns=2, signed=signed)
        limits = {image.get_clim() for axes in figure.axes for image in axes.images}
        assert limits == {expected} and len([axes for axes in figure.axes if axes.get_label() == "<colorbar>"]) == 1
    assert {i.get_clim() for a in drawing.map_grid(maps, signed=True, limit=2).axes for i in a.images} == {(-2, 2)}
    holes = [np.array([[np.nan, 2]])]
    for maps, words in (([], "no pictures"), ([np.array([[-1.0, 2]])], "negative"), (holes, "NaN")):
        refuses(words, drawing.map_grid, maps)
    refuses("NaN", drawing.image_grid, holes)


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


def test_overlay_puts_position_i_at_pixel_stride_times_i():
    spot = np.zeros((5, 7))
    spot[2, 4] = 3
    lit = drawing.overlay(np.zeros((80, 112, 3)), spot, 16).sum(axis=2)
    assert np.unravel_index(lit.argmax(), lit.shape) == (32, 64) and lit[32, 64] > 2.5 > lit[32, 72] > lit[32, 80]
    assert drawing.overlay(np.zeros((80, 112, 3)), -spot, 16).max() < 0.02  # what speaks against stays dark


def test_blocks_are_drawn_from_the_graph(model):
    for block, words in (("1", "1×1 conv\n256 → 512"), ("2", "shortcut: x itself"), ("4", "max-pool\n1×1 /2")):
        (axes,) = drawing.draw_block(model, f"conv3_block{block}").axes
        texts = [text.get_text() for text in axes.texts]
        assert words in texts and "+" in texts and sum("conv" in text for text in texts) == (4 if block == "1" else 3)
        assert ("3×3 conv /2\n128 → 128" in texts) == (block == "4")


def test_pictures_of_classes_come_with_their_judges_verdicts(tmp_path):
    gallery = helpers.class_pictures()
    assert [entry.index for entry in gallery] == list(range(0, 1000, 50))
    assert all(entry.image.shape == (224, 224, 3) and len(entry.named) == 2 for entry in gallery)
    texts = [axes.get_title() for axes in drawing.class_gallery(gallery).axes]
    for entry, text in zip(gallery, texts, strict=True):
        assert ("both name it" in text) == all(first == entry.index for first in entry.named.values())
    assert "orange\none says: rose hip" in texts  # the table has "hip"
    refuses("restores them", helpers.class_pictures, tmp_path)


def mean_of(pictures):  # stands in for `drive_of`: how bright pictures, uint8, are, 0 to 10
    return pictures.mean(axis=(1, 2, 3)) / 25.5


def titles_of(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_the_drive_of_damaged_copies_is_measured_on_them():
    pictures = {"bright": np.ones((32, 32, 3)), "dark": np.zeros((32, 32, 3), np.uint8)}
    bright, *rest = titles_of(drawing.damage_grid(pictures, mean_of))
    assert bright == "bright\ndrive 10.0" and rest[3] == "dark\ndrive 0.0"
    assert [title.split("\n")[0] for title in rest[:3]] == ["blurred", "JPEG", "shifted"]
    assert float(rest[2].split()[-2]) < 9.9 and rest[2].endswith("(88%)")  # the shift brings grey in
    assert titles_of(drawing.drive_grid(pictures, mean_of)) == ["bright\ndrive 10.0", "dark\ndrive 0.0"]


def test_the_cycles_of_waves_are_what_they_go_up_and_down_in_a_picture_at_least_one():
    found = drawing.cycles(8)[..., 0]
    assert found[:, 0].tolist() == [1, 1, 2, 3, 4, 3, 2, 1] and found[3, 4] == 5
