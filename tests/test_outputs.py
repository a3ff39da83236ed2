"""Notebook 02: what its maps, overlays and class maps rest on."""

import numpy as np
import pytest

import drawing
import helpers

STAGES = ["pool1_pool", "conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out"]


def test_a_class_map_averages_to_the_logit_on_30_photos(model):
    photos = helpers.preprocess(helpers.load_images(helpers.list_images(helpers.IMAGES)[:30]))
    found = helpers.feature_model(model, ["post_relu", "predictions"]).predict(photos, batch_size=8, verbose=0)
    weights, bias = model.get_layer("predictions").get_weights()
    best = found["predictions"].argmax(axis=1)
    rebuilt = [(maps @ weights[:, c]).mean() + bias[c] for maps, c in zip(found["post_relu"], best, strict=True)]
    np.testing.assert_allclose(rebuilt, found["predictions"].max(axis=1), rtol=1e-3)


@pytest.mark.parametrize("layer", ["conv3_block2_out", "conv3_block4_out", "conv5_block3_out"])
def test_after_the_relu_is_max_of_0_and_gain_times_sum_plus_offset(model, layer):
    view = helpers.rectified_view(model, layer)
    norm = helpers.parents(model, model.get_layer(view))[0]
    gain = (norm.gamma / np.sqrt(norm.moving_variance + norm.epsilon)).numpy()
    offset = (norm.beta - norm.moving_mean * gain).numpy()
    photo = helpers.preprocess(helpers.load_image(helpers.IMAGES / "cat.jpg"))
    both = helpers.feature_model(model, [layer, view]).predict(photo, verbose=0)
    np.testing.assert_allclose(both[view], np.maximum(0, gain * both[layer] + offset), atol=1e-3)
    assert np.abs(gain - 1).max() < 0.02 and np.abs(offset).max() < 0.05


def test_overlay_puts_position_i_at_pixel_stride_times_i():
    spot = np.zeros((5, 7))
    spot[2, 4] = 3
    lit = drawing.overlay(np.zeros((80, 112, 3)), spot, 16).sum(axis=2)
    assert np.unravel_index(lit.argmax(), lit.shape) == (32, 64) and lit[32, 64] > 2.5 > lit[32, 72] > lit[32, 80]
    assert drawing.overlay(np.zeros((80, 112, 3)), -spot, 16).max() < 0.02  # what speaks against stays dark


def test_placing_a_dot_by_the_stride_beats_stretching_it_in_conv4_and_conv5(model):
    dot = np.zeros((2, 640, 640, 3), np.float32)  # grey; the second stays empty
    dot[0, 284:293, 316:325] = 1  # centred on (288, 320)
    errors = []
    views = [helpers.rectified_view(model, layer) for layer in STAGES]
    for layer, maps in helpers.feature_model(model, views).predict(dot, batch_size=1, verbose=0).items():
        stride, heat = helpers.receptive_field(model, layer).stride, np.abs(maps[0] - maps[1]).sum(axis=2)
        middle = [np.arange(len(heat)) @ heat.sum(axis=axis) / heat.sum() for axis in (1, 0)]
        placed, stretched = stride * np.array(middle), stride * (np.array(middle) + 0.5) - 0.5
        errors.append([np.hypot(*(place - (288, 320))) for place in (placed, stretched)])
    ratio = [placed / stretched for placed, stretched in errors]
    assert max(ratio[3:]) < 0.7 and 0.6 < ratio[2] < 1.1, ratio  # conv4 and conv5; conv3


def test_words_are_as_people_write_them():
    names = "texture_moss.jpg", "Dutch_oven", "goose_01", "grace_hopper.jpg"
    assert [helpers.words(name) for name in names] == ["moss", "Dutch oven", "goose", "grace hopper"]
