"""Make data/atlas/: a picture of every channel of a layer, its drives, and what it answers to in the photos.

python tools/atlas.py [layer ...] [--steps N]    without a layer: the last blocks of conv2, conv3 and conv4

Each layer becomes a sheet of pictures and a JSON file, unless these are there and whole. Finished chunks stay in
build/atlas/, and an interrupted run goes on from there.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a script, it has to find helpers.py

import numpy as np
import tensorflow as tf
from PIL import Image
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform
from tqdm import tqdm

import helpers

LAYERS = ["conv2_block3_out", "conv3_block4_out", "conv4_block6_out"]
CHUNK, COLUMNS, QUALITY, CROP = 24, 32, 80, 80  # channels a chunk; tiles a row; of the JPEG; px a side of a crop's tile
STRONGEST, NEAREST, OUTSTANDING, GRID = 5, 8, 3, 7  # how many are told; places on each axis of a photo


def describe(model, layer: str, steps: int | None, size: int | None, channels: int | None) -> dict:
    """Return what decides the pictures of a layer, or of its first few channels: the head of its JSON file."""
    shape, recipe = helpers.check_layer(model, layer).output.shape, helpers.recipe_for(model, layer)
    steps = steps or (48 if recipe.size == 128 else recipe.steps)  # at 128 px the last quarter of the 64 shows little
    recipe = recipe._replace(size=size or recipe.size, steps=steps)._asdict()
    recipe = {name: value for name, value in recipe.items() if value}
    name, tile = Path(helpers.weights_in_use()).name, 128 if len(shape) == 2 or shape[-1] == 2048 else 96
    head = {"weights": helpers.TRANSPLANT_SHA256 if name == "transplant" else name, "seed": 0, "columns": COLUMNS}
    head |= {"layer": layer, "recipe": json.loads(json.dumps(recipe)), "fingerprint": helpers.fingerprint(model)}
    return head | {"count": len(range(shape[-1])[: channels or None]), "tile": tile}


def put(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: beside its place, then moved there; exit in words where that fails."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        sys.exit(f"cannot write {path} ({error.strerror}): mend that and start again; what is finished is kept")


def chunk(model, head: dict, channels: range, responses: np.ndarray, folder: Path) -> dict[str, np.ndarray]:
    """Return pictures, uint8 (n, size, size, 3), and drives, (n,), of some channels: kept from before, or made now."""
    key = json.dumps([head[name] for name in ("layer", "recipe", "seed", "fingerprint")])
    path = folder / head["layer"] / f"{channels[0]:04}-{hashlib.sha256(key.encode()).hexdigest()[:8]}.npz"
    with contextlib.suppress(Exception), np.load(path) as kept:  # what is missing, cut short or foreign is made anew
        if len(kept["pictures"]) == len(channels):
            return dict(kept)
    size, steps = head["recipe"]["size"], head["recipe"]["steps"]
    with contextlib.redirect_stdout(io.StringIO()):  # a bar of its own
        made = helpers.maximize(model, head["layer"], channels, size, steps, seed=head["seed"])
    pictures = np.uint8(255 * made.images + 0.5)
    arrays = {"pictures": pictures, **helpers.drive(model, head["layer"], channels, pictures, responses)._asdict()}
    np.savez(buffer := io.BytesIO(), **arrays)
    put(path, buffer.getvalue())
    return arrays


def sheet_of(pictures: np.ndarray, side: int) -> bytes:
    """Return square uint8 pictures, reduced to `side` px, as one JPEG with `COLUMNS` in a row."""
    tiles = [Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS) for picture in pictures]
    tiles += -len(tiles) % COLUMNS * [Image.new("RGB", (side, side))]
    sheet = np.vstack([np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)])
    Image.fromarray(sheet).save(buffer := io.BytesIO(), "jpeg", quality=QUALITY, optimize=True)
    return buffer.getvalue()


def likeness(responses: np.ndarray) -> tuple[list, list]:
    """Return each channel's nearest by correlation of responses, (n, channels), and an order by likeness."""
    with np.errstate(all="ignore"):  # a channel that never changes is like no other
        alike = np.nan_to_num(np.corrcoef(responses.T))
    tree = linkage(squareform(np.clip(1 - alike, 0, 2), checks=False), "average", optimal_ordering=True)
    np.fill_diagonal(alike, -np.inf)
    return np.argsort(-alike, axis=1)[:, :NEAREST].tolist(), leaves_list(tree).tolist()


def outstanding(model, layer: str, count: int) -> dict:
    """Return {photo: {"channels": (7, 7, 3), "by": (7, 7, 3)}}: the channels that stand out at 7×7 places, by
    how many standard deviations above their mean at that place of natural inputs. Without positions: empty.
    """
    if len(model.get_layer(layer).output.shape) == 2:
        return {}
    features_of, paths = helpers.feature_model(model, layer), helpers.list_images(helpers.IMAGES)

    def at_places(images):
        batches = (helpers.preprocess(images[i : i + 16]) for i in range(0, len(images), 16))
        maps = (features_of.predict_on_batch(batch)[..., :count] for batch in batches)
        return np.concatenate([tf.image.resize(batch, [GRID, GRID], "area") for batch in maps])

    usual, seen = at_places(helpers.natural_inputs(224).images), at_places(helpers.load_images(paths, 224))
    above = (seen - usual.mean(axis=0)) / np.maximum(usual.std(axis=0), 1e-9)
    best = np.argsort(-above, axis=-1)[..., :OUTSTANDING]
    by = np.round(np.take_along_axis(above, best, axis=-1).astype(float), 1)
    return {path.stem: {"channels": c.tolist(), "by": b.tolist()} for path, c, b in zip(paths, best, by, strict=True)}


def finish(model, head: dict, natural: helpers.NaturalInputs, responses: np.ndarray, chunks: list, out: Path) -> None:
    """Write a layer's sheet, that of the crops, and last the JSON file that vouches for both."""
    made = {name: np.concatenate([arrays[name] for arrays in chunks]) for name in chunks[0]}
    middle, most = np.median(responses, axis=0), responses.max(axis=0)
    share = (responses - middle) / np.maximum(most - middle, 1e-9)  # on the axis of drive: 1 is the strongest
    rows = {name: [None if np.isnan(v) else round(float(v), 2) for v in made[name]] for name in ("drive", "robust")}
    best = [helpers.strongest(values, natural.sources, STRONGEST) for values in share.T]
    rows["strongest"] = [[[i, round(float(share[i, c]), 2)] for i in inputs] for c, inputs in enumerate(best)]
    rows["nearest"], order = likeness(responses)
    sheet, crops = sheet_of(made["pictures"], head["tile"]), f"natural_{head['recipe']['size']}.jpg"
    about = {"sheet": hashlib.sha256(sheet).hexdigest(), "order": order}
    about["crops"] = {"sheet": crops, "tile": CROP, "sources": natural.sources}
    about["channels"] = [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]
    about["photos"] = outstanding(model, head["layer"], head["count"])
    put(out / crops, sheet_of(natural.images, CROP))
    put(out / f"{head['layer']}.jpg", sheet)
    put(out / f"{head['layer']}.json", json.dumps(head | about, separators=(",", ":")).encode())


def is_made(head: dict, out: Path) -> bool:
    """Say whether a layer's files are in place, whole, and made as `head` says."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        page = json.loads((out / f"{head['layer']}.json").read_bytes())
        sheet = (out / f"{head['layer']}.jpg").read_bytes()
        return page == page | head and page["sheet"] == hashlib.sha256(sheet).hexdigest()
    return False


def make(layers: list[str], steps=None, size=None, channels=None, out=helpers.ATLAS, work=None) -> None:
    """Make the atlas of layers, or of their first channels only; side and steps are `helpers.recipe_for`'s if None."""
    model = helpers.load_model()
    heads = [describe(model, layer, steps, size, channels) for layer in layers or LAYERS]
    heads = [head for head in heads if not is_made(head, out)]
    with tqdm(total=sum(head["count"] for head in heads), unit="channel") as bar:
        for head in heads:
            bar.set_description(head["layer"])
            natural, count, chunks = helpers.natural_inputs(head["recipe"]["size"]), head["count"], []
            responses = helpers.channel_responses(model, head["layer"], natural.images)
            for part in (range(count)[i : i + CHUNK] for i in range(0, count, CHUNK)):
                chunks.append(chunk(model, head, part, responses, work or helpers.ROOT / "build" / "atlas"))
                bar.update(len(part))
            finish(model, head, natural, responses[:, :count], chunks, out)
    print(f"the atlas in {out} has {', '.join(sorted(path.stem for path in out.glob('*.json')))}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("layers", nargs="*", metavar="layer")
    parser.add_argument("--steps", type=int, help="of ascent, those of the layer's recipe unless given")
    parser.add_argument("--channels", type=int, help="how many, from 0 on, all unless given")
    try:
        make(**vars(parser.parse_args()))
    except (KeyboardInterrupt, ValueError) as error:
        sys.exit(f"{error}" or "stopped: the same command goes on from here")


if __name__ == "__main__":
    main()
