"""Make the pictures in data/pictures/.

python tools/pictures.py [--only 01]     cut the strips that open the notebooks, and what the README shows, out of the
                                         stored figures
python tools/pictures.py --only classes  make a picture of every fiftieth class (some minutes), for `make classes`
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
WHOLE = (0, 0, 1, 1)


def tile(row: int, column: int) -> tuple[float, ...]:
    """Return the place of a picture in the ladder."""
    left, top = (4 + 240 * column) / 960, (44 + 291.5 * row) / 1160
    return left, top, left + 232 / 960, top + 231 / 1160


def card(row: int, column: int) -> tuple[float, ...]:
    """Return the place of a picture in the gallery of classes."""
    left, top = (4 + 200 * column) / 800, (41 + 241 * row) / 1206
    return left, top, left + 192 / 800, top + 192 / 1206


LADDER, GALLERY = "conv2: one position sees", "Pictures of classes"
LADDER_TILES = [(LADDER, tile(1, 2)), (LADDER, tile(2, 3)), (LADDER, tile(3, 0))]
GALLERY_CARDS = [(GALLERY, card(0, 0)), (GALLERY, card(1, 1)), (GALLERY, card(4, 1))]
PHOTO_ON_ITS_WAY = [(0, 0.036, 0.333, 0.498), (0.667, 0.036, 1, 0.498), (0.333, 0.531, 0.667, 0.992)]
PICTURES = {  # notebook: what to join: words of a figure's alt text, a part of it (left, top, right, bottom of 1)
    "01": [("photo: 224 × 224 × 3", part) for part in PHOTO_ON_ITS_WAY],
    "02": [("space shuttle score", WHOLE)],
    "03": [("channel 5 of conv3_block1_1_conv", (0, 0.312, 1, 1))],
    "04": [*LADDER_TILES, *GALLERY_CARDS],
    "05": [("channel 862", (194 / 950, 46 / 448, 946 / 950, 228 / 448))],
}
README = {"inside": ("02", "its five classes, where"), "ladder": ("04", LADDER)}  # figures that it shows as they are


def stored(notebook: Path, alt: str) -> bytes:
    """Return the first stored figure whose alt text holds the words `alt`; ValueError if there is none."""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            for mime, values in output.get("metadata", {}).items():
                if isinstance(values, dict) and alt in values.get("alt", ""):
                    return base64.b64decode(output["data"][mime])
    raise ValueError(f"{notebook.name} has no figure whose alt text holds {alt!r}: execute it first")


def strip(parts: list[tuple[bytes, tuple[float, ...]]], width: int = 1000, limit: int = 60_000) -> bytes:
    """Return parts of pictures, of one height, side by side as a JPEG, as good as `limit` bytes allow."""
    cut = []
    for data, box in parts:
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        cut.append(picture.crop([round(b * side) for b, side in zip(box, picture.size * 2, strict=True)]))
    height = max(part.height for part in cut)
    cut = [part.resize((round(part.width * height / part.height), height), Image.Resampling.LANCZOS) for part in cut]
    joined = Image.fromarray(np.hstack([np.asarray(part) for part in cut]))
    joined.thumbnail((width, width), Image.Resampling.LANCZOS)
    for quality in range(90, 20, -5):
        joined.save(buffer := io.BytesIO(), "jpeg", quality=quality, optimize=True)
        if buffer.tell() <= limit:
            break
    return buffer.getvalue()


def class_pictures(folder: Path) -> None:
    """Make a picture of every fiftieth class, 224 px, into files that begin with the class's number."""
    sys.path.insert(0, str(ROOT))  # run as a script, it has to find helpers.py
    import helpers

    classes = list(range(0, 1000, 50))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    images = helpers.maximize(helpers.load_model("transplant"), "predictions", classes).images
    for index, image in zip(classes, images, strict=True):
        picture = Image.fromarray(np.uint8(255 * image + 0.5))
        picture.save(folder / f"{index:03}_{helpers.class_names()[index]}.jpg", quality=85, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="NN", help="only this notebook's, e.g. 01; or classes")
    only, folder = parser.parse_args().only, ROOT / "data" / "pictures"
    folder.mkdir(exist_ok=True)
    if only == "classes":
        class_pictures(folder / "classes")
    paths = {path.name[:2]: path for path in (ROOT / "notebooks").glob("*.ipynb")}
    for number, parts in PICTURES.items():
        if number.startswith(only):
            pictures = [(stored(paths[number], alt), part) for alt, part in parts]
            (folder / f"{number}.jpg").write_bytes(strip(pictures))
    for name, (number, alt) in README.items():
        if number.startswith(only):
            (folder / f"{name}.jpg").write_bytes(stored(paths[number], alt))


if __name__ == "__main__":
    main()
