"""What notebook 03 relies on: gratings, the Fourier prediction, the max-pool's part, and the wires it cuts."""

import keras
import numpy as np
import pytest

import drawing
import helpers


def gabor(angle, frequency, phase, side=7):
    """Return a Gabor kernel (side, side, 3, 1): stripes at `angle` degrees, counter-clockwise from horizontal."""
    rows, columns = np.mgrid[:side, :side] - side // 2
    across = columns * np.sin(np.radians(angle)) + rows * np.cos(np.radians(angle))
    wave = np.exp(-(rows**2 + columns**2) / 8) * np.cos(2 * np.pi * frequency * across + phase)
    return np.repeat(wave[..., None, None], 3, axis=2).astype(np.float32)


def answers_to(kernel, angles, frequency, pool=1):
    """Return a kernel's answers in the middle of its map to shifted gratings, (angles, 16), rectified if pooled."""
    waves = drawing.gratings(angles, frequency, size=32).reshape(-1, 32, 32, 3)
    maps = keras.ops.conv(2 * waves - 1, kernel, strides=2)
    maps = keras.ops.max_pool(maps, pool, 1) if pool > 1 else maps
    return np.asarray(maps)[:, 6, 6, 0].reshape(len(angles), 16)


def middle_activations(model, layer, angles, frequency=0.25):
    """Return what a layer finds in the middle of moving stripes, (angles, 16, channels)."""
    network = helpers.feature_model(model, layer)
    maps = [np.asarray(network(2 * waves - 1)) for waves in drawing.gratings(angles, frequency)]
    return np.stack([m[:, m.shape[1] // 2, m.shape[2] // 2] for m in maps])


@pytest.mark.parametrize("frequency", [0.2, 0.25, 0.3])
def test_stripe_angles_finds_the_angle_that_was_drawn_and_none_in_a_spot(frequency):
    for angle in range(0, 180, 15):
        found = helpers.stripe_angles(gabor(angle, frequency, np.pi / 2))
        assert abs((found[0] - angle + 90) % 180 - 90) < 5
    assert np.isnan(helpers.stripe_angles(gabor(0, 0, 0))[0])
    grating = np.moveaxis(drawing.gratings([60], frequency, 1)[0], 0, -1) - 0.5
    assert helpers.stripe_angles(grating)[0] == pytest.approx(60, abs=2)


def test_the_swing_to_a_grating_is_what_the_kernels_fourier_transform_predicts():
    kernel, angles = np.random.default_rng(0).normal(size=(7, 7, 3, 1)).astype(np.float32), [0, 30, 75, 140]
    rows, columns = np.mgrid[:7, :7]
    for angle, answers in zip(angles, answers_to(kernel, angles, 0.25), strict=True):
        across = rows * np.cos(np.radians(angle)) + columns * np.sin(np.radians(angle))
        size = abs((np.exp(-2j * np.pi * 0.25 * across)[..., None] * kernel[..., 0]).sum())
        assert 2 * abs(np.fft.fft(answers)[1]) / 16 == pytest.approx(0.5 * size, rel=1e-3)  # half contrast


def test_a_max_pool_takes_the_ripple_of_shifted_stripes_and_leaves_the_angle():
    kernel, angles = gabor(55, 0.25, 0), [55, 145]
    (right, _), (pooled, wrong) = (answers_to(kernel, angles, 0.25, pool) for pool in (1, 3))
    assert np.ptp(np.maximum(right, 0)) / 2 > np.maximum(right, 0).mean()
    assert np.ptp(pooled) / 2 < 0.15 * pooled.mean() and wrong.mean() < 0.2 * pooled.mean()


def test_all_but_four_coarse_edges_like_the_angle_that_their_weights_predict(model):
    kernels = model.get_layer("conv1_conv").kernel.numpy()
    predicted, angles = helpers.stripe_angles(kernels), np.arange(0, 180, 2)
    swings = [np.ptp(middle_activations(model, "conv1_conv", angles, f), axis=1) for f in (0.25, 1 / 12)]
    off, off_wide = (np.abs((angles[swing.argmax(axis=0)] - predicted + 90) % 180 - 90) for swing in swings)
    striped = drawing.kernel_groups(kernels)["a clear angle"]
    assert len(striped) == 31 and (np.diff(predicted[striped]) >= 0).all()
    assert sorted(i for i in striped if off[i] > 5) == [7, 17, 19, 58]
    assert (off[[28, 20, 49]] < 3).all() and (off_wide[[17, 19, 58]] < 3).all() and 10 < off_wide[7] < 14


def test_channel_57_needs_its_exciting_wires_and_is_choosy_by_its_negative_weights(model):
    assert (model.get_layer("conv2_block1_1_bn").gamma.numpy() > 0).all()  # so a positive weight excites
    assert (model.get_layer("conv2_block1_preact_bn").gamma.numpy() > 0).all()  # of a kernel's own answer
    weights = model.get_layer("conv2_block1_1_conv").kernel.numpy()[0, 0]
    assert weights[28].argmax() == 57
    angles = np.arange(0, 180, 2)
    below = middle_activations(model, "conv2_block1_preact_relu", angles)[:, :, None]
    curves = []
    for cut in ([], [28, 47, 14, 51], [15, 58, 0, 30], weights[:, 57] < 0):
        left = weights.copy()
        left[cut, 57] = 0
        answers = np.asarray(model.get_layer("conv2_block1_1_bn")(below @ left))[:, :, 0, 57]
        curves.append(answers.mean(axis=1))
    whole, unexcited, uninhibited, positive = curves
    assert 2 * np.sum(whole > 0) == pytest.approx(88, abs=2)  # degrees
    assert 2 * np.sum(uninhibited > 0) == pytest.approx(128, abs=2)
    assert whole.max() == pytest.approx(7.1, abs=0.1) and whole.min() == pytest.approx(-4.1, abs=0.1)
    assert unexcited.max() < 0.5 and np.ptp(unexcited) == pytest.approx(np.ptp(whole) / 2, rel=0.15)
    assert positive.min() > 2 and abs(angles[positive.argmax()] - angles[whole.argmax()]) <= 4


def test_the_wires_that_the_notebook_cuts_are_the_strongest_of_channel_57(model):
    photos = helpers.load_images(helpers.list_images(helpers.PROBE) + helpers.list_images(helpers.IMAGES), 192)
    weights = model.get_layer("conv2_block1_1_conv").kernel.numpy()[0, 0, :, 57]
    maps = helpers.feature_model(model, "conv2_block1_preact_relu").predict(helpers.preprocess(photos), verbose=0)
    strengths = weights * maps.std(axis=(0, 1, 2))
    ranking = np.argsort(-np.abs(strengths)).tolist()
    assert len(photos) == 382 and set(ranking[:8]) == {28, 47, 14, 51, 15, 58, 0, 30}
    assert (strengths[[28, 47, 14, 51]] > 0).all() and (strengths[[15, 58, 0, 30]] < 0).all()


def test_channel_5_needs_no_eye_no_closed_ring_and_likes_a_line_least_whatever_the_size(model):
    network, wires = helpers.feature_model(model, "conv3_block1_1_bn"), model.get_layer("conv3_block1_1_conv").kernel
    hidden, kept = drawing.simple_shapes(7, on_hatching=True)["ring on hatching"], wires.numpy()
    cut = np.where(np.arange(256)[:, None] == 154, 0, kept)
    found = []
    for weights in (cut, kept):  # the thickest wire, from the hatching, changes nothing at the ring's peak
        wires.assign(weights)
        found.append(network(helpers.preprocess(hidden)).numpy()[0, 2:-2, 2:-2, 5].max())
    assert found == pytest.approx([0.27, 0.27], abs=0.02)
    for radius in (4, 5, 6, 7, 8, 9, 10, 12):
        for bright in (False, True):
            shapes = drawing.simple_shapes(radius, bright) | drawing.simple_shapes(radius, bright, on_hatching=True)
            maps = np.asarray(network(helpers.preprocess(np.stack(list(shapes.values())))))[..., 5]
            found = dict(zip(shapes, maps[:, 2:-2, 2:-2].max(axis=(1, 2)), strict=True))
            assert found["hatching"] < found["nothing"] - 1 and found["level"] > found["nothing"]
            assert found["ring on hatching"] < found["ring on level"] - 1
            assert sorted(drawing.simple_shapes(), key=found.get)[:2] == ["nothing", "line"]
            assert radius < 10 or all(answer < 5 or name == "dot" for name, answer in found.items())
            if (radius, bright) == (7, False):
                assert found["ring"] > found["eye"] and found["ring"] - found["open ring"] < 0.7
                assert (
                    found["ring"] - 1 > found["plus"] > found["dot"] > found["square"] > 4 and abs(found["line"]) < 0.3
                )
                assert found["ring on level"] == pytest.approx(found["ring"] / 2, abs=0.5)


def test_simple_shapes_are_what_their_names_say():
    shapes = drawing.simple_shapes(7) | drawing.simple_shapes(7, on_hatching=True)
    drawn = {name: picture[..., 0] < 0.5 for name, picture in shapes.items()}
    ring, opened = drawn["ring"], drawn["open ring"]
    assert not (opened & ~ring).any() and opened.sum() / ring.sum() == pytest.approx(0.75, abs=0.06)
    assert (ring & ~opened)[:, 97:].sum() == (ring & ~opened).sum() > 0  # the gap lies on the right
    assert not (ring & ~drawn["eye"]).any() and (drawn["level"] == drawn["level"][:, :1]).all()
    assert (drawn["ring on hatching"] == (ring | drawn["hatching"])).all() and not drawn["nothing"].any()
