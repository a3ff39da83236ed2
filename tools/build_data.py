"""Build data/images and data/probe from photos that public packages ship under free licences.

    python tools/build_data.py CACHE_DIR            # about 460 MB of packages go into CACHE_DIR; needs Debian 12's apt

Every photo is a row of data_sources.csv: the file to write, the package and the path in it, the crop in pixels (left,
top, right, bottom), the ImageNet class (probe photos, where one fits), author and licence. The packages of
data_packages.csv must match their SHA-256. Written are the photos, data/probe/labels.csv, data/SHA256SUMS and the
tables of data/README.md, with the Pillow of requirements-dev.txt the same bytes on every run.
"""

import csv
import hashlib
import io
import itertools
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace

from PIL import Image

DATA = Path(__file__).resolve().parent.parent / "data"
FIRST, LAST = "<!-- sources: written by tools/build_data.py -->", "<!-- end of sources -->"


def read_table(name: str) -> list[SimpleNamespace]:
    """Return the rows of a CSV file beside this script, its header their attributes."""
    with Path(__file__).with_name(name).open(newline="", encoding="utf-8") as file:
        return [SimpleNamespace(**line) for line in csv.DictReader(file)]


def unpacked(package: SimpleNamespace, cache: Path, target: Path) -> Path:
    """Unpack a package, downloaded into `cache` if it is not there; return the folder that its paths start from."""
    cache.mkdir(parents=True, exist_ok=True)
    command = ["apt-get", "download", f"{package.name}={package.version}"]
    if package.client == "pip":  # one wheel wherever it runs
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command += ["--python-version", "3.11", f"{package.name}=={package.version}"]
        command += [f"--platform=manylinux{p}_x86_64" for p in ("2014", "_2_27", "_2_28")]
    if not any(cache.iterdir()):
        print(f"downloading {package.name} {package.version}", flush=True)
        subprocess.run(command, cwd=cache, check=True)
    (file,) = cache.iterdir()
    if hashlib.sha256(file.read_bytes()).hexdigest() != package.sha256:
        raise ValueError(f"{file} does not have the SHA-256 {package.sha256} of {package.name} {package.version}")
    if file.suffix == ".whl":
        shutil.unpack_archive(file, target, "zip")
    else:
        subprocess.run(["dpkg-deb", "--extract", file, target], check=True)
    return target / package.root


@cache
def resource_files(path: Path) -> dict[str, bytes]:
    """Return what is in a binary Qt resource file (.rcc, as `rcc --binary` writes it, without zstd), by path."""
    data = path.read_bytes()
    version, tree, blobs, names = struct.unpack(">4s4I", data[:20])[1:]

    def walk(node: int, prefix: str) -> Iterator[tuple[str, bytes]]:
        name_at, flags, first, second = struct.unpack_from(">IHII", data, tree + node * (22 if version >= 2 else 14))
        if node:
            (length,) = struct.unpack_from(">H", data, names + name_at)
            start = names + name_at + 6
            prefix += "/" * bool(prefix) + data[start : start + 2 * length].decode("utf-16-be")
        if flags & 2:  # a folder: number of children, first child
            for child in range(second, second + first):
                yield from walk(child, prefix)
        else:
            (length,) = struct.unpack_from(">I", data, blobs + second)
            blob = data[blobs + second + 4 : blobs + second + 4 + length]
            yield prefix, zlib.decompress(blob[4:]) if flags & 1 else blob

    return dict(walk(0, ""))


def opened(folder: Path, photo: SimpleNamespace) -> Image.Image:
    """Return a photo out of its unpacked package, cropped; `archive.rcc!inner` is inside a Qt resource file."""
    outer, _, inner = photo.path.partition("!")
    files = resource_files(folder / outer) if inner else {}
    picture = Image.open(io.BytesIO(files[f"gcompris/src/activities/{inner}"]) if inner else folder / outer)
    picture = picture.convert("RGB" if photo.file.startswith("images/") else "RGBA")
    return picture.crop([int(side) for side in photo.crop.split()]) if photo.crop else picture


def fit(picture: Image.Image, side: int, most: float) -> Image.Image:
    """Return the picture with its longest side brought to `side`, scaled by `most` at most."""
    scale = min(side / max(picture.size), most)
    return picture.resize([max(1, round(n * scale)) for n in picture.size], Image.Resampling.LANCZOS)


def jpeg(picture: Image.Image, quality: int) -> bytes:
    picture.save(buffer := io.BytesIO(), "JPEG", quality=quality, optimize=True, subsampling=0 if quality > 89 else 2)
    return buffer.getvalue()


def make_image(picture: Image.Image) -> bytes:
    """Return a photo of data/images: at most 384 px, the best JPEG quality that stays under 60 kB."""
    picture = fit(picture, 384, 1.0)
    return next(data for quality in range(92, 60, -2) if len(data := jpeg(picture, quality)) <= 60_000)


def make_probe(picture: Image.Image) -> bytes:
    """Return a photo of data/probe, 192 px: square photos fill it, all else lies on mid-grey with a margin."""
    opaque = picture.getchannel("A").getextrema()[0] == 255
    picture = picture.crop(picture.getchannel("A").point(lambda a: 255 * (a > 24)).getbbox())
    picture = fit(picture, 192 if opaque and picture.width == picture.height else 176, 1.5)
    canvas = Image.new("RGB", (192, 192), (127, 127, 127))
    canvas.paste(picture, ((192 - picture.width) // 2, (192 - picture.height) // 2), picture)
    return jpeg(canvas, 88)


def labels(photos: list[SimpleNamespace]) -> str:
    """Return data/probe/labels.csv."""
    rows = [[*p.file.split("/")[1:], p.class_index, p.class_name] for p in photos if p.file.startswith("probe/")]
    lines = [f"{kind}/{name},{kind},{name[:-7].replace('_', ' ')},{index},{what}\n" for kind, name, index, what in rows]
    return "".join(["file,kind,object,class_index,class_name\n", *lines])


def sums() -> str:
    """Return data/SHA256SUMS: a line for each photo, the labels, the class names and the weights."""
    files = [path for pattern in ("*.json", "*.h5", "images/*", "probe/**/*.*") for path in DATA.glob(pattern)]
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(DATA).as_posix()}\n" for p in files]
    return "".join(sorted(lines, key=lambda line: line.split()[1]))


def tables(photos: list[SimpleNamespace], packages: list[SimpleNamespace]) -> str:
    """Return the tables of data/README.md: the packages, and the files of each folder."""
    lines = ["### Packages", "", "| package | version | client | folder that the paths start from |"]
    lines += ["|---|---|---|---|", *(f"| {p.name} | {p.version} | {p.client} | `{p.root}` |" for p in packages)]
    for folder, group in itertools.groupby(photos, lambda photo: photo.file.rpartition("/")[0]):
        lines += ["", f"### {folder}", "", "| file | package | path in the package | author | licence |"]
        rows = (f"| {Path(p.file).name} | {p.package} | `{p.path}` | {p.author} | {p.licence} |" for p in group)
        lines += ["|---|---|---|---|---|", *rows]
    return "\n".join(lines)


def main(cache_dir: str) -> None:
    """Write all; old photos go when all new ones are made."""
    photos, packages = read_table("data_sources.csv"), read_table("data_packages.csv")
    sources = {(photo.file.split("/")[0], photo.package, photo.path) for photo in photos}
    if not len({photo.file for photo in photos}) == len(sources) == len(photos):
        raise ValueError("data_sources.csv has two rows for one file, or two files of one picture")
    with tempfile.TemporaryDirectory() as work_dir, tempfile.TemporaryDirectory(dir=DATA) as fresh:
        roots = {p.name: unpacked(p, Path(cache_dir, p.name), Path(work_dir, p.name)) for p in packages}
        for photo in photos:
            make = make_image if photo.file.startswith("images/") else make_probe
            target = Path(fresh) / photo.file
            target.parent.mkdir(parents=True, exist_ok=True)
            print(f"\r{photo.file:60}", end="", flush=True)  # where it fails, the last one stands there
            target.write_bytes(make(opened(roots[photo.package], photo)))
        for folder in ("images", "probe"):
            shutil.rmtree(DATA / folder, ignore_errors=True)
            shutil.move(Path(fresh) / folder, DATA / folder)
    (DATA / "probe" / "labels.csv").write_text(labels(photos), encoding="utf-8")
    (DATA / "SHA256SUMS").write_text(sums(), encoding="utf-8")
    page = DATA / "README.md"
    before, after = page.read_text(encoding="utf-8").split(FIRST)
    text = [before + FIRST, tables(photos, packages), LAST + after.split(LAST)[1]]
    page.write_text("\n\n".join(text), encoding="utf-8")
    print(f"\r{len(photos)} photos; `git status data` shows what has changed")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) if len(sys.argv) == 2 else __doc__)
