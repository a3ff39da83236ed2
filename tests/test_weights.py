"""What notebook 03 relies on: gratings, the Fourier prediction, and what it says of wires but does not show."""

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


@pytest.mark.parametrize("frequency", [0.2, 0.25, 0.3])
def test_stripe_angles_finds_the_angle_that_was_drawn_and_none_in_a_spot(frequency):
    for angle in range(0, 180, 15):
        found = helpers.stripe_angles(gabor(angle, frequency, np.pi / 2))
        assert abs((found[0] - angle + 90) % 180 - 90) < 5
    assert np.isnan(helpers.stripe_angles(gabor(0, 0, 0))[0])
    grating = np.moveaxis(drawing.gratings([60], frequency, 1)[0], 0, -1) - 0.5
    assert helpers.stripe_angles(grating)[0] == pytest.approx(60, abs=2)


def test_kernel_groups_hold_every_kernel_once_and_sort_stripes_by_angle(model):
    kernels = model.get_layer("conv1_conv").kernel.numpy()
    groups, angles = drawing.kernel_groups(kernels), helpers.stripe_angles(kernels)
    assert sorted(i for members in groups.values() for i in members) == list(range(64))
    assert (np.diff(angles[groups["a clear angle"]]) >= 0).all() and np.isnan(angles[groups["no clear angle"]]).all()


def test_exercise_2_channel_57_answers_to_all_stripes_when_all_its_negative_wires_are_cut(model):
    assert (model.get_layer("conv2_block1_1_bn").gamma.numpy() > 0).all()  # so a positive weight excites
    weights, angles = model.get_layer("conv2_block1_1_conv").kernel.numpy()[0, 0], np.arange(0, 180, 2)
    assert weights[28].argmax() == 57
    waves = helpers.preprocess(drawing.gratings(angles).reshape(-1, 32, 32, 3))
    below = np.asarray(helpers.feature_model(model, "conv2_block1_preact_relu")(waves))[:, 4:5, 4:5]
    whole, positive = (
        np.asarray(model.get_layer("conv2_block1_1_bn")(below @ wires))[:, 0, 0, 57].reshape(90, 16).mean(axis=1)
        for wires in (weights, np.maximum(weights, 0))
    )
    assert whole.min() == pytest.approx(-4.1, abs=0.1)
    assert positive.min() > 2 and abs(angles[positive.argmax()] - angles[whole.argmax()]) <= 4


def test_strength_is_weight_times_spread_as_numpy_measures_it(model):
    photos = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), dtype=np.uint8)
    maps = np.asarray(helpers.feature_model(model, "conv2_block1_preact_relu")(helpers.preprocess(photos)))
    assert drawing.spread(model, "conv2_block1_preact_relu", photos) == pytest.approx(maps.std((0, 1, 2)), rel=1e-3)
    inside = maps[:, 2:-2, 2:-2].max(axis=(1, 2))
    assert drawing.peaks(model, "conv2_block1_preact_relu", photos) == pytest.approx(inside, rel=1e-3, abs=1e-4)


def test_exercise_3_channel_5_needs_no_eye_and_likes_a_line_least_whatever_the_size(model):
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
    lines = np.where(1.4 * np.mgrid[-96:96, -96:96][0] % 6 < 3, 0.15, 0.85)  # level, as its own hatching is not
    pictures = np.stack([lines, np.full((192, 192), 0.85)])[..., None].repeat(3, axis=-1)
    level, nothing = drawing.peaks(model, "conv3_block1_1_conv", pictures)[:, 5]
    assert level > nothing
