"""What the five notebooks share: the model, images, measuring, activation maximization and its atlas.

Conventions. An *image* is a float32 array of shape (height, width, 3), RGB, in [0, 1]; a stack of them has one more
axis. `preprocess` turns images into what the network takes, [-1, 1] with mid-grey at 0. A *layer* is named as Keras
names it ("conv3_block4_out"), a *channel* is an index along a layer's last axis. What draws is in drawing.py.
"""

from __future__ import annotations

import contextlib
import csv
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


def words(name: str | os.PathLike) -> str:
    """Return a file's or a class's name as people write it: texture_moss.jpg → moss, Dutch_oven → Dutch oven."""
    return re.sub(r"^texture_|_\d+$", "", Path(name).stem).replace("_", " ")


class NaturalInputs(NamedTuple):
    """Natural crops, uint8, shape (n, size, size, 3), and for each the name of the photo that it was cut from."""

    images: np.ndarray
    sources: list[str]


def natural_inputs(
    size: int = 128, images: str | os.PathLike = IMAGES, probe: str | os.PathLike | None = PROBE, without: str = ""
) -> NaturalInputs:
    """Return some 1,000 natural crops of `size` px: about 600 of the photos in `images`, 400 of those in `probe`.

    Crops have sides from size / 2 px (or 32) to the photo's shorter side, log-uniformly, and random places, always the
    same. Of a probe photo only crops inside the object are taken (at most 2 % of flat mid-grey ground). Larger photos
    are reduced first. Left out are the photo whose file is called `without` and, with a warning, what cannot be read.
    """
    _check_size(size)
    random, crops = np.random.default_rng(0), []
    for folder, wanted, ground in ((images, 600, 1.0), (probe, 400, 0.02)):
        if folder is None:
            continue
        photos, found = _reduced_photos(list_images(folder), wanted, max(384, size)), []
        for _ in range(-(-wanted // max(1, len(photos))) + 20):  # rounds; in a thin object no crop may fit
            if len(found) >= wanted:
                break
            found += [(crop, name) for photo, name in photos if (crop := _random_crop(photo, size, ground, random))]
        crops += [(np.asarray(crop.resize((size, size), Image.Resampling.LANCZOS)), n) for crop, n in found[:wanted]]
    crops = [(crop, name) for crop, name in crops if name != Path(without).stem]
    if not crops:
        raise ValueError("no crop could be cut: pass at least one folder of photos, as `images` or as `probe`")
    return NaturalInputs(np.stack([crop for crop, _ in crops]), [name for _, name in crops])


def probe_photos(size: int = 128) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the probe photos, uint8, (n, size, size, 3), and the columns of data/probe/labels.csv, (n,) each."""
    rows = csv.reader((PROBE / "labels.csv").read_text(encoding="utf-8").splitlines())
    columns = {name: np.array(column) for name, *column in zip(*rows, strict=True)}
    return np.uint8(255 * load_images([PROBE / file for file in columns["file"]], size) + 0.5), columns


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
        raise ValueError(f"{layer.name}: a window of {sides}, strides {layer.strides}; only squares are known here")
    dilation = getattr(layer, "dilation_rate", (1, 1))[0]
    return (sides[0] - 1) * dilation + 1, layer.strides[0], layer.padding == "same"


def strongest(values: np.ndarray, sources: Sequence[str], count: int) -> list[int]:
    """Return the indices of the `count` largest values, (n,), strongest first, at most one for each source."""
    best = {sources[i]: int(i) for i in np.argsort(values)}
    return sorted(best.values(), key=lambda i: -values[i])[:count]


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


def check(claim: str, truth: bool) -> None:
    """Print a claim with ✓ if it is true, else "not so here"; raise AssertionError only where CHECKS=strict is set."""
    print(f"✓ {claim}" if truth else f"not so here: {claim}")
    if not truth and os.environ.get("CHECKS") == "strict":
        raise AssertionError(f"measured otherwise: {claim}")


def random_network(model: keras.Model, photos: np.ndarray, seed: int = 1) -> keras.Model:
    """Return an untrained network of the same architecture, its BatchNorm statistics estimated on photos: without
    these the signal would fade from layer to layer, and a comparison would not be fair.
    """
    keras.utils.set_random_seed(seed)
    fresh = keras.models.clone_model(model)
    for layer in fresh.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable, layer.momentum = True, 0.0  # the statistics of this one pass, not the initial ones
    tf.function(fresh)(preprocess(photos), training=True)
    fresh.trainable = False  # from now on, these statistics
    return fresh


# ------------------------------------------------------------------------------------------- activation maximization

# The colour decorrelation that the field shares since Lucid (Olah et al. 2017), divided by its largest column norm.
COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]], np.float32) / 0.46195
PIXELS = 16 * 152**2  # of the images optimized together: bounds the memory, whatever their number
STEPS_A_CALL = 8  # taken inside one compiled call, between two looks at the progress bar


class Transforms(NamedTuple):
    """How an image is moved at each step: padded with mid-grey by `pad` px (or, if negative, cropped by so many on each
    side), shifted by up to `jitter` px, scaled by 1 ± `scale`.
    """

    pad: int = 12
    jitter: float = 8.0
    scale: float = 0.1

    def fitting(self, side: int, size: int) -> Transforms:
        """Return crops meant for images of `side` px in proportion to `size`, 32 px at least; a border stays."""
        if self.pad >= 0:
            return self
        return Transforms(max(round(self.pad * size / side), (32 - size) // 2), self.jitter * size / side, self.scale)

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
    line, how the image is moved, and the share of the steps that come first, at half the side (for larger forms).
    """

    size: int
    steps: int
    rate: float
    decay: bool
    transforms: Transforms
    coarse: float


def recipe_for(model: keras.Model, layer: str) -> Recipe:
    """Return the recipe for a layer (measured in docs/recipe.md): 128 px where one position sees at most that, 224 px
    where it sees more, and for the classes one of many small steps on random crops.
    """
    if _holds_logits(model, layer):
        return Recipe(224, 340, 0.04, True, Transforms(-64, 64, 0.2), 0)
    try:
        near = receptive_field(model, layer).size <= 128
    except ValueError:  # a layer without positions sees the whole image
        near = False
    deep = Recipe(224, 48, 0.1, False, Transforms(0, 16, 0.2), 0.5)
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
    count = len(targets)
    recipe = recipe_for(model, layer)
    given = zip((size, steps, rate, decay), recipe[:4], strict=True)
    size, steps, rate, decay = (own if argument is None else argument for argument, own in given)
    _check_size(size, most=1024, even=True)
    if coarse is None:
        coarse = recipe.coarse if parameterization == "fourier" and size >= 64 else 0
    if isinstance(transforms, str) and transforms == "auto":
        transforms = recipe.transforms.fitting(recipe.size, size)
    moves = _check_transforms(transforms, size)
    _check_ascent(model, layer, count, size, steps, rate, coarse, parameterization, objective, sign, diversity, seed)
    keys = [(seed, channel, targets[:i].count(channel)) for i, channel in enumerate(targets)]
    parts = -(-count // max(1, round(PIXELS / (size + 2 * moves.pad) ** 2)))
    if diversity > 0 and parts > 1:
        raise ValueError(f"diversity compares images made together: pass at most {count // parts} at {size} px")
    chunk = -(-count // parts)
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


def _check_transforms(transforms, size: int) -> Transforms:
    """Return transforms as `Transforms`, None as no movement; ValueError in words for anything else."""
    try:
        moves = Transforms(*((0, 0, 0) if transforms is None else transforms))
        right = min(moves[1:]) >= 0 and moves.scale < 1 and moves.pad == int(moves.pad) and max(moves) <= 1024
        right &= moves.pad >= 0 or size + 2 * moves.pad >= 32
    except (TypeError, ValueError, OverflowError):
        right = False
    if not right:
        raise ValueError(f"transforms={transforms!r}: pass Transforms(pad, jitter, scale) that leave 32 px, or None")
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
        (parameterization not in ("fourier", "pixels"), f"parameterization={parameterization!r}: fourier or pixels"),
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
        self.values = tf.Variable(np.stack(count * [_start(size, parameterization, [0])]))
        self.optimizer, self.rate, self.decay = keras.optimizers.Adam(rate), rate, decay
        self.optimizer.build([self.values])
        self.climb = functools.cache(self._compiled)

    def _compiled(self, side: int) -> Callable:
        """Compile: resampling matrices of images of `side` px, (steps, …, side) twice → the scores, (steps, n)."""

        def step(rows, columns):
            with tf.GradientTape() as tape:
                inputs = 2 * _to_image(self.values, side, *self.form) - 1
                inputs = tf.matmul(rows, tf.tensordot(inputs, columns, [[3], [1]]))
                score, goal = self.goal_of(tf.transpose(inputs, [0, 2, 3, 1]))
            gradient = tape.gradient(goal, self.values, unconnected_gradients="zero")
            self.optimizer.apply([-gradient], [self.values])
            return score

        # within a loop TensorFlow picks the slow gradient of max-pooling now and then, within a function never
        step = tf.function(step, autograph=False, experimental_attributes={"_noinline": True})

        def climb(rows, columns):
            return tf.scan(lambda _, moves: step(*moves), (rows, columns), tf.zeros(self.values.shape[0]), 1)

        signature = 2 * [tf.TensorSpec([None, None, side])]
        return tf.function(climb, signature, autograph=False).get_concrete_function()  # anew, it would be warned of

    def run(self, start, moves: Transforms, steps: int, coarse: int, seed: int, names: list[str], bar) -> tuple:
        """Climb from `start`, `coarse` of the steps at half the side; return images, history (n, steps), moved (n,)."""
        self.values.assign(start)
        half = Transforms(moves.pad // 2, moves.jitter / 2, moves.scale)
        if moves.pad < 0:  # half a crop would be too small: the coarse steps see the whole picture
            half = Transforms(0, self.size / 24, moves.scale / 2)
        history, moved = [], np.zeros(len(names), bool)
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
            moved |= np.reshape(self.optimizer.variables[2], (len(names), -1)).any(axis=1)  # of the gradients' mean
        images = tf.transpose(_to_image(self.values, self.size, *self.form), [0, 2, 3, 1])
        return images.numpy(), np.stack(history, axis=1), moved


def _progress(total: int, words: str) -> tqdm:
    """Return a plain progress bar that shows itself after two seconds and leaves nothing behind."""
    return tqdm(total=total, desc=words, unit="step", file=sys.stdout, delay=2, leave=False)


def _start(size: int, parameterization: str, key: Sequence[int]) -> np.ndarray:
    """Return faint noise (sd 0.1) in the space of the parameterization, drawn from a key of integers."""
    fourier = parameterization == "fourier"
    noise = np.random.default_rng(key).normal(0, 0.1, (3, size, *((size // 2 + 1, 2) if fourier else (size,))))
    return (np.moveaxis(noise, -1, 0) if fourier else noise).astype(np.float32)


def _to_image(values: tf.Tensor, side: int, parameterization: str, decorrelate: bool) -> tf.Tensor:
    """Return the images in [0, 1], channels first, (n, 3, side, side), that parameters stand for.

    "fourier": spectra, (n, 2, 3, size, size // 2 + 1), whose coefficients are divided by their frequency, so that a
    step of equal length in each changes coarse structure most, as in photos; of larger spectra the low frequencies
    that `side` px can show. "pixels": (n, 3, side, side). Then a sigmoid.
    """
    if parameterization == "fourier":
        if side < values.shape[3]:
            values = tf.concat([values[..., : side // 2, :], values[..., -(side // 2) :, :]], 3)[..., : side // 2 + 1]
        frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
        real, imaginary = tf.unstack(values * np.float32(side / 4 / np.maximum(frequency, 1 / side)), axis=1)
        values = tf.signal.irfft2d(tf.complex(real, imaginary), [side, side])
    if decorrelate:
        values = tf.reshape(COLOURS @ tf.reshape(values, [-1, 3, side * side]), [-1, 3, side, side])
    return tf.sigmoid(values)


def _reduce(features: tf.Tensor, objective: str) -> tf.Tensor:
    """Return one number a channel, (n, channels), of its positions, as `channel_responses` says; logits as they are."""
    if len(features.shape) == 2:
        return features
    if objective == "neuron":
        return features[:, tf.shape(features)[1] // 2, tf.shape(features)[2] // 2]
    if objective == "peak":
        return tf.reduce_max(features, axis=[1, 2])
    return tf.reduce_mean(tf.sign(tf.nn.relu(features)) if objective == "on" else features, axis=[1, 2])


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
    layers, {layer: (n, channels)}. `objective` can be "peak", the largest position, and "on", the share above 0, too.
    """
    if objective not in ("channel", "neuron", "peak", "on"):
        raise ValueError(f"objective={objective!r}: pass 'channel', 'neuron', 'peak' or 'on'")
    names = [layers] if isinstance(layers, str) else list(layers)
    features_of = feature_model(model, names)

    def pooled(inputs):
        features = features_of(inputs)
        return [_reduce(features[name], objective) for name in names]

    signature = [tf.TensorSpec([None, None, None, 3])]
    compiled = tf.function(pooled, signature).get_concrete_function()  # run eagerly, it would keep its buffers
    batches = [compiled(tf.constant(preprocess(images[i : i + 16]))) for i in range(0, max(len(images), 1), 16)]
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
        raise ValueError(f"{len(shown)} images for {len(channels)} channels, sign {sign}: one a channel, 1 or -1")
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


class ClassPicture(NamedTuple):
    """A stored picture of a class, uint8 (224, 224, 3): its class, and the class that each judge names first."""

    image: np.ndarray
    index: int
    named: dict[str, int]


def class_pictures(folder: str | os.PathLike = ROOT / "data" / "pictures" / "classes") -> list[ClassPicture]:
    """Return the pictures of classes that `make classes` made, in the order of their classes; ValueError without."""
    table, files = Path(folder) / "verdicts.csv", sorted(Path(folder).glob("*.jpg"))
    if not (files and table.is_file()):
        raise ValueError(f"no pictures with verdicts in {folder}: `git checkout -- data/pictures` restores them")
    with table.open(encoding="utf-8") as rows:
        verdicts = [(int(row["class"]), row["judge"], int(row["first"])) for row in csv.DictReader(rows)]
    classes = [int(file.stem.split("_")[0]) for file in files]
    named = [{judge: first for c, judge, first in verdicts if c == index} for index in classes]
    return [ClassPicture(np.asarray(Image.open(f)), *rest) for f, *rest in zip(files, classes, named, strict=True)]
