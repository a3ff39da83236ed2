"""Time activation maximization by this project and its peers in one run, and let foreign networks judge.

`make bench` measures for some half an hour, into build/bench.md; with QUICK=1 it is a smoke run whose figures mean
nothing. Same weights and targets for all; the rest is each contestant's own default.

Channels at 128 px, by helpers.drive: each contestant is run from the start for an eighth, a half and all of its steps;
a step is the difference of the last two. The floor is the bare gradient of the network cut at the layer, compiled, at
the side that the engine's network sees, before and after each contestant. Classes at 224 px, by tools/judges.py: each
is run for its default steps, and for as many as take about as long as the engine's quick run.
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
from tf_keras_vis.activation_maximization import ActivationMaximization
from tf_keras_vis.utils.scores import CategoricalScore
from xplique.features_visualizations import Objective, optimize
from xplique.features_visualizations import maco as optimize_phases

import helpers

LAYER, SIZE = "conv3_block4_out", 128


def this_engine(model, layer, targets, size, steps) -> np.ndarray:
    """helpers.maximize as the notebooks call it."""
    return helpers.maximize(model, layer, targets, size=size, steps=steps, seed=np.random.randint(1000)).images


def quick_recipe(model, layer, targets, size, steps) -> np.ndarray:
    """The quick recipe for classes of docs/recipe.md, at its own size."""
    crops = helpers.Transforms(-48, 48, 0.2)
    return helpers.maximize(model, layer, targets, 192, steps, 0.06, coarse=40 / 216, transforms=crops).images


def keras_io(model, layer, targets, size, steps) -> np.ndarray:
    """The loop that "Visualizing what convnets learn" describes: one image after another, no transforms."""
    features_of, images = helpers.feature_model(model, layer), []

    @tf.function
    def climb(image, target, rate):
        with tf.GradientTape() as tape:
            tape.watch(image)
            features = features_of(image)
            inner = features if len(features.shape) == 2 else features[:, 2:-2, 2:-2]  # without the border
            score = tf.reduce_mean(inner[..., target])
        return image + rate * tf.math.l2_normalize(tape.gradient(score, image))

    for target in targets:
        image = tf.random.uniform([1, size, size, 3], -0.125, 0.125)
        for _ in range(steps):
            image = climb(image, target, 10.0)  # Python numbers, as in the example: one compilation a target
        images.append(0.5 + 0.15 * (image[0] - np.mean(image)) / (np.std(image) + 1e-5))
    return np.stack(images)


def tf_keras_vis(model, layer, targets, size, steps) -> np.ndarray:
    """ActivationMaximization of tf-keras-vis: eager steps of RMSprop with jitter, rotation and two regularizers."""
    inputs = keras.Input((size, size, 3))  # it works on 0 to 255
    features = helpers.feature_model(model, layer)(keras.layers.Rescaling(1 / 127.5, -1)(inputs))
    seeds = tf.random.uniform([len(targets), size, size, 3], 0, 255)
    peer, score = ActivationMaximization(keras.Model(inputs, features)), CategoricalScore(targets)
    return np.array(peer(score, seed_input=seeds, steps=steps)) / 255


def goals(model, layer, targets, size) -> list[Objective]:
    """Return Xplique's objectives, of the network cut at a layer and of a fixed side, which it asks for."""
    cut = helpers.feature_model(model, layer)
    fixed = keras.models.clone_model(cut, input_tensors=keras.Input((size, size, 3)))
    fixed.set_weights(cut.get_weights())
    kind = Objective.neuron if layer == "predictions" else Objective.channel
    return [kind(fixed, layer, target) for target in targets]


def xplique(model, layer, targets, size, steps) -> np.ndarray:
    """Xplique's optimize: Adam on Fourier images, its standard transformations, resized to the network's input."""
    (goal,) = goals(model, layer, [targets], size)
    images, _ = optimize(goal, nb_steps=steps, values_range=(-1, 1), custom_shape=(size, size))
    return (np.array(images[-1]) + 1) / 2


def maco(model, layer, targets, size, steps) -> np.ndarray:
    """Xplique's MACO (Fel et al. 2023): image after image, 32 crops a step, the spectrum of the project's photos."""
    photos = helpers.load_images(helpers.list_images(helpers.IMAGES), size)
    given = {"maco_dataset": tf.data.Dataset.from_tensors(photos), "nb_steps": steps, "custom_shape": (size, size)}
    return np.stack([(optimize_phases(goal, **given)[0] + 1) / 2 for goal in goals(model, layer, targets, size)])


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


def run(contestant: Callable, model, layer, targets, size, steps: int, seed: int = 0) -> tuple[float, np.ndarray]:
    """Run a contestant from the start; return its seconds and its 8-bit images."""
    keras.utils.set_random_seed(seed)
    begin = timeit.default_timer()
    with contextlib.redirect_stdout(None):
        images = contestant(model, layer, targets, size, steps)
    seconds = timeit.default_timer() - begin
    print(f"{contestant.__name__}, {layer}: {steps} steps, {seconds:.0f} s", flush=True)
    return seconds, np.round(255 * np.clip(images, 0, 1)).astype(np.uint8)


def channel_table(model: keras.Model, quick: bool) -> list[str]:
    """Return the lines of a Markdown table of pictures of channels, medians of three repeats."""
    channels = list(range(0, 512, 256 if quick else 64))
    natural = helpers.channel_responses(model, LAYER, helpers.natural_inputs(SIZE).images[:: 10 if quick else 1])
    floor, rows = compiled_floor(model, channels), []
    for name, (contestant, steps) in {"this engine": (this_engine, 64), **PEERS}.items():
        measured, steps = [], 16 if quick else steps
        for repeat in range(1 if quick else 3):
            before, counts = floor(), (steps // 8, steps // 2, steps)
            found = [run(contestant, model, LAYER, channels, SIZE, count, repeat) for count in counts]
            unit, (_, half, end) = (before + floor()) / 2, (seconds for seconds, _ in found)
            drives = [helpers.drive(model, LAYER, channels, images, natural) for _, images in found]
            robust = [np.nanmedian(drive.robust) for drive in drives]
            passed = (seconds for (seconds, _), value in zip(found, robust, strict=True) if value > 1)
            each = (end - half) / (steps - steps // 2)
            measured.append([each / unit, next(passed, np.inf), end, np.nanmedian(drives[-1].drive), robust[-1]])
        ratio, reached, end, drive, robust = np.median(measured, axis=0)
        low, high = np.min(measured, axis=0)[0], np.max(measured, axis=0)[0]
        row = f"| {name} | {ratio:.2f} ({low:.2f}–{high:.2f}) | {f'{reached:.1f}'.replace('inf', 'not reached')} |"
        rows.append(f"{row} {steps}, {end:.0f} | {drive:.1f} / {robust:.1f} |")
    head = "| | a step, floor = 1 (range) | s to robust drive 1 | at its end: steps, s | drive / robust |"
    return [head, "|---|---|---|---|---|", *rows]


def fitting(budget: float, few: tuple[int, float], many: tuple[int, float]) -> int:
    """Return how many steps take so many seconds, by two runs: (steps, seconds) of each."""
    (less, short), (more, long) = few, many
    each = max(long - short, long / 10) / (more - less)  # of a run much is compiling, never all
    return max(1, less + round((budget - short) / each))


def class_table(model: keras.Model, quick: bool) -> list[str]:
    """Return the lines of a Markdown table of pictures of classes: their cost, and what the judges name of them."""
    classes, rows = list(range(0, 1000, 500 if quick else 125)), []
    own, fewer = (8, 4) if quick else (helpers.recipe_for(model, "predictions").steps, 216)

    def seconds_of(contestant: Callable, steps: int, words: str = "", count: int = len(classes)) -> float:
        """Run a contestant, add a row of these words, if any, and return the seconds an image."""
        seconds, images = run(contestant, model, "predictions", classes[:count], 224, steps)
        if words:
            verdicts = judges.judge([Image.fromarray(image) for image in images], classes[:count])
            named = " | ".join(f"{first:.2f} / {among:.2f}" for first, among in judges.shares(verdicts).values())
            rows.append(f"| {words} | {count} | {steps} | {seconds / count:.1f} | {named} |")
        return seconds / count

    seconds_of(this_engine, own, "this engine")
    budget = seconds_of(quick_recipe, fewer, "this engine, quick")
    for name, (contestant, steps) in PEERS.items():
        steps = 8 if quick else steps
        few, many = (2, seconds_of(contestant, 2)), (steps, seconds_of(contestant, steps, name))
        seconds_of(contestant, fitting(budget, few, many), f"{name}, as long as that")
    limit = 2 if quick else 15
    few, many = ((steps, seconds_of(maco, steps, count=2)) for steps in (2, 4))
    seconds_of(maco, fitting(limit, few, many), f"MACO, 32 crops a step: what fits in {limit} s", 2)
    head = "| | classes | steps | s an image | Lite0 first / among five | Lite2 first / among five |"
    return [head, "|---|---|---|---|---|---|", *rows]


def machine() -> str:
    """Return the cores, their best speed in a float32 matrix product, and the versions in use."""
    matrix = tf.random.normal([2048, 2048])
    speed = 2 * 2048**3 / min(timeit.repeat(lambda: tf.matmul(matrix, matrix), number=1, repeat=40)) / 1e9
    found = [f"{os.cpu_count()} cores", f"2048 × 2048 matmul {speed:.0f} GFLOP/s", "Python " + sys.version.split()[0]]
    return ", ".join(found + [f"{name} {version(name)}" for name in ("tensorflow", "keras", "tf-keras-vis", "xplique")])


def main() -> None:
    quick, model = "--quick" in sys.argv, helpers.load_model()
    text = "\n".join([machine(), "", f"Channels of {LAYER}, {SIZE} px:", "", *channel_table(model, quick)])
    text += "\n".join(["", "", "Classes, 224 px:", "", *class_table(model, quick), ""])
    (helpers.ROOT / "build").mkdir(exist_ok=True)
    (helpers.ROOT / "build" / "bench.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
