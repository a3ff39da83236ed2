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

import argparse
import contextlib
import importlib.metadata
import os
import sys
import timeit
from collections.abc import Callable
from pathlib import Path

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


def fixed_network(model, layer, size) -> keras.Model:
    """Return the network cut at a layer with its input fixed to one side, which Xplique asks for."""
    cut = helpers.feature_model(model, layer)
    fixed = keras.models.clone_model(cut, input_tensors=keras.Input((size, size, 3)))
    fixed.set_weights(cut.get_weights())
    return fixed


def xplique(model, layer, targets, size, watch, seed) -> None:
    """Xplique's optimize: Adam on Fourier images, its standard transformations, resized to the network's input."""
    from xplique.features_visualizations import Objective, fft_to_rgb, get_fft_scale, optimize
    from xplique.features_visualizations.preconditioning import to_valid_rgb

    fixed, shape = fixed_network(model, layer, size), (len(targets), size, size, 3)
    scale = get_fft_scale(size, size, decay_power=0.85)
    adam = watch.optimizer(keras.optimizers.Adam, lambda values: to_valid_rgb(fft_to_rgb(shape, values, scale)))
    watch.begin = timeit.default_timer()
    kind = Objective.neuron if layer == "predictions" else Objective.channel
    goal = kind(fixed, layer, list(targets))
    optimize(goal, adam(0.05), nb_steps=watch.steps, values_range=(-1, 1), custom_shape=(size, size))


def maco(model, layer, targets, size, watch, seed) -> None:
    """MACO (Fel et al. 2023) as Xplique has it, one class after another, with the spectrum of this project's photos."""
    from xplique.features_visualizations import Objective
    from xplique.features_visualizations import maco as optimize
    from xplique.features_visualizations.preconditioning import init_maco_buffer, maco_image_parametrization

    fixed, parts = fixed_network(model, layer, size), []
    photos = tf.data.Dataset.from_tensor_slices(helpers.natural_inputs(size).images / np.float32(255)).batch(16)
    magnitude, _ = init_maco_buffer((size, size), photos)
    for target in targets:
        parts.append(part := Stopwatch(watch.steps, watch.limit / len(targets)))
        nadam = part.optimizer(
            keras.optimizers.Nadam, lambda phase: (maco_image_parametrization(magnitude, phase, (-1, 1))[None] + 1) / 2
        )
        with contextlib.suppress(TimeoutError):
            optimize(Objective.neuron(fixed, layer, target), nadam(1.0), photos, watch.steps, custom_shape=(size, size))
    steps = min(len(part.seconds) for part in parts)
    watch.seconds = list(np.sum([part.seconds[:steps] for part in parts], axis=0))
    kept = [step for step in parts[0].images if all(step in part.images for part in parts)]
    watch.images = {step: np.concatenate([part.images[step] for part in parts]) for step in kept}


PEERS = {"Keras.io": (keras_io, 30), "tf-keras-vis": (tf_keras_vis, 200), "Xplique": (xplique, 256)}  # default steps


def seconds_of(action: Callable, times: int) -> float:
    """Return the median seconds of an action, the first time apart."""
    return float(np.median(timeit.repeat(action, number=1, repeat=times + 1)[1:]))


def compiled_floor(model: keras.Model, channels: list[int], size: int) -> Callable:
    """Return a step of nothing but the gradient of the cut network, at the side that `maximize` shows it, compiled."""
    features_of, one_hot = helpers.feature_model(model, LAYER), tf.one_hot(channels, 512)
    images = tf.random.uniform([len(channels), *2 * [size + 2 * helpers.Transforms().pad], 3], -1, 1)

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            tape.watch(images)
            score = tf.reduce_sum(tf.reduce_mean(features_of(images), axis=[1, 2]) * one_hot)
        return tape.gradient(score, images)

    return gradient


def run(contestant: Callable, model, layer, targets, size, watch: Stopwatch, seed: int) -> str:
    """Run a contestant against the watch; return why it could not be run, or ""."""
    keras.utils.set_random_seed(seed)
    try:
        with contextlib.suppress(TimeoutError), contextlib.redirect_stdout(None):
            contestant(model, layer, targets, size, watch, seed)
    except Exception as error:  # a peer that is missing or broken is a line in the table, not an end
        if contestant is this_engine:
            raise
        return f"could not be run here: {type(error).__name__} {error}".partition("\n")[0]
    return ""


def channel_table(model: keras.Model, count: int, repeats: int, every: int, quick: bool) -> list[str]:
    """Return the Markdown table of pictures of `count` channels of LAYER at 128 px, medians of the repeats."""
    channels = list(range(0, 512, 512 // count))
    natural = helpers.channel_responses(model, LAYER, helpers.natural_inputs(128).images[::every])
    contestants = {"this engine": (this_engine, 64), **PEERS}
    rows: dict[str, list] = {name: [] for name in contestants}
    for repeat in range(repeats):
        floor = compiled_floor(model, channels, 128)
        for name, (contestant, steps) in contestants.items():
            watch, before = Stopwatch(8 if quick else steps), seconds_of(floor, 8)
            if words := run(contestant, model, LAYER, channels, 128, watch, repeat):
                rows[name] = words
                continue
            unit, taken = (before + seconds_of(floor, 8)) / 2, np.array(watch.seconds)
            early = 8 if contestant is this_engine else len(taken) // 2  # its steps are timed run by run
            each = (taken[-1] - taken[early - 1]) / (len(taken) - early)
            kept = sorted(watch.images)
            drives = [helpers.drive(model, LAYER, channels, watch.images[step], natural) for step in kept]
            medians = [[np.nanmedian(found.drive), np.nanmedian(found.robust)] for found in drives]
            passed = next(
                (taken[step - 1] for step, (_, robust) in zip(kept, medians, strict=True) if robust > 1), None
            )
            rows[name].append((each / unit, passed or np.inf, taken[-1], len(taken), *medians[-1]))
            print(f"channels, repeat {repeat + 1} of {repeats}: {name}, {len(taken)} steps, {taken[-1]:.0f} s")
    lines = [
        "| | a step, floor = 1 (range) | s to robust drive 1 | at its end: steps, s | drive / robust |",
        "|---" * 5 + "|",
    ]
    for name, found in rows.items():
        if isinstance(found, str):
            lines.append(f"| {name} | {found} | | | |")
            continue
        ratio, passed, end, steps, drive, robust = np.median(found, axis=0)
        low, high = np.min(found, axis=0)[0], np.max(found, axis=0)[0]
        reached = f"{passed:.1f}" if np.isfinite(passed) else "not reached"
        lines.append(
            f"| {name} | {ratio:.2f} ({low:.2f}–{high:.2f}) | {reached} | {steps:.0f}, {end:.0f} "
            f"| {drive:.1f} / {robust:.1f} |"
        )
    return lines


def class_table(model: keras.Model, classes: list[int], quick: bool) -> list[str]:
    """Return the Markdown table of class pictures at 224 px and what the judges call them.

    Each contestant stands twice: at its own default, and at the snapshot nearest to the engine's seconds.
    """
    import judges

    lines = [
        "| | classes | steps | s an image | Lite0 first / among five | Lite2 first / among five |",
        "|---" * 6 + "|",
    ]
    budget = np.inf
    for name, (contestant, steps) in {"this engine": (this_engine, 90), **PEERS, "MACO": (maco, 256)}.items():
        targets = classes[:2] if name == "MACO" else classes  # 32 crops a step
        watch = Stopwatch(8 if quick else steps, LIMIT * len(targets) / 4)
        if words := run(contestant, model, "predictions", targets, 224, watch, 0):
            lines.append(f"| {name} | {words} | | | | |")
            continue
        each = np.array(watch.seconds) / len(targets)
        kept = sorted(watch.images)
        budget = each[kept[-1] - 1] if name == "this engine" else budget
        equal = max((step for step in kept if each[step - 1] <= budget), default=kept[0])
        for step in kept if name == "this engine" else sorted({equal, kept[-1]}):
            verdicts = judges.judge([Image.fromarray(image) for image in watch.images[step]], targets)
            words = " | ".join(f"{first:.2f} / {among:.2f}" for first, among in judges.shares(verdicts).values())
            lines.append(f"| {name} | {len(targets)} | {step} | {each[step - 1]:.1f} | {words} |")
        print(f"classes: {name}, {len(each)} steps, {each[-1]:.0f} s an image")
    return lines


def machine() -> str:
    """Return the processor, its best speed in a float32 matrix product, and the versions in use."""
    matrix, info = tf.random.normal([2048, 2048]), Path("/proc/cpuinfo")
    speed = 2 * 2048**3 / min(timeit.repeat(lambda: tf.matmul(matrix, matrix), number=1, repeat=40)) / 1e9
    lines = info.read_text().splitlines() if info.is_file() else []
    found = [next((line.split(": ")[1] for line in lines if "model name" in line), "processor unknown")]
    found += [f"{os.cpu_count()} cores", f"2048 × 2048 matmul {speed:.0f} GFLOP/s", "Python " + sys.version.split()[0]]
    for package in ("tensorflow", "keras", "tf-keras-vis", "xplique"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{package} {importlib.metadata.version(package)}")
    return ", ".join(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two channels and classes, eight steps: a smoke run")
    parser.add_argument("--channels", action="store_true", help="only the table of channels, some ten minutes")
    arguments = parser.parse_args()
    quick = arguments.quick
    words, model = machine(), helpers.load_model()
    channels = channel_table(model, *((2, 1, 10) if quick else (8, 3, 1)), quick)
    lines = [words, "", f"Channels of {LAYER}, 128 px:", "", *channels]
    (helpers.ROOT / "build").mkdir(exist_ok=True)
    page = helpers.ROOT / "build" / "bench.md"
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if not arguments.channels:
        classes = class_table(model, list(range(0, 1000, 500 if quick else 125)), quick)
        lines += ["", "Classes, 224 px:", "", *classes]
        page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(["", *lines]))


if __name__ == "__main__":
    main()
