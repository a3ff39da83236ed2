"""Make build/site/: a front page, a page for each notebook, and the atlas. Static files that ask no other host.

python tools/website.py    of the notebooks as they are stored; `make run` does it with those that it has executed
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
from pathlib import Path
from string import Template

import nbformat
from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
ATLAS = ROOT / "data" / "atlas"
TEMPLATES = Path(__file__).resolve().parent / "website"
BLURBS = {
    "01": "From the photo to the answer: the blocks that ResNet50V2 is made of, and how far each of them sees.",
    "02": "One photo on its way through the network: what each stage keeps of it, and what it throws away.",
    "03": "The weights themselves: what the first filters measure, and why the deeper ones cannot simply be drawn.",
    "04": "Start from noise, ask one channel for more, and watch a picture appear.",
    "05": "Can a picture of a filter be trusted? Ways to find out, and a checklist.",
}
STAGES = {
    "conv2": "Here the network knows fine textures: lines, grids and dots, and the borders between two colours.",
    "conv3": "Here lines have become patterns: meshes, scales, fur, curls.",
    "conv4": "Here patterns become parts of things: eyes, wheels, petals, windows.",
    "conv5": "Here parts become whole things and scenes.",
    "predictions": "The last layer has one channel for each of the 1,000 classes.",
}


def make_site(executed: Path, site: Path) -> None:
    """Write the whole site; a notebook's page shows the one in `executed`, or else the stored one."""
    shutil.rmtree(site, ignore_errors=True)
    (site / "pictures").mkdir(parents=True)
    layers = make_atlas(site)
    cards = []
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        done = executed / path.name
        notebook = nbformat.read(done if done.exists() else path, as_version=4)
        write_page(to_html(notebook, path.stem), site / f"{path.stem}.html")
        title = re.search(r"(?m)^# (.+)$", notebook.cells[0].source)
        picture, alt = opening(notebook, path.stem[:2], site / "pictures")
        cards.append(card(f"{path.stem}.html", picture, alt, title[1] if title else path.stem, BLURBS[path.stem[:2]]))
    about = nbformat.v4.new_markdown_cell((ROOT / "data" / "README.md").read_text(encoding="utf-8"))
    (site / "data").mkdir(exist_ok=True)
    write_page(to_html(nbformat.v4.new_notebook(cells=[about]), "Photos and weights"), site / "data" / "README.html")
    ladder = next(
        path for path in (ROOT / "data" / "pictures" / "ladder.jpg", ROOT / "data" / "ladder.jpg") if path.is_file()
    )
    shutil.copy(ladder, site / "pictures" / "ladder.jpg")
    width, height = Image.open(ladder).size
    words = {"cards": "\n".join(cards), "atlas": atlas_section(layers), "ladder_width": width, "ladder_height": height}
    (site / "index.html").write_text(filled("index.html", words), encoding="utf-8")
    shutil.copy(TEMPLATES / "style.css", site)


def filled(template: str, words: dict) -> str:
    return Template((TEMPLATES / template).read_text(encoding="utf-8")).substitute(words)


def card(link: str, picture: str, alt: str, title: str, blurb: str) -> str:
    alt, title = html.escape(alt), html.escape(title)
    return f'<li><a href="{link}"><img src="{picture}" alt="{alt}"><div><h3>{title}</h3><p>{blurb}</p></div></a></li>'


def opening(notebook: nbformat.NotebookNode, number: str, folder: Path) -> tuple[str, str]:
    """Write the picture that opens a notebook, or else its first figure; return its address and its alt text."""
    made = ROOT / "data" / "pictures" / f"{number}.jpg"
    if made.is_file():
        shutil.copy(made, folder)
        text = re.search(rf"!\[([^]]*)\]\([^)]*{made.name}\)", "\n".join(cell.source for cell in notebook.cells))
        return f"pictures/{made.name}", text[1] if text else f"The picture that opens notebook {number}"
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        for kind in ("image/png", "image/jpeg"):
            if kind in output.get("data", {}):
                picture = folder / f"{number}.{kind[6:]}"
                picture.write_bytes(base64.b64decode(output["data"][kind]))
                return f"pictures/{picture.name}", output.get("metadata", {}).get(kind, {}).get("alt", "")
    raise ValueError(f"notebook {number} has no figure")


# ------------------------------------------------------------------------------------------------- notebooks as pages

# nbconvert cuts code off at a narrow screen's edge, and breaks the lines of printed tables wherever that edge falls.
PHONE = """.jp-InputArea-editor { overflow-x: auto }
@media (max-width: 600px) { .jp-Notebook pre { white-space: pre !important; overflow-x: auto } }"""
NO_ALT = 'alt="No description has been provided for this image"'


def to_html(notebook: nbformat.NotebookNode, title: str) -> str:
    """Render one executed notebook to a page of its own that asks no other host for anything."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(mathjax_url="", require_js_url="", mermaid_js_url="", jquery_url="")
    page, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": title}})
    page = re.sub(r'<script[^>]*src="[^"]*"[^>]*>\s*</script>', "", page)
    page = re.sub(r'<script type="module">.*?</script>', "", page, flags=re.DOTALL)  # mermaid, which we do not use
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        for values in output.get("metadata", {}).values():  # nbconvert leaves the alt texts out
            page = page.replace(NO_ALT, f'alt="{html.escape(values.get("alt", ""))}"', 1)
    page = page.replace("</head>", f"<style>{PHONE}</style></head>", 1)
    return re.sub(r'href="(\d\d_\w+)\.ipynb"', r'href="\1.html"', page)


def write_page(page: str, path: Path) -> None:
    """Write a notebook's page into the site, with a copy of each file of the repository that it shows or links to."""

    def brought(link: re.Match) -> str:
        name = link[2].replace("data/README.md", "data/README.html")
        source, there = ROOT / name, path.parent / name
        if source.is_file() and not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, there)
        return f'{link[1]}="{name}'

    path.write_text(re.sub(r'(src|href)="\.\./([^"#]+)', brought, page), encoding="utf-8")


# ---------------------------------------------------------------------------------------------------------- the atlas


def make_atlas(site: Path) -> list[str]:
    """Write the atlas' pages, as far as there is an atlas; return its layers."""
    layers = [path.stem for path in sorted(ATLAS.glob("*.json")) if write_layer(path, site)]
    if layers:
        folder = site / "photos"
        folder.mkdir()
        for path in sorted((ROOT / "data" / "images").glob("*.jpg")):
            photo = Image.open(path).convert("RGB")
            side = min(photo.size)
            ImageOps.fit(photo, (side, side), Image.Resampling.LANCZOS).save(folder / path.name, quality=82)
        scripts = [
            "<script>const ATLAS = {}</script>",
            *(f'<script src="atlas/{name}.js"></script>' for name in layers),
        ]
        (site / "atlas.html").write_text(filled("atlas.html", {"scripts": "\n".join(scripts)}), encoding="utf-8")
        shutil.copy(TEMPLATES / "atlas.js", site)
    return layers


def write_layer(page: Path, site: Path) -> bool:
    """Write what the atlas' page needs of one layer, and a cover; False, and a sentence, if its files do not fit."""
    about, sheet = json.loads(page.read_text(encoding="utf-8")), page.with_suffix(".jpg")
    crops = ATLAS / about["crops"]["sheet"]
    if not (sheet.is_file() and crops.is_file()) or hashlib.sha256(sheet.read_bytes()).hexdigest() != about["sheet"]:
        print(f"left out of the atlas: {page.stem}, whose files do not fit together; `make atlas` mends them")
        return False
    folder, columns = site / "atlas", about["columns"]
    folder.mkdir(exist_ok=True)
    for path in (sheet, crops):
        shutil.copy(path, folder)
    data = {name: about[name] for name in ("columns", "order", "channels", "photos")}
    data |= {
        "title": page.stem.split("_")[0],
        "words": STAGES.get(page.stem.split("_")[0], ""),
        "steps": about["recipe"]["steps"],
    }
    data |= {"sheet": f"atlas/{sheet.name}", "rows": -(-len(about["channels"]) // columns), "stride": stride(page.stem)}
    count = len(about["crops"]["sources"])
    data["crops"] = about["crops"] | {"sheet": f"atlas/{crops.name}", "columns": columns, "rows": -(-count // columns)}
    if page.stem == "predictions":
        names = json.loads((ROOT / "data" / "imagenet_classes.json").read_text(encoding="utf-8"))
        data["names"] = [name.replace("_", " ") for _, name in names]
    text = f"ATLAS[{json.dumps(page.stem)}] = {json.dumps(data, separators=(',', ':'))};\n"
    (folder / f"{page.stem}.js").write_text(text, encoding="utf-8")
    best = sorted(about["order"], key=lambda c: -(about["channels"][c]["robust"] or 0))[:24]
    pictures, side, cover = Image.open(sheet), about["tile"], Image.new("RGB", (6 * about["tile"], 4 * about["tile"]))
    for place, channel in enumerate(c for c in about["order"] if c in best):
        left, top = channel % columns * side, channel // columns * side
        cover.paste(pictures.crop((left, top, left + side, top + side)), (place % 6 * side, place // 6 * side))
    cover.save(site / "pictures" / f"{page.stem}.jpg", quality=85)
    return True


def stride(layer: str) -> int:
    """Return how many pixels lie between two positions of a block's output, up to the 32 of a place of 7 × 7."""
    match = re.match(r"conv(\d)_block(\d)_out", layer)
    stage, block = map(int, match.groups()) if match else (5, 3)
    return min(32, 2 ** (stage + ((stage, block) in {(2, 3), (3, 4), (4, 6)})))


def atlas_section(layers: list[str]) -> str:
    """Return the front page's part on the atlas, empty where there is none."""
    cards = []
    for layer in layers:
        title, count = layer.split("_")[0], len(json.loads((ATLAS / f"{layer}.json").read_text())["channels"])
        alt = f"Twenty-four of the {count:,} pictures of {title}"
        words = STAGES.get(title, "")
        cards.append(card(f"atlas.html#{layer}", f"pictures/{layer}.jpg", alt, f"{title}: {count:,} channels", words))
    return filled("section.html", {"cards": "\n".join(cards)}) if cards else ""


if __name__ == "__main__":
    make_site(ROOT / "build" / "notebooks", ROOT / "build" / "site")
    print(f"open this in a browser: {ROOT / 'build' / 'site' / 'index.html'}")
