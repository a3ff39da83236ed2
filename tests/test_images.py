"""Photos: those in data/, good and bad ones of a reader's own, and the natural inputs cut from them."""

import hashlib
import shutil

import numpy as np
import pytest
from conftest import ROOT, refuses
from PIL import Image

import helpers

CAT = helpers.IMAGES / "cat.jpg"


def test_photos_labels_and_class_names():
    names, files = helpers.class_names(), ["texture_moss.jpg", "Dutch_oven", "goose_01", "grace_hopper.jpg"]
    assert list(map(helpers.words, files)) == ["moss", "Dutch oven", "goose", "grace hopper"]
    assert len(names) == 1000 and {name for name in names if names.count(name) > 1} == {"crane", "maillot"}
    rows = np.loadtxt(helpers.PROBE / "labels.csv", str, delimiter=",", skiprows=1, encoding="utf-8")
    paths = [path.relative_to(helpers.PROBE).as_posix() for path in helpers.list_images(helpers.PROBE)]
    kinds, counts = np.unique(rows[:, 1], return_counts=True)
    assert sorted(rows[:, 0]) == sorted(paths) and len(rows) >= 280 and len(kinds) >= 10 and min(counts) >= 8
    for file, kind, thing, index, name in rows:
        assert file.startswith(f"{kind}/{thing.replace(' ', '_')}_") and (not index or names[int(index)] == name)


def test_every_data_file_has_its_published_hash_and_a_line_of_provenance():
    text = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    sums = dict(reversed(line.split()) for line in (ROOT / "data" / "SHA256SUMS").read_text().splitlines())
    photos, probe = helpers.list_images(helpers.IMAGES), helpers.list_images(helpers.PROBE)
    assert len(photos) > 30
    for path in [*photos, *probe, helpers.TRANSPLANT]:
        name = path.relative_to(ROOT / "data").as_posix()
        assert sums[name] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert path.name in text, f"data/README.md does not say where {name} comes from"
    for path in [*photos, *probe]:
        with Image.open(path) as photo:
            assert photo.mode == "RGB" and path.stat().st_size < 60_000
            assert photo.size == (192, 192) if path in probe else max(photo.size) <= 384


@pytest.fixture
def save(tmp_path):
    def write(image, name="photo.png", **options):
        (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(tmp_path / name, **options)
        return tmp_path / name

    return write


def test_photo_becomes_a_square_of_floats(save):
    ramp = np.tile(np.linspace(0, 255, 90, dtype=np.uint8)[None, :, None], (60, 1, 3))
    photo = helpers.load_image(save(ramp), 60)
    assert photo.shape == (60, 60, 3) and photo.dtype == np.float32
    assert abs(photo[:, 0].mean() - 15 / 90) < 0.02 and abs(photo[:, -1].mean() - 75 / 90) < 0.02  # the central square
    assert helpers.load_image(save(ramp), None).shape == (60, 90, 3)
    for same in (ramp, ramp / 255, Image.fromarray(ramp)):
        np.testing.assert_allclose(helpers.load_image(same, 60), photo, atol=1 / 255)


def test_sixteen_bits_grey_palette_cmyk_transparency_and_a_turned_camera(save):
    assert np.allclose(helpers.load_image(save(np.full((40, 40), 32_896, np.uint16)), 40), 128 / 255)
    assert helpers.load_image(save(Image.new("L", (40, 40), 51)), 40) == pytest.approx(0.2)
    red, clear = Image.new("RGB", (40, 40), (250, 10, 10)), Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    for path in (save(red.convert("P", palette=Image.Palette.ADAPTIVE)), save(red.convert("CMYK"), "red.jpg")):
        assert np.abs(helpers.load_image(path, 40)[20, 20] * 255 - (250, 10, 10)).max() < 25
    for photo, options in ((clear, {}), (clear.convert("LA"), {}), (clear.quantize(), {"transparency": 0})):
        assert helpers.load_image(save(photo, **options), 40) == pytest.approx(127 / 255)  # laid on mid-grey
    photo, exif = Image.new("RGB", (80, 40), "black"), Image.Exif()
    photo.paste("white", (0, 0, 40, 40))
    exif[0x0112] = 6  # hold the camera upright: turn by 90° clockwise
    upright = helpers.load_image(save(photo, "turned.jpg", exif=exif, quality=95), None)
    assert upright.shape == (80, 40, 3) and upright[:30].mean() > 0.9 and upright[50:].mean() < 0.1


def test_files_that_are_no_photos_or_none_for_the_network(tmp_path, save):
    refuses("no photos", helpers.list_images, tmp_path)
    shutil.copy(CAT, tmp_path / "kitten.jpg")
    with pytest.raises(FileNotFoundError, match=r"kiten\.jpg; did you mean kitten\.jpg"):
        helpers.load_image(tmp_path / "kiten.jpg")
    data, bad = CAT.read_bytes(), tmp_path / "bad.jpg"
    for content, words in ((b"", "empty"), (50 * b"just text\n", "no image"), (data[: len(data) // 2], "cut short")):
        bad.write_bytes(content)
        refuses(rf"bad\.jpg.*{words}", helpers.load_image, bad)
    for photo, words in (
        (tmp_path, "is a folder; list_images"),
        (save(Image.new("RGB", (1, 1))), "1×1 px; the network needs at least 32"),
        (save(Image.new("F", (40, 40)), "deep.tif"), "floating-point"),
        (save(Image.new("1", (10_000, 10_000)), "large.png"), r"large\.png is too large.*scale it down"),
        (save(Image.new("1", (20_000, 20_000)), "bomb.png"), r"bomb\.png is too large"),
    ):
        refuses(words, helpers.load_image, photo)
    for source in (None, 7, b"cat.jpg", [CAT]):
        refuses("photo", helpers.load_image, source, error=TypeError)
    for array in (*map(np.ones, ((40,), (40, 40, 2), (0, 3))), np.full((40, 40, 3), np.nan)):
        refuses("photo", helpers.load_image, array)
    for size in (31, 10**6, 64.0, "64", True):
        for call in (lambda size: helpers.load_image(CAT, size), helpers.natural_inputs):
            refuses(f"size={size!r}", call, size)


def test_preprocess_is_inverted_leaves_its_argument_alone_and_takes_images_only():
    image = np.random.default_rng(0).uniform(size=(40, 50, 3)).astype(np.float32)
    before = image.copy()
    inputs = helpers.preprocess(image)
    assert inputs.shape == (1, 40, 50, 3) and np.array_equal(image, before)
    np.testing.assert_allclose(helpers.deprocess(inputs)[0], image, atol=1e-6)
    ends = helpers.preprocess(np.stack([np.full((32, 32, 3), v, np.uint8) for v in (0, 255)]))
    assert ends.shape[0] == 2 and ends[0].max() == -1 and ends[1].min() == 1
    np.testing.assert_allclose(helpers.preprocess(np.full((32, 32, 3), 0.5)), 0)
    for array, words in (
        (np.full((40, 40, 3), np.nan), "NaN"),
        (np.zeros((40, 40)), "expected shape"),
        (np.zeros((40, 40, 4)), "expected shape"),
        (np.full((40, 40, 3), 255.0), "values from 255 to 255"),
        (np.full((40, 40, 3), -1.0), "values from -1"),
        (np.zeros((31, 40, 3)), "at least 32"),
        (np.zeros((0, 40, 40, 3)), "empty"),
    ):
        refuses(words, helpers.preprocess, array)


def test_natural_inputs():
    crops = helpers.natural_inputs(64)
    assert crops.images.shape == (1000, 64, 64, 3) and crops.images.dtype == np.uint8 and len(crops.sources) == 1000
    assert len(set(crops.sources)) > 150
    flat = (np.abs(crops.images[600:].astype(int) - helpers.MID_GREY).max(axis=-1) <= 6).mean(axis=(1, 2))
    assert flat.mean() < 0.02  # of the probe photos only what lies inside the object
    again = helpers.natural_inputs(64)
    assert np.array_equal(crops.images, again.images) and crops.sources == again.sources
    others, is_cat = helpers.natural_inputs(64, without="folder/cat.jpg"), np.array(crops.sources) == "cat"
    assert is_cat.sum() > 9 and np.array_equal(others.images, crops.images[~is_cat]) and "cat" not in others.sources


def test_natural_inputs_of_folders_as_people_have_them(tmp_path):
    for name, size in (("cats/1.jpg", (64, 64)), ("dogs/1.jpg", (64, 64)), ("dogs/2.jpg", (2400, 1600))):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)).save(tmp_path / name)
    (tmp_path / "cut short.jpg").write_bytes(CAT.read_bytes()[:2000])
    refuses("no crop could be cut", helpers.natural_inputs, 48, images=None, probe=None)
    with pytest.warns(UserWarning, match=r"cut short\.jpg"):
        crops = helpers.natural_inputs(48, images=tmp_path, probe=None)
    assert crops.images.shape == (600, 48, 48, 3)  # equal names are told apart
    assert set(crops.sources) == {(tmp_path / "cats/1").as_posix(), (tmp_path / "dogs/1").as_posix(), "2"}
