"""Time activation maximization by this project and its peers in one run.

`make bench` measures for some twenty minutes, into build/bench.md; with QUICK=1 it is a smoke run whose figures mean
nothing. Same weights and channels for all, at 128 px; the rest is each contestant's own default. How strong the
pictures are is told by helpers.drive. Each contestant is run from the start for an eighth, a half and all of its
steps; what a step takes is told by the last two of these runs. The floor is the bare gradient of the network cut at
the layer, compiled, at the side that the engine's network sees; it runs before and after each contestant, and a ratio
is to these.
"""

import contextlib
import os
import sys
import timeit
from collections.abc import Callable
from importlib.metadata import version

import keras
import numpy as np
import tensorflow as tf
from tf_keras_vis.activation_maximization import ActivationMaximization
from tf_keras_vis.utils.scores import CategoricalScore
from xplique.features_visualizations import Objective, optimize

import helpers

LAYER, SIZE = "conv3_block4_out", 128


def this_engine(model, channels, steps) -> np.ndarray:
    """helpers.maximize as the notebooks call it."""
    return helpers.maximize(model, LAYER, channels, size=SIZE, steps=steps, seed=np.random.randint(1000)).images


def keras_io(model, channels, steps) -> np.ndarray:
    """The loop that "Visualizing what convnets learn" describes: one image after another, no transforms."""
    features_of, images = helpers.feature_model(model, LAYER), []

    @tf.function
    def climb(image, channel, rate):
        with tf.GradientTape() as tape:
            tape.watch(image)
            score = tf.reduce_mean(features_of(image)[:, 2:-2, 2:-2, channel])  # without the border
        return image + rate * tf.math.l2_normalize(tape.gradient(score, image))

    for channel in channels:
        image = tf.random.uniform([1, SIZE, SIZE, 3], -0.125, 0.125)
        for _ in range(steps):
            image = climb(image, channel, 10.0)  # Python numbers, as in the example: one compilation a target
        images.append(0.5 + 0.15 * (image[0] - np.mean(image)) / (np.std(image) + 1e-5))
    return np.stack(images)


def tf_keras_vis(model, channels, steps) -> np.ndarray:
    """ActivationMaximization of tf-keras-vis: eager steps of RMSprop with jitter, rotation and two regularizers."""
    inputs = keras.Input((SIZE, SIZE, 3))  # it works on 0 to 255
    features = helpers.feature_model(model, LAYER)(keras.layers.Rescaling(1 / 127.5, -1)(inputs))
    seeds = tf.random.uniform([len(channels), SIZE, SIZE, 3], 0, 255)
    peer, score = ActivationMaximization(keras.Model(inputs, features)), CategoricalScore(channels)
    return np.array(peer(score, seed_input=seeds, steps=steps)) / 255


def xplique(model, channels, steps) -> np.ndarray:
    """Xplique's optimize: Adam on Fourier images, its standard transformations, resized to the network's input."""
    cut = helpers.feature_model(model, LAYER)
    fixed = keras.models.clone_model(cut, input_tensors=keras.Input((SIZE, SIZE, 3)))  # it asks for a fixed side
    fixed.set_weights(cut.get_weights())
    goal = Objective.channel(fixed, LAYER, channels)
    images, _ = optimize(goal, nb_steps=steps, values_range=(-1, 1), custom_shape=(SIZE, SIZE))
    return (np.array(images[-1]) + 1) / 2


PEERS = {"Keras.io": (keras_io, 30), "tf-keras-vis": (tf_keras_vis, 200), "Xplique": (xplique, 256)}  # default steps


def compiled_floor(model: keras.Model, channels: list[int]) -> Callable:
    """Return what measures the median seconds of the gradient of the cut network, compiled, and of nothing else."""
    features_of, one_hot = helpers.feature_model(model, LAYER), tf.one_hot(channels, 512)
    images = tf.random.uniform([len(channels), *2 * [SIZE + 2 * helpers.Transforms().pad], 3], -1, 1)

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            tape.watch(images)
            score = tf.reduce_sum(tf.reduce_mean(features_of(images), axis=[1, 2]) * one_hot)
        return tape.gradient(score, images)

    return lambda: float(np.median(timeit.repeat(gradient, number=1, repeat=9)[1:]))


def runs(contestant: Callable, model: keras.Model, channels: list[int], steps: int, seed: int) -> dict[int, tuple]:
    """Run a contestant for an eighth, a half and all of its steps; return {steps: (seconds, 8-bit images)}."""
    found = {}
    for count in (steps // 8, steps // 2, steps):
        keras.utils.set_random_seed(seed)
        begin = timeit.default_timer()
        with contextlib.redirect_stdout(None):
            images = contestant(model, channels, count)
        found[count] = timeit.default_timer() - begin, np.round(255 * np.clip(images, 0, 1)).astype(np.uint8)
        print(f"{contestant.__name__}: {count} steps, {found[count][0]:.0f} s", flush=True)
    return found


def measure(model: keras.Model, quick: bool) -> list[str]:
    """Return the lines of a Markdown table of all contestants, medians of three repeats."""
    channels = list(range(0, 512, 256 if quick else 64))
    natural = helpers.channel_responses(model, LAYER, helpers.natural_inputs(SIZE).images[:: 10 if quick else 1])
    floor, rows = compiled_floor(model, channels), []
    for name, (contestant, steps) in {"this engine": (this_engine, 64), **PEERS}.items():
        measured, steps = [], 16 if quick else steps
        for repeat in range(1 if quick else 3):
            before = floor()
            found = runs(contestant, model, channels, steps, repeat)
            unit, (_, half, end) = (before + floor()) / 2, (seconds for seconds, _ in found.values())
            drives = [helpers.drive(model, LAYER, channels, images, natural) for _, images in found.values()]
            robust = [np.nanmedian(drive.robust) for drive in drives]
            passed = (seconds for (seconds, _), value in zip(found.values(), robust, strict=True) if value > 1)
            each = (end - half) / (steps - steps // 2)
            measured.append([each / unit, next(passed, np.inf), end, np.nanmedian(drives[-1].drive), robust[-1]])
        ratio, reached, end, drive, robust = np.median(measured, axis=0)
        low, high = np.min(measured, axis=0)[0], np.max(measured, axis=0)[0]
        row = f"| {name} | {ratio:.2f} ({low:.2f}–{high:.2f}) | {f'{reached:.1f}'.replace('inf', 'not reached')} |"
        rows.append(f"{row} {steps}, {end:.0f} | {drive:.1f} / {robust:.1f} |")
    head = "| | a step, floor = 1 (range) | s to robust drive 1 | at its end: steps, s | drive / robust |"
    return [head, "|---|---|---|---|---|", *rows]


def machine() -> str:
    """Return the cores, their best speed in a float32 matrix product, and the versions in use."""
    matrix = tf.random.normal([2048, 2048])
    speed = 2 * 2048**3 / min(timeit.repeat(lambda: tf.matmul(matrix, matrix), number=1, repeat=40)) / 1e9
    found = [f"{os.cpu_count()} cores", f"2048 × 2048 matmul {speed:.0f} GFLOP/s", "Python " + sys.version.split()[0]]
    return ", ".join(found + [f"{name} {version(name)}" for name in ("tensorflow", "keras", "tf-keras-vis", "xplique")])


def main() -> None:
    quick, model = "--quick" in sys.argv, helpers.load_model()
    text = "\n".join([machine(), "", f"Channels of {LAYER}, {SIZE} px:", "", *measure(model, quick), ""])
    (helpers.ROOT / "build").mkdir(exist_ok=True)
    (helpers.ROOT / "build" / "bench.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
