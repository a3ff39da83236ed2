"""Make build/site/: a front page, a page for each notebook, and the atlas. Static files that ask no other host.

python tools/website.py    of the notebooks as they are stored; `make run` does it with those that it has executed
"""

import hashlib
import html
import json
import re
import shutil
from pathlib import Path
from string import Template

import nbformat
import numpy as np
from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS, ATLAS, TEMPLATES = ROOT / "notebooks", ROOT / "data" / "atlas", ROOT / "tools" / "website"
STAGES = {
    "conv2_block3_out": ("conv2", "Fine textures: lines, grids and dots, and the borders between two colours."),
    "conv3_block4_out": ("conv3", "Lines have become patterns: meshes, scales, ripples, curls."),
    "conv4_block6_out": ("conv4", "Patterns have become parts of things: eyes, wheels, petals, windows."),
    "conv5_block3_out": ("conv5", "Parts have become things and scenes."),
    "predictions": ("classes", "The last layer has one channel for each of the 1,000 classes."),
}


def make_site(executed: Path, site: Path) -> None:
    """Write the whole site; a notebook's page shows the one in `executed`, or else the stored one."""
    shutil.rmtree(site, ignore_errors=True)
    for folder in ("pictures", "data", "atlas", "photos"):
        (site / folder).mkdir(parents=True)
    cards, pictures, readme = [], ROOT / "data" / "pictures", (ROOT / "README.md").read_text(encoding="utf-8")
    blurbs = dict(re.findall(r'(?m)^\| \[<img src="data/pictures/(\d\d)\.jpg".* \| ([^|]+) \|$', readme))
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        done, number = executed / path.name, path.stem[:2]
        notebook = nbformat.read(done if done.exists() else path, as_version=4)
        write_page(notebook, path.stem, site)
        head = notebook.cells[0].source
        title, alt = re.search(r"(?m)^# (.+)$", head)[1], re.search(rf"!\[([^]]*)\]\([^)]*{number}\.jpg\)", head)[1]
        shutil.copy(pictures / f"{number}.jpg", site / "pictures")
        cards.append(card(f"{path.stem}.html", f"pictures/{number}.jpg", alt, title, html.escape(blurbs[number])))
    about = nbformat.v4.new_markdown_cell((ROOT / "data" / "README.md").read_text(encoding="utf-8"))
    write_page(nbformat.v4.new_notebook(cells=[about]), "README", site / "data")
    alt = re.search(r"!\[([^]]+)\]\(data/pictures/ladder\.jpg\)", readme)[1]
    width, height = Image.open(shutil.copy(pictures / "ladder.jpg", site / "pictures")).size
    words = {"alt": html.escape(alt), "ladder": "pictures/ladder.jpg", "width": width, "height": height}
    words |= {"cards": "\n".join(cards), "atlas": make_atlas(site)}
    (site / "index.html").write_text(filled("index.html", words), encoding="utf-8")
    for name in ("style.css", "atlas.js"):
        shutil.copy(TEMPLATES / name, site)


def filled(template: str, words: dict) -> str:
    return Template((TEMPLATES / template).read_text(encoding="utf-8")).substitute(words)


def card(link: str, picture: str, alt: str, title: str, blurb: str) -> str:
    alt, title = html.escape(alt), html.escape(title)
    return f'<li><a href="{link}"><img src="{picture}" alt="{alt}"><div><h3>{title}</h3><p>{blurb}</p></div></a></li>'


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


def write_page(notebook: nbformat.NotebookNode, name: str, folder: Path) -> None:
    """Write a notebook's page into the site, with a copy of each file of the repository that it shows or links to."""

    def brought(link: re.Match) -> str:
        file = link[2].replace("data/README.md", "data/README.html")
        if (ROOT / file).is_file():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, folder / file)
        return f'{link[1]}="{file}'

    home = "index.html" if folder.name != "data" else "../index.html"
    link = f'<p style="margin: 1em"><a href="{home}">← Visualizing filters</a></p>'
    page = re.sub("<body[^>]*>", rf"\g<0>{link}", to_html(notebook, name), count=1)
    page = re.sub(r'(src|href)="\.\./(?!index)([^"#]+)', brought, page)
    (folder / f"{name}.html").write_text(page, encoding="utf-8")


def make_atlas(site: Path) -> str:
    """Write the atlas' pages; return the front page's part on them, empty where there is no atlas."""
    layers = {page.stem: count for page in sorted(ATLAS.glob("*.json")) if (count := write_layer(page, site))}
    if not layers:
        return ""
    for path in sorted((ROOT / "data" / "images").glob("*.jpg")):
        photo = Image.open(path).convert("RGB")
        ImageOps.fit(photo, 2 * (min(photo.size),)).save(site / "photos" / path.name, quality=82)
    scripts = ["<script>const ATLAS = {}</script>", *(f'<script src="atlas/{name}.js"></script>' for name in layers)]
    (site / "atlas.html").write_text(filled("atlas.html", {"scripts": "\n".join(scripts)}), encoding="utf-8")
    cards = []
    for layer, count in layers.items():
        title, words = STAGES.get(layer, (layer, ""))
        alt = f"Twenty-four of the {count:,} pictures of {title}"
        cards.append(card(f"atlas.html#{layer}", f"pictures/{layer}.jpg", alt, f"{title}: {count:,} channels", words))
    deepest = max(layer for layer in layers if layer.startswith("conv"))
    return filled("section.html", {"cards": "\n".join(cards), "layer": deepest})


def write_layer(page: Path, site: Path) -> int:
    """Write what the atlas' page needs of a layer, and a cover; return its channels; 0 and a sentence if unfit."""
    layer, sheet, folder = page.stem, page.with_suffix(".jpg"), site / "atlas"
    try:
        about = json.loads(page.read_bytes())
        crops, columns = ATLAS / about["crops"]["sheet"], about["columns"]
        if hashlib.sha256(sheet.read_bytes()).hexdigest() != about["sheet"] or not crops.is_file():
            raise ValueError("its pictures are not those that it describes, or its crops are missing")
    except (OSError, ValueError, KeyError) as error:
        print(f"left out of the atlas: {layer} ({error}); `make atlas LAYERS={layer}` mends it")
        return 0
    data = {name: about[name] for name in ("order", "channels", "photos", "crops")}
    for part, path, tiles in ((data, sheet, about["order"]), (data["crops"], crops, data["crops"]["sources"])):
        shutil.copy(path, folder)
        part |= {"sheet": f"atlas/{path.name}", "columns": columns, "rows": -(-len(tiles) // columns)}
    data["title"], data["words"] = STAGES.get(layer, (layer, ""))
    data |= {"steps": about["recipe"]["steps"], "stride": stride(layer)}
    if layer == "predictions":
        names = json.loads((ROOT / "data" / "imagenet_classes.json").read_bytes())
        data["names"] = [name.replace("_", " ") for _, name in names]
    text = json.dumps(data, separators=(",", ":"))
    (folder / f"{layer}.js").write_text(f'ATLAS["{layer}"] = {text};\n', encoding="utf-8")
    alike = np.array_split(about["order"], 24)  # of each group of like channels, the one with the most robust picture
    best = [max(group, key=lambda channel: about["channels"][channel]["robust"] or 0) for group in alike]
    pictures, side = np.asarray(Image.open(sheet)), about["tile"]
    tiles = [pictures[c // columns * side :, c % columns * side :][:side, :side] for c in best]
    cover = np.vstack([np.hstack(tiles[row : row + 6]) for row in range(0, 24, 6)])
    Image.fromarray(cover).save(site / "pictures" / f"{layer}.jpg", quality=85)
    return len(about["order"])


def stride(layer: str) -> int:
    """Return how many pixels lie between two positions of a block's output, up to the 32 of a place of 7 × 7."""
    match = re.match(r"conv(\d)_block(\d)_out", layer)
    stage, block = map(int, match.groups()) if match else (5, 3)
    return min(32, 2 ** (stage + ((stage, block) in {(2, 3), (3, 4), (4, 6)})))


if __name__ == "__main__":
    make_site(ROOT / "build" / "notebooks", ROOT / "build" / "site")
    print(f"open this in a browser: {ROOT / 'build' / 'site' / 'index.html'}")
