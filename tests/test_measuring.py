"""Measuring: responses, drive, strongest inputs and their patches, claims."""

import numpy as np
import pytest
from conftest import refuses

import helpers


@pytest.fixture(scope="module")
def natural():
    found = helpers.natural_inputs(64)
    return helpers.NaturalInputs(found.images[::8], found.sources[::8])


def test_responses_are_means_middle_positions_peaks_or_shares_whatever_the_batch(tiny):
    images = np.random.default_rng(0).uniform(size=(19, 32, 32, 3)).astype(np.float32)
    maps = helpers.feature_model(tiny, "linear")(helpers.preprocess(images)).numpy()
    means = {"channel": maps.mean(axis=(1, 2)), "neuron": maps[:, 6, 6]}
    for objective, wanted in (means | {"peak": maps.max(axis=(1, 2)), "on": (maps > 0).mean(axis=(1, 2))}).items():
        found = helpers.channel_responses(tiny, "linear", images, objective)
        np.testing.assert_allclose(found, wanted, atol=1e-5)
        np.testing.assert_array_equal(helpers.channel_responses(tiny, ["linear"], images, objective)["linear"], found)
    for layers, some in (("linear", images[:0]), ([], images)):
        refuses("empty", helpers.channel_responses, tiny, layers, some)


def test_drive_is_that_of_the_8_bit_image(tiny):
    images = np.random.default_rng(0).uniform(size=(3, 32, 32, 3)).astype(np.float32)
    rounded = np.round(images * 255).astype(np.uint8)
    natural = np.random.default_rng(1).normal(size=(50, 6)).astype(np.float32)
    found = helpers.drive(tiny, "linear", [0, 1, 2], images, natural)
    blurred, jpeg, shifted = helpers.damaged(rounded).values()
    responses = [helpers.channel_responses(tiny, "linear", x)[:, :3] for x in (rounded, blurred, jpeg, shifted)]
    values, *copies = map(np.diag, responses)
    middle, most, least = (f(natural[:, :3], axis=0) for f in (np.median, np.max, np.min))
    np.testing.assert_allclose(found.drive, (values - middle) / (most - middle), rtol=1e-5)
    np.testing.assert_allclose(found.robust, (np.min(copies, axis=0) - middle) / (most - middle), rtol=1e-5)
    for same in (rounded / 255, rounded):
        np.testing.assert_allclose(helpers.drive(tiny, "linear", [0, 1, 2], same, natural).drive, found.drive)
    down = helpers.drive(tiny, "linear", [0, 1, 2], images, natural, sign=-1).drive
    np.testing.assert_allclose(down, (values - middle) / (least - middle), rtol=1e-5)
    np.testing.assert_array_equal(shifted[:, 3:, 5:], rounded[:, :-3, :-5])
    assert (shifted[:, :3] == helpers.MID_GREY).all() and (shifted[:, :, :5] == helpers.MID_GREY).all()
    assert blurred.std() < rounded.std() / 2 and 0 < np.abs(jpeg.astype(int) - rounded).mean() < 60


def test_drive_refuses_what_does_not_belong_together_and_is_none_where_inputs_do_not_differ(tiny):
    given = {"channels": [0, 1], "images": np.zeros((2, 32, 32, 3)), "natural": np.eye(9, 6)}
    for change, words in (
        ({"channels": [0]}, "2 images for 1 channels"),
        ({"natural": np.zeros((9, 5))}, r"shape \(9, 5\).*shape \(n, 6\)"),
        ({"natural": np.zeros((0, 6))}, r"shape \(0, 6\)"),
        ({"natural": np.full((9, 6), np.nan)}, "finite"),
        ({"natural": helpers.NaturalInputs(np.zeros((9, 32, 32, 3), np.uint8), ["a"] * 9)}, "channel_responses"),
        ({"sign": 2}, "sign 2"),
        ({"objective": "neurn"}, "'channel', 'neuron', 'peak' or 'on'"),
        ({"images": np.full((2, 32, 32, 3), np.nan)}, "NaN"),
    ):
        refuses(words, helpers.drive, tiny, "linear", **given | change)
    found = helpers.drive(tiny, "linear", [0], np.full((1, 32, 32, 3), 0.5), np.ones((9, 6)))  # none differs
    assert np.isnan(found.drive).all() and found.captions() == ["– / –"]


def test_strongest_and_top_patches(model, natural):
    assert helpers.strongest(np.array([1.0, 5, 4, 3, 9]), ["a", "b", "b", "c", "a"], 3) == [4, 1, 3]  # one of each
    values = helpers.channel_responses(model, ["conv2_block3_out"], natural.images)["conv2_block3_out"][:, 5]
    indices, patches = helpers.top_patches(model, "conv2_block3_out", 5, natural, values)
    assert indices[0] == values.argmax() and {patch.shape for patch in patches} == {(35, 35, 3)}
    assert len({natural.sources[i] for i in indices}) == 6 and list(values[indices]) == sorted(values[indices])[::-1]
    _, whole = helpers.top_patches(model, "conv4_block6_out", 5, natural, values)
    framed = (whole[0] == (255, 0, 0)).all(axis=-1)
    assert whole[0].shape == (64, 64, 3) and framed.sum() >= 16**2 - 12**2
    for channel, some, words in ((256, values, "channels 0 to 255"), (5, values[:9], "one for each of 125 inputs")):
        refuses(words, helpers.top_patches, model, "conv2_block2_out", channel, natural, some)


def test_check_prints_and_raises_only_when_strict(monkeypatch, capsys):
    monkeypatch.delenv("CHECKS", raising=False)
    helpers.check("snow is white", True)
    helpers.check("snow is green", False)
    assert capsys.readouterr().out == "✓ snow is white\nnot so here: snow is green\n"
    monkeypatch.setenv("CHECKS", "strict")
    refuses("snow is green", helpers.check, "snow is green", False, error=AssertionError)


def test_a_random_network_keeps_its_signal_and_leaves_the_model_alone(model):
    before = model.get_weights()[0].copy()
    images, labels = helpers.probe_photos(64)
    assert images.shape == (344, 64, 64, 3) and {len(column) for column in labels.values()} == {344}
    fresh, again = (helpers.random_network(model, images[::8], seed) for seed in (1, 1))
    for one, other in zip(fresh.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    answers = helpers.channel_responses(fresh, "conv5_block3_preact_relu", images[:16])
    assert 0.1 < answers.mean() < 2 and answers.std(axis=0).mean() > 0.01  # BatchNorm alone gives about 0.4
    np.testing.assert_array_equal(model.get_weights()[0], before)


def test_channel_862_of_conv4_looks_for_a_spot_of_yellow_or_green(model):
    squares, colours = np.full((3, 128, 128, 3), 0.2), [(0.6, 0.7, 0.2), (0.2, 0.2, 0.7), (0.7, 0.2, 0.2)]
    squares[:, 60:68, 60:68] = np.reshape(colours, (3, 1, 1, 3))
    peaks = helpers.channel_responses(model, "conv5_block1_preact_relu", squares, "peak")[:, 862]
    assert peaks == pytest.approx([17.0, 0.0, 1.7], abs=0.2)
