"""tools/build_weights.py, with random teachers: the transplant where it is exact, the fidelity report, bad input."""

import shutil

import keras
import numpy as np
import pytest

import helpers
from tools import build_weights


def noise(count, height=64, width=64):
    patches = np.random.default_rng(1).uniform(-1, 1, (count, height // 8, width // 8, 3))
    return np.float32(patches.repeat(8, axis=1).repeat(8, axis=2))


@pytest.fixture(scope="module")
def teacher():
    """A random ResNet50 (v1) that a transplant carries over whole: no sum is negative, so that none is clipped, and
    conv1 is blind to the difference between the mean colour, with which v1 pads, and mid-grey."""
    random, teacher = np.random.default_rng(0), build_weights.teacher_model()
    for layer in teacher.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape, calm = layer.gamma.shape, layer.name.endswith(("_0_bn", "_3_bn"))
            gamma, beta = random.uniform(0.5, 1.5, shape) * random.choice([-1, 1], shape), random.normal(0, 0.3, shape)
            layer.set_weights([gamma * (0.3 if calm else 1), beta + 6 * calm, np.zeros(shape), np.ones(shape)])
            layer.momentum = 0.0  # one pass in training mode stores the statistics of its batch
        elif layer.weights:
            shape = layer.kernel.shape
            kernel, bias = random.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape), random.normal(0, 0.5, shape[-1])
            if layer.name == "conv1_conv":
                grey = 127.5 - build_weights.MEAN
                kernel -= (kernel * grey[:, None]).sum(axis=2, keepdims=True) * grey[:, None] / (grey @ grey)
            layer.set_weights([kernel, bias])
    teacher.trainable = True
    teacher(noise(8), training=True)
    teacher.trainable = False
    return teacher


def test_the_transplant_is_exact_and_settling_finds_it_again(teacher):
    """At a size whose halves are odd: 72 × 56, 9 × 7, 5 × 4."""
    student, images = build_weights.student_model(), noise(2, 72, 56)
    build_weights.transplant(teacher, student)
    wanted, weights = teacher.predict_on_batch(images), student.get_weights()
    assert np.ptp(wanted, axis=1).min() > 1
    np.testing.assert_allclose(student.predict_on_batch(images), wanted, rtol=0, atol=1e-3 * wanted.std())
    for block in build_weights.BLOCKS:
        student.get_layer(f"{block}_3_conv").bias.assign_sub(np.float32(0.5))
    build_weights.settle(teacher, student, images)
    assert all(np.allclose(old, new, atol=1e-3) for old, new in zip(weights, student.get_weights(), strict=True))


def test_fidelity_by_hand():
    teacher = np.log([[0.45, 0.3, 0.25], [0.8, 0.1, 0.1]]) + 7  # logits are free up to a constant
    student = np.log([[0.3, 0.45, 0.25], [0.8, 0.1, 0.1]])
    same, kl, sure, count = build_weights.fidelity(teacher, student)
    assert (same, sure, count) == (0.5, 1, 1) and kl == pytest.approx(0.15 * np.log(1.5) / 2)
    assert np.isnan(build_weights.fidelity(teacher[:1], student[:1])[2])  # of the first the teacher is not sure


def test_from_the_teachers_file_to_one_that_load_model_reads(teacher, tmp_path, capsys):
    out, source = tmp_path / "new" / "mine.weights.h5", str(tmp_path / "teacher.weights.h5")
    full = keras.applications.ResNet50(weights=None)
    full.set_weights(teacher.get_weights())
    full.save_weights(source)
    np.testing.assert_allclose(build_weights.teacher_model(source)(noise(1)), teacher(noise(1)), rtol=0, atol=1e-3)
    for name in ("cat.jpg", "dog.jpg", "coffee.jpg"):
        shutil.copy(helpers.IMAGES / name, tmp_path)
    build_weights.build(str(tmp_path), out, source)
    report = capsys.readouterr().out
    assert report.count("the teacher's top-1 on") == 3 and f"as written to {out}" in report
    assert out.stat().st_size < 60e6  # float16
    for name in (out, tmp_path / "name.h5"):
        with pytest.raises(ValueError, match="a new file that ends in"):
            build_weights.build(str(tmp_path), name, source)
