"""How the figures of the five notebooks are drawn.

Functions return a `Drawing`, a matplotlib figure at most 1,000 px wide that shows itself where it is a cell's last
line. Images, layers and channels are what helpers.py says they are.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Polygon, Rectangle
from matplotlib.transforms import Affine2D
from PIL import Image

import helpers


class Drawing(Figure):
    """A matplotlib figure on white, `width` × `height` in inches of 100 px, that a notebook shows as a static image.

    As the last line of a cell, or in `display(…)`, it becomes a PNG, or a JPEG of quality 85 where that takes less than
    a third, as with photos. Its alt text is `words`, then every title and label that stands in it.
    """

    def __init__(self, width: float, height: float, words: str):
        super().__init__(figsize=(width, height), dpi=100, facecolor="white", layout="constrained")
        self.words = words

    def alt(self) -> str:
        """Return the alt text."""
        found = [part.get_suptitle() for part in (self, *self.subfigs)]
        for axes in self.axes:
            found += [axes.get_title(), axes.get_title("left"), *axes.get_legend_handles_labels()[1]]
        titles = "; ".join(" ".join(title.split()) for title in found if title.strip())
        return f"{self.words}: {titles}" if titles else self.words

    def encoded(self) -> tuple[str, bytes]:
        """Return the format, "png" or "jpeg", and the bytes of the image."""
        self.savefig(buffer := io.BytesIO(), format="rgba")
        image = Image.frombytes("RGBA", self.canvas.get_width_height(), buffer.getvalue()).convert("RGB")
        files = {"png": io.BytesIO(), "jpeg": io.BytesIO()}
        for kind, file in files.items():
            image.save(file, kind, quality=85, optimize=True)
        kind = "jpeg" if 3 * files["jpeg"].tell() < files["png"].tell() else "png"
        return kind, files[kind].getvalue()

    def _ipython_display_(self) -> None:
        from IPython import display

        kind, data = self.encoded()
        display.display(display.Image(data=data, format=kind, metadata={"alt": self.alt()}))


def image_grid(
    images: Sequence[np.ndarray], titles: Sequence[str] = (), columns: int = 6, title: str = "", width: float = 9.6
) -> Drawing:
    """Return a figure of images in [0, 1] (or uint8), each (height, width, 3), row by row, one title above each."""
    return _grid(images, titles, columns, title, width, "Pictures in a grid, row by row", {"interpolation": "lanczos"})[
        0
    ]


def map_grid(
    maps: Sequence[np.ndarray], titles=(), columns=8, title="", signed=False, label="activation", limit=None, width=9.6
) -> Drawing:
    """Return a figure of maps, each (height, width), on ONE scale with its colour bar.

    The scale runs from 0 to `limit` (viridis), or from -limit to limit with white at 0 if `signed`; `limit` is the
    largest absolute value of all maps unless given.
    """
    if not signed and min((np.min(m) for m in maps), default=0) < 0:
        raise ValueError("the maps hold negative values: pass signed=True, or their ReLU")
    top = float(limit if limit is not None else max((np.abs(m).max() for m in maps), default=0)) or 1.0
    norm = Normalize(-top if signed else 0, top)
    style = {"cmap": colormaps["RdBu_r" if signed else "viridis"], "norm": norm, "interpolation": "nearest"}
    figure, artist = _grid(maps, titles, columns, title, width, "Maps on one scale", style)
    figure.colorbar(artist, ax=figure.axes, label=label, shrink=0.8, aspect=30, pad=0.01)
    return figure


def _grid(pictures: Sequence[np.ndarray], titles, columns: int, title: str, width: float, words: str, style: dict):
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
    figure = Drawing(width, tall, words)
    axes = figure.subplots(rows, columns, squeeze=False)
    for number, place in enumerate(axes.flat):
        place.axis("off")
        if number < len(pictures):
            artist = place.imshow(pictures[number], **style)
            text, size = titles[number] if number < len(titles) else "", 8 if columns > 6 else 10
            place.set_title(text, fontsize=size, pad=3, linespacing=1.4)
    figure.suptitle(title, fontsize=11)
    return figure, artist


def portrait(model: keras.Model, layer: str, channel: int, natural: helpers.NaturalInputs | None = None) -> Drawing:
    """Return all that is known of one channel of a layer with positions, as one figure (`natural`: of even side)."""
    natural = helpers.natural_inputs() if natural is None else natural
    responses = helpers.channel_responses(model, layer, natural.images)
    values = responses[:, helpers.check_channel(model, layer, channel)]
    best, patches = helpers.top_patches(model, layer, channel, natural, values, 4)
    made = helpers.maximize(model, layer, channel, natural.images.shape[1]).images
    found, middle = helpers.drive(model, layer, [channel], made, responses), np.median(values)
    size, side = natural.images.shape[1], len(patches[0])
    strips = {"the strongest crops, at most one of each photo": natural.images[best]}
    if side <= size // 2:  # larger ones are almost the crops themselves
        strips["what the brightest position of each of them sees"] = patches
    figure = Drawing(9.6, 2.2 + 2 * len(strips), "Pictures and photos of one channel, and its responses on one axis")
    heights = (*[2] * len(strips), 1.5)
    places = figure.subplot_mosaic([*[["S", *4 * [name]] for name in strips], 5 * ["x"]], height_ratios=heights)
    axis, strips["S"] = places["x"], made
    for name, pictures in strips.items():
        gap = ((0, 0), (0, len(pictures[0]) // 16), (0, 0))
        places[name].imshow(
            np.hstack([np.pad(p, gap, constant_values=255 if p.dtype == np.uint8 else 1) for p in pictures])
        )
        title = f"its picture: {found.captions()[0]}" if name == "S" else name
        places[name].set_title(title, fontsize=9, loc="left")
        places[name].axis("off")
    shown, damaged = (middle + part * (values.max() - middle) for part in found)
    rows = {
        f"{len(values)} crops": values,
        "the strongest": values[best],
        "picture, damaged": damaged,
        "picture": shown,
    }
    for row, dots in enumerate(rows.values()):
        axis.plot(dots, np.full(len(dots), row), "|" if row < 2 else "D", color=("grey", "C1", "C0", "C0")[row])
    axis.set(yticks=range(4), yticklabels=rows, ylim=(-0.6, 3.6), xlabel="mean of the channel over the map")
    figure.suptitle(f"{layer}, channel {channel}")
    return figure


BLOCKS = dict(  # kind of layer: its colour and its words in `draw_block`, of the layer and its stride
    x=("white", "x, {0.output.shape[3]}\nchannels"),
    Conv2D=("#9ecae1", "{0.kernel.shape[0]}×{0.kernel.shape[1]} conv{1}\n{0.kernel.shape[2]} → {0.filters}"),
    BatchNormalization=("#c7e9c0", "Batch\nNorm"),
    Activation=("#fdd0a2", "ReLU"),
    MaxPooling2D=("#dadaeb", "max-pool\n{0.pool_size[0]}×{0.pool_size[1]}{1}"),
    Add=("#ffffb3", "+"),
)


def draw_block(model: keras.Model, block: str) -> Drawing:
    """Return a residual block ("conv2_block1") of the model's graph, without padding: branch below, shortcut above."""
    total = helpers.check_layer(model, f"{block}_out")
    entry = helpers.parents(model, helpers.check_layer(model, f"{block}_preact_bn"))[0]
    branch = [next(p for p in helpers.parents(model, total) if p.name == f"{block}_3_conv")]
    while branch[0] is not entry:
        branch.insert(0, helpers.parents(model, branch[0])[0])
    shortcut = [next(p for p in helpers.parents(model, total) if p is not branch[-1])]
    while shortcut[0] not in branch:
        shortcut.insert(0, helpers.parents(model, shortcut[0])[0])
    start, grey = branch.index(shortcut[0]), "#555555"
    row = [layer for layer in [*branch, total] if not isinstance(layer, keras.layers.ZeroPadding2D)]
    end, middle = len(row) - 1, (start + len(row) - 1) / 2
    figure = Drawing(9.6, 1.6, "A residual block: boxes in a row, and a wire past them to a plus sign")
    axes = figure.subplots()
    axes.plot([start, start, end], [0.3, 1, 1], color=grey, lw=1.2, zorder=1)
    for head, tail in [((end, 0.28), (end, 1)), *(((n + 0.56, 0), (n + 0.44, 0)) for n in range(end))]:
        style = {"arrowstyle": "->", "color": grey, "lw": 1.2, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", head, tail, arrowprops=style)
    boxes = [(layer, n, 0) for n, layer in enumerate(row)] + [(layer, middle, 1) for layer in shortcut[1:]]
    for layer, x, y in boxes:
        colour, words = BLOCKS["x" if layer is entry else type(layer).__name__]
        stride = f" /{layer.strides[0]}" if getattr(layer, "strides", (1,))[0] > 1 else ""
        style = {"boxstyle": "round,pad=0,rounding_size=0.06", "fc": colour, "ec": grey}
        axes.add_patch(FancyBboxPatch((x - 0.44, y - 0.28), 0.88, 0.56, **style))
        axes.text(x, y, words.format(layer, stride), ha="center", va="center", fontsize=8)
    if len(shortcut) == 1:
        axes.text(middle, 1.06, "shortcut: x itself", ha="center", va="bottom", fontsize=9)
    axes.set(xlim=(-0.5, end + 0.5), ylim=(-0.4, 1.4), aspect="equal")
    axes.axis("off")
    return figure


# ---------------------------------------------------------------------------------- a photo and its maps, notebook 02


def _placed(values: np.ndarray, photo: np.ndarray, stride: int | None = None) -> np.ndarray:
    """Return a map, (rows, columns), at each pixel of a photo: position i is centred on pixel stride · i, and the map
    is interpolated between its positions, not stretched. Unless given, the stride is the power of two that fits.
    """
    stride = stride or 2 ** int(np.ceil(np.log2(np.shape(photo)[0] / len(values))))
    for length in np.shape(photo)[1::-1]:  # along the columns, then, turned, along the rows
        values = np.stack([np.interp(np.arange(length) / stride, np.arange(len(line)), line) for line in values]).T
    return values


def overlay(photo: np.ndarray, activations: np.ndarray, stride: int | None = None, limit=None) -> np.ndarray:
    """Return a photo, (height, width, 3) in [0, 1], dimmed, and lit where a map, (rows, columns), is positive.

    Position i of the map is centred on pixel stride · i. The light is full (magma's end) at `limit`, the map's own
    maximum unless given.
    """
    share = np.clip(activations / max(np.max(activations) if limit is None else limit, 1e-9), 0, 1)
    return np.clip(0.5 * photo + colormaps["magma"](_placed(share, photo, stride))[..., :3], 0, 1)


def _draw_map(figure: Figure, place, values: np.ndarray, label: str) -> None:
    """Draw a map, (rows, columns), with its colour bar: from 0 up, or, with negative values, in blue, white and red."""
    limit = np.abs(values).max() or 1.0
    style = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit} if np.min(values) < 0 else {"vmin": 0, "vmax": limit}
    drawn = place.imshow(values, interpolation="nearest", **style)
    figure.colorbar(drawn, ax=place, shrink=0.85, label=label).outline.set_visible(False)


def map_on_photo(photo: np.ndarray, activations: np.ndarray, title: str, label: str = "activation") -> Drawing:
    """Return one figure of a photo, of one map with its colour bar, and of the photo lit by the map (`overlay`)."""
    figure = Drawing(9.6, 3.2, "A photo, a map of it with a colour bar, and the photo lit by the map")
    axes = figure.subplots(1, 3)
    axes[0].imshow(photo)
    _draw_map(figure, axes[1], activations, label)
    axes[2].imshow(overlay(photo, activations))
    titles = "The photo", f"{title}, {len(activations)} × {len(activations[0])} positions", "The two together"
    for place, text in zip(axes, titles, strict=True):
        place.set_title(text, fontsize=11)
        place.axis("off")
    return figure


def sum_and_relu(photo: np.ndarray, signed: np.ndarray, rectified: np.ndarray) -> Drawing:
    """Return one figure of a map, (rows, columns), with its sign and after the ReLU, and of the first laid on its
    photo: red where it is positive, blue where it is negative.
    """
    figure = Drawing(9.6, 3.1, "A photo in red and blue, its map in red and blue, and the map with all blue dark")
    axes = figure.subplots(1, 3)
    share = np.clip(1.4 * _placed(signed / np.abs(signed).max(), photo), -1, 1)
    grey, strength = photo.mean(axis=2, keepdims=True), np.abs(share)[..., None]
    axes[0].imshow(grey * (1 - strength) + colormaps["RdBu_r"](0.5 + share / 2)[..., :3] * strength)
    _draw_map(figure, axes[1], signed, "")
    _draw_map(figure, axes[2], rectified, "")
    for place, text in zip(axes, ("The sum, laid on the picture", "The sum", "After BatchNorm and ReLU"), strict=True):
        place.set_title(text, fontsize=11)
        place.axis("off")
    return figure


def stage_columns(stacks: dict[str, np.ndarray], picked: dict[str, Sequence[int]]) -> Drawing:
    """Return a column for each stack, {name: (1, height, width, channels)}, of its picked channels' maps, each on a
    scale of its own from 0 up; its title tells how many of all its numbers are zero.
    """
    maps, titles = [], []
    for row in range(len(next(iter(picked.values())))):
        for name, channels in picked.items():
            maps.append(stacks[name][0, :, :, channels[row]])
            share = f"{name}: {np.mean(stacks[name] == 0):.0%} zeros\n" if row == 0 else ""
            titles.append(f"{share}channel {channels[row]}")
    figure = image_grid(maps, titles, len(picked))
    for axes in figure.axes:
        axes.images[0].set(cmap="viridis", interpolation="nearest", clim=(0, axes.images[0].get_array().max() or 1))
    figure.words = "Maps of one photo, deeper and deeper from left to right"
    return figure


def lit_grid(photos, maps, titles: Sequence[str], columns: int, limit: float | None = None) -> Drawing:
    """Return a figure of photos, each lit by its map (`overlay`): on one scale up to `limit`, or each on its own."""
    lit = [overlay(photo, one, limit=limit) for photo, one in zip(photos, maps, strict=True)]
    figure = image_grid(lit, titles, columns, width=9.6 if columns > 3 else 8)
    figure.words = "Photos, dimmed, and lit where their maps are high"
    return figure


def strongest_first(pictures: dict[str, np.ndarray], maps: dict[str, np.ndarray]) -> Drawing:
    """Return pictures, {name: (height, width, 3)}, each lit by its map, all on one scale, the highest peak first."""
    order = sorted(maps, key=lambda name: -maps[name].max())
    titles = [f"{helpers.words(name).capitalize()}: {maps[name].max():.1f}" for name in order]
    columns, limit = 4 if len(order) > 6 else 3, maps[order[0]].max()
    return lit_grid([pictures[name] for name in order], [maps[name] for name in order], titles, columns, limit)


def on_paper(ink: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return drawings, {name: (height, width), True where there is ink}, as images: dark ink on pale paper."""
    return {name: np.repeat(0.8 - 0.7 * where[..., None], 3, axis=2) for name, where in ink.items()}


def false_colours(components: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Return three numbers a position, (n · rows · columns, 3), of maps of that shape, (n, rows, columns, …), as red,
    green and blue in [0, 1], (n, rows, columns, 3): the 1st percentile of each is 0, the 99th is 1.
    """
    low, high = np.percentile(components, [1, 99], axis=0)
    return np.clip((components - low) / (high - low), 0, 1).reshape(*shape[:3], 3)


def neighbours(photos: np.ndarray, files: Sequence, nearest: dict[str, np.ndarray], asked: Sequence[str]) -> Drawing:
    """Return a row for each photo asked for by its file's name: it and its three nearest, {stage: (n, 3 or more)}."""
    rows = [[Path(file).stem for file in files].index(name) for name in asked]
    figure = Drawing(9.6, 1.6 * len(rows) + 0.3, "Photos, each beside its nearest neighbours")
    groups = {"": [[row] for row in rows]}
    groups |= {f"Nearest at {stage}": [found[row][:3] for row in rows] for stage, found in nearest.items()}
    parts = figure.subfigures(1, len(groups), width_ratios=[len(found[0]) for found in groups.values()])
    for part, (title, found) in zip(parts, groups.items(), strict=True):
        part.suptitle(title or "The photo", fontsize=11, weight="bold")
        places = part.subplots(len(rows), len(found[0]), squeeze=False).flat
        for place, number in zip(places, np.ravel(found), strict=True):
            place.imshow(photos[number], interpolation="lanczos")
            place.set_title(helpers.words(files[number]).capitalize(), fontsize=9, pad=3)
            place.axis("off")
    return figure


def class_maps(photos: dict[str, np.ndarray], scores: dict[str, np.ndarray], map_of, asked, shared=False) -> Drawing:
    """Return a row of photos, each lit by a class map, `map_of(name, class's number)`, for the pairs in `asked`.

    Above each stand the class, its score, of {name: (1, 1000)}, and its place among all. Every photo is on a scale of
    its own, or all on one if `shared`.
    """
    maps, titles = [map_of(*pair) for pair in asked], []
    for name, number in asked:
        score, word = scores[name][0, number], helpers.words(helpers.class_names()[number])
        titles.append(f"{word}\nscore {score:.1f}, place {(scores[name] >= score).sum()}")
    limit = max(map(np.max, maps)) if shared else None
    return lit_grid([photos[name] for name, _ in asked], maps, titles, len(asked), limit)


def look_inside(model: keras.Model, photo: str | os.PathLike | np.ndarray, layer: str = "conv4_block6_out") -> Drawing:
    """Return one figure of a photo, a path or an array (height, width, 3): its five classes, the class map of the
    first, and the three channels of a layer that stand out most on it, each with its map and a picture that drives it.

    A channel stands out by its mean over the positions, in standard deviations from that of 150 natural inputs.
    """
    usual = helpers.channel_responses(model, layer, helpers.natural_inputs(probe=None).images[::4])
    here = helpers.channel_responses(model, layer, helpers.load_image(photo, 128)[None])[0]
    apart = (here - usual.mean(axis=0)) / np.maximum(usual.std(axis=0), 1e-6)
    chosen, large = np.argsort(-apart)[:3], helpers.load_image(photo, 448)
    view, stride = helpers.rectified_view(model, layer), helpers.receptive_field(model, layer).stride
    found = helpers.feature_model(model, [view, "post_relu", "predictions"]).predict(
        helpers.preprocess(large), verbose=0
    )
    best = helpers.top_predictions(found["predictions"])
    figure = Drawing(9.6, 4.5, "A photo, its five classes, where the first comes from, and three channels")
    axes = figure.subplot_mosaic("pcxyz;bbXYZ")
    class_map = found["post_relu"][0] @ model.get_layer("predictions").get_weights()[0][:, best[0].index]
    panels = {
        "p": ("the photo", large),
        "c": (f"where “{helpers.words(best[0].name)}”\ncomes from", overlay(large, class_map, 32)),
    }
    if (helpers.ATLAS / f"{layer}.json").is_file():
        pictures = [helpers.atlas_picture(layer, channel, model) for channel in chosen]
    else:
        pictures = helpers.maximize(model, layer, chosen, 128, 24).images
    for place, channel, picture in zip("xyz", chosen, pictures, strict=True):
        lit = overlay(large, found[view][0, :, :, channel], stride)
        panels[place] = f"channel {channel}: {apart[channel]:.1f} sd\nabove its usual mean", lit
        panels[place.upper()] = "a picture\nthat drives it", picture
    for place, (title, picture) in panels.items():
        axes[place].imshow(picture, interpolation="lanczos")
        axes[place].set_title(title, fontsize=10)
        axes[place].axis("off")
    _draw_bars(axes["b"], best)
    return figure


# ------------------------------------------------------------------------------------------- the network, notebook 01


def class_bars(photo: np.ndarray, logits: np.ndarray) -> Drawing:
    """Return a photo beside bars for its five most probable classes, of logits (1000,) or (1, 1000)."""
    figure = Drawing(8, 2.8, "A photo, and bars for its five most probable classes")
    left, right = figure.subplots(1, 2, width_ratios=(1.2, 2))
    left.imshow(photo)
    left.axis("off")
    _draw_bars(right, helpers.top_predictions(logits))
    return figure


def _draw_bars(place, best: list[helpers.Prediction]) -> None:
    """Draw a bar for each of the `best` classes, as long as its probability, and write it beside."""
    bars = place.barh([helpers.words(one.name) for one in best], [one.probability for one in best], color="#3182bd")
    place.bar_label(bars, fmt="{:.1%}", padding=3, fontsize=9)
    place.set(xlim=(0, 1.3), xticks=(0, 0.5, 1), xlabel="probability")
    place.spines[["top", "right"]].set_visible(False)
    place.spines["bottom"].set_bounds(0, 1)
    place.invert_yaxis()


def prediction_grid(photos: np.ndarray, logits: np.ndarray, columns: int = 6) -> Drawing:
    """Return photos, (n, side, side, 3), each under its most probable class and that probability; logits (n, 1000)."""
    best = [helpers.top_predictions(row, 1)[0] for row in logits]
    figure = image_grid(photos, [f"{helpers.words(p.name)}\n{p.probability:.0%}" for p in best], columns)
    figure.words = "Photos, each under its most probable class"
    return figure


def map_strip(photo: np.ndarray, maps: Sequence[np.ndarray], titles: Sequence[str] = (), columns: int = 6) -> Drawing:
    """Return a photo and maps, each (height, width), in rows, each on a scale of its own.

    A map without negative values runs from 0 (dark) to its maximum (yellow), another from blue over white (0) to red.
    """
    figure = image_grid([photo, *maps], titles, columns)
    figure.words = "A picture, and maps of it"
    for axes, values in zip(figure.axes[1:], maps, strict=True):
        top, signed = np.abs(values).max() or 1, values.min() < 0
        axes.images[0].set(cmap="RdBu_r" if signed else "viridis", clim=(-top * signed, top), interpolation="nearest")
    return figure


def stage_maps(photo: np.ndarray, stacks: dict[str, np.ndarray], picked: dict[str, int]) -> Drawing:
    """Return a photo and one map of each stage, picked by its channel; stacks {stage: (height, width, channels)}."""
    maps = [stacks[stage][:, :, channel] for stage, channel in picked.items()]
    titles = [f"photo: {photo.shape[0]} × {photo.shape[1]} × 3"]
    for stage, channel in picked.items():
        height, width, channels = stacks[stage].shape
        titles.append(f"{stage}: {height} × {width} × {channels:,}, channel {channel}")
    return map_strip(photo, maps, titles, columns=3)


def answer_maps(
    photo: np.ndarray, final_maps: np.ndarray, contributions: np.ndarray, score: float, count: int
) -> Drawing:
    """Return a photo, and it lit by the maps, of (height, width, channels), whose contributions, (channels,), are the
    largest.
    """
    best = np.argsort(-contributions)[:count]
    titles = [f"the logit: {score:.1f}", *(f"channel {channel}: {contributions[channel]:+.1f}" for channel in best)]
    figure = image_grid([photo, *(overlay(photo, final_maps[:, :, channel]) for channel in best)], titles, 3)
    figure.words = "A photo, and where the maps that add most to its logit are high"
    return figure


def outlines(photo: np.ndarray, maps: dict[str, np.ndarray]) -> Drawing:
    """Return a photo once for each map, {title: (side, side)}, with a line around the places above half of its maximum.

    Position i lies on pixel stride · i; around the map the value is 0, so that every line is closed.
    """
    figure = image_grid([photo] * len(maps), list(maps), len(maps), width=3.6 * len(maps))
    figure.words = "A photo, with lines around the places where a map is high"
    for axes, values in zip(figure.axes, maps.values(), strict=True):
        pixels = np.arange(-1, len(values) + 1) * len(photo) // len(values)
        axes.contour(pixels, pixels, np.pad(values, 1), [values.max() / 2], colors="yellow", linewidths=2)
        axes.set(xlim=(-0.5, len(photo) - 0.5), ylim=(len(photo) - 0.5, -0.5))
    return figure


def filter_at_work(photo: np.ndarray, kernel: np.ndarray, first_map: np.ndarray, at: tuple[int, int]) -> Drawing:
    """Return a filter of conv1 at one position (row, column) of its map: photo, pixels × kernel, their sum, the map.

    The kernel, (7, 7, 3), is painted as colours with grey for 0; the map, (112, 112), in red (positive) and blue.
    """
    (y, x), side, top = at, len(kernel), np.abs(first_map).max() or 1
    low, left = 2 * y - side // 2, 2 * x - side // 2
    patch = photo[max(low, 0) : low + side, max(left, 0) : left + side]
    figure = image_grid([photo, patch, 0.5 + kernel / np.abs(kernel).max() / 2, first_map], columns=4)
    figure.words = "A photo with a small frame, the pixels in it, the kernel, and the feature map"
    panels = figure.axes
    panels[0].add_patch(Rectangle((left - 0.5, low - 0.5), side, side, fill=False, ec="red", lw=2))
    panels[3].images[0].set(cmap="RdBu_r", clim=(-top, top))
    panels[3].plot(x, y, "o", ms=13, mfc="none", mec="black", mew=1.5)
    for axes in panels[1:3]:
        axes.images[0].set_interpolation("nearest")
    titles = "the photo", f"{side} × {side} pixels of it", "the filter's kernel", "its feature map"
    signs = "", "→", "×", f"add up,\n+ bias\n= {first_map[y, x]:.1f} →"
    for axes, title, sign in zip(panels, titles, signs, strict=True):
        axes.set_title(title, fontsize=10)
        axes.text(-0.04, 0.5, sign, transform=axes.transAxes, ha="right", va="center", fontsize=11, linespacing=1.5)
    return figure


STAGES = dict(conv1="#dadaeb", conv2="#c6dbef", conv3="#9ecae1", conv4="#6baed6", conv5="#3182bd", head="#fdae6b")


def network_slabs(model: keras.Model, side: int = 224) -> dict[str, list[tuple[int, int]]]:
    """Return {stage: [(side, channels), …]} of what the stem and each block pass on for photos of `side` px."""
    shapes = helpers.feature_model(model, [layer.name for layer in model.layers]).compute_output_shape(
        (1, side, side, 3)
    )
    slabs, stage = {stage: [] for stage in STAGES}, "conv1"
    for layer in model.layers:  # one without a stage's name (a pool, the classifier) belongs where the last one did
        words = "head" if layer.name.startswith("post") else layer.name.split("_")[0]
        stage, shape = words if words in STAGES else stage, shapes[layer.name]
        if layer.name.endswith(("_out", "conv1_conv", "pool1_pool", "predictions")):
            slabs[stage].append((shape[1] if len(shape) == 4 else 1, shape[-1]))
    return slabs


def draw_network(model: keras.Model, photo: np.ndarray) -> Drawing:
    """Return the whole network as one drawing: a slab is as high as the side of a tensor and as long as its channels.

    Below each stage stand its sides, its channels and how many blocks it has.
    """
    figure = Drawing(9.6, 3.6, "The whole network as boxes: from large flat ones to long thin bars")
    axes = figure.subplots()
    _slab(axes, 0, 224, 3, "white", photo, -36)
    x, columns = 166, {}
    for stage, slabs in network_slabs(model).items():
        start, blocks = x, len(slabs) if stage not in ("conv1", "head") else "–"
        for side, channels in slabs:
            x = _slab(axes, x, side, channels, STAGES[stage]) + 7 + 0.26 * side
        sides = " → ".join(dict.fromkeys(str(side) for side, _ in slabs))
        columns[(start + x) / 2 - 8] = [stage, sides, f"{channels:,}", blocks]
        x += 24
    columns[x + 20] = ["", "side", "channels", "blocks"]
    for place, words in columns.items():
        for line, word in enumerate(words):
            style = {"ha": "left" if place > x else "center", "weight": "normal" if line else "bold"}
            axes.text(place, -126 - 26 * line, word, fontsize=10, **style)
    axes.set(xlim=(-3, x + 100), ylim=(-212, 192), aspect="equal")
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


def draw_fields(
    photo: np.ndarray, fields: dict[str, helpers.ReceptiveField], sensitivity: dict[str, np.ndarray]
) -> Drawing:
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
    figure = image_grid(panels, titles, 2, width=7)
    figure.words = "A photo once for each layer: ever larger squares, and a glow inside"
    for axes, layer, half in zip(figure.axes, sensitivity, halves, strict=True):
        for side, style in ((fields[layer].size, "-"), (half, ":")):
            corner = (middle - side / 2, middle - side / 2)
            axes.add_patch(Rectangle(corner, side, side, fill=False, ec="#a1d99b", lw=2, ls=style))
    return figure


def kept_bars(kept: dict[str, int], photos: int) -> Drawing:
    """Return a bar for each block, {block: photos that keep their class without it}, coloured by stage."""
    figure = Drawing(9.6, 3, "Bars for the blocks: how many photos keep their class without it")
    axes = figure.subplots()
    colours = [STAGES[block.split("_")[0]] for block in kept]
    bars = axes.bar(list(kept), list(kept.values()), color=colours, edgecolor="#333333", linewidth=0.5)
    axes.bar_label(bars, padding=2)
    axes.set(ylim=(0, 1.15 * photos), yticks=(0, photos), ylabel=f"photos, of {photos},\nthat keep their class")
    axes.set_xticks(range(len(kept)), [block.replace("_", "\n") for block in kept], fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


# ------------------------------------------------------------------------------------ kernels and circuits, notebook 03


def gratings(angles: Sequence[float], frequency: float = 0.25, shifts: int = 16, size: int = 32) -> np.ndarray:
    """Return grey stripes of half contrast, (n, shifts, size, size, 3) in [0, 1]: n angles, each at equal shifts.

    An angle of 0 is horizontal, counter-clockwise; the shifts together are one cycle, `frequency` is cycles per pixel.
    """
    rows, columns = np.mgrid[:size, :size] - size // 2
    turn = np.radians(angles)
    across = np.multiply.outer(np.cos(turn), rows) + np.multiply.outer(np.sin(turn), columns)
    wave = frequency * across[:, None] - np.arange(shifts)[:, None, None] / shifts
    return np.repeat(0.5 + 0.25 * np.cos(2 * np.pi * wave)[..., None], 3, axis=-1).astype(np.float32)


def grey_kernel(table: Sequence[Sequence[float]], side: int = 7) -> np.ndarray:
    """Return a square table of weights, of odd side, as a kernel, (side, side, 3, 1): the same for red, green and blue,
    with zeros around it."""
    weights = np.pad(np.asarray(table, np.float32), (side - len(table)) // 2)
    return np.repeat(weights[..., None, None], 3, axis=2)


def painted(kernels: np.ndarray) -> np.ndarray:
    """Return kernels, (side, side, 3, n), as n pictures, (n, side, side, 3) in [0, 1]: mid-grey is a weight of zero."""
    largest = np.maximum(np.abs(kernels).max(axis=(0, 1, 2)), 1e-12)
    return np.moveaxis(0.5 + 0.5 * kernels / largest, -1, 0)


def show_weights(kernels: np.ndarray, titles: Sequence[str]) -> Drawing:
    """Return a row for each kernel, (side, side, 3, n): its weights in hundredths, colour by colour, and painted."""
    figure = Drawing(9.6, 2.7 * kernels.shape[-1], "Kernels: a table of numbers for each colour, and the painted tile")
    lines = figure.subplots(kernels.shape[-1], 4, squeeze=False)
    for line, kernel, tile, title in zip(lines, np.moveaxis(kernels, -1, 0), painted(kernels), titles, strict=True):
        top = np.abs(kernel).max()
        for place, weights, name in zip(line, np.moveaxis(kernel, -1, 0), ("red", "green", "blue"), strict=False):
            place.imshow(weights, cmap="gray", vmin=-top, vmax=top)
            place.set_title(f"weights for {name}", fontsize=11)
            for (y, x), weight in np.ndenumerate(weights):
                ink = "white" if weight < 0.2 * top else "black"
                place.text(x, y, f"{round(float(100 * weight))}", ha="center", va="center", fontsize=9, color=ink)
        line[3].imshow(tile)
        line[3].set_title(title, fontsize=11)
    for place in lines.flat:
        place.set(xticks=[], yticks=[])
    return figure


def kernel_groups(kernels: np.ndarray) -> dict[str, list[int]]:
    """Sort kernels, (side, side, 3, n): by their angle, no clear angle, and those of which over half is colour."""
    angles = helpers.stripe_angles(kernels)
    colour = 3 * kernels.var(axis=2).sum((0, 1)) > 0.5 * (kernels**2).sum((0, 1, 2))
    turned = [int(i) for i in np.argsort(angles) if angles[i] >= 0 and not colour[i]]
    rest = np.flatnonzero(np.isnan(angles) & ~colour).tolist()
    return {"a clear angle": turned, "no clear angle": rest, "colours": np.flatnonzero(colour).tolist()}


def show_kernels(kernels: np.ndarray, untrained: np.ndarray, columns: int = 11) -> Drawing:
    """Return kernels, (side, side, 3, n), as painted tiles, each on its own scale, in their `kernel_groups`.

    Above each stand its number and, if it has stripes, their angle; below are untrained ones, (side, side, 3, m).
    """
    tiles, angles = painted(np.concatenate([kernels, untrained], axis=-1)), helpers.stripe_angles(kernels)
    groups = {**kernel_groups(kernels), "never trained": list(range(kernels.shape[-1], len(tiles)))}
    titles = [f"{i}: {angles[i]:.0f}°" if i in groups["a clear angle"] else f"{i}" for i in range(len(angles))]
    titles += [""] * untrained.shape[-1]
    rows = [(name * (k == 0), i[k : k + columns]) for name, i in groups.items() for k in range(0, len(i), columns)]
    figure = Drawing(9.6, len(rows) * (9.6 / columns + 0.1) + 0.25 * len(groups), "Painted kernels in groups")
    for line, (name, members) in zip(figure.subplots(len(rows), columns, squeeze=False), rows, strict=True):
        line[0].set_title(name and name + "\n" * bool(titles[members[0]]), loc="left", weight="bold", fontsize=13)
        for place, i in zip(line, members, strict=False):
            place.imshow(tiles[i])
            place.set_title(titles[i], fontsize=10, pad=3)
        for place in line:
            place.axis("off")
    return figure


def show_maps(photo: np.ndarray, kernels: np.ndarray, maps: np.ndarray, titles: Sequence[str]) -> Drawing:
    """Return a photo and n maps, (height, width, n), each on its own scale, the kernel that made it in its corner."""
    columns, rows = min(3, maps.shape[-1] + 1), -(-(maps.shape[-1] + 1) // 3)
    figure = Drawing(3.1 * columns + 0.5, 3.4 * rows, "A photo, and the maps that kernels make of it")
    places = figure.subplots(rows, columns).ravel()
    places[0].imshow(photo)
    places[0].set_title("the photo", fontsize=15)
    for place, tile, values, title in zip(places[1:], painted(kernels), np.moveaxis(maps, -1, 0), titles, strict=True):
        top = np.percentile(np.abs(values), 99.5) or 1.0
        drawn = place.imshow(values / top, cmap="RdBu_r", vmin=-1, vmax=1)
        corner = place.inset_axes([0, 0, 0.3, 0.3])
        corner.imshow(tile)
        corner.set(xticks=[], yticks=[])
        place.set_title(title, fontsize=15)
    for place in places:
        place.axis("off")
    bar = figure.colorbar(drawn, ax=places, shrink=0.6, aspect=30, pad=0.01, ticks=(-1, 0, 1))
    bar.ax.set_yticklabels(["−", "0", "+"], fontsize=16)
    return figure


def plot_tuning(angles, curves: dict[str, np.ndarray], ylabel: str, predicted=(), kernels=None) -> Drawing:
    """Return curves over the angle of stripes; `predicted` angles dotted, each under its kernel (side, side, 3, n).

    Without kernels, the highest value of each curve is written beside it, and the lowest one below zero.
    """
    figure = Drawing(9.6, 4.6, "Curves over the angle of stripes")
    axes = figure.subplots()
    low, high = min(0, *(c.min() for c in curves.values())), max(c.max() for c in curves.values())
    span, drop, tiles = high - low, 0.31 if low < 0 else 0.24, () if kernels is None else painted(kernels)
    circuit = "black", "#2166ac", "#b2182b", "#999999"  # inhibiting wires are blue, exciting ones red
    for number, (label, curve) in enumerate(curves.items()):
        colour = f"C{number}" if len(tiles) or number > 3 else circuit[number]
        axes.plot(angles, curve, "-" if number < 3 else "--", lw=2.5, color=colour, label=label)  # one may hide another
        if len(tiles):
            axes.axvline(predicted[number], color=colour, ls=":")
            place = [predicted[number] - 9, high + 0.03 * span, 18, 0.26 * span]
            axes.inset_axes(place, transform=axes.transData).imshow(tiles[number])
        elif number < 3:
            for i, shift in ((curve.argmax(), 4), (curve.argmin(), -13))[: 1 + bool(curve.min() < 0)]:
                style = {"xytext": (0, shift), "textcoords": "offset points", "color": colour, "ha": "center"}
                axes.annotate(f"{curve[i]:.1f}".replace("-", "−"), (angles[i], curve[i]), fontsize=13, **style)
    for angle in range(0, 181, 30):  # a piece of grating over every tick
        place = [angle - 6, low - drop * span, 12, 0.18 * span]
        axes.inset_axes(place, transform=axes.transData).imshow(gratings([angle], 0.125, 1, 24)[0, 0])
    for box in axes.child_axes:
        box.set(xticks=[], yticks=[])
    if low < 0:
        axes.axhspan(low, 0, color="#eeeeee", zorder=0)
        axes.text(2, low + 0.04 * span, "below 0 the ReLU lets nothing through", color="#555555", fontsize=13)
    axes.axhline(0, color="black", lw=1)
    axes.set(xlim=(-8, 188), xticks=range(0, 181, 30))
    axes.set_xlabel("angle of the stripes (degrees)", fontsize=13)
    axes.set_ylabel(ylabel, fontsize=13)
    axes.tick_params(labelsize=13)
    axes.set(yticks=[t for t in axes.get_yticks() if low <= t <= high])
    axes.set(ylim=(low - (drop + 0.03) * span, high + span * (0.32 if len(tiles) else 0.1)))
    axes.legend(loc="upper right", fontsize=11 if len(tiles) else 13)
    return figure


def plot_predictions(angles, measured: np.ndarray, predicted: np.ndarray, kernels: np.ndarray, shown) -> Drawing:
    """Return the tuning curves, of (angles, n), of the filters whose numbers are `shown`, and the angles `predicted`,
    (n,), dotted, each under its kernel, (side, side, 3, n)."""
    curves = {f"filter {number}": measured[:, number] for number in shown}
    return plot_tuning(angles, curves, "highest activation", predicted[list(shown)], kernels[..., list(shown)])


def compare_angles(predicted: np.ndarray, measured: np.ndarray, kernels: np.ndarray, most: float = 5) -> Drawing:
    """Return a dot for each kernel, (side, side, 3, n), of "a clear angle": its predicted angle, (n,), to the right,
    its measured one up, on the diagonal where both agree. Who is off by over `most` degrees is painted beside its dot.

    175° and 5° are only 10° apart, so a dot may lie on the diagonal a little below 0° or above 180°.
    """
    members = np.array(kernel_groups(kernels)["a clear angle"])
    off = (measured - predicted + 90) % 180 - 90
    right = members[np.abs(off[members]) <= most]
    figure = Drawing(6.8, 6.6, "Measured angles over predicted ones, as dots along a diagonal")
    axes, ends = figure.subplots(), np.array([-8, 190])
    axes.fill_between(ends, ends - most, ends + most, color="#dddddd")
    axes.plot(predicted[right], (predicted + off)[right], "o", ms=10, alpha=0.7)
    for number in np.setdiff1d(members, right):
        x, y = predicted[number], measured[number]
        axes.plot(x, y, "o", ms=10, color="C1")
        box = axes.inset_axes([x - 31, y - 12, 24, 24], transform=axes.transData)
        box.imshow(painted(kernels)[number])
        box.set(xticks=[], yticks=[])
        axes.text(x - 19, y - 14, f"filter {number}", ha="center", va="top", fontsize=13)
    axes.set_title(f"{len(right)} of {len(members)} predictions are right to within {most:g}°", fontsize=14)
    axes.set_xlabel("angle that the weights predict (degrees)", fontsize=13)
    axes.set_ylabel("angle of the highest activation (degrees)", fontsize=13)
    axes.tick_params(labelsize=13)
    axes.set(xlim=ends, ylim=ends, xticks=range(0, 181, 30), yticks=range(0, 181, 30), aspect="equal")
    return figure


def plot_shifts(kernel: np.ndarray, waves: np.ndarray, before: np.ndarray, after: np.ndarray) -> Drawing:
    """Return a kernel, (side, side, 3), on the best and the worst of n shifted gratings, (n, 32, 32, 3), beside its
    activations in their middle, (n,), before and after the max-pool. Arrows say how far they swing.
    """
    figure, steps = Drawing(9.6, 4.8, "A kernel, shifted stripes, and its activations as curves"), len(waves)
    places = figure.subplot_mosaic([["k", "x"], ["a", "x"], ["b", "x"]], width_ratios=(1, 3.2))
    curves = before, after
    places["k"].imshow(np.pad(painted(kernel[..., None])[0], ((4, 5), (4, 5), (0, 0)), constant_values=1))
    places["k"].set_title("the kernel", fontsize=14)
    for name, i in (("a", curves[0].argmax()), ("b", curves[0].argmin())):
        places[name].imshow(waves[i, 8:24, 8:24])
        places[name].add_patch(Rectangle((4.5, 4.5), 7, 7, fill=False, ec="C0", lw=2))  # where the kernel lies
        places[name].set_title(f"stripes, shift {i}", fontsize=14)
    for name in "kab":
        places[name].axis("off")
    axes = places["x"]
    arrow = {"arrowstyle": "<->", "lw": 2, "shrinkA": 0, "shrinkB": 0}
    for number, (curve, when) in enumerate(zip(curves, ("before", "after"), strict=True)):
        low, high, place, colour = curve.min(), curve.max(), steps + 0.7 + 2.8 * number, f"C{number}"
        axes.plot(
            range(steps + 1), np.append(curve, curve[0]), "o-", ms=5, lw=2, color=colour, label=f"{when} the max-pool"
        )
        axes.annotate("", (place, low), (place, high), arrowprops=arrow | {"color": colour})
        axes.text(place + 0.3, (low + high) / 2, f"swing\n{high - low:.1f}", va="center", fontsize=14, color=colour)
    axes.axhline(0, color="black", lw=1)
    axes.set(xlim=(-0.5, steps + 5.9), xticks=range(0, steps + 1, steps // 4))
    axes.set_xlabel(f"shift of the stripes ({steps} = one cycle)", fontsize=13)
    axes.set_ylabel("activation", fontsize=13)
    axes.tick_params(labelsize=13)
    axes.legend(loc="lower left", fontsize=13)
    return figure


def _outermost(weights: np.ndarray, count: int = 4) -> list[int]:
    """Return where the `count` largest of n weights are, the largest first, and then the `count` most negative ones."""
    order = np.argsort(-weights).tolist()
    return order[:count] + order[-count:]


def draw_circuit(rows: Sequence[Sequence], labels: Sequence[str], weights, target: Sequence | str) -> Drawing:
    """Return n inputs, each a column of pictures from `rows`, joined to their target, pictures or a word, by lines as
    wide as their weights are large: red excites, blue inhibits."""
    count, deep = len(labels), len(rows)
    large = 0.35 if isinstance(target, str) else 0.21 * count  # the target's side, in those of an input
    high = deep + large + 1.05
    figure = Drawing(9.6, high * 9.6 / count + 0.35, "Pictures, wired to what they excite or inhibit")
    axes = figure.subplots()
    axes.set(xlim=(0, count), ylim=(0, high), aspect="equal")
    axes.axis("off")
    if isinstance(target, str):
        corners, style = [], {"boxstyle": "round", "facecolor": "white", "edgecolor": "black"}
        axes.text(count / 2, large / 2, target, ha="center", va="center", fontsize=15, bbox=style)
    else:
        left = (count - large * len(target)) / 2
        corners = [(left + large * i, 0, large, picture) for i, picture in enumerate(target)]
    for i, (label, weight) in enumerate(zip(labels, weights, strict=True)):
        colour, width = "#b2182b" if weight > 0 else "#2166ac", 12 * abs(weight) / np.abs(weights).max()
        ends = [i + 0.5, count / 2], [large + 0.75, large - 0.05]
        axes.plot(*ends, color=colour, lw=width, zorder=0, solid_capstyle="butt")
        words = f"{label}\n{weight:+.2f}".replace("-", "−")
        axes.text(i + 0.5, high - 0.33, words, ha="center", va="bottom", fontsize=12, color=colour)
        corners += [(i, high - 1.35 - k, 1, row[i]) for k, row in enumerate(rows)]
    for x, word, colour in ((0.4, "excites", "#b2182b"), (count - 0.4, "inhibits", "#2166ac")):
        axes.text(x, large + 0.2, word, ha="center", fontsize=15, color=colour)
    for x, y, side, picture in corners:
        box = axes.inset_axes([x + 0.02, y, side - 0.04, side - 0.04], transform=axes.transData)
        box.imshow(picture, interpolation="lanczos" if len(picture) > 16 else "nearest")  # a photo, or a kernel
        box.set(xticks=[], yticks=[])
    return figure


def kernel_circuit(model: keras.Model, channel: int, wires: np.ndarray) -> Drawing:
    """Draw eight of the 64 wires to a channel of conv2_block1_1_conv, its four largest and four most negative weights,
    from the kernels of conv1, painted."""
    kernels, shown = model.get_layer("conv1_conv").kernel.numpy(), _outermost(wires)
    labels = [f"filter {i}" for i in shown]
    return draw_circuit([painted(kernels)[shown]], labels, wires[shown], f"channel {channel} of conv2_block1_1_conv")


def channel_circuit(model: keras.Model, layer: str, channel: int, photos: np.ndarray) -> Drawing:
    """Return eight of the wires to a channel of a 1×1 convolution: its four largest and four most negative weights.

    Of each input: the patch of n photos, (n, side, side, 3), with its largest activation, and an optimized picture
    (before its ReLU); of the channel an optimized picture and the three best patches.
    """
    relu = helpers.parents(model, model.get_layer(layer))[0]
    wires = model.get_layer(layer).kernel.numpy()[0, 0, :, channel]
    shown, natural = _outermost(wires), helpers.NaturalInputs(photos, list(range(len(photos))))
    peaks = helpers.channel_responses(model, [relu.name, layer], photos, "peak")
    patches = [helpers.top_patches(model, relu.name, i, natural, peaks[relu.name][:, i], 1)[1][0] for i in shown]
    optimized = helpers.maximize(model, helpers.parents(model, relu)[0].name, shown).images
    best = helpers.top_patches(model, layer, channel, natural, peaks[layer][:, channel], 3)[1]
    target = [helpers.maximize(model, layer, channel).images[0], *best]
    figure = draw_circuit([patches, optimized], [f"channel {i}" for i in shown], wires[shown], target)
    figure.axes[0].set_title(f"channel {channel} of {layer}, and eight of its {len(wires)} weights", fontsize=13)
    return figure


def simple_shapes(radius: float = 7, bright: bool = False) -> dict[str, np.ndarray]:
    """Return drawings of one size, {name: (192, 192, 3) in [0, 1]}, dark on a light ground or the other way round: an
    eye, its ring and other things. The open ring lacks its right quarter."""
    y, x = np.mgrid[-96:96, -96:96]
    apart, away = np.hypot(x, y), np.maximum(abs(x), abs(y))
    ring, dot, thin = (apart > 0.7 * radius) & (apart < radius), apart < 0.4 * radius, 0.25 * radius
    shapes = {"eye": ring | dot, "ring": ring, "open ring": ring & (abs(y) >= x), "disc": apart < radius, "dot": dot}
    shapes["short line"] = (abs(x) < thin) & (abs(y) < radius)
    shapes["square"] = (away > 0.7 * radius) & (away < radius)
    shapes["long line"] = abs(x + y) < 2 * thin
    ink, ground = (0.85, 0.15) if bright else (0.15, 0.85)
    return {name: np.where(shape[..., None], [ink] * 3, ground) for name, shape in shapes.items()}


def peak_bars(shapes: dict[str, np.ndarray], peaks: dict[str, np.ndarray]) -> Drawing:
    """Return the middle of n shapes, {name: (192, 192, 3)}, each over its bars: {words: peaks, (n,)}, three at most."""
    figure, count = Drawing(9.6, 4.8, "Small drawings, and the peak in each as bars"), len(shapes)
    figure.set_layout_engine("none")  # the boxes are placed by hand
    left, wide = 0.08, 0.91
    axes = figure.add_axes([left, 0.09, wide, 0.53])
    for number, ((words, values), colour) in enumerate(
        zip(peaks.items(), ("black", "#2166ac", "#b2182b"), strict=False)
    ):
        places = np.arange(count) + 0.27 * (number - (len(peaks) - 1) / 2)
        bars = axes.bar(places, values, 0.25, color=colour, label=words)
        axes.bar_label(
            bars, [f"{value:.1f}".replace("-", "−") for value in values], padding=2, fontsize=11, color=colour
        )
    for number, (name, picture) in enumerate(shapes.items()):
        box = figure.add_axes([left + wide * (number + 0.12) / count, 0.65, 0.76 * wide / count, 0.22])
        box.imshow(picture[78:114, 78:114])
        box.set_title(name.replace(" ", "\n", 1), fontsize=14, pad=4, linespacing=1)
        box.axis("off")
    axes.axhline(0, color="black", lw=1)
    axes.set(xlim=(-0.5, count - 0.5), xticks=[])
    axes.margins(y=0.12)
    axes.set_ylabel("peak of the channel", fontsize=13)
    axes.tick_params(labelsize=13)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    figure.legend(*axes.get_legend_handles_labels(), loc="lower center", ncols=3, fontsize=13, frameon=False)
    return figure


# ------------------------------------------------------------------------------------ pictures of channels, notebook 04


def _labelled(pictures: Sequence[np.ndarray], titles: Sequence[str], columns: int, width: float, words: str) -> Drawing:
    """Return square pictures, in [0, 1] or uint8, row by row, one title above each, large enough for a phone."""
    rows, lines = -(-len(pictures) // columns), max(title.count("\n") + 1 for title in titles)
    figure = Drawing(width, rows * (width / columns + 0.02 + 0.19 * lines) + 0.06, words)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for place in axes:
        place.axis("off")
    for place, picture, title in zip(axes, pictures, titles, strict=False):  # the last row may have empty places
        place.imshow(picture, interpolation="lanczos")
        place.set_title(title, fontsize=13, pad=3, linespacing=1.2)
    return figure


def filmstrip(frames: dict[int, np.ndarray], curve: Sequence[float], ylabel: str) -> Drawing:
    """Return pictures of an ascent, {step: (height, width, 3)}, in a row over its curve, on which they are marked."""
    figure = Drawing(8, 4.7, "Pictures of an ascent over its curve")
    names = "abcdefgh"[: len(frames)]
    places = figure.subplot_mosaic(f"{names};{'-' * len(names)}", height_ratios=(1, 1))
    for name, (step, picture) in zip(names, frames.items(), strict=True):
        places[name].imshow(picture, interpolation="lanczos")
        places[name].set_title(f"step {step}", fontsize=14)
        places[name].axis("off")
    axes = places["-"]
    axes.plot(curve, lw=2.5)
    axes.plot(list(frames), [curve[step] for step in frames], "o", color="C1", ms=9)
    axes.set_xlabel("step", fontsize=13)
    axes.set_ylabel(ylabel, fontsize=13)
    axes.tick_params(labelsize=12)
    axes.grid(alpha=0.3)
    return figure


def plot_lines(
    x: Sequence, curves: dict[str, np.ndarray], xlabel: str, ylabel: str, picture=None, step: int = 16
) -> Drawing:
    """Return curves, {name: values}, over numbers `x`; beside them, if given, a picture, (side, side, 3), with lines
    every `step` pixels."""
    figure = Drawing(8 if picture is None else 9.6, 3.8, f"Curves of {ylabel} over {xlabel}")
    axes, *beside = np.ravel(figure.subplots(1, 1 if picture is None else 2))
    for number, (name, values) in enumerate(curves.items()):
        axes.plot(x, values, "os^"[number % 3] + "-", lw=2, ms=5, label=name)
    axes.set_xlabel(xlabel, fontsize=13)
    axes.set_ylabel(ylabel, fontsize=13)
    axes.tick_params(labelsize=13)
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4, fontsize=13, frameon=False)
    for place in beside:
        place.imshow(picture)
        for line in range(step, len(picture), step):
            place.axhline(line - 0.5, color="white", lw=1)
            place.axvline(line - 0.5, color="white", lw=1)
        place.set_title(f"{next(iter(curves))}, {step} pixels from line to line", fontsize=13)
        place.axis("off")
    return figure


def picture_rows(rows: dict[str, tuple[Sequence[np.ndarray], Sequence]], width: float = 9.6) -> Drawing:
    """Return rows of pictures, {row's title: (pictures, their titles)}, all of one size whatever their pixels."""
    columns = max(len(pictures) for pictures, _ in rows.values())
    heights = [width / columns + (0.5 if any(map(str, titles)) else 0.3) for _, titles in rows.values()]
    figure = Drawing(width, sum(heights), "Rows of pictures")
    parts = figure.subfigures(len(rows), 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, (row, (pictures, titles)) in zip(parts, rows.items(), strict=True):
        part.suptitle(row, fontsize=13, x=0.01, ha="left", weight="bold")
        for place, picture, title in zip(part.subplots(1, columns), pictures, titles, strict=True):
            place.imshow(picture, interpolation="lanczos" if len(picture) > 112 else "nearest")  # or a painted map
            place.set_title(title, fontsize=12, pad=3)
            place.axis("off")
    return figure


def _in_8_bits(picture: np.ndarray) -> np.ndarray:
    """Return a picture, (height, width, 3), uint8 or in [0, 1], as a stack of one, uint8."""
    return np.uint8(255 * helpers.deprocess(helpers.preprocess(picture)) + 0.5)


def beside_photos(
    pictures: dict[str, np.ndarray],
    drive_of,
    crops: helpers.NaturalInputs,
    crop_activations: np.ndarray,
    count: int = 3,
) -> Drawing:
    """Return pictures, {name: picture}, and the `count` crops with the largest activations, at most one of each photo.

    Above each stand its name and its drive; `drive_of` returns the drives, (n,), of pictures, (n, side, side, 3).
    """
    strongest = helpers.strongest(crop_activations, crops.sources, count)
    shown = np.concatenate([*map(_in_8_bits, pictures.values()), crops.images[strongest]])
    names = [*pictures, *(helpers.words(crops.sources[number]) for number in strongest)]
    titles = [f"{name}\ndrive {drive:.1f}" for name, drive in zip(names, drive_of(shown), strict=True)]
    return _labelled(shown, titles, len(shown), 8, "Pictures beside the best photos")


def damage_grid(pictures: dict[str, np.ndarray], drive_of) -> Drawing:
    """Return a row for each picture, {name: picture}: as it is, blurred, as JPEG and shifted, each under its drive, and
    the share that is kept.

    `drive_of` returns the drives, (n,), of pictures, (n, side, side, 3).
    """
    shown, titles = [], []
    for name, picture in pictures.items():
        versions = {name: _in_8_bits(picture), **helpers.damaged(_in_8_bits(picture))}
        drives = drive_of(np.concatenate(list(versions.values())))
        shown += [version[0] for version in versions.values()]
        kept = ["", *(f" ({drive / drives[0]:.0%})" if drives[0] > 0 else "" for drive in drives[1:])]
        titles += [f"{how}\ndrive {d:.1f}{share}" for how, d, share in zip(versions, drives, kept, strict=True)]
    return _labelled(shown, titles, 4, 8, "Pictures as they are and damaged, row by row")


def drive_grid(pictures: dict[str, np.ndarray], drive_of) -> Drawing:
    """Return pictures, {name: picture}, in one row, each under its drive; `drive_of` returns the drives, (n,), of
    pictures, (n, side, side, 3).
    """
    shown = np.concatenate([_in_8_bits(picture) for picture in pictures.values()])
    titles = [f"{name}\ndrive {drive:.1f}" for name, drive in zip(pictures, drive_of(shown), strict=True)]
    columns = max(3, len(titles))
    return _labelled(shown, titles, columns, 8 if columns == 3 else 9.6, "Pictures, each under its drive")


def cycles(side: int) -> np.ndarray:
    """Return how often each wave of `np.fft.fft2` goes up and down within a picture, at least once: (side, side, 1)."""
    frequencies = np.fft.fftfreq(side)
    return side * np.maximum(np.hypot(frequencies[:, None], frequencies), 1 / side)[..., None]


def noise_grid(noises: dict[str, np.ndarray], contrast: float = 0.2) -> Drawing:
    """Return noises, {name: (side, side, 3)}, each drawn with the same `contrast`, the standard deviation of values."""
    pictures = [np.clip(0.5 + contrast * (n - n.mean()) / n.std(), 0, 1) for n in noises.values()]
    return _labelled(pictures, list(noises), 3, 8, "Noise built in several ways")


PEOPLES_WORDS = {"hip": "rose hip", "slot": "slot machine", "teddy": "teddy bear"}  # for names that are too short


def class_gallery(gallery: Sequence[helpers.ClassPicture], columns: int = 4) -> Drawing:
    """Return class pictures, each under its class; where a judge names another first, under that name, too."""
    names, titles = [helpers.words(name) for name in helpers.class_names()], []
    names = [PEOPLES_WORDS.get(name, name) for name in names]
    for entry in gallery:
        others = [names[first] for first in entry.named.values() if first != entry.index]
        verdict = f"one says: {others[0]}" if len(others) == 1 else " · ".join(others) or "both name it"
        titles.append(f"{names[entry.index]}\n{verdict}")
    return _labelled([entry.image for entry in gallery], titles, columns, 8, "Pictures of classes, named by two judges")


# --------------------------------------------------------------------------------- what a picture is worth, notebook 05


def draw_rounds(
    model: keras.Model, layer: str, channels: Sequence[int], responses: np.ndarray, natural: helpers.NaturalInputs,
    places: Sequence[int] | None = None,
) -> Drawing:  # fmt: skip
    """Return rounds of a game, one a row: the picture of a channel (from the atlas), then two photos, A and B.

    One is the crop with the channel's largest response, of (n, channels of the layer). The other is drawn from all
    crops or, for a harder game, from those at some `places` of the ranking: range(10, 100).
    """
    tiles, titles, random = [], [], np.random.default_rng(0)
    for number, channel in enumerate(channels, 1):
        ranking = np.argsort(-responses[:, channel])
        other = random.integers(len(ranking)) if places is None else ranking[random.choice(places)]
        pair = natural.images[random.permutation([ranking[0], other])]
        tiles += [helpers.atlas_picture(layer, channel, model), *pair]
        titles += [f"round {number}", "A", "B"]
    figure = image_grid(tiles, titles, 3, width=6.4)
    figure.words = "Rounds of a game: the picture of a channel, and photos A and B"
    return figure


def channel_rows(
    channels: Sequence[int], pictures: dict[str, Sequence[np.ndarray]], responses: np.ndarray,
    natural: helpers.NaturalInputs, framed: tuple[keras.Model, str] | None = None,
) -> Drawing:  # fmt: skip
    """Return a row for each channel: its pictures, {head: one for each channel}, and its three strongest crops.

    `responses` to the crops are (n, channels of the layer). At most one crop of each photo is shown. With `framed`, a
    model and a layer, a frame marks where the channel has its peak.
    """
    tiles, titles = [], []
    for row, channel in enumerate(channels):
        drawn = [images[row] for images in pictures.values()]
        best = helpers.strongest(responses[:, channel], natural.sources, 3)
        tiles += [*drawn, *natural.images[best]]
        titles += [
            f"channel {channel}",
            *[""] * (len(drawn) - 1),
            *(f"{helpers.words(natural.sources[i])} {responses[i, channel]:.1f}" for i in best),
        ]
    columns = len(pictures) + 3
    figure = image_grid(tiles, titles, columns, " ", width=1.9 * columns)
    figure.words = "Channels: the pictures of each beside its strongest photos"
    figure.suptitle(" ", fontsize=16)  # room for the heads
    for axes in figure.axes:
        axes.title.set_fontsize(12)
    for row, channel in enumerate(channels if framed else ()):
        photos = slice(columns * row + len(pictures), columns * (row + 1))
        _frame_peaks(figure.axes[photos], tiles[photos], channel, framed)
    for column, words in enumerate(
        [*pictures, "its strongest photos"]
    ):  # above the first row, in the room of the empty title
        style = {"xycoords": "axes fraction", "textcoords": "offset points", "fontsize": 12, "weight": "bold"}
        figure.axes[column].annotate(words, (0, 1), (0, 21), **style).set_in_layout(False)
    return figure


def _frame_peaks(places: Sequence, photos: Sequence[np.ndarray], channel: int, framed: tuple[keras.Model, str]) -> None:
    """Frame, in photos shown at some axes, a fifth of the side around the place of the peak of a layer's channel."""
    model, layer = framed
    maps = helpers.feature_model(model, layer)(helpers.preprocess(np.stack(photos))).numpy()[..., channel]
    stride, side = helpers.receptive_field(model, layer).stride, len(photos[0]) / 5
    for axes, found in zip(places, maps, strict=True):
        y, x = stride * np.array(np.unravel_index(found.argmax(), found.shape))
        corner = np.clip((x - side / 2, y - side / 2), 0, 4 * side)
        for colour, width in ("white", 4), ("#d62728", 2):
            axes.add_patch(Rectangle(corner, side, side, fill=False, ec=colour, lw=width))


def pictures_and_photos(
    channels: Sequence[int], pictures: np.ndarray, responses: np.ndarray, natural: helpers.NaturalInputs,
    framed: tuple[keras.Model, str] | None = None,
) -> Drawing:  # fmt: skip
    """Return two rows for each channel: its pictures, in [0, 1], and as many of the crops to which it responds most.

    `channels` names the channel of each picture: [7, 7, 7, 9, 9, 9]; the others are those of `channel_rows`.
    """
    rows = {}
    for channel in dict.fromkeys(channels):
        drawn = pictures[np.equal(channels, channel)]
        best = helpers.strongest(responses[:, channel], natural.sources, len(drawn))
        rows[f"channel {channel} draws"] = drawn, [""] * len(drawn)
        words = [helpers.words(natural.sources[i]) for i in best]
        rows[f"channel {channel} responds to"] = natural.images[best], words
    figure = picture_rows(rows, 6)
    figure.words, first = "Channels: the pictures of each, and below them its strongest photos", 0
    for axes in figure.axes:
        axes.title.set_fontsize(11)
    for row, (shown, _) in enumerate(rows.values()):
        if framed is not None and row % 2:  # photos, below the pictures of their channel
            channel = list(dict.fromkeys(channels))[row // 2]
            _frame_peaks(figure.axes[first : first + len(shown)], shown, channel, framed)
        first += len(shown)
    return figure


def lit_rows(pictures: dict[str, np.ndarray], maps: np.ndarray, channels: Sequence[int]) -> Drawing:
    """Return a row for each channel: n pictures, {name: (height, width, 3)}, lit by its maps, (n, rows, columns, all
    channels), on one scale in a row, each under its peak."""
    rows = {}
    for channel in channels:
        found = maps[..., channel]
        lit = [overlay(picture, one, limit=found.max()) for picture, one in zip(pictures.values(), found, strict=True)]
        rows[f"channel {channel}"] = (
            lit,
            [f"{name}: {one.max():.1f}" for name, one in zip(pictures, found, strict=True)],
        )
    return picture_rows(rows, 6.4)


def lead(logits: np.ndarray) -> str:
    """Say in words which class has the highest of the logits, (1000,), and how far it leads the next one."""
    best, second = helpers.top_predictions(logits[None], 2)
    ahead = logits[best.index] - logits[second.index]
    return f"{helpers.words(best.name)} {logits.max():.1f}, ahead of {helpers.words(second.name)} by {ahead:.1f}"


def ranked_changes(changes: np.ndarray, marked: Sequence[int], words: str) -> Drawing:
    """Return a dot for each channel, the most negative change of a logit without it first; `changes` are (channels,).

    The `marked` channels, of which `words` say what they are, are large dots, each with its number and its change.
    """
    figure = Drawing(6.4, 4.2, "A dot for each channel: how the logit of the class changes without it, the worst first")
    axes, rank = figure.subplots(), np.argsort(np.argsort(changes))
    axes.axhline(0, color="grey", lw=1, ls=":")
    axes.plot(rank, changes, "o", color="#bbbbbb", ms=3, label=f"all {len(changes):,} channels")
    axes.plot(rank[marked], changes[marked], "o", color="#f28e2b", ms=10, mec="white", label=words)
    for place, channel in enumerate(marked):
        side = 1 if rank[channel] < len(changes) / 2 else -1  # towards the middle, where there is room
        style = {
            "xytext": (14 * side, -16 * place),
            "textcoords": "offset points",
            "ha": "left" if side > 0 else "right",
        }
        text = f"{channel}: {changes[channel]:+.2f}".replace("-", "−")
        axes.annotate(text, (rank[channel], changes[channel]), va="center", fontsize=13, color="#f28e2b", **style)
    axes.set_xlabel("rank of the silenced channel, the worst drop first", fontsize=12)
    axes.set_ylabel("change of the logit", fontsize=12)
    figure.legend(loc="outside upper center", ncols=2, fontsize=12)
    return figure


def census_bars(found: dict[str, dict[str, np.ndarray]]) -> Drawing:
    """Return stacked bars over the ReLUs, in one colour for each kind of channels: {kind: {ReLU: its channels}}."""
    figure = Drawing(6.4, 3.4, "Bars over the ReLUs: how many of their channels are")
    axes, bottom, relus = figure.subplots(), 0, list(next(iter(found.values())))
    for (kind, channels), colour in zip(found.items(), ("#222222", "#e6ab02"), strict=True):
        values = np.array([len(channels[relu]) for relu in relus])
        axes.bar(range(len(values)), values, 0.9, bottom, color=colour, label=f"{kind}: {sum(values)} channels")
        bottom = bottom + values
    starts = [relus.index(f"conv{stage}_block1_preact_relu") for stage in range(2, 6)]
    for start in starts:
        axes.axvline(start - 0.5, color="grey", lw=0.8, ls=":")
    axes.set(xticks=starts)
    axes.set_xlabel("ReLU, from the photo to the answer", fontsize=12)
    axes.set_ylabel("channels", fontsize=12)
    axes.set_xticklabels([f"conv{stage} →" for stage in range(2, 6)], ha="left", fontsize=11)
    axes.legend(fontsize=12)
    return figure


def share_bars(shares: dict[str, float], label: str) -> Drawing:
    """Return a bar for each of several shares, {words: 0 to 1}, one below the other; `label` says what they count."""
    figure = Drawing(6.4, 0.5 * len(shares) + 0.7, f"Bars: {label}")
    axes = figure.subplots()
    bars = axes.barh(range(len(shares)), list(shares.values()), 0.7, color="#4393c3")
    axes.bar_label(bars, fmt="{:.2f}", padding=4, fontsize=13)
    axes.set(xlim=(0, 1), ylim=(len(shares) - 0.5, -0.5))
    axes.set_yticks(range(len(shares)), list(shares), fontsize=13)
    axes.set_xlabel(label, fontsize=12)
    return figure


def accuracy_curves(x: Sequence, curves: dict[str, Sequence[float]], xlabel: str, chance: float) -> Drawing:
    """Return curves of accuracy, {name: values in [0, 1]}, over a few numbers or words, and the level of chance."""
    figure = Drawing(6.4, 3.8, f"Curves of accuracy over {xlabel}")
    axes, places = figure.subplots(), range(len(x))
    for number, (name, values) in enumerate(curves.items()):
        axes.plot(places, values, "os^"[number % 3] + "-", lw=2, ms=5, label=name)
        for i, value in enumerate(values):
            shift = (0, 9 if value == max(other[i] for other in curves.values()) else -17)
            axes.annotate(f"{value:.2f}", (i, value), shift, textcoords="offset points", ha="center", fontsize=12)
    axes.axhline(chance, color="grey", lw=1, ls=":", label=f"chance: {chance:.2f}")
    axes.set(ylim=(0, 1), xticks=places)
    axes.set_xticklabels([str(tick) for tick in x], fontsize=12)
    axes.set_xlabel(xlabel, fontsize=12)
    axes.set_ylabel("accuracy", fontsize=12)
    figure.legend(loc="outside upper center", ncols=3, fontsize=12)
    return figure
