"""Notebook 03: its estimates against kernels of known values, its gratings and weights against NumPy and the model."""

import keras
import numpy as np
import pytest
from conftest import functions_of

SIDE = 7


def gabor(orientation, frequency, sigma, phase, colour=(1, 1, 1)):
    """Return a Gabor kernel (7, 7, 3, 1): stripes at `orientation` degrees, counter-clockwise from horizontal."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    across = columns * np.sin(np.radians(orientation)) + rows * np.cos(np.radians(orientation))  # rows count downwards
    window = np.exp(-(rows**2 + columns**2) / (2 * sigma**2))
    return (window * np.cos(2 * np.pi * frequency * across + phase))[..., None, None] * np.reshape(colour, (3, 1))


@pytest.mark.parametrize("phase", [0, np.pi / 2], ids=["even", "odd"])
@pytest.mark.parametrize("sigma", [2, 3])
@pytest.mark.parametrize("frequency", [0.20, 0.25, 0.30, 0.35])
def test_a_gabors_orientation_is_found_to_5_degrees_and_its_frequency_to_10_percent(frequency, sigma, phase):
    (kernel_tuning,) = functions_of("03", "kernel_tuning")
    for orientation in range(0, 180, 15):
        angle, found, selectivity, _ = (x[0] for x in kernel_tuning(gabor(orientation, frequency, sigma, phase)))
        assert abs((angle - orientation + 90) % 180 - 90) < 5
        assert abs(found - frequency) < 0.1 * frequency
        assert selectivity > 0.3  # the notebook's limit for naming an orientation


def test_the_orientation_of_stripes_is_counted_counter_clockwise_from_horizontal():
    (kernel_tuning,) = functions_of("03", "kernel_tuning")
    rising = np.zeros((SIDE, SIDE, 3, 1))
    for i in range(SIDE):
        rising[SIDE - 1 - i, i] = 1  # from the lower left to the upper right
        rising[max(SIDE - 3 - i, 0), max(i - 2, 0)] -= 1
    assert abs(kernel_tuning(rising)[0][0] - 45) < 10


def test_a_round_spot_has_no_selectivity_and_a_zero_kernel_does_not_divide_by_zero():
    (kernel_tuning,) = functions_of("03", "kernel_tuning")
    assert kernel_tuning(gabor(0, 0, 1.0, 0))[2][0] < 0.01
    assert np.isfinite(kernel_tuning(np.zeros((SIDE, SIDE, 3, 1)))).all()


@pytest.mark.parametrize("colour, wanted", [((1, 1, 1), 0), ((1, -1, 0), 1), ((-1, -1, 2), 1), ((2, 1, 0), 0.4)])
def test_opponency_is_0_for_grey_1_for_pure_colour_and_between_for_a_mixture(colour, wanted):
    (kernel_tuning,) = functions_of("03", "kernel_tuning")
    assert kernel_tuning(gabor(30, 0.25, 2, 0, colour))[3][0] == pytest.approx(wanted, abs=1e-9)


def test_making_the_conv1_kernels_grey_or_colour_only_sends_their_opponency_to_0_or_1(model):
    (kernel_tuning,) = functions_of("03", "kernel_tuning")
    kernels = model.get_layer("conv1_conv").get_weights()[0].astype(np.float64)
    grey = np.broadcast_to(kernels.mean(axis=2, keepdims=True), kernels.shape)
    assert np.allclose(kernel_tuning(grey)[3], 0)
    assert np.allclose(kernel_tuning(kernels - grey)[3], 1)


def convolved(image, kernel):
    """Return the answer of one kernel (side, side, 3) at the middle of one image (size, size, 3), in plain NumPy."""
    first = len(image) // 2 - len(kernel) // 2
    return (image[first : first + len(kernel), first : first + len(kernel)] * kernel).sum()


def test_f1_of_a_convolution_written_in_numpy_is_the_predicted_transfer_and_f0_its_bias():
    gratings, harmonics, transfer, _ = functions_of("03", "gratings", "harmonics", "transfer", "cycles")
    random = np.random.default_rng(0)
    kernels, bias = random.normal(size=(SIDE, SIDE, 3, 5)), random.normal(size=5)
    angles, steps, colours = random.uniform(0, 180, 6), random.uniform(0.05, 0.45, 6), random.normal(size=(6, 3))
    stimuli = gratings(angles, steps, colours, contrast=0.5)
    assert stimuli.shape == (6, 8, 32, 32, 3) and stimuli.dtype == np.float32
    answers = [[[convolved(i, k) for k in np.moveaxis(kernels, -1, 0)] for i in phases] for phases in stimuli]
    f0, f1 = harmonics(np.array(answers) + bias)
    wanted = 0.5 * np.abs(transfer(kernels, angles, steps, colours))
    assert np.allclose(f1, wanted, atol=1e-5 * wanted.max())
    assert np.allclose(f0, bias, atol=1e-5 * wanted.max())


def test_a_grating_has_the_orientation_and_frequency_it_was_asked_for():
    gratings, kernel_tuning, _ = functions_of("03", "gratings", "kernel_tuning", "cycles")
    for orientation in (0, 30, 90, 135):
        picture = gratings(np.array([orientation]), np.array([0.25]), np.ones((1, 3)))[0, 0]
        angle, frequency, *_ = kernel_tuning(picture[..., None])
        assert abs((angle[0] - orientation + 90) % 180 - 90) < 2
        assert frequency[0] == pytest.approx(0.25, abs=0.01)


def test_compose_is_one_convolution_after_the_other():
    (compose,) = functions_of("03", "compose")
    random = np.random.default_rng(1)
    first, second = random.normal(size=(7, 7, 3, 4)), random.normal(size=(3, 3, 4, 2))
    whole = compose(first, second, 2)
    assert whole.shape == (11, 11, 3, 2)
    patch = random.normal(size=(1, 11, 11, 3)).astype(np.float32)
    steps = keras.ops.conv(keras.ops.conv(patch, first.astype(np.float32), 2), second.astype(np.float32), 1)
    assert np.allclose((patch[0, ..., None] * whole).sum(axis=(0, 1, 2)), np.asarray(steps)[0, 0, 0], atol=1e-3)


@pytest.mark.parametrize("layer", ["conv2_block1_1_conv", "conv2_block1_3_conv", "conv3_block1_0_conv"])
def test_signed_weights_are_what_one_hot_inputs_add_to_the_layers_answer(model, layer):
    signed_weights, _ = functions_of("03", "signed_weights", "affine")
    matrix = signed_weights(model, layer)
    convolution = model.get_layer(layer)
    one_hot = np.eye(len(matrix), dtype=np.float32)[:, None, None]
    answers, rest = convolution(one_hot), convolution(0 * one_hot)
    if layer.endswith("_1_conv"):
        bn = model.get_layer(layer.removesuffix("conv") + "bn")
        answers, rest = bn(answers, training=False), bn(rest, training=False)
    difference = np.asarray(answers - rest)[:, 0, 0]
    assert np.allclose(difference, matrix, atol=1e-5 * np.abs(matrix).max())


def test_the_circuit_holds_the_inputs_of_largest_weight_times_spread_in_signed_order():
    (circuit,) = functions_of("03", "circuit")
    matrix = np.array([[0.1], [-3.0], [2.0], [5.0], [-1.0]])
    inputs, strengths = circuit(matrix, 0, np.array([100.0, 1, 1, 0, 1]), count=3)
    assert inputs.tolist() == [0, 2, 1]
    assert strengths.tolist() == [10, 2, -3]


def test_parts_of_a_filter_explain_more_the_more_of_them_are_kept_and_all_of_them_everything():
    (explained_by_parts,) = functions_of("03", "explained_by_parts")
    random = np.random.default_rng(2)
    inputs = random.normal(size=(2, 20, 20, 4)).astype(np.float32)
    kernel = random.normal(size=(3, 3, 4)).astype(np.float32) * np.array([4, 1, 0, 2], np.float32)
    curve = explained_by_parts(inputs, kernel)
    assert (np.diff(curve) > -1e-6).all() and 0.5 < curve[0] < 0.95
    assert curve[2] == pytest.approx(1) and curve[3] == pytest.approx(1)


def test_the_inputs_kept_of_a_1x1_filter_explain_what_they_add_to_its_answer():
    (explained_by_inputs,) = functions_of("03", "explained_by_inputs")
    maps = np.random.default_rng(5).normal(size=(40, 9, 9, 3)).astype(np.float32)
    weights = np.array([2, 1, 0], np.float32)
    assert explained_by_inputs(maps, weights, [0]) == pytest.approx(0.8, abs=0.03)  # 2² of 2² + 1²
    assert explained_by_inputs(maps, weights, [2]) == pytest.approx(0, abs=1e-5)
    assert explained_by_inputs(maps, weights, [1, 0]) == pytest.approx(1)


def test_one_gain_and_one_offset_are_the_least_squares_fit_and_bear_a_constant_guess():
    gain_and_offset, _ = functions_of("03", "gain_and_offset", "columnwise")
    random = np.random.default_rng(6)
    guess, other = random.normal(size=(200, 2)), random.normal(size=(5, 2))
    guess[:, 1] = 3
    truth = np.column_stack([4 - 2 * guess[:, 0], random.normal(size=200)])
    moved = gain_and_offset(guess, truth)(other)
    assert np.allclose(moved[:, 0], 4 - 2 * other[:, 0])
    assert np.allclose(moved[:, 1], truth[:, 1].mean())


def test_survey_finds_the_spread_the_maximum_and_its_cell_away_from_the_padding(model):
    (survey,) = functions_of("03", "survey")
    photos = np.random.default_rng(3).integers(0, 256, (3, 64, 64, 3), np.uint8)
    spread, top, place = survey(model, ["conv1_conv"], photos, batch=2)["conv1_conv"]
    maps = np.asarray(
        model.get_layer("conv1_conv")(model.get_layer("conv1_pad")(2 * photos.astype(np.float32) / 255 - 1))
    )
    inside = maps[:, 2:31, 2:31]  # 7 px around 2·i lie inside 0 … 63 for i = 2 … 30
    assert np.allclose(spread, inside.std(axis=(0, 1, 2)), rtol=1e-3)
    assert np.allclose(top, inside.max(axis=(1, 2)), rtol=1e-4)
    row, column = place[1, 5]
    assert maps[1, row, column, 5] == pytest.approx(top[1, 5], rel=1e-4)


def test_correlation_and_r_squared_agree_with_numpy_and_bear_constant_columns():
    columnwise, r_squared = functions_of("03", "columnwise", "r_squared")
    random = np.random.default_rng(4)
    a, b = random.normal(size=(2, 50, 3))
    b[:, 2] = 1
    assert columnwise(a, b)[0] == pytest.approx(np.corrcoef(a[:, 0], b[:, 0])[0, 1])
    assert np.isnan(columnwise(a, b)[2])
    assert np.allclose(r_squared(a, a), 1) and np.allclose(r_squared(a, a.mean(axis=0) + 0 * a), 0)
    assert np.isfinite(r_squared(b, a)).all()
