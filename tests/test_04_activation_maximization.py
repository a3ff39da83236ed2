"""The engine of notebooks 04 and 02: its gradient, parameterization, transforms and randomness; its pictures."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import helpers


@pytest.fixture(scope="module")
def tiny():
    """A random network of two convolutions, for images of any side."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((None, None, 3))
    hidden = keras.layers.Conv2D(8, 5, strides=2, padding="same", activation="tanh", name="hidden")(inputs)
    linear = keras.layers.Conv2D(6, 3, padding="same", name="linear")(hidden)
    relu = keras.layers.ReLU(name="relu", negative_slope=0)(keras.layers.Rescaling(1, -100.0, name="low")(linear))
    pooled = keras.layers.GlobalAveragePooling2D()(linear)
    return keras.Model(inputs, [keras.layers.Dense(4, name="predictions")(pooled), relu])


def ascent(tiny, parameterization="fourier", decorrelate=True, objective="channel", diverse=False):
    return helpers._ascent(tiny, "linear", 32, parameterization, decorrelate, objective, diverse)


@pytest.mark.parametrize("parameterization", ["fourier", "pixels"])
@pytest.mark.parametrize(("objective", "diversity"), [("channel", 0.0), ("neuron", 0.0)])
def test_gradient_agrees_with_finite_differences(tiny, parameterization, objective, diversity):
    ascend = ascent(tiny, parameterization, objective=objective)
    values = np.stack([helpers._start(32, parameterization, [0, c, 0]) for c in (1, 4)])
    one_hot = np.eye(6, dtype=np.float32)[[1, 4]]
    moves = helpers.Transforms().matrices(32, 0, 3)
    _, gradient = ascend(values, one_hot, *moves, 1.0, diversity)
    direction = np.random.default_rng(0).normal(size=values.shape).astype(np.float32)
    direction /= np.linalg.norm(direction)
    direction += gradient / np.linalg.norm(gradient)  # so that the difference is far above rounding
    ahead, behind = (ascend(values + s * 0.02 * direction, one_hot, *moves, 1.0, diversity)[0] for s in (1, -1))
    measured = (np.sum(ahead) - np.sum(behind)) / 0.04
    assert measured == pytest.approx(float(np.sum(gradient * direction)), rel=0.01)


def test_sign_reverses_the_gradient(tiny):
    arguments = helpers._start(32, "fourier", [0])[None], np.eye(6, dtype=np.float32)[[2]], np.eye(32), np.eye(32)
    up, down = (ascent(tiny)(*arguments, sign, 0.0)[1].numpy() for sign in (1.0, -1.0))
    np.testing.assert_allclose(up, -down, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("decorrelate", [True, False])
def test_the_spectrum_of_an_image_gives_the_image_back(decorrelate):
    size = 64
    image = 0.1 + 0.8 * helpers.load_image(helpers.IMAGES / "cat.jpg", size)
    values = np.log(image / (1 - image))
    if decorrelate:
        values = values @ np.linalg.inv(helpers.COLOURS).T
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    spectrum = np.fft.rfft2(values.transpose(2, 0, 1)) * 4 * np.maximum(frequency, 1 / size) / size
    parameters = np.stack([spectrum.real, spectrum.imag], axis=-1)[None].astype(np.float32)
    np.testing.assert_allclose(helpers._to_image(parameters, size, "fourier", decorrelate)[0], image, atol=1e-4)


def test_colour_decorrelation_is_inverted_exactly():
    pixels = np.random.default_rng(0).normal(size=(1, 4, 4, 3)).astype(np.float32)
    image = helpers._to_image(pixels, 4, "pixels", True).numpy()
    np.testing.assert_allclose(np.log(image / (1 - image)) @ np.linalg.inv(helpers.COLOURS).T, pixels, atol=1e-5)
    assert np.linalg.norm(helpers.COLOURS, axis=0).max() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("moves", [helpers.Transforms(), helpers.Transforms(0, 20, 0.3), helpers.Transforms(5, 0, 0)])
def test_a_constant_mid_grey_image_stays_constant(moves):
    for step in range(5):
        rows, columns = moves.matrices(48, 7, step)
        grey = np.zeros((48, 48))
        assert np.array_equal(rows @ grey @ columns.T, np.zeros((48 + 2 * moves.pad,) * 2))
        assert rows.min() >= 0 and rows.sum(axis=1).max() <= 1 + 1e-5


def test_transforms_of_strength_zero_are_the_identity_and_others_are_not():
    for matrix in helpers.Transforms(0, 0, 0).matrices(48, 1, 2):
        assert np.array_equal(matrix, np.eye(48))
    drawn = [helpers.Transforms(0, 4, 0.1).matrices(48, 1, step)[0] for step in (0, 0, 1)]
    assert np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[0], drawn[2])
    assert not np.array_equal(drawn[0], np.eye(48))


def test_same_seed_same_image_other_seed_another(tiny):
    first, again = (helpers.maximize(tiny, "linear", [0], size=32, steps=5).images for _ in range(2))
    other = helpers.maximize(tiny, "linear", [0], size=32, steps=5, seed=1).images
    np.testing.assert_allclose(first, again, atol=1e-5)
    assert np.abs(first - other).mean() > 0.01


def test_a_channel_does_not_depend_on_its_batch_or_chunk(tiny, monkeypatch):
    alone = helpers.maximize(tiny, "linear", 3, size=32, steps=5).images[0]
    batch = helpers.maximize(tiny, "linear", [1, 3, 5], size=32, steps=5).images[1]
    monkeypatch.setattr(helpers, "CHUNK", 2)
    chunked = helpers.maximize(tiny, "linear", [0, 1, 3], size=32, steps=5)
    assert chunked.images.shape == (3, 32, 32, 3) and chunked.history.shape == (3, 5)
    np.testing.assert_allclose(alone, batch, atol=1e-3)  # Adam can amplify rounding where a gradient is nearly zero
    np.testing.assert_allclose(alone, chunked.images[2], atol=1e-3)
    assert np.array_equal(helpers._start(32, "fourier", (0, 3, 0)), helpers._start(32, "fourier", [0, 3, 0]))


def test_ascent_raises_and_descent_lowers_the_objective(tiny):
    for sign in (1, -1):
        history = helpers.maximize(tiny, "linear", [0, 2], size=32, steps=30, sign=sign, transforms=None).history
        assert (sign * (history[:, -1] - history[:, 0]) > 0.1).all()


def test_diversity_pushes_copies_apart(tiny):
    def distance(diversity):
        images = helpers.maximize(tiny, "linear", [2] * 4, size=32, steps=30, diversity=diversity).images
        features = helpers.feature_model(tiny, "linear")(helpers.preprocess(images)).numpy().reshape(4, -1, 6)
        gram = np.einsum("npc,npd->ncd", features, features).reshape(4, -1)
        gram /= np.linalg.norm(gram, axis=1, keepdims=True)
        return 1 - (gram @ gram.T)[np.triu_indices(4, 1)].mean()

    assert distance(2.0) > 1.2 * distance(0.0)


def test_a_picture_that_never_moved_is_marked_and_explained(tiny, capsys):
    images = helpers.maximize(tiny, "relu", [0], size=32, steps=2).images
    assert (images[0][np.eye(32, dtype=bool)] == 0).all() and images[0, 3, 15].min() > 0
    assert "relu channel 0: no gradient reached the image" in capsys.readouterr().out


def test_nan_stops_with_step_and_target_named(tiny):
    inputs = keras.Input((None, None, 3))
    broken = keras.layers.Lambda(lambda x: tf.math.log(x - 9), name="broken")(inputs)
    with pytest.raises(FloatingPointError, match="broken channel 2: the objective is not finite at step 0"):
        helpers.maximize(keras.Model(inputs, broken), "broken", [2], size=32, steps=2)


def test_one_clean_line_of_progress(tiny, capsys):
    helpers.maximize(tiny, "linear", [0, 1], size=32, steps=3)
    lines = capsys.readouterr().out.split("\n")
    assert len(lines) == 2 and lines[0].split("\r")[-1] == "linear: image 2 of 2, step 3 of 3"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"layer": "lineal"}, "nearest names are linear"),
        ({"channels": 6}, "channels 0 to 5, not 6"),
        ({"channels": []}, "channels is empty"),
        ({"size": 31}, "size=31"),
        ({"size": 33}, "even side"),
        ({"steps": 0}, "steps=0"),
        ({"parameterization": "wavelets"}, "fourier, pixels"),
        ({"objective": "layer"}, "'channel' or 'neuron'"),
        ({"sign": 0}, "sign=0"),
        ({"seed": -1}, "seed=-1"),
        ({"diversity": -1.0}, "diversity=-1"),
        ({"layer": "predictions", "diversity": 1.0}, "has no positions"),
        ({"channels": [0] * 17, "diversity": 1.0}, "at most 16"),
        ({"channels": np.array([False, True])}, "channels 0 to 5, not False"),
        ({"channels": ["3"]}, "channels 0 to 5, not 3"),
        ({"size": 32.0}, "size=32.0.*whole numbers"),
        ({"steps": "2"}, "whole numbers"),
        ({"diversity": np.nan}, "diversity=nan"),
        ({"transforms": helpers.Transforms(-1, 0, 0)}, "from 0 up"),
        ({"transforms": (12, 8.0, 1.0)}, "the scale below 1"),
    ],
)
def test_arguments_out_of_range(tiny, arguments, words):
    with pytest.raises(ValueError, match=words):
        helpers.maximize(tiny, **{"layer": "linear", "channels": 0, "size": 32, "steps": 1} | arguments)


def test_drive_is_that_of_the_8_bit_image(tiny):
    images = np.random.default_rng(0).uniform(size=(3, 32, 32, 3)).astype(np.float32)
    rounded = np.round(images * 255).astype(np.uint8)
    natural = np.random.default_rng(1).normal(size=(50, 6)).astype(np.float32)
    found = helpers.drive(tiny, "linear", [0, 1, 2], images, natural)
    values = np.diag(helpers.channel_responses(tiny, ["linear"], rounded)["linear"][:, :3])
    middle, most = np.median(natural[:, :3], axis=0), natural[:, :3].max(axis=0)
    np.testing.assert_allclose(found.drive, (values - middle) / (most - middle), rtol=1e-5)
    for same in (rounded / 255, rounded):
        np.testing.assert_allclose(helpers.drive(tiny, "linear", [0, 1, 2], same, natural).drive, found.drive)
    assert (found.robust < np.inf).all() and len(found.captions()) == 3
    least = natural[:, :3].min(axis=0)
    down = helpers.drive(tiny, "linear", [0, 1, 2], images, natural, sign=-1).drive
    np.testing.assert_allclose(down, (values - middle) / (least - middle), rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"channels": [0]}, "2 images for 1 channels"),
        ({"channels": [0, -1]}, "channels 0 to 5, not -1"),
        ({"natural": np.zeros((9, 5))}, r"shape \(9, 5\).*responses of shape \(n, 6\)"),
        ({"sign": 2}, "sign 1 or -1"),
        ({"objective": "neurn"}, "'channel' or 'neuron'"),
        ({"images": np.full((2, 32, 32, 3), np.nan)}, "NaN"),
    ],
)
def test_drive_refuses_what_does_not_belong_together(tiny, change, words):
    images, natural = np.zeros((2, 32, 32, 3)), np.random.default_rng(0).normal(size=(9, 6))
    with pytest.raises(ValueError, match=words):
        helpers.drive(tiny, "linear", **{"channels": [0, 1], "images": images, "natural": natural} | change)


@pytest.mark.parametrize("shape", [(1, 32, 32, 3), (32, 40, 3), (33, 33, 3)])
def test_invert_takes_one_square_photo_of_even_side(tiny, shape):
    with pytest.raises(ValueError, match=r"one square photo|even side"):
        helpers.invert(tiny, "linear", np.zeros(shape), steps=1)


def test_no_drive_where_the_natural_inputs_do_not_differ(tiny):
    found = helpers.drive(tiny, "linear", [0], np.full((1, 32, 32, 3), 0.5), np.ones((9, 6)))
    assert np.isnan(found.drive).all() and found.captions() == ["– / –"]


def test_a_natural_input_has_drive_one_at_most(model):
    natural = helpers.natural_inputs(64).images[:80]
    responses = helpers.channel_responses(model, ["conv2_block3_out"], natural)["conv2_block3_out"]
    best = responses[:, :5].argmax(axis=0)
    found = helpers.drive(model, "conv2_block3_out", range(5), natural[best] / 255, responses)
    np.testing.assert_allclose(found.drive, 1, rtol=1e-3)


# ---- the real network (what drives, class logits and inversions reach is checked in notebooks 04 and 02 themselves)


def test_pixels_without_transforms_lose_more_to_the_shift(model):
    layer, channels = "conv3_block4_out", [0, 128, 256, 384]
    responses = helpers.channel_responses(model, [layer], helpers.natural_inputs(128).images[::5])[layer]
    plain = {"parameterization": "pixels", "decorrelate": False, "transforms": None}
    kept = []
    for recipe in (plain, {}):
        images = np.round(helpers.maximize(model, layer, channels, steps=16, **recipe).images * 255).astype(np.uint8)
        shifted = helpers.damaged(images)["shifted"]
        before, after = (helpers.channel_responses(model, [layer], x)[layer] for x in (images, shifted))
        middle = np.median(responses, axis=0)
        kept.append(np.median(np.diag((after - middle)[:, channels]) / np.diag((before - middle)[:, channels])))
    assert kept[0] < 0.5 < kept[1]


def test_inverting_conv1_gives_the_photo_back(model):
    photo = helpers.load_image(helpers.IMAGES / "cat.jpg", 96)
    image = helpers.invert(model, "conv1_conv", photo).images[0]
    assert np.corrcoef(photo.ravel(), image.ravel())[0, 1] >= 0.9
