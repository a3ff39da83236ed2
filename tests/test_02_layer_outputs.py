"""Notebook 02's own functions: alignment, effective dimension, equivariance, scales."""

import keras
import numpy as np
import pytest
from conftest import functions_of

import helpers

STAGES = ["pool1_pool", "conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out"]


def views(model):
    return {helpers.rectified_view(model, layer): helpers.receptive_field(model, layer).stride for layer in STAGES}


def noise(side, seed=0):
    """A smooth random photo, shape (1, side, side, 3), in [0, 1]."""
    coarse = np.random.default_rng(seed).random((1, side // 8 + 1, side // 8 + 1, 3))
    return np.kron(coarse, np.ones((1, 8, 8, 1)))[:, :side, :side].astype(np.float32)


def test_a_dot_answers_at_its_own_cell_at_every_stage(averaging_model):
    (centroid,) = functions_of("02", "centroid")
    strides = views(averaging_model)
    dot = np.zeros((1, 641, 641, 3), np.float32)
    dot[0, 288, 320] = 1
    answers = helpers.feature_model(averaging_model, list(strides)).predict_on_batch(dot)
    for view, stride in strides.items():
        cell = centroid(answers[view][0].astype(np.float64).sum(axis=-1))
        np.testing.assert_allclose(cell, (288 / stride, 320 / stride), atol=0.01, err_msg=view)


def test_centroid_counts_rows_before_columns():
    (centroid,) = functions_of("02", "centroid")
    weights = np.zeros((5, 7))
    weights[1, 4], weights[2, 6] = 1, 3
    np.testing.assert_allclose(centroid(weights), (1.75, 5.5))


@pytest.mark.parametrize("shape", [(400, 6), (9, 40)])
@pytest.mark.parametrize("spectrum", [(1, 1, 1, 1), (1, 0, 0, 0), (4, 2, 1, 1)])
def test_participation_ratio_of_a_known_spectrum(shape, spectrum):
    (participation_ratio,) = functions_of("02", "participation_ratio")
    random = np.random.default_rng(1)
    scores = random.normal(size=(shape[0], 4))
    scores, _ = np.linalg.qr(scores - scores.mean(axis=0))  # centred, orthonormal
    axes, _ = np.linalg.qr(random.normal(size=(shape[1], 4)))
    samples = scores * np.sqrt(spectrum) @ axes.T + 7  # a mean that must not count
    assert participation_ratio(samples) == pytest.approx(sum(spectrum) ** 2 / np.square(spectrum).sum(), rel=1e-6)


def test_participation_ratio_of_constant_samples_is_zero():
    (participation_ratio,) = functions_of("02", "participation_ratio")
    assert participation_ratio(np.full((10, 3), 2.0)) == 0


def test_participation_ratio_of_noise_is_the_drawn_ceiling():
    (participation_ratio,) = functions_of("02", "participation_ratio")
    n, channels = 600, 300
    samples = np.random.default_rng(2).normal(size=(n, channels))
    assert participation_ratio(samples) == pytest.approx(n * channels / (n + channels), rel=0.02)


def test_a_shift_is_moved_back_onto_the_same_values():
    (moved_back,) = functions_of("02", "moved_back")
    ramp = np.broadcast_to(np.arange(20.0)[None, None, :, None], (2, 3, 20, 1))  # linear: interpolation is exact
    for shift in (0, 3, 4, 6, 8, 11):
        back, lost = moved_back(ramp + shift / 4, shift, 4)
        assert lost == -(-shift // 4), shift
        np.testing.assert_allclose(back, ramp[:, :, lost:], err_msg=str(shift))


@pytest.mark.parametrize("how", ["flip", "turn", 8])
def test_moving_back_undoes_the_change_of_the_photo(how):
    transformed, moved_back = functions_of("02", "transformed", "moved_back", SIDE=225)
    canvas = noise(257)
    back, lost = moved_back(transformed(canvas, how), how, 1)
    np.testing.assert_array_equal(back, canvas[:, :225, lost:225])


def test_score_is_one_for_itself_and_blind_to_gain_but_not_to_the_channel_mean():
    (score,) = functions_of("02", "score")
    random = np.random.default_rng(3)
    mean = np.array([5.0, -5.0, 0, 20])
    a, b = random.normal(size=(2, 3, 6, 6, 4)) + mean
    np.testing.assert_allclose(score(a, (a - mean) * 2 + mean, mean), 1)
    assert np.abs(score(a, b, mean)).max() < 0.35 < score(a, b, 0 * mean).min()
    np.testing.assert_array_equal(score(a, 0 * a + mean, mean), 0)  # a silent map: 0, not NaN


def test_flip_scores_one_at_225_px_with_mirror_symmetric_kernels_and_less_at_224(model):
    transformed, moved_back, score = functions_of("02", "transformed", "moved_back", "score", SIDE=225)
    symmetric = keras.models.clone_model(model)
    for layer, source in zip(symmetric.layers, model.layers, strict=True):
        weights = source.get_weights()
        if isinstance(layer, keras.layers.Conv2D):
            weights[0] = (weights[0] + weights[0][:, ::-1]) / 2
        layer.set_weights(weights)
    strides = views(symmetric)
    extract = helpers.feature_model(symmetric, list(strides))
    photo = helpers.load_image(helpers.IMAGES / "cat.jpg", 257)[None]
    for side in (225, 224):
        still, found = (
            extract.predict_on_batch(helpers.preprocess(transformed(photo, how, side))) for how in (0, "flip")
        )
        for view, stride in strides.items():
            back, _ = moved_back(found[view], "flip", stride)
            mean = still[view].mean(axis=(0, 1, 2))
            value = score(still[view], back, mean)[0]
            assert value > 0.9999 if side == 225 else value < 0.98, (side, view, value)


def test_a_shift_by_one_stride_scores_one_at_the_middle_cell_at_577_px(model):
    transformed, moved_back, score = functions_of("02", "transformed", "moved_back", "score", SIDE=225)
    strides = views(model)
    extract = helpers.feature_model(model, list(strides))
    photo = helpers.load_image(helpers.IMAGES / "cat.jpg", 577 + 32)[None]
    maps = {
        how: extract.predict_on_batch(helpers.preprocess(transformed(photo, how, 577))) for how in (0, 4, 8, 16, 32)
    }
    for view, stride in strides.items():
        back, lost = moved_back(maps[stride][view], stride, stride)
        middle = maps[0][view].shape[1] // 2
        still = maps[0][view]
        mean = still.mean(axis=(0, 1, 2))
        assert lost == 1
        assert score(still[:, middle, middle], back[:, middle, middle - lost], mean)[0] > 0.9999, view
        assert score(still[:, middle, middle], back[:, middle, middle], mean)[0] < 0.99, view  # one cell off


def test_ranked_takes_the_quietest_the_loudest_and_even_ranks_between():
    (ranked,) = functions_of("02", "ranked")
    loudness = np.random.default_rng(4).permutation(15)
    wave = np.array([[-1.0, 1], [1, -1]])
    chosen = ranked(wave[:, :, None] * loudness, 8)
    assert loudness[chosen].tolist() == [0, 2, 4, 6, 8, 10, 12, 14]


def test_one_scale_is_one_scale_on_every_map_of_a_figure():
    (strips,) = functions_of("02", "strips")
    random = np.random.default_rng(5)
    features = {"quiet": random.random((2, 8, 8, 4)), "loud": 50 * random.random((2, 4, 4, 4))}
    figure = strips(features, {"a": ("quiet", [0, 2]), "b": ("loud", [1, 3])}, 1, 7.5, "title")
    maps = [axes.images[0] for axes in figure.axes if axes.images]
    assert len(maps) == 4
    assert {image.get_clim() for image in maps} == {(0, 7.5)}
    assert len({image.get_cmap().name for image in maps}) == 1
    np.testing.assert_array_equal(maps[3].get_array(), features["loud"][1, :, :, 3])
    assert figure.axes[-1].get_ylabel() == "activation"  # the colour bar


def test_one_basis_gives_equal_vectors_equal_colours_in_every_photo():
    (principal_colours,) = functions_of("02", "principal_colours")
    maps = np.random.default_rng(6).normal(size=(2, 5, 5, 12)).astype(np.float32)
    maps[1, 4, 0] = maps[0, 1, 3]
    colours, share = principal_colours(maps)
    assert colours.shape == (2, 5, 5, 3) and colours.min() >= 0 and colours.max() <= 1 and 0 < share < 1
    np.testing.assert_allclose(colours[1, 4, 0], colours[0, 1, 3], atol=1e-5)
    with np.errstate(invalid="ignore"):  # scikit-learn divides by the variance that is not there
        assert np.isfinite(principal_colours(np.zeros((2, 5, 5, 12)))[0]).all()


def test_neighbours_of_a_vector_are_the_others_at_the_smallest_angle():
    (neighbours,) = functions_of("02", "neighbours")
    angles = np.radians([0, 10, 30, 180, 190, 210])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)  # their mean is zero
    assert neighbours(5 * vectors, 2).tolist() == [[1, 2], [0, 2], [1, 0], [4, 5], [3, 5], [4, 3]]
