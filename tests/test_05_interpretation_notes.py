"""The instruments of notebook 05: census, repeatability, path similarity, ablation, linear probe; and `portrait`."""

import keras
import numpy as np
import pytest
from conftest import functions_of

import helpers

FAULTS = ("dead", "rare", "stuck")


@pytest.fixture(scope="module")
def natural():
    found = helpers.natural_inputs(64)
    return helpers.NaturalInputs(found.images[::8], found.sources[::8])


def test_census_finds_the_twenty_planted_faults_and_nothing_else(model, natural):
    names = "survey", "census", "prune", "hold", "untouched", "readers"
    survey, census, prune, hold, untouched, _ = functions_of("05", *names)
    relus = [layer.name for layer in model.layers if layer.name.endswith(("_1_relu", "_2_relu"))][::2]
    before = census(survey(model, relus, natural.images))
    healthy = {r: [c for c in range(64) if not any(before[r][k][c] for k in FAULTS)][:2] for r in relus[:10]}
    planted = {(relu, c): (-1, 1)[k] for relu, pair in healthy.items() for k, c in enumerate(pair)}
    with untouched(model):
        prune(model, healthy)
        reference = census(survey(model, relus, natural.images))
        hold(model, planted)
        found = census(survey(model, relus, natural.images))
    changed = {(r, c, k) for r in relus for k in FAULTS for c in np.flatnonzero(reference[r][k] != found[r][k])}
    assert len(planted) == 20 and changed == {(r, c, "stuck" if v > 0 else "dead") for (r, c), v in planted.items()}


def test_holding_at_zero_equals_pruning_and_holding_at_a_value_gives_it(model, natural):
    prune, hold, untouched, _ = functions_of("05", "prune", "hold", "untouched", "readers")
    inputs, before = helpers.preprocess(natural.images[:2]), model.get_weights()
    answers = {}
    for relu, channel in (("conv2_block1_preact_relu", 18), ("conv3_block2_1_relu", 40), ("post_relu", 7)):
        for change, plan in ((prune, {relu: [channel]}), (hold, {(relu, channel): 0})):
            with untouched(model):
                change(model, plan)
                answers[change] = model(inputs).numpy()
        np.testing.assert_allclose(answers[prune], answers[hold], atol=1e-4)
        assert np.abs(answers[prune] - model(inputs).numpy()).max() > 1e-3
    with untouched(model):
        hold(model, {("conv3_block2_1_relu", 40): 0.25})
        assert (helpers.feature_model(model, "conv3_block2_1_relu")(inputs).numpy()[..., 40] == 0.25).all()
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_census_thresholds():
    (census,) = functions_of("05", "census")
    maxima = np.ones((200, 4))
    maxima[:, 1] = 1e-4  # dead
    maxima[1:, 2] = 0  # on one of 200 inputs: rare
    positive = np.full((200, 4), 0.5)
    positive[:, 3] = 0.995
    found = census({"relu": (maxima, maxima, positive)})["relu"]
    assert [list(np.flatnonzero(found[kind])) for kind in FAULTS] == [[1], [2], [3]]


def probe_photos(size):
    """Return every fourth probe photo, (n, size, size, 3)."""
    return helpers.load_images(helpers.list_images(helpers.PROBE)[::4], size)


def moved(images, y, x):
    """Shift uint8 images by y and x pixels over mid-grey."""
    padded = np.pad(images, ((0, 0), (8, 8), (8, 8), (0, 0)), constant_values=helpers.MID_GREY)
    return padded[:, 8 - y : 8 - y + images.shape[1], 8 - x : 8 - x + images.shape[2]]


def test_repeatability_survives_shifts_and_falls_to_its_floor_for_different_channels(model):
    judged, repeatability, _ = functions_of("05", "judged", "repeatability", "likeness")
    channels = [i * 64 + 32 for i in range(8)]
    pictures = helpers.maximize(model, "conv3_block4_out", channels, 96, 32).images  # as in the notebook
    images, judge = np.round(pictures * 255).astype(np.uint8), "conv3_block1_1_relu"
    usual = helpers.channel_responses(model, [judge], probe_photos(96))[judge]
    shifted = [moved(images, *shift) for shift in ((0, 0), (8, 8), (-8, 3), (0, -8))]
    still, *others = (judged(model, judge, x, usual) for x in shifted)
    for other in others:
        assert repeatability(np.array([still, other]))[0].min() >= 0.9
    mismatched, _ = repeatability(np.array([still, np.roll(still, 1, axis=0)]))  # "two seeds" of different channels
    _, floor = repeatability(np.array([still, still]))
    error = np.hypot(mismatched.std(ddof=1), floor.std(ddof=1)) / np.sqrt(len(channels))
    assert abs(mismatched.mean() - floor.mean()) < 3 * error and floor.mean() < 0.9


@pytest.fixture(scope="module")
def path(model, natural):
    """Raw path correlations of one ReLU between top natural inputs, 4 each of 24 channels; their channel and photo."""
    spearman, survey, *_ = functions_of("05", "spearman", "survey", "likeness")
    relu, target = "conv3_block4_2_relu", "conv3_block4_out"
    seen = survey(model, [relu, target], natural.images)
    tops = [helpers.strongest(seen[target][0][:, c], natural.sources, 4) for c in range(10, 512, 21)][:24]
    means = seen[relu][0][np.ravel(tops)]
    return spearman(means, means), np.repeat(range(24), 4), np.array(natural.sources)[np.ravel(tops)]


def test_raw_path_correlation_is_symmetric_and_of_ranks(path):
    matrix, _, _ = path
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-6)
    spearman, *_ = functions_of("05", "spearman", "likeness")
    rows = np.random.default_rng(0).gamma(1, size=(2, 50))
    np.testing.assert_allclose(spearman(rows[:1], rows[1:]), spearman(rows[:1] ** 3, np.log(rows[1:])), atol=1e-9)
    tied, other = np.array([[5.0, 0, 0, 9]]), np.array([[1.0, 2, 3, 4]])  # ranks 3, 1.5, 1.5, 4
    assert spearman(tied, other) == pytest.approx(np.corrcoef([3, 1.5, 1.5, 4], [1, 2, 3, 4])[0, 1])


def test_normalized_path_gives_one_and_zero_on_the_other_half_of_the_pairs(path):
    grouped, anchored = functions_of("05", "grouped", "anchored")
    same, different = grouped(*path)
    fitted = same[::2], different[::2]
    for held_out, expected, anchor in ((same[1::2], 1, fitted[0]), (different[1::2], 0, fitted[1])):
        found = anchored(held_out, *fitted)
        scale = np.mean(fitted[0]) - np.mean(fitted[1])
        error = np.hypot(found.std(ddof=1), anchor.std(ddof=1) / scale) / np.sqrt(12)
        assert abs(found.mean() - expected) < 3 * error
    assert np.isnan(anchored(same, same, same + 1e-3)).all()


def test_pairs_never_come_from_one_photo():
    (grouped,) = functions_of("05", "grouped")
    matrix = np.array([[9, 1, 9, 3], [1, 9, 5, 9], [9, 5, 9, 2], [3, 9, 2, 9.0]])
    same, different = grouped(matrix, [0, 0, 1, 1], ["a", "b", "a", "b"])
    assert list(same) == [1, 2] and list(different) == [4, 4]


def test_ablating_a_channel_equals_zeroing_its_outgoing_weights(model, natural):
    (drops,) = functions_of("05", "drops")
    prune, untouched, _ = functions_of("05", "prune", "untouched", "readers")
    before, inside, channels = "conv5_block1_out", "conv5_block2_2_relu", [3, 484]
    tail = keras.Model([model.get_layer(name).output for name in (before, inside)], model.output)
    images = helpers.preprocess(natural.images[:3])
    stored = helpers.feature_model(model, [before, inside])(images)
    found = drops(tail, *(stored[name].numpy() for name in (before, inside)), channels, [0, 0], 7)
    intact = model(images).numpy()[:, 7].mean()
    for channel, drop in zip(channels, found, strict=True):
        with untouched(model):
            prune(model, {inside: [channel]})
            assert drop == pytest.approx(intact - model(images).numpy()[:, 7].mean(), abs=1e-4)
    assert model(images).numpy()[:, 7].mean() == pytest.approx(intact) and np.abs(found).max() > 1e-3


def test_probe_is_at_chance_on_shuffled_labels_and_far_above_on_telling_features():
    (probe_scores,) = functions_of("05", "probe_scores")
    rows = [row.split(",") for row in (helpers.PROBE / "labels.csv").read_text(encoding="utf-8").splitlines()[1:]]
    kinds, objects = (np.array([row[i] for row in rows]) for i in (1, 2))
    random = np.random.default_rng(0)
    features = np.eye(17)[np.unique(kinds, return_inverse=True)[1]] + random.normal(0, 0.3, (len(kinds), 17))
    found = [probe_scores(features, random.permutation(kinds), objects).mean() for _ in range(20)]
    assert abs(np.mean(found) - 1 / len(set(kinds))) < 3 * np.std(found, ddof=1) / np.sqrt(20)
    assert probe_scores(features, kinds, objects).mean() > 5 / len(set(kinds))


def test_top_patches_and_portrait(model, natural):
    values = helpers.channel_responses(model, ["conv2_block3_out"], natural.images)["conv2_block3_out"][:, 5]
    indices, patches = helpers.top_patches(model, "conv2_block3_out", 5, natural, values)
    assert indices[0] == values.argmax() and {patch.shape for patch in patches} == {(35, 35, 3)}
    assert len({natural.sources[i] for i in indices}) == 6 and list(values[indices]) == sorted(values[indices])[::-1]
    _, whole = helpers.top_patches(model, "conv4_block6_out", 5, natural, values)
    framed = (whole[0] == (255, 0, 0)).all(axis=-1)
    assert whole[0].shape == (64, 64, 3) and framed.sum() >= 16**2 - 12**2
    figure = helpers.portrait(model, "conv2_block2_out", 5, natural)
    assert len(figure.axes) == 4 and figure.get_figwidth() <= 10
    with pytest.raises(ValueError, match="channels 0 to 255"):
        helpers.portrait(model, "conv2_block2_out", 256, natural)
    with pytest.raises(ValueError, match="channels 0 to 255"):
        helpers.top_patches(model, "conv2_block2_out", 256, natural, values)
    with pytest.raises(ValueError, match="one for each of 125 inputs"):
        helpers.top_patches(model, "conv2_block2_out", 5, natural, values[:9])
