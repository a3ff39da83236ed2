"""What notebooks 01 and 02 rest on: a block that is silent for a while, drawings, a few facts that the prose tells."""

import keras
import numpy as np
import pytest

import drawing
import helpers


def test_a_silenced_block_passes_on_its_shortcut_and_gets_its_weights_back(model):
    last = model.get_layer("conv2_block2_3_conv")
    before = last.get_weights()
    read = helpers.feature_model(model, ["conv2_block1_out", "conv2_block2_out"])
    inputs = np.random.default_rng(0).uniform(-1, 1, (1, 64, 64, 3)).astype(np.float32)
    with pytest.raises(KeyError), helpers.silenced(model, "conv2_block2"):
        shortcut, output = read(inputs).values()
        np.testing.assert_array_equal(output, shortcut)
        raise KeyError("an error inside the with")
    for kept, now in zip(before, last.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, now)
    with pytest.raises(ValueError, match="no layer"), helpers.silenced(model, "conv2_block9"):
        pass


def test_the_whole_network_is_drawn(model):
    slabs = drawing.network_slabs(model)
    assert [len(stage) for stage in slabs.values()] == [2, 3, 4, 6, 3, 1]
    assert slabs["conv1"] == [(112, 64), (56, 64)] and slabs["conv4"] == [(14, 1024)] * 5 + [(7, 1024)]
    (axes,) = drawing.draw_network(model, np.zeros((224, 224, 3))).axes
    assert len(axes.patches) == 3 * (1 + 2 + 16 + 1)  # three faces each of the photo, the stem, 16 blocks and the head
    assert {"56 → 28", "1,024", "blocks", "–"} <= {text.get_text() for text in axes.texts}


def test_what_the_prose_of_notebook_01_says_in_passing(model):
    names = helpers.class_names()
    assert {"sports_car", "fig"} < set(names) and not {"cat", "sunflower", "astronaut"} & set(names)
    field = helpers.receptive_field(model, "conv4_block6_out")
    assert field.clear_of_padding(224) == [] and field.clear_of_padding(321) == [5]
    layers = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)]
    shortcuts = [name for name in layers if name.endswith("_0_conv")]  # in the first block of each stage
    assert len(layers) - len(shortcuts) == 50 and shortcuts == [f"conv{stage}_block1_0_conv" for stage in (2, 3, 4, 5)]


def test_overlay_puts_position_i_at_pixel_stride_times_i():
    spot = np.zeros((5, 7))
    spot[2, 4] = 3
    lit = drawing.overlay(np.zeros((80, 112, 3)), spot, 16).sum(axis=2)
    assert np.unravel_index(lit.argmax(), lit.shape) == (32, 64) and lit[32, 64] > 2.5 > lit[32, 72] > lit[32, 80]
    assert drawing.overlay(np.zeros((80, 112, 3)), -spot, 16).max() < 0.02  # what speaks against stays dark


def test_words_are_as_people_write_them():
    names = "texture_moss.jpg", "Dutch_oven", "goose_01", "grace_hopper.jpg"
    assert [helpers.words(name) for name in names] == ["moss", "Dutch oven", "goose", "grace hopper"]
