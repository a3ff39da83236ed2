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
    assert (np.diff(angles[groups["stripes"]]) >= 0).all() and np.isnan(angles[groups["no clear angle"]]).all()


def test_channel_57_needs_its_exciting_wires_and_is_choosy_by_its_negative_weights(model):
    assert (model.get_layer("conv2_block1_1_bn").gamma.numpy() > 0).all()  # so a positive weight excites
    weights = model.get_layer("conv2_block1_1_conv").kernel.numpy()[0, 0]
    waves = drawing.gratings(range(0, 180, 15), 0.25, 4, 32).reshape(-1, 32, 32, 3)
    below = helpers.feature_model(model, "conv2_block1_preact_relu")(helpers.preprocess(waves))
    curves = []
    for cut in ([], [28, 47, 14, 51], weights[:, 57] < 0):
        left = weights.copy()
        left[cut, 57] = 0
        answers = np.asarray(model.get_layer("conv2_block1_1_bn")(below @ left))[:, 4, 4, 57]
        curves.append(answers.reshape(12, 4).mean(axis=1))
    whole, unexcited, uninhibited = curves
    assert whole.max() > 6 and whole.min() < -3 and unexcited.max() < 0.5
    assert uninhibited.min() > 2 and abs(uninhibited.argmax() - whole.argmax()) <= 1  # steps of 15 degrees


def test_channel_5_likes_a_line_least_and_a_ring_more_or_less_than_a_disc_by_size(model):
    y, x = np.mgrid[-32:32, -32:32]
    radius, box, line = np.hypot(x, y), np.maximum(abs(x), abs(y)), abs(x + y) < 4
    features = helpers.feature_model(model, "conv3_block1_1_conv")
    for r in (4, 5, 7, 10):
        shapes = np.stack([line, radius < r, (radius < r) & (radius > r - 3), box < r - 0.5])
        for dark, bright in ((0.85, 0.15), (0.15, 0.85)):
            drawn = np.where(shapes[..., None], [dark] * 3, bright)
            peaks = np.asarray(features(helpers.preprocess(drawn)))[:, 2:-2, 2:-2, 5].max(axis=(1, 2))
            assert peaks.argmin() == 0
        assert peaks.argmax() == (1 if r == 5 else 2)
