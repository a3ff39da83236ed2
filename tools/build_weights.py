"""Make weights for ResNet50V2 out of ResNet50 (v1) without training, and measure how well they follow their teacher.

    python tools/build_weights.py --photos FOLDER --out build/mine.weights.h5 [--teacher imagenet]

This is the transplant of data/README.md#weights and, in place of the distillation, `settle`. The teacher is Keras' own
ResNet50, downloaded once, or a file of such weights. Any photos will do, without labels: at most 48 of them settle the
means, on all others student and teacher are compared.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a script, it has to find helpers.py

import keras
import numpy as np
import tensorflow as tf

import helpers

MEAN = np.array([103.939, 116.779, 123.68])  # of ImageNet, blue first; v1's input is BGR 0 to 255 minus this
BLOCKS = [f"conv{stage}_block{n}" for stage, count in ((2, 3), (3, 4), (4, 6), (5, 3)) for n in range(1, count + 1)]


def student_model() -> keras.Model:
    """Return ResNet50V2, untrained: RGB in [-1, 1], shape (n, height, width, 3), to logits (n, 1000)."""
    base = keras.applications.ResNet50V2(include_top=False, pooling="avg", weights=None, input_shape=(None, None, 3))
    return keras.Model(base.input, keras.layers.Dense(1000, name="predictions")(base.output), name="resnet50v2")


def teacher_model(source: str | None = None) -> keras.Model:
    """Return ResNet50 (v1) that takes what the student takes, RGB in [-1, 1], to logits (n, 1000), frozen.

    `source` is "imagenet" or a file with Keras' weights of ResNet50 and its top; without it the weights are random.
    """
    images = keras.Input((None, None, 3))
    bgr = keras.applications.resnet.preprocess_input(127.5 * (images + 1))
    base = keras.applications.ResNet50(include_top=False, pooling="avg", weights=None, input_tensor=bgr)
    teacher = keras.Model(images, keras.layers.Dense(1000, name="predictions")(base.output), name="resnet50")
    teacher.set_weights(keras.applications.ResNet50(weights=source).get_weights())
    teacher.trainable = False
    return teacher


def transplant(teacher: keras.Model, student: keras.Model) -> None:
    """Set every weight of the student from the teacher's: exact, but for conv1's border (v1 pads with the mean colour,
    V2 with mid-grey) and for what v1's ReLU clips off a sum: V2's identity shortcut passes it on to the next sum.
    """
    given = {layer.name: layer.get_weights() for layer in teacher.layers}
    for layer in (layer for layer in student.layers if layer.weights):
        name = layer.name
        if name.endswith(("_preact_bn", "post_bn")):  # the identity: with the ReLU after it, v1's ReLU after the sum
            one, zero = np.ones(layer.gamma.shape), np.zeros(layer.gamma.shape)
            layer.set_weights([one * np.sqrt(1 + layer.epsilon), zero, zero, one])
        elif name.endswith("_bn"):
            gamma, beta, mean, variance = given[name]
            layer.set_weights([gamma, beta, mean - given[name[:-2] + "conv"][1], variance])  # V2 has no bias before it
        elif name.endswith(("_1_conv", "_2_conv")):
            layer.set_weights(given[name][:1])
        elif name == "predictions":
            layer.set_weights(given[name])
        else:  # a BatchNorm follows conv1, _0_conv and _3_conv in v1 alone
            kernel, bias = given[name]
            if name == "conv1_conv":  # for an input of RGB in [-1, 1]
                bias = bias + (kernel * (127.5 - MEAN)[:, None]).sum(axis=(0, 1, 2))
                kernel = 127.5 * kernel[:, :, ::-1]
            norm = teacher.get_layer(name[:-4] + "bn")
            gamma, beta, mean, variance = norm.get_weights()
            gain = gamma / np.sqrt(variance + norm.epsilon)
            layer.set_weights([kernel * gain, (bias - mean) * gain + beta])


def settle(teacher: keras.Model, student: keras.Model, images: np.ndarray) -> None:
    """Move the biases that end a transplant's blocks, in their order, until each rectified channel of a block has the
    teacher's mean over `images`, network inputs: what v1 clips is negative, so V2's sums come out too low.
    """
    # V2 halves the side at the end of a stage, v1 only after it: there the teacher's even positions count.
    strides = [2 if block in ("conv2_block3", "conv3_block4", "conv4_block6") else 1 for block in BLOCKS]
    maps = [teacher.get_layer(f"{block}_out").output[:, ::n, ::n] for block, n in zip(BLOCKS, strides, strict=True)]
    means = tf.function(keras.Model(teacher.input, [keras.ops.mean(values, axis=(0, 1, 2)) for values in maps]))
    tensor, values = student.input, images
    for block, wanted in zip(BLOCKS, means(tf.constant(images), training=False), strict=True):
        given, tensor = tensor, student.get_layer(f"{block}_out").output
        values = keras.Model(given, tensor)(values, training=False).numpy()  # this block alone: the rest is done
        change = np.zeros(values.shape[-1], np.float32)
        for _ in range(20):  # a bias moves the mean by itself where the ReLU is open, by nothing where it is shut
            change += wanted.numpy() - np.maximum(values + change, 0).mean(axis=(0, 1, 2))
        values += change
        student.get_layer(f"{block}_3_conv").bias.assign_add(change)


def fidelity(teacher: np.ndarray, student: np.ndarray) -> tuple[float, float, float, int]:
    """Compare logits for the same photos, (n, classes) each: the share with the same top-1, KL(teacher ‖ student) in
    nats, the share with the same top-1 where the teacher is sure, over one half (NaN of none), and how many these are.
    """
    wanted, got = (x - np.logaddexp.reduce(x, axis=1)[:, None] for x in (np.float64(teacher), np.float64(student)))
    same, sure = teacher.argmax(axis=1) == student.argmax(axis=1), wanted.max(axis=1) > np.log(0.5)
    kl = (np.exp(wanted) * (wanted - got)).sum(axis=1).mean()
    return same.mean(), kl, same[sure].mean() if sure.any() else np.nan, sure.sum()


def logits(model: keras.Model, photos: Sequence[Path]) -> np.ndarray:
    """Return a model's logits, (n, 1000), for the centre squares of photos."""
    parts = [helpers.load_images(photos[at : at + 16], 224) for at in range(0, len(photos), 16)]
    return np.concatenate([model.predict_on_batch(helpers.preprocess(images)) for images in parts])


def build(photos: str, out: Path, source: str) -> None:
    """Do all of it, printing what is measured on the way; ValueError where the arguments cannot be followed."""
    if not out.name.endswith(".weights.h5") or out.exists():
        raise ValueError(f"--out {out}: pass the name of a new file that ends in .weights.h5")
    paths = helpers.list_images(photos)
    settling = paths[:: max(2, -(-len(paths) // 48))]
    held_out = [path for path in paths if path not in settling]
    teacher, student = teacher_model(source), student_model()
    wanted = logits(teacher, held_out)

    def report(what: str, model: keras.Model) -> None:
        same, kl, sure, count = fidelity(wanted, logits(model, held_out))
        words = f"{what}: the teacher's top-1 on {same:.1%} of {len(held_out)} other photos, on {sure:.1%} of the "
        print(f"{words}{count} of which it is sure (over one half), KL(teacher ‖ student) {kl:.3f} nats", flush=True)

    transplant(teacher, student)
    report("transplant", student)
    settle(teacher, student, helpers.preprocess(helpers.load_images(settling, 160)))
    report("its means settled", student)
    keras.config.set_dtype_policy("float16")
    half = student_model()
    keras.config.set_dtype_policy("float32")
    half.set_weights(student.get_weights())
    if not all(np.isfinite(array).all() for array in half.get_weights()):
        raise ValueError("these weights hold values that float16 cannot")
    out.parent.mkdir(parents=True, exist_ok=True)
    half.save_weights(out)
    report(f"as written to {out}", helpers.load_model(out))
    print(f"{out.stat().st_size / 1e6:.1f} MB, SHA-256 {hashlib.sha256(out.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", required=True, help="folder of photos, with its subfolders")
    parser.add_argument("--out", type=Path, required=True, help="file to write, *.weights.h5")
    parser.add_argument("--teacher", default="imagenet", dest="source", help="imagenet (default), or a file")
    build(**vars(parser.parse_args()))
