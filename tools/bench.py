"""Time activation maximization by this project and its peers in one run, and let foreign networks judge.

`make bench` measures for about half an hour, into build/bench.md; with QUICK=1 it is a smoke run whose figures mean
nothing.

Same weights and targets for all; the rest is each contestant's own default. First 8 channels of one layer at 128 px:
seconds, and how strong the pictures are by one measure (helpers.drive). Then class pictures at 224 px, judged by two
networks that share nothing with ours (tools/judges.py). A peer's optimizer reports its steps to a stopwatch, which
stands still for snapshots; this engine, which takes several steps in one compiled call, is run once for each number of
steps. Compiling is on the clock. The floor is the bare gradient of the network cut at the layer, compiled, at the side
that the engine's network sees; it runs before and after each contestant, and a ratio is to these neighbours.
"""

from __future__ import annotations

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

LAYER, LIMIT = "conv3_block4_out", 60.0
SCORED = 4, 8, 16, 32, 64, 128, 200  # the steps after which pictures are looked at


class Stopwatch:
    """The seconds at which each of `steps` steps ended, and 8-bit snapshots {step: images} of some of them and of the
    last; TimeoutError after `limit` seconds.
    """

    def __init__(self, steps: int, limit: float = LIMIT) -> None:
        self.steps, self.limit, self.seconds, self.images = steps, limit, [], {}
        self.begin = timeit.default_timer()

    def step(self, images: Callable) -> None:
        """Note the end of a step; `images` gives what a snapshot holds, (n, size, size, 3) in [0, 1]."""
        now = timeit.default_timer()
        self.seconds.append(now - self.begin)
        done = len(self.seconds)
        if done in SCORED or done == self.steps:
            self.images[done] = np.round(255 * np.clip(images(), 0, 1)).astype(np.uint8)
        if self.seconds[-1] > self.limit:
            raise TimeoutError
        self.begin += timeit.default_timer() - now

    def optimizer(self, kind: type[keras.optimizers.Optimizer], to_images: Callable) -> type:
        """Return an optimizer that reports its steps here; `to_images` turns the variable that it moves into images."""

        class Reporting(kind):
            def apply(optimizer, gradients, variables=None):
                super().apply(gradients, variables)
                self.step(lambda: to_images(tf.convert_to_tensor(variables[0])).numpy())

        return Reporting


def this_engine(model, layer, targets, size, watch, seed) -> None:
    """helpers.maximize as the notebooks call it, once for each number of steps, each time compiled anew."""
    for steps in sorted({*SCORED, watch.steps} & {*range(watch.steps + 1)}):
        begin = timeit.default_timer()
        images = helpers.maximize(model, layer, targets, size=size, steps=steps, seed=seed).images
        watch.seconds += [timeit.default_timer() - begin] * (steps - len(watch.seconds))
        watch.images[steps] = np.round(255 * images).astype(np.uint8)


def keras_io(model, layer, targets, size, watch, seed) -> None:
    """The loop that "Visualizing what convnets learn" describes: one image after another, no transforms.

    It compiles for each target, as the example does; its time at step k is what k steps on every target took.
    """
    features_of, parts = helpers.feature_model(model, layer), []

    @tf.function
    def climb(image, channel, rate):
        with tf.GradientTape() as tape:
            tape.watch(image)
            features = features_of(image)
            inner = features if len(features.shape) == 2 else features[:, 2:-2, 2:-2]  # without the border
            score = tf.reduce_mean(inner[..., channel])
        return image + rate * tf.math.l2_normalize(tape.gradient(score, image))

    for channel in targets:
        parts.append(part := Stopwatch(watch.steps, watch.limit))
        image = tf.random.uniform([1, size, size, 3], -0.125, 0.125)
        for _ in range(watch.steps):
            image = climb(image, channel, 10.0)  # a Python number: one compilation a target
            part.step(lambda image=image: 0.5 + 0.15 * (image - np.mean(image)) / (np.std(image) + 1e-5))
    watch.seconds = list(np.sum([part.seconds for part in parts], axis=0))
    watch.images = {step: np.concatenate([part.images[step] for part in parts]) for step in parts[0].images}


def tf_keras_vis(model, layer, targets, size, watch, seed) -> None:
    """ActivationMaximization of tf-keras-vis: eager steps of RMSprop with jitter, rotation and two regularizers."""
    from tf_keras_vis.activation_maximization import ActivationMaximization
    from tf_keras_vis.utils.scores import CategoricalScore

    inputs = keras.Input((size, size, 3))  # it works on 0 to 255
    features = helpers.feature_model(model, layer)(keras.layers.Rescaling(1 / 127.5, -1)(inputs))
    seeds = tf.random.uniform([len(targets), size, size, 3], 0, 255)
    optimizer = watch.optimizer(keras.optimizers.RMSprop, lambda values: values / 255)(1.0, rho=0.999)  # its default
    watch.begin = timeit.default_timer()
    peer, score = ActivationMaximization(keras.Model(inputs, features)), CategoricalScore(list(targets))
    peer(score, seed_input=seeds, steps=watch.steps, optimizer=optimizer)


def xplique(model, layer, targets, size, watch, seed) -> None:
    """Xplique's optimize: Adam on Fourier images, its standard transformations, resized to the network's input."""
    from xplique.features_visualizations import Objective, fft_to_rgb, get_fft_scale, optimize
    from xplique.features_visualizations.preconditioning import to_valid_rgb

    cut = helpers.feature_model(model, layer)
    fixed = keras.models.clone_model(cut, input_tensors=keras.Input((size, size, 3)))  # it asks for a fixed side
    fixed.set_weights(cut.get_weights())
    scale, shape = get_fft_scale(size, size, decay_power=0.85), (len(targets), size, size, 3)
    adam = watch.optimizer(keras.optimizers.Adam, lambda values: to_valid_rgb(fft_to_rgb(shape, values, scale)))
    watch.begin = timeit.default_timer()
    kind = Objective.neuron if layer == "predictions" else Objective.channel
    goal = kind(fixed, layer, list(targets))
    optimize(goal, adam(0.05), nb_steps=watch.steps, values_range=(-1, 1), custom_shape=(size, size))


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


def run(contestant: Callable, model, layer, targets, size, watch: Stopwatch, seed: int) -> None:
    """Run a contestant against the watch, in silence, until it is done or its time is up."""
    keras.utils.set_random_seed(seed)
    with contextlib.suppress(TimeoutError), contextlib.redirect_stdout(None):
        contestant(model, layer, targets, size, watch, seed)
    print(f"{contestant.__name__}: {layer}, {len(watch.seconds)} steps, {watch.seconds[-1]:.0f} s", flush=True)


def table(head: str, rows: list[list]) -> list[str]:
    """Return the lines of a Markdown table."""
    return [head, "|---" * (head.count("|") - 1) + "|", *("| " + " | ".join(map(str, row)) + " |" for row in rows)]


def channel_table(model: keras.Model, quick: bool) -> list[str]:
    """Return the Markdown table of pictures of channels of LAYER at 128 px, medians of three repeats."""
    channels = list(range(0, 512, 256 if quick else 64))
    natural = helpers.channel_responses(model, LAYER, helpers.natural_inputs(128).images[:: 10 if quick else 1])
    floor, rows = compiled_floor(model, channels, 128), []
    for name, (contestant, steps) in {"this engine": (this_engine, 64), **PEERS}.items():
        found = []
        for repeat in range(1 if quick else 3):
            watch, before = Stopwatch(16 if quick else steps), floor()
            run(contestant, model, LAYER, channels, 128, watch, repeat)
            unit, taken, passed = (before + floor()) / 2, np.array(watch.seconds), np.inf
            early = 8 if contestant is this_engine else len(taken) // 2  # its steps are timed run by run
            each = (taken[-1] - taken[early - 1]) / (len(taken) - early)
            for step in sorted(watch.images, reverse=True):
                drives = helpers.drive(model, LAYER, channels, watch.images[step], natural)
                passed = taken[step - 1] if np.nanmedian(drives.robust) > 1 else passed
                if step == max(watch.images):
                    end = np.nanmedian(drives.drive), np.nanmedian(drives.robust)
            found.append([each / unit, passed, len(taken), taken[-1], *end])
        ratio, passed, steps, seconds, drive, robust = np.median(found, axis=0)
        low, high = np.min(found, axis=0)[0], np.max(found, axis=0)[0]
        reached = f"{passed:.1f}" if np.isfinite(passed) else "not reached"
        row = [name, f"{ratio:.2f} ({low:.2f}–{high:.2f})", reached, f"{steps:.0f}, {seconds:.0f}"]
        rows.append([*row, f"{drive:.1f} / {robust:.1f}"])
    return table("| | a step, floor = 1 (range) | s to robust drive 1 | at its end: steps, s | drive / robust |", rows)


def class_table(model: keras.Model, quick: bool) -> list[str]:
    """Return the Markdown table of class pictures at 224 px, snapshot by snapshot, and what the judges call them."""
    classes, rows = list(range(0, 1000, 500 if quick else 125)), []
    for name, (contestant, steps) in {"this engine": (this_engine, 90), **PEERS}.items():
        watch = Stopwatch(8 if quick else steps, LIMIT * len(classes) / 4)
        run(contestant, model, "predictions", classes, 224, watch, 0)
        for step, images in sorted(watch.images.items()):
            verdicts = judges.judge([Image.fromarray(image) for image in images], classes)
            words = [f"{first:.2f} / {among:.2f}" for first, among in judges.shares(verdicts).values()]
            rows.append([name, step, f"{watch.seconds[step - 1] / len(classes):.1f}", *words])
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
