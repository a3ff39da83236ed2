"""Activation maximization: what it climbs, against NumPy and finite differences; its randomness; what it refuses."""

import functools
import gc
import itertools
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import refuses

import helpers

SIDE = 32


@pytest.fixture(scope="module")
def pointwise():
    """A network that NumPy can follow: tanh of a 1×1 convolution; its weights (3, 4) and bias (4,)."""
    random = np.random.default_rng(2)
    weights, bias = random.normal(size=(3, 4)), random.normal(size=4)
    inputs = keras.Input((None, None, 3))
    network = keras.Model(inputs, keras.layers.Conv2D(4, 1, activation="tanh", name="end")(inputs))
    network.get_layer("end").set_weights([weights[None, None], bias])
    return network, weights, bias


def image_of(values, parameterization):
    """Return images in [0, 1], (n, SIDE, SIDE, 3), that parameters stand for, by NumPy in double precision."""
    if parameterization == "fourier":
        frequency = np.maximum(np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)), 1 / SIDE)
        spectrum = (values[..., 0] + 1j * values[..., 1]) * SIDE / 4 / frequency
        values = np.fft.irfft2(spectrum, (SIDE, SIDE))
    values = np.moveaxis(values, 1, -1)
    return 1 / (1 + np.exp(-values @ np.float64(helpers.COLOURS).T))


@pytest.mark.parametrize("parameterization", ["fourier", "pixels"])
@pytest.mark.parametrize(("objective", "sign"), [("channel", 1), ("neuron", -1)])
def test_ascent_is_adam_on_finite_differences(pointwise, parameterization, objective, sign):
    network, weights, bias = pointwise
    moves, channel, seed, rate = helpers.Transforms(2, 3, 0.1), 2, 5, 0.1
    shape = (3, SIDE, SIDE // 2 + 1, 2) if parameterization == "fourier" else (3, SIDE, SIDE)
    values = np.random.default_rng((seed, channel, 0)).normal(0, 0.1, shape)
    first, second, history = np.zeros(shape), np.zeros(shape), []

    def score(values, step):
        rows, columns = moves.matrices(SIDE, seed, step)
        inputs = np.einsum("yh,nhwc,xw->nyxc", rows, 2 * image_of(values, parameterization) - 1, columns, optimize=True)
        maps = np.tanh(inputs @ weights[:, channel] + bias[channel])
        return maps.mean(axis=(1, 2)) if objective == "channel" else maps[:, SIDE // 2 + 2, SIDE // 2 + 2]

    for step in range(2):
        history.append(score(values[None], step)[0])
        gradient = np.empty(values.size)
        for part in np.array_split(np.arange(values.size), 32):
            moved = np.zeros((len(part), values.size))
            moved[np.arange(len(part)), part] = 1e-4
            ahead, behind = (score(values + s * moved.reshape(-1, *shape), step) for s in (1, -1))
            gradient[part] = sign * (ahead - behind) / 2e-4
        first = 0.9 * first + 0.1 * gradient.reshape(shape)
        second = 0.999 * second + 0.001 * gradient.reshape(shape) ** 2
        scale = np.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
        values = values + rate * scale * first / (np.sqrt(second) + 1e-7)
    given = {"parameterization": parameterization, "transforms": moves, "objective": objective, "sign": sign}
    found = helpers.maximize(network, "end", channel, SIDE, 2, seed=seed, **given)
    np.testing.assert_allclose(found.history[0], history, atol=1e-5)
    assert np.abs(found.images[0] - image_of(values[None], parameterization)[0]).mean() < 1e-3


def test_a_function_of_the_features_is_climbed_unless_it_is_not_finite(tiny):
    given = {"size": SIDE, "steps": 4}
    named = helpers.maximize(tiny, "linear", [3], **given)
    own = helpers.maximize(tiny, "linear", [3], objective=lambda f: tf.reduce_mean(f[..., 3], [1, 2]), **given)
    np.testing.assert_allclose(own.history, named.history, atol=1e-5)
    refuses("one score an image", helpers.maximize, tiny, "linear", [3], objective=tf.reduce_mean, **given)
    with pytest.raises(FloatingPointError, match="linear channel 2: the objective is not finite at step 0"):
        helpers.maximize(tiny, "linear", [2], objective=lambda f: tf.math.log(-1 - f[:, 0, 0, 0] ** 2), **given)


def test_moves_average_pixels_repeat_with_the_step_and_are_the_identity_at_strength_zero():
    for moves in (helpers.Transforms(), helpers.Transforms(0, 20, 0.3), helpers.Transforms(5, 0, 0)):
        rows, columns = moves.matrices(48, 7, 3)
        assert rows.shape == columns.shape == (48 + 2 * moves.pad, 48)
        assert rows.min() >= 0 and rows.sum(axis=1).max() <= 1 + 1e-5  # of pixels, or of them and mid-grey, 0
    assert all(np.array_equal(matrix, np.eye(48)) for matrix in helpers.Transforms(0, 0, 0).matrices(48, 1, 2))
    one, again, other = (helpers.Transforms(0, 4, 0.1).matrices(48, 1, step)[0] for step in (0, 0, 1))
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_an_image_depends_on_seed_and_channel_alone_not_on_its_batch(tiny, monkeypatch):
    alone = helpers.maximize(tiny, "linear", 3, SIDE, 5).images[0]
    batch = helpers.maximize(tiny, "linear", [1, 3, 5], SIDE, 5).images[1]
    other = helpers.maximize(tiny, "linear", 3, SIDE, 5, seed=1).images[0]
    monkeypatch.setattr(helpers, "PIXELS", 2 * (SIDE + 24) ** 2, raising=False)  # two images at a time
    chunked = helpers.maximize(tiny, "linear", [0, 1, 3], SIDE, 5)
    assert chunked.images.shape == (3, SIDE, SIDE, 3) and chunked.history.shape == (3, 5)
    np.testing.assert_allclose(alone, batch, atol=1e-3)  # Adam can amplify rounding where a gradient is nearly zero
    np.testing.assert_allclose(alone, chunked.images[2], atol=1e-3)
    assert np.abs(alone - other).mean() > 0.01


def test_coarse_steps_see_no_crop_but_the_whole_picture_hardly_moved(tiny):
    moves = helpers.Transforms(-16, 16, 0.2), helpers.Transforms(0, 64 / 12, 0.1)
    cropped, whole = (helpers.maximize(tiny, "linear", 1, 64, 4, coarse=1, transforms=m).images for m in moves)
    np.testing.assert_allclose(cropped, whole, atol=1e-5)


def test_diversity_pushes_copies_apart(tiny):
    def distance(diversity):
        images = helpers.maximize(tiny, "linear", [2] * 4, SIDE, 30, diversity=diversity).images
        features = helpers.feature_model(tiny, "linear")(helpers.preprocess(images)).numpy().reshape(4, -1, 6)
        gram = np.einsum("npc,npd->ncd", features, features).reshape(4, -1)
        gram /= np.linalg.norm(gram, axis=1, keepdims=True)
        return 1 - (gram @ gram.T)[np.triu_indices(4, 1)].mean()

    assert distance(2.0) > 1.2 * distance(0.0)


def test_an_image_that_no_gradient_reached_is_the_noise_it_was(tiny):
    low = keras.layers.Rescaling(1, -100.0)(tiny.get_layer("linear").output)
    silent = keras.Model(tiny.input, keras.layers.ReLU(name="relu")(low))
    found = helpers.maximize(silent, "relu", 1, SIDE, 2)
    noise = np.random.default_rng((0, 1, 0)).normal(0, 0.1, (1, 3, SIDE, SIDE // 2 + 1, 2))
    np.testing.assert_allclose(found.images, image_of(noise, "fourier"), atol=1e-4)
    assert not found.moved.any() and helpers.maximize(tiny, "linear", 1, SIDE, 1).moved.all()


def test_progress_is_silent_for_two_seconds_and_leaves_nothing_behind(tiny, capsys, monkeypatch):
    monkeypatch.setattr("helpers.tqdm", functools.partial(helpers.tqdm, disable=False))
    for seconds in (0, 3):  # from one look to the next
        monkeypatch.setattr("tqdm.std.time", itertools.count(0, seconds).__next__)
        helpers.maximize(tiny, "linear", [0, 1], SIDE, 20)
        out, err = capsys.readouterr()
        assert not err and ("linear" in out) == (seconds > 0) and "\n" not in out and not out.split("\r")[-1].strip()


def test_a_model_is_freed_after_its_last_user():
    inputs = keras.Input((None, None, 3))
    network = keras.Model(inputs, keras.layers.Conv2D(2, 3, name="end")(inputs))
    helpers.maximize(network, "end", [0], SIDE, 1)
    helpers.channel_responses(network, ["end"], np.zeros((1, SIDE, SIDE, 3)))
    gone = weakref.ref(network)
    del network, inputs
    gc.collect()
    assert gone() is None


def test_arguments_out_of_range(tiny):
    given = {"layer": "linear", "channels": 0, "size": SIDE, "steps": 1}
    for change, words in (
        ({"channels": []}, "channels is empty"),
        ({"channels": [[0], [1]]}, "nested"),
        ({"channels": np.array([False, True])}, "channels 0 to 5, not False"),
        ({"size": 33}, "even"),
        ({"steps": 0}, "steps=0"),
        ({"parameterization": "wavelets"}, "fourier or pixels"),
        ({"objective": "layer"}, "'channel', 'neuron'"),
        ({"sign": 0}, "sign=0"),
        ({"seed": 1.5}, "whole numbers"),
        ({"diversity": np.nan}, "diversity=nan"),
        ({"layer": "predictions", "diversity": 1.0}, "has no positions"),
        ({"channels": [0] * 999, "diversity": 1.0}, "at most"),
        ({"transforms": (np.nan, 8.0, 0.1)}, "pass Transforms"),
        ({"transforms": (-1, 0, 0)}, "leave 32 px"),
        ({"transforms": "none"}, "or None"),
    ):
        refuses(words, helpers.maximize, tiny, **given | change)


@pytest.mark.parametrize("layer", ["conv2_block3_out", "conv3_block4_out"])
def test_the_recipe_beats_the_bare_ascent_in_robust_drive(model, layer):
    width = model.get_layer(layer).output.shape[-1]
    channels = list(range(0, width, width // 8))
    natural = helpers.channel_responses(model, layer, helpers.natural_inputs(128).images[::4])
    bare = {"parameterization": "pixels", "decorrelate": False, "transforms": None}
    images = [helpers.maximize(model, layer, channels, steps=32, **options).images for options in (bare, {})]
    found = [helpers.drive(model, layer, channels, made, natural).robust for made in images]
    assert np.median(found[1]) > 1.2 * np.median(found[0])


def test_inverting_conv1_gives_the_photo_back(model):
    photo = helpers.load_image(helpers.IMAGES / "cat.jpg", 96)
    image = helpers.invert(model, "conv1_conv", photo).images[0]
    assert np.corrcoef(photo.ravel(), image.ravel())[0, 1] >= 0.9
    for wrong, words in ((photo[None], "one square photo"), (photo[:80], "one square photo"), (photo[1:, 1:], "even")):
        refuses(words, helpers.invert, model, "conv1_conv", wrong, steps=1)


def test_the_recipe_follows_the_depth(model, pointwise):
    layers = "conv2_block3_out", "conv5_block3_out", "predictions"
    near, deep, classes = (helpers.recipe_for(model, layer) for layer in layers)
    assert near.size == 128 < deep.size == classes.size < 256 and classes.rate < deep.rate
    assert helpers.recipe_for(pointwise[0], "end") == near  # the last layer, but no classes
