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


def tuning_curves(model, layer, angles, frequency=0.25):
    """Return each channel's highest activation in the middle of shifted stripes, (angles, channels)."""
    pictures = drawing.gratings(angles, frequency).reshape(-1, 32, 32, 3)
    return helpers.channel_responses(model, layer, pictures, "neuron").reshape(len(angles), 16, -1).max(axis=1)


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
    curves = [tuning_curves(model, "conv1_conv", angles, frequency) for frequency in (0.25, 1 / 12)]
    off, off_wide = (np.abs((angles[curve.argmax(axis=0)] - predicted + 90) % 180 - 90) for curve in curves)
    striped = drawing.kernel_groups(kernels)["a clear angle"]
    assert len(striped) == 31 and (np.diff(predicted[striped]) >= 0).all()
    assert sorted(i for i in striped if off[i] > 5) == [7, 17, 19, 58]
    assert (off[[28, 20, 30]] < 5).all() and (off_wide[[17, 19, 58]] < 3).all() and 10 < off_wide[7] < 14


def test_the_eight_wires_of_channel_57_make_its_hill_and_its_valley(model):
    assert (model.get_layer("conv2_block1_1_bn").gamma.numpy() > 0).all()  # so a positive weight excites
    assert (model.get_layer("conv2_block1_preact_bn").gamma.numpy() > 0).all()  # of a kernel's own answer
    kernel, angles = model.get_layer("conv2_block1_1_conv").kernel, np.arange(0, 180, 2)
    kept, order = kernel.numpy(), np.argsort(kernel.numpy()[0, 0, :, 57])
    assert kept[0, 0, 28].argmax() == 57
    assert set(order[:4]) == {39, 0, 30, 58} and set(order[-4:]) == {28, 47, 14, 51}
    curves, others = [], np.random.default_rng(0).choice(order[4:-4], 4, replace=False)
    for cut in ([], order[-4:], order[:4], others, kept[0, 0, :, 57] < 0):
        changed = kept.copy()
        changed[0, 0, cut, 57] = 0
        kernel.assign(changed)
        curves.append(tuning_curves(model, "conv2_block1_1_bn", angles)[:, 57])
    kernel.assign(kept)
    (whole, *_, less, positive), ends = curves, [(curve.max(), curve.min()) for curve in curves]
    assert np.ravel(ends[:3]) == pytest.approx([7.29, -3.98, 0.32, -5.63, 8.61, -1.16], abs=0.05)
    assert np.abs(less - whole).max() < 0.5
    assert positive.min() > 2 and abs(angles[positive.argmax()] - angles[whole.argmax()]) <= 4


def test_channel_5_needs_no_eye_no_closed_ring_and_likes_a_line_least_whatever_the_size(model):
    wires = model.get_layer("conv3_block1_1_conv").kernel
    order, kept = np.argsort(wires.numpy()[0, 0, :, 5]), wires.numpy()
    assert set(order[:4]) == {154, 74, 3, 238} and set(order[-4:]) == {76, 157, 100, 150}

    def peaks(shapes):
        found = helpers.channel_responses(model, "conv3_block1_1_bn", list(shapes.values()), "peak")[:, 5]
        return dict(zip(shapes, found, strict=True))

    shapes, changed = drawing.simple_shapes(7), kept.copy()
    changed[0, 0, order[-4:], 5] = 0
    whole, _, unexcited, _ = peaks(shapes), wires.assign(changed), peaks(shapes), wires.assign(kept)
    assert all(1 < whole[name] - unexcited[name] < 2 for name in shapes)
    pair = helpers.feature_model(model, ["conv3_block1_1_bn", "conv3_block1_preact_relu"])
    for name, shape in shapes.items():  # which of the four inhibiting inputs are on, where channel 5 has its peak?
        own, inputs = (maps[0].numpy() for maps in pair(helpers.preprocess(shape)).values())
        at_peak = inputs.reshape(-1, 256)[own[..., 5].argmax(), order[:4]]
        assert order[:4][at_peak > 0].tolist() == {"dot": [154], "long line": [3]}.get(name, [])
    for radius in (5, 6, 7, 8, 9, 10, 12):
        for bright in (False, True):
            found = peaks(drawing.simple_shapes(radius, bright))
            rings = found["eye"], found["ring"], found["open ring"]
            assert found["long line"] < min(rings) and (radius < 12 or found["dot"] > max(rings))
            if (radius, bright) == (7, False):
                ranking = ["ring", "eye", "open ring", "short line", "disc", "dot", "square", "long line"]
                assert sorted(found, key=found.get, reverse=True) == ranking


def test_simple_shapes_are_what_their_names_say():
    drawn = {name: picture[..., 0] < 0.5 for name, picture in drawing.simple_shapes(7).items()}
    ring, opened = drawn["ring"], drawn["open ring"]
    assert not (opened & ~ring).any() and opened.sum() / ring.sum() == pytest.approx(0.75, abs=0.06)
    assert (ring & ~opened)[:, 97:].sum() == (ring & ~opened).sum() > 0  # the gap lies on the right
    assert (drawn["eye"] == (ring | drawn["dot"])).all() and not (ring & ~drawn["disc"]).any()
