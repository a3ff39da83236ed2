"""What the five notebooks share: the model, images, measuring, activation maximization and plotting.

Conventions. An *image* is a float32 array of shape (height, width, 3), RGB, in [0, 1]; a stack of them has one more
axis. `preprocess` turns images into what the network takes, [-1, 1] with mid-grey at 0. A *layer* is named as Keras
names it ("conv3_block4_out"), a *channel* is an index along a layer's last axis. Functions that draw return a
matplotlib `Figure`; `show` puts it into the notebook.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import hashlib
import io
import json
import os
import re
import sys
import tempfile
import urllib.request
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from matplotlib import colormaps
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Polygon, Rectangle
from matplotlib.transforms import Affine2D
from PIL import Image, ImageFilter, ImageOps, UnidentifiedImageError
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent
IMAGES = ROOT / "data" / "images"
PROBE = ROOT / "data" / "probe"
TRANSPLANT = ROOT / "data" / "resnet50v2_transplant.weights.h5"
TRANSPLANT_SHA256 = "0357ef9230e87bd32ddf136f2ecf065d5bbebc956577f444e97dd1461cf5988e"
OFFICIAL = "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
OFFICIAL += "resnet50v2_weights_tf_dim_ordering_tf_kernels.h5"  # Keras' own file, and its hash
OFFICIAL_MD5 = "3ef43a0b657b3be2300d5770ece849e0"
MID_GREY = 127  # of 255: the ground that the probe photos were cut out onto, and what zero padding is to the network

# ------------------------------------------------------------------------------------------------------------- model


def weights_in_use(weights: str | os.PathLike | None = None) -> str:
    """Name the weights that `load_model(weights)` loads: the argument, else RESNET50V2_WEIGHTS, else "transplant"."""
    return os.fspath(weights or os.environ.get("RESNET50V2_WEIGHTS") or "transplant")


def load_model(weights: str | os.PathLike | None = None) -> keras.Model:
    """Return ResNet50V2: images in [-1, 1], shape (n, height, width, 3), sides from 32 up, to logits (n, 1000).

    `weights` is "transplant" (the file in data/, the default), "imagenet" (Keras' official file, downloaded once) or
    the path of a weights file for this architecture; one printed sentence says which. BatchNorm stays in inference
    mode. Raises FileNotFoundError, ValueError (damaged, altered or foreign file), ConnectionError or RuntimeError
    (Keras is set up so that this cannot work), each saying what to do.
    """
    name = weights_in_use(weights)
    _check_setup()
    base = keras.applications.ResNet50V2(include_top=False, pooling="avg", weights=None, input_shape=(None, None, 3))
    logits = keras.layers.Dense(1000, name="predictions")(base.output)
    model = keras.Model(base.input, logits, name="resnet50v2")
    if name == "imagenet":
        model.set_weights(_official_weights())
    else:
        path = TRANSPLANT if name == "transplant" else Path(name).expanduser()
        _check_weights_file(path)
        try:
            model.load_weights(path)
        except Exception as error:  # h5py and Keras raise half a dozen kinds, none of which names the file
            raise ValueError(
                f"{path.name} does not hold weights of ResNet50V2 with its 1,000-class top, or is damaged: "
                f"{str(error).splitlines()[0][:200]} Pass such a file, its name ending in .weights.h5, or 'transplant'."
            ) from error
    model.trainable = False
    owner = {"transplant": "the weights that come with this project", "imagenet": "Keras' official ImageNet weights"}
    print(f"ResNet50V2 is loaded with {owner.get(name, f'the weights in {Path(name).name}')}: 25.6 million parameters.")
    return model


def _check_setup() -> None:
    """Raise RuntimeError if Keras is set to another backend, data format or precision than this module works with."""
    found = keras.config.backend(), keras.config.image_data_format(), keras.config.dtype_policy().name
    if found != (wanted := ("tensorflow", "channels_last", "float32")):
        raise RuntimeError(f"Keras is set to {', '.join(found)}; this project needs {', '.join(wanted)}: set it back")


def _check_weights_file(path: Path) -> None:
    """Refuse a weights file that is missing or, for the embedded one, not the bytes that were published."""
    restore = f"restore it with `git checkout -- data/{path.name}`" if path == TRANSPLANT else "check the path"
    if not path.is_file():
        raise FileNotFoundError(f"no weights file {path}: {restore}, or use weights='transplant' or 'imagenet'")
    if path == TRANSPLANT:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != TRANSPLANT_SHA256:
            raise ValueError(f"{path} is damaged (SHA-256 {found[:9]}…, not {TRANSPLANT_SHA256[:9]}…): {restore}")


def _official_weights() -> list[np.ndarray]:
    """Return the arrays of Keras' official ImageNet file, cached or downloaded; ConnectionError without either."""
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    kept = [folder / "models" / Path(OFFICIAL).name for folder in (home, Path(tempfile.gettempdir()) / ".keras")]
    try:
        if OFFICIAL_MD5 not in [hashlib.md5(path.read_bytes()).hexdigest() for path in kept if path.is_file()]:
            urllib.request.urlopen(OFFICIAL, timeout=6).close()  # Keras' download would wait for ever: ask first
        path = keras.utils.get_file(origin=OFFICIAL, cache_subdir="models", file_hash=OFFICIAL_MD5)
        return keras.applications.ResNet50V2(weights=path, classifier_activation=None).get_weights()
    except Exception as error:  # what urllib raises, Keras wraps in a bare Exception; a wrong hash is a ValueError
        raise ConnectionError(
            f"the official weights cannot be had ({error!r}). Either connect to the internet once (or put the file "
            f"{kept[0].name} into {kept[0].parent}), or use load_model('transplant') and unset RESNET50V2_WEIGHTS."
        ) from error


@functools.cache
def class_names() -> tuple[str, ...]:
    """Return the 1,000 ImageNet class names in Keras' order ("crane" and "maillot" each stand for two classes)."""
    return tuple(name for _, name in json.loads((ROOT / "data" / "imagenet_classes.json").read_text()))


class Prediction(NamedTuple):
    """One class of a prediction: its index, its name and its probability in [0, 1]."""

    index: int
    name: str
    probability: float


def top_predictions(logits: np.ndarray, k: int = 5) -> list[Prediction]:
    """Return the `k` most probable classes of one image, best first, from its logits, shape (1000,) or (1, 1000)."""
    scores = np.asarray(logits, np.float64).reshape(-1)
    if scores.shape != (1000,):
        raise ValueError(f"expected the 1,000 logits of one image, got shape {np.shape(logits)}")
    if not np.isfinite(scores).all():
        raise ValueError("the logits hold NaN or infinite values: check the image and the weights")
    probabilities = np.exp(scores - scores.max())
    probabilities /= probabilities.sum()
    return [Prediction(int(i), class_names()[i], float(probabilities[i])) for i in np.argsort(-scores)[:k]]


@contextlib.contextmanager
def silenced(model: keras.Model, block: str) -> Iterator[keras.Model]:
    """Inside a `with`, let a block ("conv3_block2") add nothing to its shortcut; its weights come back afterwards."""
    last = check_layer(model, f"{block}_3_conv")
    kept = last.get_weights()
    last.set_weights([np.zeros_like(weight) for weight in kept])
    try:
        yield model
    finally:
        last.set_weights(kept)


# ------------------------------------------------------------------------------------------------------------ images


def load_image(source: str | os.PathLike | Image.Image | np.ndarray, size: int | None = 224) -> np.ndarray:
    """Return a photo upright as float32 RGB in [0, 1], cut to its central square and resized to (size, size, 3).

    `source` is a path, a Pillow image or an array, uint8 or float in [0, 1]; with `size=None` it is neither cut nor
    resized. Transparency is laid on mid-grey; grey, palette, CMYK and 16-bit photos are converted. Raises
    FileNotFoundError, TypeError or ValueError for what is no photo of at least 32 px a side.
    """
    label = Path(source).name if isinstance(source, str | os.PathLike) else "the photo"
    if isinstance(source, str | os.PathLike):
        photo = _open_image(Path(source).expanduser())
    elif isinstance(source, np.ndarray):
        photo = _from_array(source)
    elif isinstance(source, Image.Image):
        photo = source
    else:
        raise TypeError(f"a photo is a path, a Pillow image or an array, not {type(source).__name__}")
    if min(photo.size) < 32:
        raise ValueError(f"{label} is {photo.width}×{photo.height} px; the network needs at least 32 px a side")
    photo = _to_rgb(ImageOps.exif_transpose(photo), label)
    if size is not None:
        _check_size(size)
        photo = ImageOps.fit(photo, (size, size), Image.Resampling.LANCZOS)
    return np.asarray(photo, np.float32) / 255


def _check_size(size: int, least: int = 32, most: int = 4096, even: bool = False) -> None:
    """Raise ValueError unless a side in px is a whole number in range, and even where it has to be."""
    whole = isinstance(size, int | np.integer) and not isinstance(size, bool)
    if not whole or not least <= size <= most or (even and size % 2):
        raise ValueError(f"size={size!r}: pass {'an even' if even else 'a whole'} number of pixels, {least} to {most}")


def _from_array(array: np.ndarray) -> Image.Image:
    """Return an array (height, width), (…, 3) or (…, 4), uint8 or float in [0, 1], as a Pillow image."""
    if array.size == 0 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (3, 4)):
        raise ValueError(f"an array of shape {array.shape} is no photo: pass (height, width, 3)")
    if array.dtype != np.uint8:
        if not (np.isfinite(array).all() and array.min() >= -1e-3 and array.max() <= 1 + 1e-3):
            raise ValueError("an array that is a photo holds uint8, or floats in [0, 1] without NaN")
        array = np.round(255 * np.clip(array, 0, 1)).astype(np.uint8)
    return Image.fromarray(array)


def _open_image(path: Path) -> Image.Image:
    """Open and fully decode an image file, or say in one sentence why that cannot be done."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder; list_images lists the photos in it")
    if not path.exists():
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*")], 3, 0.5)
        raise FileNotFoundError(f"no photo {path}" + (f"; did you mean {', '.join(near)}?" if near else ""))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            photo = Image.open(path)
            photo.load()
            return photo
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"{path.name} is too large: over {Image.MAX_IMAGE_PIXELS:,} pixels; scale it down") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise ValueError(f"{path.name} is empty, cut short or no image that Pillow can read") from error


def _to_rgb(photo: Image.Image, label: str) -> Image.Image:
    """Convert any 8- or 16-bit Pillow image to RGB, transparency laid on mid-grey."""
    if photo.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I"):  # Pillow would clip these at 255
        values = np.asarray(photo, np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(f"{label} has more than 16 bits a channel; save it with 8")
        photo = Image.fromarray((values // 257).astype(np.uint8))
    if photo.mode == "F":
        raise ValueError(f"{label} holds floating-point pixels of unknown range; save it with 8 bits a channel")
    if photo.has_transparency_data:
        ground = Image.new("RGBA", photo.size, (MID_GREY, MID_GREY, MID_GREY, 255))
        photo = Image.alpha_composite(ground, photo.convert("RGBA"))
    return photo.convert("RGB")


def list_images(folder: str | os.PathLike) -> list[Path]:
    """Return the image files in a folder and its subfolders, sorted; ValueError if there is none."""
    kinds = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
    found = sorted(p for p in Path(folder).expanduser().rglob("*") if p.suffix.lower() in kinds and p.is_file())
    if not found:
        raise ValueError(f"no photos in {folder}: pass a folder that holds {', '.join(sorted(kinds))} files")
    return found


def load_images(paths: Iterable[str | os.PathLike], size: int = 224) -> np.ndarray:
    """Return `load_image` of every path as one array, shape (n, size, size, 3), in [0, 1]."""
    return np.stack([load_image(path, size) for path in paths])


def preprocess(images: np.ndarray) -> np.ndarray:
    """Return images, uint8 or float in [0, 1], as the network's input in [-1, 1], shape (n, height, width, 3).

    One image, shape (height, width, 3), becomes a batch of one. The argument is left as it was.
    """
    array = np.asarray(images)
    if array.ndim not in (3, 4) or array.shape[-1] != 3:
        raise ValueError(f"expected shape (height, width, 3) or (n, height, width, 3), got {array.shape}")
    if len(array) == 0:
        raise ValueError("the batch is empty: pass at least one image")
    if min(array.shape[-3:-1]) < 32:
        raise ValueError(f"images of {array.shape[-3]}×{array.shape[-2]} px: the network needs at least 32 px a side")
    if array.dtype == np.uint8:
        array = array.astype(np.float32) / 255
    elif not np.isfinite(array).all():
        raise ValueError("the image holds NaN or infinite values")
    elif array.min() < -1e-3 or array.max() > 1 + 1e-3:
        raise ValueError(f"values from {array.min():.3g} to {array.max():.3g}: expected floats in [0, 1] or uint8")
    return np.asarray(2 * array - 1, np.float32).reshape(-1, *array.shape[-3:])


def deprocess(inputs: np.ndarray) -> np.ndarray:
    """Return network inputs in [-1, 1] as images in [0, 1], values outside clipped; the inverse of `preprocess`."""
    return np.clip((np.asarray(inputs, np.float32) + 1) / 2, 0, 1)


class NaturalInputs(NamedTuple):
    """Natural crops, uint8, shape (n, size, size, 3), and for each the name of the photo that it was cut from."""

    images: np.ndarray
    sources: list[str]


def natural_inputs(
    size: int = 128, images: str | os.PathLike = IMAGES, probe: str | os.PathLike | None = PROBE, seed: int = 0
) -> NaturalInputs:
    """Return some 1,000 natural crops of `size` px: about 600 of the photos in `images`, 400 of those in `probe`.

    Crops have sides from size / 2 px (or 32) to the photo's shorter side, log-uniformly, and random places. Of a probe
    photo only crops inside the object are taken (at most 2 % of flat mid-grey ground). The same seed, the same crops.
    Larger photos are reduced first; a file that cannot be read is left out, with a warning that names it.
    """
    _check_size(size)
    random = np.random.default_rng(seed)
    crops: list[tuple[np.ndarray, str]] = []
    for folder, wanted, ground in ((images, 600, 1.0), (probe, 400, 0.02)):
        if folder is None:
            continue
        photos, found = _reduced_photos(list_images(folder), wanted, max(384, size)), []
        for _ in range(-(-wanted // max(1, len(photos))) + 20):  # rounds; in a thin object no crop may fit
            if len(found) >= wanted:
                break
            found += [(crop, name) for photo, name in photos if (crop := _random_crop(photo, size, ground, random))]
        crops += [(np.asarray(crop.resize((size, size), Image.Resampling.LANCZOS)), n) for crop, n in found[:wanted]]
    if not crops:
        raise ValueError("no crop could be cut: pass at least one folder of photos, as `images` or as `probe`")
    return NaturalInputs(np.stack([crop for crop, _ in crops]), [name for _, name in crops])


def _reduced_photos(paths: list[Path], most: int, side: int) -> list[tuple[Image.Image, str]]:
    """Open at most `most` photos, evenly chosen, their shorter side at most `side` px, each with a name of its own."""
    paths = paths[:: -(-len(paths) // most)]  # of a larger folder every second photo, or third, …
    stems, photos = [path.stem for path in paths], []
    for path in paths:
        try:
            photo = Image.fromarray(np.round(255 * load_image(path, None)).astype(np.uint8))
        except ValueError as error:
            warnings.warn(f"left out: {error}", stacklevel=3)
            continue
        part = min(1, side / min(photo.size))
        photo = photo.resize([max(32, round(part * length)) for length in photo.size], Image.Resampling.LANCZOS)
        photos.append((photo, path.stem if stems.count(path.stem) == 1 else path.with_suffix("").as_posix()))
    return photos


def _random_crop(photo: Image.Image, size: int, ground: float, random: np.random.Generator) -> Image.Image | None:
    """Cut a random square, of which at most the share `ground` is flat mid-grey; None if ten tries find none."""
    shorter = min(photo.size)
    smallest = min(max(size // 2, 32), shorter)
    for _ in range(10):
        side = round(np.exp(random.uniform(np.log(smallest), np.log(shorter))))
        left, top = (int(random.integers(0, length - side + 1)) for length in photo.size)
        crop = photo.crop((left, top, left + side, top + side))
        if ground >= 1 or (np.abs(np.asarray(crop, np.int16) - MID_GREY).max(axis=-1) <= 6).mean() <= ground:
            return crop
    return None


# --------------------------------------------------------------------------------------------------------- measuring


def check_layer(model: keras.Model, layer: str) -> keras.layers.Layer:
    """Return a layer by name; ValueError that names the three nearest if there is none of that name."""
    names = [candidate.name for candidate in model.layers]
    if layer not in names:
        near = difflib.get_close_matches(str(layer), names, 3, 0)
        raise ValueError(f"no layer {layer!r}; the nearest names are {', '.join(near)}")
    return model.get_layer(layer)


def check_channel(model: keras.Model, layer: str, channel: int) -> int:
    """Return a channel index as int; ValueError that names the range if the layer has no such channel."""
    count = check_layer(model, layer).output.shape[-1]
    if isinstance(channel, bool | np.bool_) or channel not in range(count):
        raise ValueError(f"{layer} has channels 0 to {count - 1}, not {channel}")
    return int(channel)


def feature_model(model: keras.Model, layers: str | Sequence[str]) -> keras.Model:
    """Return the model from its input to one layer's output, or to a dict {name: output} of several layers."""
    if isinstance(layers, str):
        return keras.Model(model.input, check_layer(model, layers).output)
    if len(layers) == 0:
        raise ValueError("the list of layers is empty: pass at least one name")
    return keras.Model(model.input, {name: check_layer(model, name).output for name in layers})


def parents(model: keras.Model, layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Return the layers of a model whose outputs a layer takes, in order; none for the input layer."""
    if isinstance(layer, keras.layers.InputLayer):
        return []
    inputs = layer.input if isinstance(layer.input, list) else [layer.input]
    return [next(above for above in model.layers if above.output is tensor) for tensor in inputs]


def rectified_view(model: keras.Model, layer: str) -> str:
    """Name the ReLU that the network itself reads `layer` through: conv2_block3_out → conv3_block1_preact_relu.

    A ReLU is its own view. Raises ValueError for a layer that no BatchNorm with a ReLU follows.
    """
    view = check_layer(model, layer)
    for kind in (keras.layers.BatchNormalization, keras.layers.Activation):
        if isinstance(view, keras.layers.Activation):
            break
        if not isinstance(view, kind):
            view = next((c for c in model.layers if isinstance(c, kind) and view in parents(model, c)), None)
        if view is None:
            raise ValueError(f"{layer} is not read through a ReLU: take a layer that BatchNorm and a ReLU follow")
    return view.name


class ReceptiveField(NamedTuple):
    """Position i of a layer sees `size` pixels from `first` + `stride`·i on, on each axis (zero padding included)."""

    size: int
    stride: int
    first: int

    def span(self, position: int) -> tuple[int, int]:
        """Return the first and the last pixel that a position sees; beyond the image where it sees padding."""
        start = self.first + self.stride * position
        return start, start + self.size - 1

    def clear_of_padding(self, side: int) -> list[int]:
        """Return the positions along an axis of `side` pixels whose field lies wholly inside the image."""
        positions = range(-(-side // self.stride))
        return [i for i in positions if self.span(i)[0] >= 0 and self.span(i)[1] <= side - 1]


WINDOWS = keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.MaxPooling2D, keras.layers.AveragePooling2D
POINTWISE = (
    keras.layers.InputLayer,
    keras.layers.BatchNormalization,
    keras.layers.Activation,
    keras.layers.Add,
    keras.layers.ReLU,
)


def receptive_field(model: keras.Model, layer: str) -> ReceptiveField:
    """Return the theoretical receptive field of a layer, from the graph (recurrence of Araujo et al. 2019).

    ValueError where it depends on the image's size, or where a layer on the way is of a kind that is not known here.
    """
    target = check_layer(model, layer)
    fields: dict[str, tuple[int, int, int]] = {}  # layer name → first and last pixel of position 0, stride
    for current in model.layers:
        above = [fields.get(parent.name) for parent in parents(model, current)]
        if None in above:
            continue  # after a layer that has no field: an error only if it is the target
        first, last = min((f for f, _, _ in above), default=0), max((e for _, e, _ in above), default=0)
        stride = above[0][2] if above else 1
        if isinstance(current, keras.layers.ZeroPadding2D):
            shift = current.padding[0][0] * stride
            first, last = first - shift, last - shift
        elif type(current) in WINDOWS:
            window, step, same = _window(current)
            if window > 1 and step > 1 and same:
                continue
            before = (window - 1) // 2 if same else 0
            first, last, stride = first - before * stride, last + (window - 1 - before) * stride, stride * step
        elif not isinstance(current, POINTWISE):
            continue
        fields[current.name] = (first, last, stride)
    if target.name not in fields:
        raise ValueError(
            f"{layer} has no receptive field of one size: it, or a layer before it, sees the whole image, "
            'strides with padding="same", or is of a kind that is not known here'
        )
    first, last, stride = fields[target.name]
    return ReceptiveField(last - first + 1, stride, first)


def _window(layer: keras.layers.Layer) -> tuple[int, int, bool]:
    """Return side in positions (dilation included), stride and whether padding is "same" of a convolution or pool."""
    sides = layer.pool_size if hasattr(layer, "pool_size") else layer.kernel_size
    if len({*sides}) > 1 or len({*layer.strides}) > 1:
        raise ValueError(
            f"{layer.name} has a window of {sides} and strides {layer.strides}: only squares are known here"
        )
    dilation = getattr(layer, "dilation_rate", (1, 1))[0]
    return (sides[0] - 1) * dilation + 1, layer.strides[0], layer.padding == "same"


def strongest(values: np.ndarray, sources: Sequence[str], count: int) -> list[int]:
    """Return the indices of the `count` largest values, (n,), strongest first, at most one for each source."""
    best = {sources[i]: int(i) for i in np.argsort(values)}
    return sorted(best.values(), key=lambda i: -values[i])[:count]


def check(claim: str, truth: bool) -> None:
    """Print a claim with ✓ if it is true, else "not so here"; raise AssertionError only where CHECKS=strict is set."""
    print(f"✓ {claim}" if truth else f"not so here: {claim}")
    if not truth and os.environ.get("CHECKS") == "strict":
        raise AssertionError(f"measured otherwise: {claim}")


# ------------------------------------------------------------------------------------------- activation maximization

# The colour decorrelation that the field shares since Lucid (Olah et al. 2017), divided by its largest column norm.
COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]], np.float32) / 0.46195
PIXELS = 16 * 152**2  # of the images optimized together: bounds the memory, whatever their number
STEPS_A_CALL = 8  # taken inside one compiled call, between two looks at the progress bar


class Transforms(NamedTuple):
    """How an image is moved at each step: padded with mid-grey, shifted by up to `jitter` px, scaled by 1 ± `scale`."""

    pad: int = 12
    jitter: float = 8.0
    scale: float = 0.1

    def matrices(self, size: int, seed: int, step: int) -> list[np.ndarray]:
        """Return the resampling of rows and that of columns, each (size + 2 pad, size), drawn from (seed, step).

        Shift and scale are separable, so that bilinear sampling is two matrix products, with an exact gradient.
        """
        random = np.random.default_rng([seed, step])
        zoom, shifts = 1 + random.uniform(-self.scale, self.scale), random.uniform(-self.jitter, self.jitter, 2)
        places = (np.arange(size + 2 * self.pad) - (size + 2 * self.pad - 1) / 2) / zoom + (size - 1) / 2
        distances = [np.abs(places[:, None] + shift - np.arange(size)) for shift in shifts]
        return [np.maximum(0, 1 - distance).astype(np.float32) for distance in distances]


class Recipe(NamedTuple):
    """What `maximize` does unless told otherwise: side in px, steps, Adam's rate, whether it falls to 0 in a straight
    line, how the image is moved, and the share of the steps that are taken first, and at a quarter of the cost, at half
    the side (forms come out larger, with less speckle).
    """

    size: int
    steps: int
    rate: float
    decay: bool
    transforms: Transforms
    coarse: float


def recipe_for(model: keras.Model, layer: str) -> Recipe:
    """Return the recipe for a layer (measured in docs/recipe.md): 128 px where one position sees at most that, 224 px
    where it sees more, and a calmer one for the classes.
    """
    if _holds_logits(model, layer):
        return Recipe(224, 90, 0.05, True, Transforms(16, 16, 0.2), 56 / 90)
    try:
        near = receptive_field(model, layer).size <= 128
    except ValueError:  # a layer without positions sees the whole image
        near = False
    deep = Recipe(224, 42, 0.1, False, Transforms(16, 16, 0.2), 24 / 42)
    return Recipe(128, 64, 0.1, False, Transforms(), 0) if near else deep


def _holds_logits(model: keras.Model, layer: str) -> bool:
    """Return whether a layer is the Dense layer that ends the model; any other last layer is climbed for itself."""
    found = check_layer(model, layer)
    return found is model.layers[-1] and isinstance(found, keras.layers.Dense)


class Optimized(NamedTuple):
    """Optimized images, (n, size, size, 3) in [0, 1]; what was optimized at every step, (n, steps); and for each image
    whether a gradient ever `moved` it, (n,): behind a ReLU that is off, none does, and the image is the noise it was.
    """

    images: np.ndarray
    history: np.ndarray
    moved: np.ndarray


def maximize(
    model: keras.Model,
    layer: str,
    channels: int | Sequence[int],
    size: int | None = None,
    steps: int | None = None,
    rate: float | None = None,
    decay: bool | None = None,
    parameterization: str = "fourier",
    decorrelate: bool = True,
    transforms: Transforms | str | None = "auto",
    coarse: float | None = None,
    objective: str | Callable[[tf.Tensor], tf.Tensor] = "channel",
    sign: int = 1,
    diversity: float = 0.0,
    seed: int = 0,
) -> Optimized:
    """Return an image for each channel that drives it hard, by gradient ascent (method: Olah et al. 2017).

    The objective is the channel's mean over all positions ("channel"), its middle position ("neuron"), or a function
    of the features, (n, height, width, channels) or logits (n, 1000), that returns the scores of the n images, (n,). A
    class logit is layer="predictions", climbed less half of the log-sum-exp of the others; sign=-1 minimizes. Side,
    steps, rate, decay, moves and the `coarse` share are those of `recipe_for` the layer unless given; transforms=None
    moves nothing. A channel given k times gets k images, which `diversity` pushes apart. An image depends on (seed,
    channel, how-manieth copy), not on its neighbours.
    Raises ValueError for arguments out of range, FloatingPointError for an objective that is not finite.
    """
    if np.ndim(channels) > 1:
        raise ValueError("channels is nested: pass one channel or a flat list of them")
    targets = [check_channel(model, layer, channel) for channel in np.atleast_1d(channels)]
    recipe = recipe_for(model, layer)
    given = zip((size, steps, rate, decay), recipe[:4], strict=True)
    size, steps, rate, decay = (own if argument is None else argument for argument, own in given)
    _check_size(size, most=1024, even=True)
    if coarse is None:
        coarse = recipe.coarse if parameterization == "fourier" and size >= 64 else 0
    moves = _check_transforms(recipe.transforms if isinstance(transforms, str) and transforms == "auto" else transforms)
    _check_ascent(
        model, layer, len(targets), size, steps, rate, coarse, parameterization, objective, sign, diversity, seed
    )
    keys = [(seed, channel, targets[:i].count(channel)) for i, channel in enumerate(targets)]
    parts = -(-len(targets) // max(1, round(PIXELS / (size + 2 * moves.pad) ** 2)))
    if diversity > 0 and parts > 1:
        raise ValueError(f"diversity compares images made together: pass at most {len(targets) // parts} at {size} px")
    chunk = -(-len(targets) // parts)
    one_hot = tf.Variable(np.zeros((chunk, model.get_layer(layer).output.shape[-1]), np.float32))
    rival = _holds_logits(model, layer)
    goal_of = _goal(feature_model(model, layer), one_hot, objective, float(sign), float(diversity), rival)
    ascent = _Ascent(goal_of, chunk, size, parameterization, decorrelate, rate, decay)
    results = []
    with _progress(parts * chunk * steps, layer) as bar:
        for begin in range(0, len(targets), chunk):
            rows = [min(begin + i, len(targets) - 1) for i in range(chunk)]  # the last chunk is filled up
            one_hot.assign(np.eye(one_hot.shape[1], dtype=np.float32)[[targets[i] for i in rows]])
            start = np.stack([_start(size, parameterization, keys[i]) for i in rows])
            names = [f"{layer} channel {targets[i]}" for i in rows]
            results.append(ascent.run(start, moves, steps, round(coarse * steps), seed, names, bar))
    return Optimized(*(np.concatenate(arrays)[: len(targets)] for arrays in zip(*results, strict=True)))


def _check_transforms(transforms) -> Transforms:
    """Return transforms as `Transforms`, None as no movement; ValueError in words for anything else."""
    try:
        moves = Transforms(*((0, 0, 0) if transforms is None else transforms))
        right = min(moves) >= 0 and moves.scale < 1 and moves.pad == int(moves.pad) and max(moves) <= 1024
    except (TypeError, ValueError, OverflowError):
        right = False
    if not right:
        raise ValueError(f"transforms={transforms!r}: pass Transforms(pad, jitter, scale) from 0 up, or None")
    return moves


def _check_ascent(
    model, layer, count, size, steps, rate, coarse, parameterization, objective, sign, diversity, seed
) -> None:
    """Raise ValueError for the first argument of `maximize` that is out of range."""
    flat = len(check_layer(model, layer).output.shape) == 2
    _check_size(size, most=1024, even=True)
    if not all(isinstance(value, int | np.integer) for value in (steps, seed)):
        raise ValueError(f"steps={steps!r}, seed={seed!r}: pass whole numbers")
    for wrong, words in (
        (count < 1, "channels is empty: pass at least one"),
        (steps < 1, f"steps={steps}: pass at least 1"),
        (not 0 < rate < 10, f"rate={rate}: pass a number between 0 and 10"),
        (not 0 <= coarse <= 1, f"coarse={coarse}: pass a share of the steps, 0 to 1"),
        (coarse > 0 and parameterization == "pixels", "coarse steps cut a spectrum: pass coarse=0 with 'pixels'"),
        (coarse > 0 and size < 64, f"coarse steps are taken at half the side: with size={size} pass coarse=0"),
        (
            parameterization not in ("fourier", "pixels"),
            f"parameterization={parameterization!r}: 'fourier' or 'pixels'",
        ),
        (
            not callable(objective) and objective not in ("channel", "neuron"),
            f"objective={objective!r}: pass 'channel', 'neuron' or a function of the features",
        ),
        (sign not in (1, -1), f"sign={sign}: pass 1 to maximize or -1 to minimize"),
        (not diversity >= 0, f"diversity={diversity}: pass 0 or more"),
        (seed < 0, f"seed={seed}: pass 0 or more"),
        (diversity > 0 and flat, f"diversity compares textures, and {layer} has no positions: pass 0"),
    ):
        if wrong:
            raise ValueError(words)


def _goal(features_of, one_hot: tf.Variable, objective, sign: float, diversity: float, rival: bool) -> Callable:
    """Return the function inputs → (score of each image, what is to be climbed), both (n,)."""

    def goal_of(inputs):
        features = features_of(inputs)
        score = (
            objective(features) if callable(objective) else tf.reduce_sum(_reduce(features, objective) * one_hot, -1)
        )
        if score.shape.rank != 1:
            raise ValueError(f"the objective returned shape {score.shape}: return one score an image, (n,)")
        if rival and not callable(objective):  # a class against the others, which a logit alone would lift as well
            return score, sign * (score - 0.5 * tf.reduce_logsumexp(features - 1e9 * one_hot, axis=-1))
        if not diversity:
            return score, sign * score
        # mean cosine between the Gram matrices of copies, in units of the score (Olah et al. 2017)
        flat = tf.reshape(features, [tf.shape(features)[0], -1, features.shape[-1]])
        gram = tf.math.l2_normalize(tf.matmul(flat, flat, transpose_a=True), axis=[1, 2])
        copies = tf.linalg.set_diag(tf.matmul(one_hot, one_hot, transpose_b=True), tf.zeros_like(score))
        alike = tf.reduce_sum(tf.einsum("ncd,mcd->nm", gram, gram) * copies, axis=1)
        alike /= tf.maximum(tf.reduce_sum(copies, axis=1), 1)
        return score, sign * score - diversity * tf.stop_gradient(tf.abs(score)) * alike

    return goal_of


class _Ascent:
    """Adam's steps up `goal_of`, several in one compiled call, on the parameters of `count` images at once."""

    def __init__(self, goal_of, count: int, size: int, parameterization: str, decorrelate: bool, rate, decay) -> None:
        self.goal_of, self.size, self.form = goal_of, size, (parameterization, decorrelate)
        self.values = tf.Variable(np.zeros((count, *_start(size, parameterization, [0]).shape), np.float32))
        self.moved = tf.Variable(tf.zeros(count, tf.bool))
        self.optimizer, self.rate, self.decay = keras.optimizers.Adam(rate), rate, decay
        self.optimizer.build([self.values])
        self.climb = functools.cache(self._compiled)

    def _compiled(self, side: int) -> Callable:
        """Compile: resampling matrices of images of `side` px, (steps, …, side) twice → the scores, (steps, n)."""

        def step(_, matrices):
            with tf.GradientTape() as tape:
                inputs = 2 * _to_image(self.values, side, *self.form) - 1
                inputs = tf.einsum("yh,nhwc->nywc", matrices[0], inputs)
                score, goal = self.goal_of(tf.einsum("xw,nywc->nyxc", matrices[1], inputs))
            gradient = tape.gradient(goal, self.values, unconnected_gradients="zero")
            axes = list(range(1, gradient.shape.rank))
            self.moved.assign(self.moved | tf.reduce_any(gradient != 0, axis=axes))
            self.optimizer.apply([-gradient], [self.values])
            return score

        def climb(rows, columns):
            return tf.scan(step, (rows, columns), tf.zeros(self.values.shape[0]), parallel_iterations=1)

        moves = tf.TensorSpec([None, None, side])
        function = tf.function(climb, [moves, moves], autograph=False)
        return function.get_concrete_function()  # a function that is made anew would be warned of

    def run(self, start, moves: Transforms, steps: int, coarse: int, seed: int, names: list[str], bar) -> tuple:
        """Climb from `start`, `coarse` of the steps at half the side; return images, history (n, steps), moved (n,)."""
        self.values.assign(start)
        self.moved.assign(tf.zeros_like(self.moved))
        half = Transforms(moves.pad // 2, moves.jitter / 2, moves.scale)
        history: list[np.ndarray] = []
        for side, own, first, last in ((self.size // 4 * 2, half, 0, coarse), (self.size, moves, coarse, steps)):
            for variable in self.optimizer.variables[2:]:  # the moments; iterations and rate come first
                variable.assign(tf.zeros_like(variable))
            self.optimizer.iterations.assign(0)
            for begin in range(first, last, STEPS_A_CALL):
                taken = range(begin, min(begin + STEPS_A_CALL, last))
                left = 1 - (begin + taken[-1] + 1) / 2 / steps if self.decay else 1
                self.optimizer.learning_rate.assign(self.rate * left)
                matrices = zip(*(own.matrices(side, seed, step) for step in taken), strict=True)
                history.extend(self.climb(side)(*(tf.constant(np.stack(part)) for part in matrices)).numpy())
                if not np.isfinite(history[begin:]).all():
                    step, bad = np.argwhere(~np.isfinite(history[begin:]))[0]
                    raise FloatingPointError(f"{names[bad]}: the objective is not finite at step {begin + step}")
                bar.update(len(taken) * len(names))
        return _to_image(self.values, self.size, *self.form).numpy(), np.stack(history, axis=1), self.moved.numpy()


def _progress(total: int, words: str) -> tqdm:
    """Return a plain progress bar that shows itself after two seconds and leaves nothing behind."""
    return tqdm(total=total, desc=words, unit="step", file=sys.stdout, delay=2, leave=False)


def _start(size: int, parameterization: str, key: Sequence[int]) -> np.ndarray:
    """Return faint noise (sd 0.1) in the space of the parameterization, drawn from a key of integers."""
    shape = (3, size, size // 2 + 1, 2) if parameterization == "fourier" else (size, size, 3)
    return np.random.default_rng(key).normal(0, 0.1, shape).astype(np.float32)


def _to_image(values: tf.Tensor, side: int, parameterization: str, decorrelate: bool) -> tf.Tensor:
    """Return the images in [0, 1], (n, side, side, 3), that parameters stand for.

    "fourier": spectra (n, 3, size, size // 2 + 1, 2) whose coefficients are divided by their frequency, so that a step
    of equal length in each changes coarse structure most, as in photos; of larger spectra the low frequencies that
    `side` px can show. "pixels": (n, side, side, 3). Then a sigmoid.
    """
    if parameterization == "fourier":
        values = tf.concat([values[:, :, : side // 2], values[:, :, -(side // 2) :]], 2)[:, :, :, : side // 2 + 1]
        frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
        spectrum = tf.complex(values[..., 0], values[..., 1]) * (side / 4 / np.maximum(frequency, 1 / side))
        values = tf.transpose(tf.signal.irfft2d(tf.cast(spectrum, tf.complex64), [side, side]), [0, 2, 3, 1])
    return tf.sigmoid(tf.einsum("nhwc,dc->nhwd", values, COLOURS) if decorrelate else values)


def _reduce(features: tf.Tensor, objective: str) -> tf.Tensor:
    """Return one number a channel, (n, channels): the mean over positions, or the middle one; logits as they are."""
    if len(features.shape) == 2:
        return features
    y, x = tf.shape(features)[1] // 2, tf.shape(features)[2] // 2
    return features[:, y, x] if objective == "neuron" else tf.reduce_mean(features, axis=[1, 2])


def invert(model: keras.Model, layer: str, photo: np.ndarray, steps: int = 128, seed: int = 0) -> Optimized:
    """Return an image whose features at `layer` are those of a photo, (size, size, 3) in [0, 1] with an even side.

    Gradient descent on ‖f(x) − f(photo)‖² / ‖f(photo)‖², which is the history (after Mahendran & Vedaldi 2014).
    """
    if np.ndim(photo) != 3 or len(photo) != np.shape(photo)[1]:
        raise ValueError(f"a photo of shape {np.shape(photo)}: pass one square photo, as load_image(path, size) gives")
    size, features_of = len(photo), feature_model(model, layer)
    _check_ascent(model, layer, 1, size, steps, 0.1, 0, "fourier", "channel", 1, 0, seed)
    target = features_of(preprocess(photo))

    def goal_of(inputs):
        error = tf.reduce_sum((features_of(inputs) - target) ** 2) / tf.reduce_sum(target**2)
        return error[None], -error[None]

    ascent, start = _Ascent(goal_of, 1, size, "fourier", True, 0.1, False), _start(size, "fourier", [seed])[None]
    with _progress(steps, layer) as bar:
        return Optimized(*ascent.run(start, Transforms(0, 0, 0), steps, 0, seed, [layer], bar))


def channel_responses(
    model: keras.Model, layers: str | Sequence[str], images: np.ndarray, objective: str = "channel"
) -> np.ndarray | dict[str, np.ndarray]:
    """Return what `maximize` would climb, measured on images in one pass: (n, channels) of one layer, or, for a list of
    layers, {layer: (n, channels)}.
    """
    if objective not in ("channel", "neuron"):
        raise ValueError(f"objective={objective!r}: pass 'channel' or 'neuron'")
    features_of, names = feature_model(model, layers), [layers] if isinstance(layers, str) else list(layers)

    def pooled(inputs):
        features = features_of(inputs)
        return [_reduce(features if isinstance(layers, str) else features[name], objective) for name in names]

    signature = [tf.TensorSpec([None, None, None, 3])]
    compiled = tf.function(pooled, signature).get_concrete_function()  # run eagerly, it would keep its buffers
    starts = range(0, max(len(images), 1), 16)
    batches = [compiled(tf.constant(preprocess(images[i : i + 16]))) for i in starts]
    responses = {name: np.concatenate(parts) for name, parts in zip(names, zip(*batches, strict=True), strict=True)}
    return responses[layers] if isinstance(layers, str) else responses


class Drive(NamedTuple):
    """Drive and robust drive of n images; NaN where the natural inputs do not differ."""

    drive: np.ndarray
    robust: np.ndarray

    def captions(self) -> list[str]:
        """Return "drive / robust drive" of each image with one decimal, "–" where there is none."""
        pairs = zip(self.drive, self.robust, strict=True)
        return [" / ".join("–" if np.isnan(v) else f"{round(float(v), 1) + 0:.1f}" for v in pair) for pair in pairs]


def drive(
    model: keras.Model,
    layer: str,
    channels: Sequence[int],
    images: np.ndarray,
    natural: np.ndarray,
    objective: str = "channel",
    sign: int = 1,
) -> Drive:
    """Measure n images, one for each of n channels, against natural inputs: 0 is their median, 1 the strongest of them.

    Both are measured on the 8-bit image, (n, size, size, 3), uint8 or in [0, 1]. Robust drive is the smallest of three
    damaged copies: blurred (sigma 1 px), JPEG at quality 50, shifted by (5, 3) px over mid-grey. `natural` is
    `channel_responses` at the same side, (n, channels of the layer); `objective` and `sign` as in `maximize`.
    """
    channels, width = [check_channel(model, layer, c) for c in channels], model.get_layer(layer).output.shape[-1]
    if isinstance(natural, NaturalInputs | dict):
        raise ValueError("`natural` is what channel_responses(model, layer, natural_inputs(size).images) returns")
    natural = np.asarray(natural)
    if natural.shape[1:] != (width,) or not len(natural) or not np.isfinite(natural).all():
        raise ValueError(f"natural responses of shape {natural.shape}: pass finite ones of shape (n, {width})")
    shown = np.round(255 * deprocess(preprocess(images))).astype(np.uint8)
    if len(shown) != len(channels) or sign not in (1, -1):
        raise ValueError(
            f"{len(shown)} images for {len(channels)} channels, sign {sign}: pass one image a channel, 1 or -1"
        )
    copies = np.concatenate([shown, *damaged(shown).values()])
    found = channel_responses(model, layer, copies, objective).reshape(4, len(shown), -1)
    values = sign * found[:, np.arange(len(shown)), channels]
    middle, most = sign * np.median(natural[:, channels], axis=0), (sign * natural[:, channels]).max(axis=0)
    span = np.where(most > middle, most - middle, np.nan)
    relative = (values - middle) / span
    return Drive(relative[0], relative[1:].min(axis=0))


def damaged(images: np.ndarray) -> dict[str, np.ndarray]:
    """Return 8-bit images, (n, size, size, 3), in the three copies of robust drive: blurred, JPEG and shifted."""
    copies: dict[str, list] = {"blurred": [], "JPEG": [], "shifted": []}
    for picture in map(Image.fromarray, images):
        picture.save(buffer := io.BytesIO(), "jpeg", quality=50)
        copies["blurred"].append(np.asarray(picture.filter(ImageFilter.GaussianBlur(1))))
        copies["JPEG"].append(np.asarray(Image.open(buffer)))
        copies["shifted"].append(np.asarray(picture.rotate(0, translate=(5, 3), fillcolor=(MID_GREY,) * 3)))
    return {name: np.stack(pictures) for name, pictures in copies.items()}


# ------------------------------------------------------------------------------------------------------------- atlas

ATLAS = ROOT / "data" / "atlas"


def atlas_picture(layer: str, channel: int, model: keras.Model | None = None) -> np.ndarray:
    """Return a channel's picture, uint8 (tile, tile, 3), at once from data/atlas/, which `make atlas` makes.

    If the weights of `model`, or without one those that `load_model` would load, are not the atlas', it says so and
    computes the picture. ValueError for a layer or channel that the atlas lacks, and for files that are damaged.
    """
    about, sheet = _atlas(ATLAS, layer, sum(path.stat().st_mtime_ns for path in ATLAS.glob(f"{layer}.*")))
    if channel not in range(len(about["channels"])):
        raise ValueError(f"the atlas of {layer} has channels 0 to {len(about['channels']) - 1}, not {channel}")
    if model is None and (weights_in_use(), about["weights"]) != ("transplant", TRANSPLANT_SHA256):
        model = load_model()
    side, recipe, (row, column) = about["tile"], about["recipe"], divmod(channel, about["columns"])
    if model is None or fingerprint(model) == about["fingerprint"]:
        return sheet[row * side : (row + 1) * side, column * side : (column + 1) * side].copy()
    print(f"The atlas was made with other weights: {layer}, channel {channel}, is computed.")
    made = maximize(model, layer, channel, recipe["size"], recipe["steps"], seed=about["seed"]).images[0]
    return np.asarray(Image.fromarray(np.uint8(255 * made + 0.5)).resize((side, side), Image.Resampling.LANCZOS))


def fingerprint(model: keras.Model) -> str:
    """Return the SHA-256 of all arrays of a model."""
    return hashlib.sha256(b"".join(array.tobytes() for array in model.get_weights())).hexdigest()


@functools.lru_cache(maxsize=4)
def _atlas(folder: Path, layer: str, changed: int) -> tuple[dict, np.ndarray]:
    """Return what the atlas says of a layer and the sheet of its pictures; refused unless the two fit together."""
    try:
        about, data = json.loads((folder / f"{layer}.json").read_bytes()), (folder / f"{layer}.jpg").read_bytes()
        size, columns, side = Image.open(io.BytesIO(data)).size, about["columns"], about["tile"]
        wanted = columns * side, -(-len(about["channels"]) // columns) * side
        if size != wanted or hashlib.sha256(data).hexdigest() != about["sheet"]:
            raise ValueError(f"a sheet of {size} px, cut short or altered; it was written with {wanted}")
        return about, np.asarray(Image.open(io.BytesIO(data)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        there = ", ".join(sorted(path.stem for path in folder.glob("*.json"))) or "nothing yet"
        ways_out = f"`git checkout -- data/atlas` restores it, `make atlas LAYERS={layer}` makes what is missing"
        raise ValueError(f"no atlas of {layer}, or a damaged one ({error}); there is {there}: {ways_out}") from error


# ---------------------------------------------------------------------------------------------------------- plotting


def show(figure: Figure, alt: str, kind: str = "png") -> None:
    """Put a figure into the notebook as one static, opaque image with alt text, and close it.

    `kind` is "png" for plots and "jpeg" (quality 85) for grids of photos; the width is the figure's, at 100 dpi.
    """
    import matplotlib.pyplot as plt
    from IPython import display

    buffer = io.BytesIO()
    options = {"pil_kwargs": {"quality": 85, "optimize": True}} if kind == "jpeg" else {}
    figure.savefig(buffer, format=kind, dpi=100, facecolor="white", **options)
    plt.close(figure)
    display.display(display.Image(data=buffer.getvalue(), format=kind, metadata={"alt": alt}))


def image_grid(
    images: Sequence[np.ndarray], titles: Sequence[str] = (), columns: int = 6, title: str = "", width: float = 9.6
) -> Figure:
    """Return a figure of images in [0, 1] (or uint8), each (height, width, 3), row by row, one title above each."""
    return _grid(images, titles, columns, title, width, {"interpolation": "lanczos"})[0]


def map_grid(
    maps: Sequence[np.ndarray], titles=(), columns=8, title="", signed=False, label="activation", limit=None, width=9.6
) -> Figure:
    """Return a figure of maps, each (height, width), on ONE scale with its colour bar.

    The scale runs from 0 to `limit` (viridis), or from -limit to limit with white at 0 if `signed`; `limit` is the
    largest absolute value of all maps unless given.
    """
    if not signed and min((np.min(m) for m in maps), default=0) < 0:
        raise ValueError("the maps hold negative values: pass signed=True, or their ReLU")
    top = float(limit if limit is not None else max((np.abs(m).max() for m in maps), default=0)) or 1.0
    norm = Normalize(-top if signed else 0, top)
    style = {"cmap": colormaps["RdBu_r" if signed else "viridis"], "norm": norm, "interpolation": "nearest"}
    figure, artist = _grid(maps, titles, columns, title, width, style)
    figure.colorbar(artist, ax=figure.axes, label=label, shrink=0.8, aspect=30, pad=0.01)
    return figure


def _grid(pictures: Sequence[np.ndarray], titles: Sequence[str], columns: int, title: str, width: float, style: dict):
    """Lay pictures out in rows; return the figure and the last artist drawn, whose scale is that of all."""
    if len(pictures) == 0:
        raise ValueError("no pictures to show: pass at least one")
    if not all(np.isfinite(picture).all() for picture in pictures):
        raise ValueError("a picture holds NaN or infinite values")
    columns, titles = max(1, min(columns, len(pictures))), [str(title) for title in titles]
    rows = -(-len(pictures) // columns)
    height = np.shape(pictures[0])[0] / np.shape(pictures[0])[1]
    lines = max((text.count("\n") + 1 for text in titles), default=0)
    tall = rows * (width / columns * height + 0.17 * lines) + 0.35 * bool(title)
    figure = Figure(figsize=(width, tall), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for number, place in enumerate(axes.flat):
        place.axis("off")
        if number < len(pictures):
            artist = place.imshow(pictures[number], **style)
            text, size = titles[number] if number < len(titles) else "", 8 if columns > 6 else 10
            place.set_title(text, fontsize=size, pad=3, linespacing=1.4)
    figure.suptitle(title, fontsize=11)
    return figure, artist


def top_patches(model: keras.Model, layer: str, channel: int, natural: NaturalInputs, values: np.ndarray, count=6):
    """Return the indices of the `count` natural inputs with the largest values, one a photo, and the patches there.

    `values`, (n,), are the channel's means. A patch is what the position with the largest activation sees, moved inside
    the image at its border; where the receptive field is larger than the image, the whole image with that spot framed.
    """
    field, size, patches = receptive_field(model, layer), natural.images.shape[1], []
    channel = check_channel(model, layer, channel)
    if np.shape(values) != (len(natural.images),):
        raise ValueError(f"values of shape {np.shape(values)}: pass one for each of {len(natural.images)} inputs")
    indices = strongest(values, natural.sources, count)
    maps = feature_model(model, layer)(preprocess(natural.images[indices])).numpy()[..., channel]
    for image, activations in zip(natural.images[indices], maps, strict=True):
        side = field.size if field.size <= size else size // 4
        middle = field.stride * np.array(np.unravel_index(activations.argmax(), activations.shape))
        y, x = np.clip(middle - side // 2, 0, size - side)
        patch = image[y : y + side, x : x + side].copy()
        if field.size > size:
            image[y : y + side, x : x + side] = 255, 0, 0
            image[y + 2 : y + side - 2, x + 2 : x + side - 2] = patch[2:-2, 2:-2]
        patches.append(image if field.size > size else patch)
    return indices, patches


def portrait(model: keras.Model, layer: str, channel: int, natural: NaturalInputs | None = None) -> Figure:
    """Return all that is known of one filter of a layer with positions, as one figure (`natural`: of even side)."""
    natural = natural_inputs() if natural is None else natural
    responses = channel_responses(model, layer, natural.images)
    values = responses[:, check_channel(model, layer, channel)]
    best, patches = top_patches(model, layer, channel, natural, values)
    made = maximize(model, layer, channel, natural.images.shape[1]).images
    found, middle = drive(model, layer, [channel], made, responses), np.median(values)
    figure = Figure(figsize=(9.6, 4.4), layout="constrained")
    places = figure.subplot_mosaic("Saaa;Sbbb;xxxx", height_ratios=(3, 3, 2.6))
    gap, axis = ((0, 0), (0, len(patches[0]) // 16), (0, 0)), places.pop("x")
    strips = [np.hstack([np.pad(p, gap, constant_values=255) for p in s]) for s in (natural.images[best], patches)]
    titles = f"synthetic\ndrive / robust: {found.captions()[0]}", "strongest, one a photo", "where these peak"
    for place, picture, title in zip(places.values(), [made[0], *strips], titles, strict=True):
        place.imshow(picture)
        place.set_title(title, fontsize=9, loc="left")
        place.axis("off")
    shown, damaged = (middle + part * (values.max() - middle) for part in found)
    rows = {f"{len(values)} natural": values, "strongest": values[best], "… damaged": damaged, "synthetic": shown}
    for row, dots in enumerate(rows.values()):
        axis.plot(dots, np.full(len(dots), row), "|" if row < 2 else "D", color=("grey", "C1", "C0", "C0")[row])
    axis.set(yticks=range(4), yticklabels=rows, ylim=(-0.6, 3.6), xlabel="mean of the channel over the map")
    figure.suptitle(f"{layer}, channel {channel}")
    return figure


BLOCKS = dict(  # kind of layer: its colour and its words in `draw_block`, of the layer and its stride
    x=("white", "x, {0.output.shape[3]}\nchannels"),
    branch=("#f0f0f0", "the rest of\nthe branch"),
    Conv2D=("#9ecae1", "{0.kernel.shape[0]}×{0.kernel.shape[1]} conv{1}\n{0.kernel.shape[2]} → {0.filters}"),
    BatchNormalization=("#c7e9c0", "Batch\nNorm"),
    Activation=("#fdd0a2", "ReLU"),
    MaxPooling2D=("#dadaeb", "max-pool\n{0.pool_size[0]}×{0.pool_size[1]}{1}"),
    ZeroPadding2D=("#f0f0f0", "zero-pad"),
    Add=("#ffffb3", "+"),
)


def draw_block(model: keras.Model, block: str, axes, brief: bool = False) -> None:
    """Draw one residual block ("conv2_block1") as the model's graph has it: branch below, shortcut above, sum right.

    `brief` draws the branch beyond the point where the shortcut leaves it as one box.
    """
    total = check_layer(model, f"{block}_out")
    entry = parents(model, check_layer(model, f"{block}_preact_bn"))[0]
    branch = [next(p for p in parents(model, total) if p.name == f"{block}_3_conv")]
    while branch[0] is not entry:
        branch.insert(0, parents(model, branch[0])[0])
    shortcut = [next(p for p in parents(model, total) if p is not branch[-1])]
    while shortcut[0] not in branch:
        shortcut.insert(0, parents(model, shortcut[0])[0])
    start, grey = branch.index(shortcut[0]), "#555555"
    row = [*(branch[: start + 1] if brief else branch), *["branch"] * brief, total]
    end, middle = len(row) - 1, (start + len(row) - 1) / 2
    axes.plot([start, start, end], [0.3, 1, 1], color=grey, lw=1.2, zorder=1)
    for head, tail in [((end, 0.28), (end, 1)), *(((n + 0.6, 0), (n + 0.4, 0)) for n in range(end))]:
        style = {"arrowstyle": "->", "color": grey, "lw": 1.2, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", head, tail, arrowprops=style)
    boxes = [(layer, n, 0) for n, layer in enumerate(row)] + [(layer, middle, 1) for layer in shortcut[1:]]
    for layer, x, y in boxes:
        colour, words = BLOCKS["x" if layer is entry else layer if layer == "branch" else type(layer).__name__]
        stride = f" /{layer.strides[0]}" if getattr(layer, "strides", (1,))[0] > 1 else ""
        style = {"boxstyle": "round,pad=0,rounding_size=0.06", "fc": colour, "ec": grey}
        axes.add_patch(FancyBboxPatch((x - 0.4, y - 0.28), 0.8, 0.56, **style))
        axes.text(x, y, words.format(layer, stride), ha="center", va="center", fontsize=8)
    if len(shortcut) == 1:
        axes.text(middle, 1.06, "shortcut: x itself", ha="center", va="bottom", fontsize=9)
    half = 3 if brief else 6  # boxes to the left and right of the middle
    axes.set(xlim=(end / 2 - half, end / 2 + half), ylim=(-0.4, 1.4), aspect="equal")
    axes.set_title(block, fontsize=10)
    axes.axis("off")


# What a photo makes of the maps, and the maps of a photo (notebook 02)


def words(name: str | os.PathLike) -> str:
    """Return a file's or a class's name as people write it: texture_moss.jpg → moss, Dutch_oven → Dutch oven."""
    return re.sub(r"^texture_|_\d+$", "", Path(name).stem).replace("_", " ")


def overlay(photo: np.ndarray, activations: np.ndarray, stride: int, limit: float | None = None) -> np.ndarray:
    """Return a photo, (height, width, 3) in [0, 1], dimmed, and lit where a map, (rows, columns), is positive.

    Position i of the map is centred on pixel stride · i: the map is placed, not stretched, and interpolated between
    its positions. The light is full (magma's end) at `limit`, the map's own maximum unless given.
    """
    share = np.clip(activations / max(np.max(activations) if limit is None else limit, 1e-9), 0, 1)
    for length in np.shape(photo)[1::-1]:  # along the columns, then, turned, along the rows
        share = np.stack([np.interp(np.arange(length) / stride, np.arange(len(line)), line) for line in share]).T
    return np.clip(0.5 * photo + colormaps["magma"](share)[..., :3], 0, 1)


def map_on_photo(photo: np.ndarray, activations: np.ndarray, stride: int, title: str, label="activation") -> Figure:
    """Return one figure of a photo, of one map with its colour bar, and of the photo lit by the map (`overlay`)."""
    figure = Figure(figsize=(9.6, 3.2), layout="constrained")
    axes = figure.subplots(1, 3)
    axes[0].imshow(photo)
    figure.colorbar(axes[1].imshow(activations, vmin=0), ax=axes[1], shrink=0.85, label=label).outline.set_visible(
        False
    )
    axes[2].imshow(overlay(photo, activations, stride))
    titles = "the photo", f"{title}, {len(activations)} × {len(activations[0])} positions", "the two together"
    for place, text in zip(axes, titles, strict=True):
        place.set_title(text, fontsize=11)
        place.axis("off")
    return figure


def map_strips(rows: dict[str, dict[str, np.ndarray]], width: float = 9.6) -> Figure:
    """Return a figure of {row's title: {tile's title: map}}, each row on ONE scale of its own with its colour bar.

    A row with negative values runs from blue through white at 0 to red, any other from 0 up in viridis. Rows of one
    map each stand side by side.
    """
    columns = max(map(len, rows.values()))
    shape, tile = ((1, len(rows)), width / len(rows)) if columns == 1 else ((len(rows), 1), width / columns)
    figure = Figure(figsize=(width, shape[0] * (0.9 * tile + 0.4)), layout="constrained")
    parts = figure.subfigures(*shape, squeeze=False).flat
    for part, (title, tiles) in zip(parts, rows.items(), strict=True):
        low, high = min(map(np.min, tiles.values())), max(map(np.max, tiles.values()))
        limit = max(high, -low) or 1.0
        style = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit} if low < 0 else {"vmin": 0, "vmax": limit}
        axes = part.subplots(1, columns, squeeze=False)[0]
        for place, (name, values) in zip(axes, tiles.items(), strict=True):
            artist = place.imshow(values, interpolation="nearest", **style)
            place.set_title(name, fontsize=9, pad=3)
            place.axis("off")
        part.suptitle(title, fontsize=11)
        part.colorbar(artist, ax=list(axes), aspect=15).outline.set_visible(False)
    return figure


def lit_grid(photos, maps, stride: int, titles: Sequence[str], columns: int, limit: float | None = None) -> Figure:
    """Return a figure of photos, each lit by its map (`overlay`): on one scale up to `limit`, or each on its own."""
    lit = [overlay(photo, one, stride, limit) for photo, one in zip(photos, maps, strict=True)]
    return image_grid(lit, titles, columns, width=9.6 if columns > 3 else 8)


def look_inside(model: keras.Model, photo: str | os.PathLike | np.ndarray, layer: str = "conv4_block6_out") -> Figure:
    """Return one figure of a photo, a path or an array (height, width, 3): its five classes, the class map of the
    first, and the three channels of a layer that stand out most on it, each with its map and its picture.

    A channel stands out by its mean over the positions, in standard deviations from that of 250 natural inputs.
    """
    usual = channel_responses(model, layer, natural_inputs().images[::4])
    here = channel_responses(model, layer, load_image(photo, 128)[None])[0]
    apart = (here - usual.mean(axis=0)) / np.maximum(usual.std(axis=0), 1e-6)
    chosen, large = np.argsort(-apart)[:3], load_image(photo, 448)
    view, stride = rectified_view(model, layer), receptive_field(model, layer).stride
    found = feature_model(model, [view, "post_relu", "predictions"]).predict(preprocess(large), verbose=0)
    classes = [(c.index, words(c.name), c.probability) for c in top_predictions(found["predictions"])]
    figure = Figure(figsize=(9.6, 4.5), layout="constrained")
    axes = figure.subplot_mosaic("pcxyz;bbXYZ")
    class_map = found["post_relu"][0] @ model.get_layer("predictions").get_weights()[0][:, classes[0][0]]
    panels = {"p": ("the photo", large), "c": (f"where “{classes[0][1]}”\ncomes from", overlay(large, class_map, 32))}
    pictures = maximize(model, layer, chosen, 128, 24).images
    for place, channel, picture in zip("xyz", chosen, pictures, strict=True):
        lit = overlay(large, found[view][0, :, :, channel], stride)
        panels[place] = f"channel {channel}: {apart[channel]:.1f} sd\nabove its usual mean", lit
        panels[place.upper()] = "a picture\nthat drives it", picture
    for place, (title, picture) in panels.items():
        axes[place].imshow(picture)
        axes[place].set_title(title, fontsize=10)
        axes[place].axis("off")
    _, names, probabilities = zip(*classes, strict=True)
    axes["b"].barh(names, probabilities)
    axes["b"].set(xlim=(0, 1), xlabel="probability")
    axes["b"].invert_yaxis()
    return figure


def prediction_bars(photo: np.ndarray, logits: np.ndarray) -> Figure:
    """Return a photo beside bars for its five most probable classes; logits of shape (1000,) or (1, 1000)."""
    best = top_predictions(logits)
    figure = Figure(figsize=(8, 3), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.6))
    left.imshow(photo)
    left.axis("off")
    bars = right.barh([p.name.replace("_", " ") for p in best], [p.probability for p in best], color="#3182bd")
    right.bar_label(bars, fmt="%.2f", padding=3)
    right.set(xlim=(0, 1.1), xlabel="probability")
    right.invert_yaxis()
    return figure


def map_strip(photo: np.ndarray, maps: Sequence[np.ndarray], titles: Sequence[str] = (), columns: int = 6) -> Figure:
    """Return a photo and maps, each (height, width), in rows, each on a scale of its own.

    A map without negative values runs from 0 (dark) to its maximum (yellow), another from blue over white (0) to red.
    """
    figure = image_grid([photo, *maps], titles, columns)
    for axes, values in zip(figure.axes[1:], maps, strict=True):
        top, signed = np.abs(values).max() or 1, values.min() < 0
        axes.images[0].set(cmap="RdBu_r" if signed else "viridis", clim=(-top * signed, top), interpolation="nearest")
    return figure


def filter_at_work(photo, patch, kernel, feature_map, at: tuple[int, int]) -> Figure:
    """Return one filter of conv1 at one position (row, column) of its map: photo, patch × kernel = activation, map."""
    (y, x), side, top = at, len(kernel), np.abs(feature_map).max() or 1
    figure = image_grid([photo, patch, 0.5 + kernel / np.abs(kernel).max() / 2, feature_map], columns=4)
    panels = figure.axes
    panels[0].add_patch(Rectangle((2 * x - side / 2, 2 * y - side / 2), side, side, fill=False, ec="red", lw=2))
    panels[3].images[0].set(cmap="RdBu_r", clim=(-top, top))
    panels[3].plot(x, y, "o", ms=13, mfc="none", mec="black", mew=1.5)
    for axes in panels[1:3]:
        axes.images[0].set_interpolation("nearest")
    titles = "the photo", f"{side} × {side} pixels of it", "the filter's kernel", "its feature map"
    for axes, title, sign in zip(panels, titles, ("", "→", "×", f"= {feature_map[y, x]:.1f} →"), strict=True):
        axes.set_title(title, fontsize=10)
        axes.text(-0.04, 0.5, sign, transform=axes.transAxes, ha="right", va="center", fontsize=14)
    return figure


STAGES = dict(conv1="#dadaeb", conv2="#c6dbef", conv3="#9ecae1", conv4="#6baed6", conv5="#3182bd", head="#fdae6b")


def network_table(model: keras.Model, side: int = 224) -> dict[str, dict]:
    """Return {stage: {"slabs", "parameters", "work"}} of the network for photos of `side` px, from its graph.

    Slabs are the sides and channels of what the stem and each block pass on; work is the number of multiplications.
    """
    shapes = feature_model(model, [layer.name for layer in model.layers]).compute_output_shape((1, side, side, 3))
    table = {stage: {"slabs": [], "parameters": 0, "work": 0} for stage in STAGES}
    row = table["conv1"]
    for layer in model.layers:  # one without a stage's name (a pool, the classifier) belongs where the last one did
        row = table.get("head" if layer.name.startswith("post") else layer.name.split("_")[0], row)
        shape = shapes[layer.name]
        row["parameters"] += layer.count_params()
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            row["work"] += int(np.prod(shape[1:-1]) * np.prod(layer.kernel.shape))
        if layer.name.endswith(("_out", "conv1_conv", "pool1_pool", "predictions")):
            row["slabs"].append((shape[1] if len(shape) == 4 else 1, shape[-1]))
    return table


def draw_network(model: keras.Model, photo: np.ndarray) -> Figure:
    """Return the whole network as one drawing: a slab is as high as the side of a tensor and as long as its channels.

    Below each stage stand its numbers; parameters and work (multiplications) are means over its blocks.
    """
    figure = Figure(figsize=(9.6, 3.65), layout="constrained")
    axes = figure.subplots()
    _slab(axes, 0, 224, 3, "white", photo, -74)
    x, columns = 166, {}
    for stage, row in network_table(model).items():
        start, blocks = x, len(row["slabs"]) if stage not in ("conv1", "head") else 0
        for side, channels in row["slabs"]:
            x = _slab(axes, x, side, channels, STAGES[stage]) + 7 + 0.26 * side
        sides = " → ".join(dict.fromkeys(str(side) for side, _ in row["slabs"]))
        million = 1e6 * max(blocks, 1)
        counts = f"{row['parameters'] / million:.2f} M", f"{row['work'] / million:.0f} M"
        columns[(start + x) / 2 - 8] = [stage, sides, f"{channels:,}", blocks or "–", *counts]
        x += 24
    columns[x + 20] = ["", "side", "channels", "blocks", "parameters", "multiplications"]
    for place, words in columns.items():
        for line, word in enumerate(words):
            style = {"ha": "left" if place > x else "center", "weight": "normal" if line else "bold"}
            axes.text(place, -126 - 24 * line, word, fontsize=9, **style)
    axes.set(xlim=(-3, x + 128), ylim=(-246, 154), aspect="equal")
    axes.axis("off")
    return figure


def _slab(axes, x: float, side: int, channels: int, colour: str, picture=None, middle: float = 0) -> float:
    """Draw a tensor as a box seen from the left front, with a picture on its far face; return its right end."""
    long, high, deep, rise = 1 + 0.03 * channels, max(1.5 * side, 5), 0.6 * side, 0.25 * side
    low, end = middle - high / 2, x + long
    faces = [(x, low, long, 0, 0, high), (x, low + high, long, 0, deep, rise), (end, low, deep, rise, 0, high)]
    for (left, bottom, u, v, s, t), light in zip(faces, (1, 1.1, 0.8), strict=True):
        corners = [(left, bottom), (left + u, bottom + v), (left + u + s, bottom + v + t), (left + s, bottom + t)]
        shade = np.minimum(np.array(to_rgb(colour)) * light, 1)
        axes.add_patch(Polygon(corners, fc=shade, ec="#333333", lw=0.5, zorder=1 + x))
    if picture is not None:
        onto = Affine2D([[deep, 0, end], [rise, high, low], [0, 0, 1]]) + axes.transData
        opaque = np.dstack([picture, np.ones(picture.shape[:2])])
        axes.imshow(opaque, extent=(0, 1, 0, 1), transform=onto, zorder=1 + x)
    return end


def draw_fields(photo: np.ndarray, fields: dict[str, ReceptiveField], sensitivity: dict[str, np.ndarray]) -> Figure:
    """Return for each layer the field of the middle position (solid square) over its sensitivity (glow), on one scale.

    `sensitivity` holds maps as large as the photo; the dotted square holds half of their sum.
    """
    middle, dim, panels, halves = len(photo) // 2, 0.35 * photo.mean(axis=-1, keepdims=True), [], []
    for weight in sensitivity.values():
        within = [weight[middle - r : middle + r + 1, middle - r : middle + r + 1].sum() for r in range(middle + 1)]
        halves.append(2 * int(np.searchsorted(within, weight.sum() / 2)) + 1)
        coarse = Image.fromarray(np.float32(weight)).resize((len(photo) // 4,) * 2, Image.Resampling.BOX)
        soft = np.asarray(coarse.resize(weight.shape, Image.Resampling.BILINEAR))  # single pixels would be too fine
        panels.append(np.clip(dim + colormaps["hot"](np.sqrt(soft / soft.max()))[..., :3], 0, 1))
    titles = [f"{n}\nfield {fields[n].size} px, half within {h} px" for n, h in zip(sensitivity, halves, strict=True)]
    figure = image_grid(panels, titles, len(titles))
    for axes, layer, half in zip(figure.axes, sensitivity, halves, strict=True):
        for side, style in ((fields[layer].size, "-"), (half, ":")):
            corner = (middle - side / 2, middle - side / 2)
            axes.add_patch(Rectangle(corner, side, side, fill=False, ec="#a1d99b", lw=2, ls=style))
    return figure


# -------------------------------------------------------------------------- plotting: kernels and circuits, notebook 03


def stripe_angles(kernels: np.ndarray, grid: int = 128) -> np.ndarray:
    """Predict from kernels, (side, side, 3, n), the angles of the stripes that they answer to most, (n,) in degrees.

    They are read off the peak of the Fourier transform: 0 is horizontal, counter-clockwise. NaN is a spot: no direction
    is preferred (|Σ P e^(2iφ)| < 0.3 Σ P over all waves, of power P and direction φ), or the peak has no frequency.
    """
    power = (np.abs(np.fft.fft2(kernels, s=(grid, grid), axes=(0, 1))) ** 2).sum(axis=2).reshape(grid * grid, -1)
    down, across = (f.ravel() for f in np.meshgrid(np.fft.fftfreq(grid), np.fft.fftfreq(grid), indexing="ij"))
    direction, peak = np.arctan2(-down, across), power.argmax(axis=0)
    oriented = np.abs(np.exp(2j * direction) @ power) >= 0.3 * np.maximum(power.sum(axis=0), 1e-12)
    return np.where(oriented & (peak > 0), (np.degrees(direction[peak]) + 90) % 180, np.nan)


def gratings(angles: Sequence[float], frequency: float, shifts: int = 16, size: int = 64) -> np.ndarray:
    """Return grey stripes of half contrast, (n, shifts, size, size, 3) in [0, 1]: n angles, each at equal shifts.

    An angle of 0 is horizontal, counter-clockwise; the shifts together are one cycle, `frequency` is cycles per pixel.
    """
    rows, columns = np.mgrid[:size, :size] - size // 2
    turn = np.radians(angles)
    across = np.multiply.outer(np.cos(turn), rows) + np.multiply.outer(np.sin(turn), columns)
    wave = frequency * across[:, None] - np.arange(shifts)[:, None, None] / shifts
    return np.repeat(0.5 + 0.25 * np.cos(2 * np.pi * wave)[..., None], 3, axis=-1).astype(np.float32)


def painted(kernels: np.ndarray) -> np.ndarray:
    """Return kernels, (side, side, 3, n), as n pictures, (n, side, side, 3) in [0, 1]: mid-grey is a weight of zero."""
    largest = np.maximum(np.abs(kernels).max(axis=(0, 1, 2)), 1e-12)
    return np.moveaxis(0.5 + 0.5 * kernels / largest, -1, 0)


def show_weights(kernels: np.ndarray, titles: Sequence[str]) -> Figure:
    """Return a row for each kernel, (side, side, 3, n): its weights in hundredths, colour by colour, and painted."""
    figure = Figure(figsize=(9.6, 2.7 * kernels.shape[-1]), layout="constrained")
    lines = figure.subplots(kernels.shape[-1], 4, squeeze=False)
    for line, kernel, tile, title in zip(lines, np.moveaxis(kernels, -1, 0), painted(kernels), titles, strict=True):
        top = np.abs(kernel).max()
        for place, weights, name in zip(line, np.moveaxis(kernel, -1, 0), ("red", "green", "blue"), strict=False):
            place.imshow(weights, cmap="RdBu_r", vmin=-top, vmax=top)
            place.set_title(f"on {name}", fontsize=10)
            for (y, x), weight in np.ndenumerate(weights):
                ink = "white" if abs(weight) > 0.6 * top else "black"
                place.text(x, y, f"{100 * weight:.0f}", ha="center", va="center", fontsize=8, color=ink)
        line[3].imshow(tile)
        line[3].set_title(title, fontsize=10)
    for place in lines.flat:
        place.set(xticks=[], yticks=[])
    return figure


def show_kernels(kernels: np.ndarray, titles: Sequence[str], columns: int = 11) -> Figure:
    """Return kernels, (side, side, 3, n), as painted tiles, row by row, each on its own scale."""
    return _grid(painted(kernels), titles, columns, "", 9.6, {"interpolation": "nearest"})[0]


def show_answers(photo: np.ndarray, kernels: np.ndarray, maps: np.ndarray, titles: Sequence[str]) -> Figure:
    """Return a photo and n maps, (height, width, n), each on its own scale, the kernel that made it in its corner."""
    columns, rows = min(4, maps.shape[-1] + 1), -(-(maps.shape[-1] + 1) // 4)
    figure = Figure(figsize=(2.45 * columns, 2.5 * rows), layout="constrained")
    places = figure.subplots(rows, columns).ravel()
    places[0].imshow(photo)
    for place, tile, answer, title in zip(places[1:], painted(kernels), np.moveaxis(maps, -1, 0), titles, strict=True):
        top = np.percentile(np.abs(answer), 99.5) or 1.0
        drawn = place.imshow(answer / top, cmap="RdBu_r", vmin=-1, vmax=1)
        corner = place.inset_axes([0, 0, 0.27, 0.27])
        corner.imshow(tile)
        corner.set(xticks=[], yticks=[])
        place.set_title(title, fontsize=10)
    for place in places:
        place.axis("off")
    bar = figure.colorbar(drawn, ax=places, shrink=0.6, aspect=30, pad=0.01, ticks=(-1, 0, 1))
    bar.ax.set_yticklabels(["negative", "0", "positive"])
    return figure


def plot_tuning(angles, curves: dict[str, np.ndarray], ylabel: str, predicted=(), kernels=None) -> Figure:
    """Return curves over the angle of stripes; `predicted` angles dotted, each under its kernel (side, side, 3, n)."""
    figure = Figure(figsize=(9.6, 4.6), layout="constrained")
    axes = figure.subplots()
    low, high = min(0, *(c.min() for c in curves.values())), max(c.max() for c in curves.values())
    span, tiles = high - low, () if kernels is None else painted(kernels)
    for number, (label, curve) in enumerate(curves.items()):
        axes.plot(angles, curve, lw=2.5, color=f"C{number}", label=label)
        if len(tiles):
            axes.axvline(predicted[number], color=f"C{number}", ls=":")
            place = [predicted[number] - 9, high + 0.03 * span, 18, 0.26 * span]
            axes.inset_axes(place, transform=axes.transData).imshow(tiles[number])
    for angle in range(0, 181, 30):  # a piece of grating over every tick
        place = [angle - 6, low - 0.24 * span, 12, 0.18 * span]
        axes.inset_axes(place, transform=axes.transData).imshow(gratings([angle], 0.125, 1, 24)[0, 0])
    for box in axes.child_axes:
        box.set(xticks=[], yticks=[])
    if low < 0:
        axes.axhspan(low, 0, color="#eeeeee", zorder=0)
        axes.text(2, low + 0.04 * span, "below 0 the ReLU lets nothing through", color="#555555")
    axes.axhline(0, color="black", lw=1)
    axes.set(xlim=(-8, 188), xticks=range(0, 181, 30), xlabel="angle of the stripes (degrees)", ylabel=ylabel)
    axes.set(yticks=[t for t in axes.get_yticks() if low <= t <= high])
    axes.set(ylim=(low - 0.27 * span, high + span * (0.32 if len(tiles) else 0.06)))
    axes.legend(loc="upper right")
    return figure


def plot_shifts(waves: np.ndarray, panels: dict[str, dict[str, np.ndarray]]) -> Figure:
    """Return three of n shifted gratings, (n, size, size, 3), and a panel of answers to all of them for each title."""
    figure = Figure(figsize=(9.6, 3.7), layout="constrained")
    places = figure.subplot_mosaic("axxxyyy;bxxxyyy;cxxxyyy")
    steps = len(waves)
    for name, i in zip("abc", range(0, steps, steps // 4), strict=False):
        places[name].imshow(waves[i, 24:40, 24:40])
        places[name].set(xticks=[], yticks=[], ylabel=f"shift {i}")
    for name, (title, curves) in zip("xy", panels.items(), strict=True):
        for label, curve in curves.items():
            places[name].plot(range(steps), curve, "o-", ms=4, label=label)
        places[name].axhline(0, color="black", lw=1)
        places[name].set(title=title, xlabel=f"shift of the stripes ({steps} = one cycle)", ylabel="answer")
        places[name].set_xticks(range(0, steps, steps // 4))
        places[name].legend()
    return figure


def draw_circuit(rows: Sequence[Sequence], labels: Sequence[str], strengths: np.ndarray, target: Sequence, title: str):
    """Return n inputs, each a column of pictures from `rows`, joined to the pictures of their target by lines as wide
    as they are strong: red excites, blue inhibits."""
    count, deep = len(labels), len(rows)
    figure = Figure(figsize=(9.9, (deep + 2.05) * 9.9 / count + 0.3), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(0, count), ylim=(0, deep + 2.05), aspect="equal")
    axes.set_title(title, fontsize=11)
    axes.axis("off")
    corners = [((count - len(target)) / 2 + i, 0, picture) for i, picture in enumerate(target)]
    for i, (label, strength) in enumerate(zip(labels, strengths, strict=True)):
        colour, width = "#b2182b" if strength > 0 else "#2166ac", 12 * abs(strength) / np.abs(strengths).max()
        axes.plot([i + 0.5, count / 2], [1.75, 0.95], color=colour, lw=width, zorder=0, solid_capstyle="butt")
        axes.text(i + 0.5, deep + 1.72, f"{label}\n{strength:+.2f}", ha="center", va="bottom", fontsize=9, color=colour)
        corners += [(i, deep + 0.7 - k, row[i]) for k, row in enumerate(rows)]
    for x, y, picture in corners:
        box = axes.inset_axes([x + 0.02, y, 0.96, 0.96], transform=axes.transData)
        box.imshow(picture, interpolation="lanczos" if len(picture) > 16 else "nearest")  # a photo, or a kernel
        box.set(xticks=[], yticks=[])
    return figure
