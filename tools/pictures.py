"""Make the pictures that open the notebooks: cut a stored figure, found by its alt text, and reduce it.

python tools/pictures.py [--only 01]    write data/pictures/NN.jpg from notebooks/NN_*.ipynb
python tools/pictures.py --only series  write data/pictures/series.jpg, eight tiles of data/ladder.jpg
"""

from __future__ import annotations

import argparse
import base64
import io
import json
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PICTURES = {  # notebook: how its figure's alt text begins; the parts to join: left, top, right, bottom in [0, 1]
    "01": ("One photo on its way", [(0, 0.033, 0.333, 0.493), (0.667, 0.033, 1, 0.493), (0.333, 0.528, 0.667, 0.988)]),
    "02": ("An astronaut and an officer", [(0, 0, 1, 1)]),
    "03": ("A circuit: dots", [(0, 0.362, 1, 1)]),
}
SERIES = ((0, 5), (0, 4), (0, 7), (5, 0))  # of each row of the ladder, a stage, the two tiles that are shown


def figure(notebook: Path, alt: str) -> Image.Image:
    """Return the stored figure whose alt text begins with `alt`; ValueError if there is none."""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            for mime, values in output.get("metadata", {}).items():
                if isinstance(values, dict) and values.get("alt", "").startswith(alt):
                    return Image.open(io.BytesIO(base64.b64decode(output["data"][mime]))).convert("RGB")
    raise ValueError(f"{notebook.name} has no figure whose alt text begins with {alt!r}: execute it first")


def strip(picture: Image.Image, boxes: list[tuple[float, ...]], width: int = 1000, limit: int = 60_000) -> bytes:
    """Return parts of a picture side by side as a JPEG, at most `width` px wide, as good as `limit` bytes allow."""
    parts = [picture.crop([round(b * side) for b, side in zip(box, picture.size * 2, strict=True)]) for box in boxes]
    joined = Image.new("RGB", (sum(part.width for part in parts), max(part.height for part in parts)), "white")
    for number, part in enumerate(parts):
        joined.paste(part, (sum(before.width for before in parts[:number]), 0))
    joined.thumbnail((width, width), Image.Resampling.LANCZOS)
    return jpeg(joined, limit)


def jpeg(picture: Image.Image, limit: int = 60_000) -> bytes:
    """Return a picture as a JPEG, as good as `limit` bytes allow."""
    for quality in range(90, 20, -5):
        picture.save(buffer := io.BytesIO(), "jpeg", quality=quality, optimize=True)
        if buffer.tell() <= limit:
            break
    return buffer.getvalue()


def series(ladder: Image.Image, side: int = 176, gap: int = 8) -> Image.Image:
    """Return two tiles of each stage of the ladder, one below the other, a column a stage."""
    sheet = Image.new("RGB", (4 * (side + gap) - gap, 2 * (side + gap) - gap), "white")
    for stage, columns in enumerate(SERIES):
        for row, column in enumerate(columns):
            left, top = 5 + 120 * column, 52 + 157 * stage
            tile = ladder.crop((left, top, left + 110, top + 110)).resize((side, side), Image.Resampling.LANCZOS)
            sheet.paste(tile, (stage * (side + gap), row * (side + gap)))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="NN", help="only this one: 01, or series")
    only = parser.parse_args().only
    (ROOT / "data" / "pictures").mkdir(exist_ok=True)
    if only in ("", "series"):
        ladder = Image.open(ROOT / "data" / "ladder.jpg").convert("RGB")
        (ROOT / "data" / "pictures" / "series.jpg").write_bytes(jpeg(series(ladder)))
    for number, (alt, boxes) in PICTURES.items():
        if number.startswith(only):
            notebook = next((ROOT / "notebooks").glob(f"{number}_*.ipynb"))
            (ROOT / "data" / "pictures" / f"{number}.jpg").write_bytes(strip(figure(notebook, alt), boxes))


if __name__ == "__main__":
    main()
