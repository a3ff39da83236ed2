"""Time activation maximization by this project, by three peers and by a floor, in one run, into build/bench.md.

`make bench` measures for about twenty minutes; `make bench QUICK=1` is a smoke run whose figures mean nothing.

Same weights, layer and channels, 128 px for all; the rest is each contestant's own default. The optimizer inside each
one's own call reports its steps to a stopwatch, which stands still for snapshots: the first 16 steps and every eighth,
scored afterwards by one scorer. Compiling is on the clock, anew in each repeat: what the first step took beyond the
median of the others. The floor runs before and after each contestant, and a ratio is to these neighbours. Keras.io's
loop goes image by image and compiles for each channel, as the example does, but without the crop by 25 px; its time at
step k is what k steps on every channel took. tf-keras-vis gets a random seed for each channel
and a network that takes its 0 to 255; Xplique the size and the range. The peers' networks are cut off the clock.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import os
import resource
import subprocess
import sys
import timeit
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

import helpers

LAYER, SIZE, LIMIT, NEVER = "conv3_block4_out", 128, 120.0, float("inf")


class Stopwatch:
    """The seconds at which each of `steps` steps ended, and 8-bit snapshots {step: images} of some if `keep`."""

    def __init__(self, steps: int, keep: bool = True) -> None:
        self.steps, self.keep, self.seconds, self.images = steps, keep, [], {}
        self.begin = timeit.default_timer()

    def step(self, images: Callable | None = None) -> None:
        """Note the end of a step; `images` gives what a snapshot holds, (n, size, size, 3) in [0, 1]."""
        now = timeit.default_timer()
        self.seconds.append(now - self.begin)
        done = len(self.seconds)
        if self.keep and (done <= 16 or done % 8 == 0 or done == self.steps):
            self.images[done] = np.round(255 * np.clip(images(), 0, 1)).astype(np.uint8)
        if self.keep and self.seconds[-1] > LIMIT:
            raise TimeoutError
        self.begin += timeit.default_timer() - now

    def optimizer(self, kind: type[keras.optimizers.Optimizer], to_images: Callable) -> type:
        """Return an optimizer that reports its steps here; `to_images` turns the variable that it moves into images."""

        class Reporting(kind):
            def apply(optimizer, gradients, variables=None):
                super().apply(gradients, variables)
                self.step(lambda: to_images(tf.convert_to_tensor(variables[0])).numpy())

        return Reporting

    def typical(self) -> float:
        """Return the median seconds of a step, without the first."""
        return float(np.median(np.diff(self.seconds)))


def seconds_of(action: Callable, times: int) -> float:
    """Return the median seconds of an action, the first time apart."""
    return float(np.median(timeit.repeat(action, number=1, repeat=times + 1)[1:]))


def compiled_floor(model: keras.Model, channels: list[int]) -> Callable:
    """Return a step of nothing but the gradient of the cut network, at the side that `maximize` shows it, compiled."""
    features_of, one_hot = helpers.feature_model(model, LAYER), tf.one_hot(channels, 512)
    images = tf.random.uniform([len(channels), *2 * [SIZE + 2 * helpers.Transforms().pad], 3], -1, 1)

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            tape.watch(images)
            score = tf.reduce_sum(tf.reduce_mean(features_of(images), axis=[1, 2]) * one_hot)
        return tape.gradient(score, images)

    return gradient


def this_engine(model: keras.Model, channels: list[int], watch: Stopwatch, seed: int, layer: str = LAYER) -> None:
    """helpers.maximize as the notebooks call it, compiled anew."""
    helpers._ascent.cache_clear()
    adam = watch.optimizer(keras.optimizers.Adam, lambda values: helpers._to_image(values, SIZE, "fourier", True))
    with mock.patch.object(keras.optimizers, "Adam", adam), contextlib.redirect_stdout(None):
        watch.begin = timeit.default_timer()
        helpers.maximize(model, layer, channels, size=SIZE, steps=watch.steps, seed=seed)


def keras_io(model: keras.Model, channels: list[int], watch: Stopwatch, seed: int) -> None:
    """The loop that "Visualizing what convnets learn" describes: one image after another, no transforms."""
    features_of, parts = helpers.feature_model(model, LAYER), []

    @tf.function
    def climb(image, channel, rate):
        with tf.GradientTape() as tape:
            tape.watch(image)
            score = tf.reduce_mean(features_of(image)[:, 2:-2, 2:-2, channel])  # without the border
        return image + rate * tf.math.l2_normalize(tape.gradient(score, image))

    for channel in channels:
        parts.append(part := Stopwatch(watch.steps))
        image = tf.random.uniform([1, SIZE, SIZE, 3], -0.125, 0.125)
        for _ in range(watch.steps):
            image = climb(image, channel, 10.0)  # a Python number: one compilation a channel
            part.step(lambda image=image: 0.5 + 0.15 * (image - np.mean(image)) / (np.std(image) + 1e-5))
    watch.seconds = list(np.sum([part.seconds for part in parts], axis=0))
    watch.images = {step: np.concatenate([part.images[step] for part in parts]) for step in parts[0].images}


def tf_keras_vis(model: keras.Model, channels: list[int], watch: Stopwatch, seed: int) -> None:
    """ActivationMaximization of tf-keras-vis: eager steps of RMSprop with jitter, rotation and two regularizers."""
    from tf_keras_vis.activation_maximization import ActivationMaximization
    from tf_keras_vis.utils.scores import CategoricalScore

    inputs = keras.Input((SIZE, SIZE, 3))
    features = helpers.feature_model(model, LAYER)(keras.layers.Rescaling(1 / 127.5, -1)(inputs))
    seeds = tf.random.uniform([len(channels), SIZE, SIZE, 3], 0, 255)
    optimizer = watch.optimizer(keras.optimizers.RMSprop, lambda values: values / 255)(1.0, rho=0.999)  # its default
    watch.begin = timeit.default_timer()
    peer, score = ActivationMaximization(keras.Model(inputs, features)), CategoricalScore(channels)
    peer(score, seed_input=seeds, steps=watch.steps, optimizer=optimizer)


def xplique(model: keras.Model, channels: list[int], watch: Stopwatch, seed: int) -> None:
    """Xplique's optimize: Adam on Fourier images, its standard transformations, resized to the network's input."""
    from xplique.features_visualizations import Objective, fft_to_rgb, get_fft_scale, optimize
    from xplique.features_visualizations.preconditioning import to_valid_rgb

    cut = helpers.feature_model(model, LAYER)
    fixed = keras.models.clone_model(cut, input_tensors=keras.Input((SIZE, SIZE, 3)))
    fixed.set_weights(cut.get_weights())
    scale, shape = get_fft_scale(SIZE, SIZE, decay_power=0.85), (len(channels), SIZE, SIZE, 3)
    adam = watch.optimizer(keras.optimizers.Adam, lambda values: to_valid_rgb(fft_to_rgb(shape, values, scale)))
    watch.begin = timeit.default_timer()
    goal = Objective.channel(fixed, LAYER, channels)
    optimize(goal, adam(0.05), nb_steps=watch.steps, values_range=(-1, 1), custom_shape=(SIZE, SIZE))


CONTESTANTS = {"this engine": this_engine, "Keras.io": keras_io, "tf-keras-vis": tf_keras_vis, "Xplique": xplique}
STEPS = dict(zip(CONTESTANTS, (64, 30, 200, 256), strict=True))  # the default of each


def compete(model: keras.Model, count: int, steps: int | None, repeats: int, natural: np.ndarray) -> dict:
    """Run all contestants `repeats` times in turn; return {name: (curve, numbers) of each repeat, or why not}."""
    channels, records = list(range(0, 512, 512 // count)), {name: [] for name in CONTESTANTS}
    for repeat in range(repeats):
        floor, names = compiled_floor(model, channels), [n for n in CONTESTANTS if isinstance(records[n], list)]
        for name in names[repeat % 4 :] + names[: repeat % 4]:
            keras.utils.set_random_seed(repeat)
            watch, before = Stopwatch(steps or STEPS[name]), seconds_of(floor, 8)
            try:
                with contextlib.suppress(TimeoutError):
                    CONTESTANTS[name](model, channels, watch, repeat)
            except Exception as error:  # a peer that is missing or broken is a line in the table, not an end
                if name == "this engine":
                    raise
                records[name] = f"could not be run here: {type(error).__name__} {error}".partition("\n")[0]
                continue
            unit, each, end = (before + seconds_of(floor, 8)) / 2, watch.typical(), watch.seconds[-1]
            kept = [step for step in watch.images if watch.seconds[step - 1] <= LIMIT] or [1]
            stack = np.concatenate([watch.images[step] for step in kept]) / np.float32(255)
            drives = helpers.drive(model, LAYER, channels * len(kept), stack, natural)
            medians = [np.nanmedian(values.reshape(len(kept), -1), axis=1) for values in drives]
            curve = np.stack([[watch.seconds[step - 1] for step in kept], *medians, kept], axis=1)
            passed = [next((row[0] for row in curve if row[column] > 1), NEVER) for column in (1, 2)]
            ratios = each / unit, end / len(watch.seconds) / unit
            records[name].append((curve, np.array([*ratios, watch.seconds[0] - each, *passed, end, unit / count])))
            print(f"repeat {repeat + 1} of {repeats}: {name}, {len(watch.seconds)} steps, {end:.0f} s")
    return records


def table(records: dict) -> list[str]:
    """Return the Markdown table of `compete`, medians of the repeats, and the lead of this engine in a sentence."""
    budgets, robust = [curve[-1, 0] for curve, _ in records["this engine"]], {}
    heads = ["floor = 1", "a step of an image (range)", "with compiling", "compiling, s", "s to drive 1"]
    heads += ["s to robust drive 1", f"drive / robust after {np.median(budgets):.0f} s", "at its own end"]
    lines = [f"| {' | '.join(heads)} |", "|---" * 8 + "|"]
    for name, rows in records.items():
        if isinstance(rows, str):
            lines.append(f"| {name} | {rows}" + " |" * 7)
            continue
        columns = np.array([numbers for _, numbers in rows])
        ratio, whole, compiling, *passed, latest, _ = np.median(columns, axis=0)
        end, robust[name] = np.median([curve[-1] for curve, _ in rows], axis=0), passed[1]
        cut = f"{LIMIT:.0f} s" if latest > LIMIT else f"its {end[3]:.0f} steps"
        inside = [curve[curve[:, 0] <= budget][-1:] for (curve, _), budget in zip(rows, budgets, strict=True)]
        reached = np.median(np.concatenate(inside), axis=0) if any(map(len, inside)) else None
        cells = [name, f"{ratio:.2f} ({columns[:, 0].min():.2f}–{columns[:, 0].max():.2f})", f"{whole:.2f}"]
        cells += [f"{compiling:.1f}", *(f"{s:.1f}" if s < NEVER else f"not in {cut}" for s in passed)]
        cells += ["no image yet" if reached is None else "{1:.1f} / {2:.1f}".format(*reached)]
        lines.append(f"| {' | '.join(cells)} | " + "{1:.1f} / {2:.1f} ({3:.0f} steps, {0:.0f} s) |".format(*end))
    unit, ours = np.median([numbers[-1] for _, numbers in records["this engine"]]), robust.pop("this engine")
    lead = min(robust.values(), default=NEVER) / ours
    words = f"the quickest peer takes {lead:.1f} × as long as this engine" if lead < NEVER else "no peer gets"
    return [*lines, "", f"The floor: {unit:.4f} s a step of an image. To robust drive 1 {words}."]


def one(layer: str, count: int, steps: int) -> None:
    """Print a line of the table of growth: seconds apart from compiling, those of compiling, and peak memory."""
    model, watch = helpers.load_model(), Stopwatch(steps, keep=False)
    this_engine(model, list(range(count)), watch, 0, layer)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    compiling = watch.seconds[0] - watch.typical()
    rest = watch.seconds[-1] - compiling
    print(f"| {layer} | {count} | {steps} | {rest:.1f} | {rest / count / steps:.4f} | {compiling:.1f} | {memory:.0f} |")


def machine() -> str:
    """Return the processor, its best speed in a float32 matrix product, and the versions in use."""
    matrix, info = tf.random.normal([2048, 2048]), Path("/proc/cpuinfo")
    speed = 2 * 2048**3 / min(timeit.repeat(lambda: tf.matmul(matrix, matrix), number=1, repeat=40)) / 1e9
    lines = info.read_text().splitlines() if info.is_file() else []
    name = next((line.split(": ")[1] for line in lines if "model name" in line), "processor unknown")
    found = [
        name,
        f"{os.cpu_count()} cores",
        f"2048 × 2048 matmul {speed:.0f} GFLOP/s",
        "Python " + sys.version.split()[0],
    ]
    for package in ("tensorflow", "keras", "tf-keras-vis", "xplique"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{package} {importlib.metadata.version(package)}")
    return ", ".join(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two channels, four steps, one repeat: a smoke run")
    parser.add_argument("--one", nargs=3, metavar=("LAYER", "CHANNELS", "STEPS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        return one(arguments.one[0], *map(int, arguments.one[1:]))
    count, steps, repeats, every = (2, 4, 1, 10) if arguments.quick else (16, None, 3, 1)
    runs = [(LAYER, *run) for run in ((16, 8), (32, 8), (64, 8), (16, 16), (16, 32))] + [("predictions", 16, 4)]
    grown = ["| layer | channels | steps | s | s a step of an image | compiling, s | peak MB |", "|---" * 7 + "|"]
    for run in [(LAYER, 2, 4)] if arguments.quick else runs:
        command = [sys.executable, __file__, "--one", *map(str, run)]  # first: a child begins with its parent's peak
        grown.append(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip())
    words, model = machine(), helpers.load_model()
    natural = helpers.channel_responses(model, [LAYER], helpers.natural_inputs(SIZE).images[::every])[LAYER]
    rows = table(compete(model, count, steps, repeats, natural))
    lines = [f"{LAYER}, {count} channels, {SIZE} px, repeats: {repeats}. {words}.", "", *rows, "", *grown]
    (helpers.ROOT / "build").mkdir(exist_ok=True)
    (helpers.ROOT / "build" / "bench.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(["", *lines]))


if __name__ == "__main__":
    main()
