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


def test_kernel_groups_hold_every_kernel_once_and_sort_stripes_by_angle(model):
    kernels = model.get_layer("conv1_conv").kernel.numpy()
    groups, angles = drawing.kernel_groups(kernels), helpers.stripe_angles(kernels)
    assert sorted(i for members in groups.values() for i in members) == list(range(64))
    assert (np.diff(angles[groups["a clear angle"]]) >= 0).all() and np.isnan(angles[groups["no clear angle"]]).all()


def test_all_but_four_coarse_edges_like_the_angle_that_their_weights_predict(model):
    kernels = model.get_layer("conv1_conv").kernel.numpy()
    predicted, angles = helpers.stripe_angles(kernels), np.arange(0, 180, 2)
    waves = helpers.preprocess(drawing.gratings(angles).reshape(-1, 32, 32, 3))
    answers = np.asarray(helpers.feature_model(model, "conv1_conv")(waves))[:, 8, 8].reshape(90, 16, 64)
    off = np.abs((angles[np.ptp(answers, axis=1).argmax(axis=0)] - predicted + 90) % 180 - 90)
    striped = drawing.kernel_groups(kernels)["a clear angle"]
    assert len(striped) == 31 and sorted(i for i in striped if off[i] > 5) == [7, 17, 19, 58]
    assert (off[[28, 20, 49]] < 3).all()


def test_channel_57_needs_its_exciting_wires_and_is_choosy_by_its_negative_weights(model):
    assert (model.get_layer("conv2_block1_1_bn").gamma.numpy() > 0).all()  # so a positive weight excites
    assert (model.get_layer("conv2_block1_preact_bn").gamma.numpy() > 0).all()  # of a kernel's own answer
    weights = model.get_layer("conv2_block1_1_conv").kernel.numpy()[0, 0]
    assert weights[28].argmax() == 57
    angles = np.arange(0, 180, 2)
    waves = helpers.preprocess(drawing.gratings(angles).reshape(-1, 32, 32, 3))
    below = np.asarray(helpers.feature_model(model, "conv2_block1_preact_relu")(waves))[:, 4:5, 4:5]
    curves = []
    for cut in ([], [28, 47, 14, 51], [15, 58, 0, 30], [40, 42, 10, 21], weights[:, 57] < 0):
        left = weights.copy()
        left[cut, 57] = 0
        answers = np.asarray(model.get_layer("conv2_block1_1_bn")(below @ left))[:, 0, 0, 57]
        curves.append(answers.reshape(90, 16).mean(axis=1))
    whole, unexcited, uninhibited, control, positive = curves
    assert 2 * np.sum(whole > 0) == pytest.approx(88, abs=2)  # degrees
    assert 2 * np.sum(uninhibited > 0) == pytest.approx(128, abs=2)
    assert 2 * np.sum(control > 0) == pytest.approx(88, abs=2)
    assert whole.max() == pytest.approx(7.1, abs=0.1) and whole.min() == pytest.approx(-4.1, abs=0.1)
    assert unexcited.max() < 0.5 and np.ptp(unexcited) == pytest.approx(np.ptp(whole) / 2, rel=0.15)
    assert positive.min() > 2 and abs(angles[positive.argmax()] - angles[whole.argmax()]) <= 4


def test_strength_is_weight_times_spread_as_numpy_measures_it(model):
    photos = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), dtype=np.uint8)
    maps = np.asarray(helpers.feature_model(model, "conv2_block1_preact_relu")(helpers.preprocess(photos)))
    assert drawing.spread(model, "conv2_block1_preact_relu", photos) == pytest.approx(maps.std((0, 1, 2)), rel=1e-3)
    inside = maps[:, 2:-2, 2:-2].max(axis=(1, 2))
    assert drawing.peaks(model, "conv2_block1_preact_relu", photos) == pytest.approx(inside, rel=1e-3, abs=1e-4)


def test_channel_5_needs_no_eye_and_likes_a_line_least_whatever_the_size(model):
    for radius in (4, 5, 6, 7, 8, 9, 10, 12):
        for bright in (False, True):
            shapes = drawing.simple_shapes(radius, bright)
            peaks = drawing.peaks(model, "conv3_block1_1_conv", np.stack(list(shapes.values())))[:, 5]
            found = dict(zip(shapes, peaks, strict=True))
            assert found["hatching"] < found["nothing"] - 1 and found["ring on hatching"] < found["its ring"] - 1
            on_empty = [name for name in found if "hatching" not in name]
            assert sorted(on_empty, key=found.get)[:2] == ["nothing", "line"]
            if radius <= 9:
                assert abs(found["eye"] - found["its ring"]) < 0.65
            elif not bright:
                assert found["its pupil"] > found["eye"]


def test_level_hatching_does_not_hold_channel_5_back(model):
    lines = np.where(1.4 * np.mgrid[-96:96, -96:96][0] % 6 < 3, 0.15, 0.85)
    pictures = np.stack([lines, np.full((192, 192), 0.85)])[..., None].repeat(3, axis=-1)
    level, nothing = drawing.peaks(model, "conv3_block1_1_conv", pictures)[:, 5]
    assert level > nothing
