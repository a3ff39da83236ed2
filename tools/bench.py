"""Time activation maximization by this project and its peers in one run, and let foreign networks judge.

`make bench` measures for about half an hour, into build/bench.md; with QUICK=1 it is a smoke run whose figures mean
nothing.

Same weights and targets for all; the rest is each contestant's own default. First 8 channels of one layer at 128 px:
seconds, and how strong the pictures are by one measure (helpers.drive). Then class pictures at 224 px, judged by two
networks that share nothing with ours (tools/judges.py). Each contestant is run from the start for an eighth, a half and
all of its steps; a step is the difference of the last two. Compiling is on the clock. The floor is the bare gradient of
the network cut at the layer, compiled, at the side that the engine's network sees; it runs before and after each
contestant, and a ratio is to these neighbours.
"""

import contextlib
import os
import sys
import timeit
from collections.abc import Callable
from importlib.metadata import version

import judges
import keras
import numpy as np
import tensorflow as tf
from PIL import Image

import helpers

LAYER = "conv3_block4_out"


def this_engine(model, layer, targets, size, steps) -> np.ndarray:
    """helpers.maximize as the notebooks call it."""
    return helpers.maximize(model, layer, targets, size=size, steps=steps).images


def keras_io(model, layer, targets, size, steps) -> np.ndarray:
    """The loop that "Visualizing what convnets learn" describes: one image after another, no transforms."""
    features_of, images = helpers.feature_model(model, layer), []

    @tf.function
    def climb(image, channel, rate):
        with tf.GradientTape() as tape:
            tape.watch(image)
            features = features_of(image)
            inner = features if len(features.shape) == 2 else features[:, 2:-2, 2:-2]  # without the border
            score = tf.reduce_mean(inner[..., channel])
        return image + rate * tf.math.l2_normalize(tape.gradient(score, image))

    for channel in targets:
        image = tf.random.uniform([1, size, size, 3], -0.125, 0.125)
        for _ in range(steps):
            image = climb(image, channel, 10.0)  # Python numbers, as in the example: one compilation a target
        images.append(0.5 + 0.15 * (image[0] - np.mean(image)) / (np.std(image) + 1e-5))
    return np.stack(images)


def tf_keras_vis(model, layer, targets, size, steps) -> np.ndarray:
    """ActivationMaximization of tf-keras-vis: eager steps of RMSprop with jitter, rotation and two regularizers."""
    from tf_keras_vis.activation_maximization import ActivationMaximization
    from tf_keras_vis.utils.scores import CategoricalScore

    inputs = keras.Input((size, size, 3))  # it works on 0 to 255
    features = helpers.feature_model(model, layer)(keras.layers.Rescaling(1 / 127.5, -1)(inputs))
    seeds = tf.random.uniform([len(targets), size, size, 3], 0, 255)
    peer, score = ActivationMaximization(keras.Model(inputs, features)), CategoricalScore(list(targets))
    return np.array(peer(score, seed_input=seeds, steps=steps)) / 255


def xplique(model, layer, targets, size, steps) -> np.ndarray:
    """Xplique's optimize: Adam on Fourier images, its standard transformations, resized to the network's input."""
    from xplique.features_visualizations import Objective, optimize

    cut = helpers.feature_model(model, layer)
    fixed = keras.models.clone_model(cut, input_tensors=keras.Input((size, size, 3)))  # it asks for a fixed side
    fixed.set_weights(cut.get_weights())
    kind = Objective.neuron if layer == "predictions" else Objective.channel
    goal, options = kind(fixed, layer, list(targets)), {"values_range": (-1, 1), "custom_shape": (size, size)}
    images, _ = optimize(goal, keras.optimizers.Adam(0.05), nb_steps=steps, **options)
    return (np.array(images[-1]) + 1) / 2


PEERS = {"Keras.io": (keras_io, 30), "tf-keras-vis": (tf_keras_vis, 200), "Xplique": (xplique, 256)}  # default steps


def compiled_floor(model: keras.Model, channels: list[int], size: int) -> Callable:
    """Return what measures the median seconds of nothing but the gradient of the cut network, compiled, at the side
    that `maximize` shows it.
    """
    features_of, one_hot = helpers.feature_model(model, LAYER), tf.one_hot(channels, 512)
    images = tf.random.uniform([len(channels), *2 * [size + 2 * helpers.Transforms().pad], 3], -1, 1)

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            tape.watch(images)
            score = tf.reduce_sum(tf.reduce_mean(features_of(images), axis=[1, 2]) * one_hot)
        return tape.gradient(score, images)

    return lambda: float(np.median(timeit.repeat(gradient, number=1, repeat=9)[1:]))


def runs(contestant: Callable, model, layer, targets, size, steps: int, seed: int = 0) -> dict[int, tuple]:
    """Run a contestant from the start for an eighth, a half and all of its steps; return, for each number of steps, the
    seconds and the 8-bit images.
    """
    found = {}
    for count in (steps // 8, steps // 2, steps):
        keras.utils.set_random_seed(seed)
        begin = timeit.default_timer()
        with contextlib.redirect_stdout(None):
            images = contestant(model, layer, targets, size, count)
        found[count] = timeit.default_timer() - begin, np.round(255 * np.clip(images, 0, 1)).astype(np.uint8)
        print(f"{contestant.__name__}: {layer}, {count} steps, {found[count][0]:.0f} s", flush=True)
    return found


def table(head: str, rows: list[list]) -> list[str]:
    """Return the lines of a Markdown table."""
    return [head, "|---" * (head.count("|") - 1) + "|", *("| " + " | ".join(map(str, row)) + " |" for row in rows)]


def channel_table(model: keras.Model, quick: bool) -> list[str]:
    """Return the Markdown table of pictures of channels of LAYER at 128 px, medians of three repeats."""
    channels = list(range(0, 512, 256 if quick else 64))
    natural = helpers.channel_responses(model, LAYER, helpers.natural_inputs(128).images[:: 10 if quick else 1])
    floor, rows = compiled_floor(model, channels, 128), []
    for name, (contestant, steps) in {"this engine": (this_engine, 64), **PEERS}.items():
        measured, steps = [], 16 if quick else steps
        for repeat in range(1 if quick else 3):
            before = floor()
            found = runs(contestant, model, LAYER, channels, 128, steps, repeat)
            unit, (_, half, end) = (before + floor()) / 2, (seconds for seconds, _ in found.values())
            drives = [helpers.drive(model, LAYER, channels, images, natural) for _, images in found.values()]
            robust = [np.nanmedian(drive.robust) for drive in drives]
            passed = (seconds for (seconds, _), value in zip(found.values(), robust, strict=True) if value > 1)
            each = (end - half) / (steps - steps // 2)
            measured.append([each / unit, next(passed, np.inf), end, np.nanmedian(drives[-1].drive), robust[-1]])
        ratio, reached, end, drive, robust = np.median(measured, axis=0)
        low, high = np.min(measured, axis=0)[0], np.max(measured, axis=0)[0]
        row = [name, f"{ratio:.2f} ({low:.2f}–{high:.2f})", f"{reached:.1f}".replace("inf", "not reached")]
        rows.append([*row, f"{steps}, {end:.0f}", f"{drive:.1f} / {robust:.1f}"])
    return table("| | a step, floor = 1 (range) | s to robust drive 1 | at its end: steps, s | drive / robust |", rows)


def class_table(model: keras.Model, quick: bool) -> list[str]:
    """Return the Markdown table of class pictures at 224 px, run by run, and what the judges call them."""
    classes, rows = list(range(0, 1000, 500 if quick else 125)), []
    for name, (contestant, steps) in {"this engine": (this_engine, 90), **PEERS}.items():
        found = runs(contestant, model, "predictions", classes, 224, 8 if quick else steps)
        for count, (seconds, images) in found.items():
            verdicts = judges.judge([Image.fromarray(image) for image in images], classes)
            words = [f"{first:.2f} / {among:.2f}" for first, among in judges.shares(verdicts).values()]
            rows.append([name, count, f"{seconds / len(classes):.1f}", *words])
    return table("| | steps | s an image | Lite0 first / among five | Lite2 first / among five |", rows)


def machine() -> str:
    """Return the cores, their best speed in a float32 matrix product, and the versions in use."""
    matrix = tf.random.normal([2048, 2048])
    speed = 2 * 2048**3 / min(timeit.repeat(lambda: tf.matmul(matrix, matrix), number=1, repeat=40)) / 1e9
    found = [f"{os.cpu_count()} cores", f"2048 × 2048 matmul {speed:.0f} GFLOP/s", "Python " + sys.version.split()[0]]
    return ", ".join(found + [f"{name} {version(name)}" for name in ("tensorflow", "keras", "tf-keras-vis", "xplique")])


def main() -> None:
    quick, model = "--quick" in sys.argv, helpers.load_model()
    lines = [machine(), "", f"Channels of {LAYER}, 128 px:", "", *channel_table(model, quick)]
    lines += ["", "Classes, 224 px:", "", *class_table(model, quick)]
    (helpers.ROOT / "build").mkdir(exist_ok=True)
    (helpers.ROOT / "build" / "bench.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(["", *lines]))


if __name__ == "__main__":
    main()
