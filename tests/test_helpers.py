"""The model, the photos and helpers.py: facts about the architecture, and what happens to good and bad input."""

import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT
from PIL import Image

import helpers

# side at 224, channels, receptive field, stride, cells an axis that no zero padding reaches (None: not stated)
TABLE = {
    "conv1_conv": (112, 64, 7, 2, None),
    "pool1_pool": (56, 64, 11, 4, None),
    "conv2_block1_out": (56, 256, 19, 4, None),
    "conv2_block2_out": (56, 256, 27, 4, None),
    "conv2_block3_out": (28, 256, 35, 8, 23),
    "conv3_block1_out": (28, 512, 51, 8, None),
    "conv3_block2_out": (28, 512, 67, 8, None),
    "conv3_block3_out": (28, 512, 83, 8, None),
    "conv3_block4_out": (14, 512, 99, 16, 7),
    "conv4_block1_out": (14, 1024, 131, 16, 5),
    "conv4_block2_out": (14, 1024, 163, 16, None),
    "conv4_block3_out": (14, 1024, 195, 16, 1),
    "conv4_block4_out": (14, 1024, 227, 16, None),
    "conv4_block5_out": (14, 1024, 259, 16, None),
    "conv4_block6_out": (7, 1024, 291, 32, 0),
    "conv5_block1_out": (7, 2048, 355, 32, None),
    "conv5_block2_out": (7, 2048, 419, 32, None),
    "conv5_block3_out": (7, 2048, 483, 32, None),
}
OFFICIAL = "resnet50v2_weights_tf_dim_ordering_tf_kernels.h5"


# ---------------------------------------------------------------------------------------------------- architecture


@pytest.fixture(scope="module")
def plain():
    """Keras' own ResNet50V2, untrained and trainable, at 224 px."""
    return keras.applications.ResNet50V2(weights=None, classifier_activation=None)


def test_parameters_and_layers(model, plain):
    def count(weights):
        return sum(int(np.prod(w.shape)) for w in weights)

    assert model.count_params() == 25_613_800 and len(model.layers) == 192
    assert count(plain.trainable_weights) == 25_568_360 and count(plain.non_trainable_weights) == 45_440
    assert model.count_params() - model.get_layer("predictions").count_params() == 23_564_800


def test_convolutions_and_norms(model):
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    sides = [layer.kernel.shape[0] for layer in convolutions]
    assert (len(sides), sides.count(7), sides.count(3), sides.count(1)) == (53, 1, 16, 36)
    weights = {k: sum(int(np.prod(c.kernel.shape)) for c in convolutions if c.kernel.shape[0] == k) for k in (1, 3)}
    assert weights == {1: 12_128_256, 3: 11_317_248}
    assert sum(layer.filters for layer in convolutions) == 26_560
    biased = {layer.name for layer in convolutions if layer.use_bias}
    assert len(biased) == 21 and all(n == "conv1_conv" or n.endswith(("_0_conv", "_3_conv")) for n in biased)
    assert sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers) == 49


def test_cost_of_one_image(plain):
    convolutions = [layer for layer in plain.layers if isinstance(layer, keras.layers.Conv2D)]
    macs = sum(np.prod(c.output.shape[1:3]) * np.prod(c.kernel.shape) for c in convolutions) + 2048 * 1000
    assert round(macs / 1e9, 2) == 3.48


@pytest.mark.parametrize("layer", TABLE)
def test_side_channels_field_and_stride(model, plain, layer):
    side, channels, field, stride, clear = TABLE[layer]
    assert plain.get_layer(layer).output.shape[1:] == (side, side, channels)
    found = helpers.receptive_field(model, layer)
    assert (found.size, found.stride) == (field, stride)
    assert sum(found.span(3)) / 2 == 3 * stride  # the centre of cell i lies at pixel stride·i
    assert clear is None or len(found.clear_of_padding(224)) == clear


@pytest.mark.parametrize("layer", TABLE)
def test_averaging_copy_answers_inside_the_field_only(averaging_model, layer):
    field, cell = helpers.receptive_field(averaging_model, layer), 288 // TABLE[layer][3]
    first, last = field.span(cell)
    inputs = np.zeros((5, 577, 577, 3), np.float32)
    for image, (row, column) in zip(inputs, [(a, b) for a in (first, last) for b in (first, last)], strict=False):
        image[row, column] = 1  # four images: one bright pixel, just inside a corner
    inputs[4] = 1  # the fifth: every pixel outside the field
    inputs[4, first : last + 1, first : last + 1] = 0
    answers = helpers.feature_model(averaging_model, layer)(inputs).numpy()[:, cell, cell]
    assert (answers[:4] > 0).all() and (answers[4] == 0).all()


@pytest.mark.parametrize("layer", ["conv2_block3_out", "conv3_block4_out", "conv4_block1_preact_relu"])
def test_gradients_of_the_trained_network_stay_inside_the_field(model, layer):
    field = helpers.receptive_field(model, layer)
    first, last = field.span(160 // field.stride)
    inputs = tf.constant(helpers.preprocess(helpers.load_image(helpers.IMAGES / "cat.jpg", 321)))
    features = helpers.feature_model(model, layer)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = tf.reduce_sum(features(inputs)[:, 160 // field.stride, 160 // field.stride])
    gradient = np.abs(tape.gradient(value, inputs)[0]).sum(axis=-1)
    inside = gradient[first : last + 1, first : last + 1].sum()
    assert inside > 0 and np.isclose(gradient.sum(), inside, rtol=1e-6)
    gradient[first : last + 1, first : last + 1] = 0
    assert gradient.max() == 0


def test_rectified_view(model):
    assert helpers.rectified_view(model, "conv2_block3_out") == "conv3_block1_preact_relu"
    assert helpers.rectified_view(model, "conv5_block3_out") == "post_relu"
    assert helpers.rectified_view(model, "conv4_block2_1_conv") == "conv4_block2_1_relu"
    assert helpers.rectified_view(model, "post_relu") == "post_relu"
    with pytest.raises(ValueError, match="not read through a ReLU"):
        helpers.rectified_view(model, "predictions")


# ------------------------------------------------------------------------------------------------------- weights


def test_keras_reads_the_embedded_file_and_gives_the_same_logits(model):
    keras_own = keras.applications.ResNet50V2(weights=str(helpers.TRANSPLANT), classifier_activation=None)
    photo = helpers.preprocess(helpers.load_image(helpers.IMAGES / "cat.jpg"))
    np.testing.assert_allclose(model(photo), keras_own(photo), atol=1e-4)


@pytest.mark.parametrize("side", [32, 57, 300])
def test_any_side_from_32_up(model, side):
    assert model(np.zeros((1, side, side + 7, 3), np.float32)).shape == (1, 1000)


def test_model_is_frozen_in_inference_mode(model):
    photo = helpers.preprocess(helpers.load_image(helpers.IMAGES / "cat.jpg", 64))
    norm = model.get_layer("conv2_block1_1_bn")
    before = norm.moving_mean.numpy()
    np.testing.assert_allclose(model(photo, training=True), model(photo), atol=1e-5)
    assert not model.trainable_weights and np.array_equal(before, norm.moving_mean.numpy())


def test_missing_weights_name_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.weights\.h5.*transplant"):
        helpers.load_model(tmp_path / "nowhere.weights.h5")


@pytest.mark.parametrize("damage", ["cut short", "one byte", "missing"])
def test_damaged_embedded_weights_are_refused(tmp_path, monkeypatch, damage):
    data = bytearray(helpers.TRANSPLANT.read_bytes())
    data[1_000_000] ^= 1
    copy = tmp_path / helpers.TRANSPLANT.name
    if damage != "missing":
        copy.write_bytes(data if damage == "one byte" else data[:1_000_000])
    monkeypatch.setattr(helpers, "TRANSPLANT", copy)
    with pytest.raises((ValueError, FileNotFoundError), match=r"resnet50v2_transplant\.weights\.h5.*git checkout"):
        helpers.load_model()


@pytest.mark.parametrize("content", ["cut short", "another architecture", "not HDF5"])
def test_foreign_weights_are_refused(tmp_path, content):
    path = tmp_path / "mine.weights.h5"
    if content == "another architecture":
        keras.applications.MobileNetV2(weights=None, alpha=0.35).save_weights(path)
    else:
        path.write_bytes(helpers.TRANSPLANT.read_bytes()[:500_000] if content == "cut short" else b"hello")
    with pytest.raises(ValueError, match=r"mine\.weights\.h5 does not hold weights of ResNet50V2"):
        helpers.load_model(path)


def test_weights_argument_and_environment(monkeypatch):
    monkeypatch.delenv("RESNET50V2_WEIGHTS", raising=False)
    assert helpers.weights_in_use() == "transplant"
    monkeypatch.setenv("RESNET50V2_WEIGHTS", "imagenet")
    assert helpers.weights_in_use() == "imagenet" and helpers.weights_in_use("transplant") == "transplant"


@pytest.fixture(scope="module")
def mirror(tmp_path_factory, plain, model):
    """A stand-in for Keras' server on loopback: a folder with a file in Keras' legacy layout; its address and MD5."""
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    folder = tmp_path_factory.mktemp("server")
    plain.set_weights(model.get_weights())
    with h5py.File(folder / OFFICIAL, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, plain)
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0),
        lambda *a: type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})(
            *a, directory=str(folder)
        ),
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", hashlib.md5((folder / OFFICIAL).read_bytes()).hexdigest()
    server.shutdown()


def ask_for_official_weights(home, address, md5):
    """Run load_model("imagenet") in a process of its own (Keras reads KERAS_HOME once); return its last line."""
    code = f"""
import sys, time; sys.path.insert(0, {str(ROOT)!r})
import keras, helpers
from keras.src.applications import resnet
resnet.BASE_WEIGHTS_PATH, resnet.WEIGHTS_HASHES["resnet50v2"] = {address!r}, ({md5!r}, "")
started = time.perf_counter()
try:
    model = helpers.load_model("imagenet")
    photo = helpers.load_image(helpers.IMAGES / "cat.jpg")
    print("loaded", helpers.top_predictions(model.predict(helpers.preprocess(photo), verbose=0), 1)[0].name)
except Exception as error:
    print(type(error).__name__, round(time.perf_counter() - started), str(error).replace(chr(10), " "))
"""
    environment = os.environ | {"KERAS_HOME": str(home), "no_proxy": "127.0.0.1"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip().splitlines()[-1]


def test_official_weights_arrive_and_stay_in_the_cache(mirror, model, tmp_path):
    address, md5 = mirror
    photo = helpers.preprocess(helpers.load_image(helpers.IMAGES / "cat.jpg"))
    expected = helpers.top_predictions(model.predict(photo, verbose=0), 1)[0].name
    assert ask_for_official_weights(tmp_path, address, md5) == f"loaded {expected}"
    assert (tmp_path / "models" / OFFICIAL).is_file()
    assert ask_for_official_weights(tmp_path, "http://127.0.0.1:9/", md5) == f"loaded {expected}"  # no server needed


def test_official_weights_with_a_wrong_hash_are_refused(mirror, tmp_path):
    answer = ask_for_official_weights(tmp_path, mirror[0], "0" * 32)
    assert answer.startswith("ValueError") and "transplant" in answer


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/", "http://nowhere.invalid/"])
def test_official_weights_without_a_server(tmp_path, address):
    kind, seconds, words = ask_for_official_weights(tmp_path, address, "0" * 32).split(" ", 2)
    assert kind == "ConnectionError" and int(seconds) <= 10
    assert "connect to the internet" in words and "load_model('transplant')" in words


# -------------------------------------------------------------------------------------------------------- photos


def test_sample_photos():
    photos = helpers.list_images(helpers.IMAGES)
    textures = [path for path in photos if path.stem.startswith("texture_")]
    assert len(textures) >= 6 and len(photos) - len(textures) >= 24
    for path in photos:
        with Image.open(path) as photo:
            assert max(photo.size) <= 384 and photo.mode == "RGB" and path.stat().st_size < 60_000


def test_probe_photos_and_labels():
    names = helpers.class_names()
    rows = [row.split(",") for row in (helpers.PROBE / "labels.csv").read_text(encoding="utf-8").splitlines()[1:]]
    assert {file for file, *_ in rows} == {
        p.relative_to(helpers.PROBE).as_posix() for p in helpers.list_images(helpers.PROBE)
    }
    kinds = [kind for _, kind, *_ in rows]
    assert len(rows) >= 280 and len(set(kinds)) >= 10 and min(kinds.count(kind) for kind in set(kinds)) >= 8
    for file, kind, thing, index, name in rows:
        assert file.startswith(f"{kind}/{thing.replace(' ', '_')}_") and (not index or names[int(index)] == name)
        with Image.open(helpers.PROBE / file) as photo:
            assert photo.size == (192, 192) and photo.mode == "RGB"


def test_every_data_file_has_its_published_hash_and_a_line_of_provenance():
    text = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    sums = dict(reversed(line.split()) for line in (ROOT / "data" / "SHA256SUMS").read_text().splitlines())
    files = [*helpers.list_images(helpers.IMAGES), *helpers.list_images(helpers.PROBE), helpers.TRANSPLANT]
    for path in files:
        name = path.relative_to(ROOT / "data").as_posix()
        assert sums[name] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert path.name in text, f"data/README.md does not say where {name} comes from"


def test_class_names():
    names = helpers.class_names()
    assert len(names) == 1000 and names[281] == "tabby" and names[967] == "espresso"
    assert {name for name in names if names.count(name) > 1} == {"crane", "maillot"}


def test_cat_and_coffee(model):
    photos = helpers.load_images([helpers.IMAGES / "cat.jpg", helpers.IMAGES / "coffee.jpg"])
    cat, coffee = (helpers.top_predictions(row) for row in model.predict(helpers.preprocess(photos), verbose=0))
    assert cat[0].index in range(281, 286) and coffee[0].name == "espresso"
    assert 0 < sum(p.probability for p in cat) <= 1 and cat[0].probability == max(p.probability for p in cat)


def test_top_predictions_refuses_a_batch():
    with pytest.raises(ValueError, match="one image"):
        helpers.top_predictions(np.zeros((2, 1000)))


# ------------------------------------------------------------------------------------------- good and bad images


@pytest.fixture
def save(tmp_path):
    def write(array_or_image, name="photo.png", **options):
        image = array_or_image if isinstance(array_or_image, Image.Image) else Image.fromarray(array_or_image)
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return write


def test_photo_becomes_a_square_of_floats(save):
    ramp = np.tile(np.linspace(0, 255, 90, dtype=np.uint8)[None, :, None], (60, 1, 3))
    photo = helpers.load_image(save(ramp), 60)
    assert photo.shape == (60, 60, 3) and photo.dtype == np.float32
    assert abs(photo[:, 0].mean() - 15 / 90) < 0.02 and abs(photo[:, -1].mean() - 75 / 90) < 0.02  # the central square
    assert helpers.load_image(save(ramp), None).shape == (60, 90, 3)


def test_sixteen_bits_are_scaled(save):
    deep = np.full((40, 40), 32_896, np.uint16)
    assert np.allclose(helpers.load_image(save(deep), 40), 128 / 255)


def test_palette_cmyk_grey(save):
    red = Image.new("RGB", (40, 40), (250, 10, 10))
    for path in (save(red.convert("P", palette=Image.Palette.ADAPTIVE)), save(red.convert("CMYK"), "red.jpg")):
        assert np.abs(helpers.load_image(path, 40)[20, 20] * 255 - (250, 10, 10)).max() < 25
    assert helpers.load_image(save(Image.new("L", (40, 40), 51)), 40) == pytest.approx(0.2)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_on_mid_grey(save, mode):
    clear = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    path = save(clear.convert(mode)) if mode != "P" else save(clear.quantize(), transparency=0)
    assert helpers.load_image(path, 40) == pytest.approx(127 / 255)


def test_exif_rotation_is_applied(save):
    photo = Image.new("RGB", (80, 40), "black")
    photo.paste("white", (0, 0, 40, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # hold the camera upright: turn by 90° clockwise
    upright = helpers.load_image(save(photo, "turned.jpg", exif=exif, quality=95), None)
    assert upright.shape == (80, 40, 3) and upright[:30].mean() > 0.9 and upright[50:].mean() < 0.1


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty"), (b"just some text\n" * 50, "no image"), ("half", "cut short")],
)
def test_files_that_are_no_photos(tmp_path, content, words):
    data = (helpers.IMAGES / "cat.jpg").read_bytes()
    (tmp_path / "bad.jpg").write_bytes(data[: len(data) // 2] if content == "half" else content)
    with pytest.raises(ValueError, match=rf"bad\.jpg.*{words}"):
        helpers.load_image(tmp_path / "bad.jpg")


def test_missing_photo_folder_tiny_and_floating_point(tmp_path, save):
    shutil.copy(helpers.IMAGES / "cat.jpg", tmp_path / "kitten.jpg")
    with pytest.raises(FileNotFoundError, match=r"kiten\.jpg; did you mean kitten\.jpg"):
        helpers.load_image(tmp_path / "kiten.jpg")
    with pytest.raises(ValueError, match="is a folder; list_images"):
        helpers.load_image(tmp_path)
    with pytest.raises(ValueError, match="1×1 px; the network needs at least 32"):
        helpers.load_image(save(Image.new("RGB", (1, 1))))
    with pytest.raises(ValueError, match="floating-point"):
        helpers.load_image(save(Image.new("F", (40, 40)), "deep.tif"))
    with pytest.raises(ValueError, match="size=31"):
        helpers.load_image(helpers.IMAGES / "cat.jpg", 31)


@pytest.mark.parametrize("side", [10_000, 20_000])
def test_absurdly_large_photo(tmp_path, side):
    Image.new("1", (side, side)).save(tmp_path / "bomb.png")
    with pytest.raises(ValueError, match=r"bomb\.png is too large.*scale it down"):
        helpers.load_image(tmp_path / "bomb.png")


def test_empty_folder(tmp_path):
    with pytest.raises(ValueError, match="no photos"):
        helpers.list_images(tmp_path)


def test_preprocess_is_inverted_and_leaves_its_argument_alone():
    image = np.random.default_rng(0).uniform(size=(40, 50, 3)).astype(np.float32)
    before = image.copy()
    inputs = helpers.preprocess(image)
    assert inputs.shape == (1, 40, 50, 3) and np.array_equal(image, before)
    np.testing.assert_allclose(helpers.deprocess(inputs)[0], image, atol=1e-6)
    ends = helpers.preprocess(np.stack([np.full((32, 32, 3), v, np.uint8) for v in (0, 255)]))
    assert ends.shape[0] == 2 and ends[0].max() == -1 and ends[1].min() == 1
    np.testing.assert_allclose(helpers.preprocess(np.full((32, 32, 3), 0.5)), 0)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((40, 40, 3), np.nan), "NaN"),
        (np.zeros((40, 40)), "expected shape"),
        (np.zeros((40, 40, 4)), "expected shape"),
        (np.full((40, 40, 3), 255.0), "values from 255 to 255"),
        (np.full((40, 40, 3), -1.0), "values from -1"),
        (np.zeros((31, 40, 3)), "at least 32"),
    ],
)
def test_arrays_that_are_no_images(array, words):
    with pytest.raises(ValueError, match=words):
        helpers.preprocess(array)


def test_layers_and_channels_that_do_not_exist(model):
    with pytest.raises(ValueError, match=r"no layer 'conv3_block4'; the nearest names are (conv\w+, ){2}conv\w+"):
        helpers.feature_model(model, "conv3_block4")
    with pytest.raises(ValueError, match="nearest"):
        helpers.receptive_field(model, "relu")
    for channel in (-1, 512, 1.5, True):
        with pytest.raises(ValueError, match=r"channels 0 to 511"):
            helpers.check_channel(model, "conv3_block4_out", channel)
    assert helpers.check_channel(model, "conv3_block4_out", np.int64(511)) == 511
    with pytest.raises(ValueError, match="whole image"):
        helpers.receptive_field(model, "avg_pool")


def test_natural_inputs():
    crops = helpers.natural_inputs(64)
    assert crops.images.shape == (1000, 64, 64, 3) and crops.images.dtype == np.uint8 and len(crops.sources) == 1000
    assert len(set(crops.sources)) > 150
    flat = (np.abs(crops.images[600:].astype(int) - helpers.MID_GREY).max(axis=-1) <= 6).mean(axis=(1, 2))
    assert flat.mean() < 0.02  # of the probe photos only what lies inside the object
    again = helpers.natural_inputs(64)
    assert np.array_equal(crops.images, again.images) and crops.sources == again.sources
    assert not np.array_equal(crops.images, helpers.natural_inputs(64, seed=1).images)


def test_natural_inputs_of_another_folder(tmp_path):
    shutil.copy(helpers.IMAGES / "cat.jpg", tmp_path)
    crops = helpers.natural_inputs(48, images=tmp_path, probe=None)
    assert crops.images.shape == (600, 48, 48, 3) and set(crops.sources) == {"cat"}


def test_natural_inputs_of_folders_as_people_have_them(tmp_path, monkeypatch):
    for name, size in (("cats/1.jpg", (64, 64)), ("dogs/1.jpg", (64, 64)), ("dogs/2.jpg", (2400, 1600))):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)).save(tmp_path / name)
    crops = helpers.natural_inputs(48, images=tmp_path, probe=None)
    assert set(crops.sources) == {str(tmp_path / "cats/1"), str(tmp_path / "dogs/1"), "2"}  # equal names are told apart
    read = []
    monkeypatch.setattr(helpers, "list_images", lambda folder: [tmp_path / "cats" / "1.jpg"] * 1300)
    monkeypatch.setattr(helpers, "load_image", lambda path, size: read.append(path) or np.zeros((64, 64, 3)))
    helpers.natural_inputs(48, images=tmp_path, probe=None)
    assert len(read) == 434  # every third of 1,300, not the first 600


def test_natural_inputs_need_photos(tmp_path):
    with pytest.raises(ValueError, match="no crop could be cut"):
        helpers.natural_inputs(48, images=None, probe=None)
    Image.new("RGB", (10, 8)).save(tmp_path / "tiny.png")
    with pytest.raises(ValueError, match=r"tiny.png is 10×8 px"):
        helpers.natural_inputs(48, images=tmp_path, probe=None)


# --------------------------------------------------------------------------------------------- checks and figures


def test_check_prints_and_raises_only_when_strict(monkeypatch, capsys):
    monkeypatch.delenv("CHECKS", raising=False)
    helpers.check("snow is white", True)
    helpers.check("snow is green", False)
    assert capsys.readouterr().out == "✓ snow is white\nnot so here: snow is green\n"
    monkeypatch.setenv("CHECKS", "strict")
    with pytest.raises(AssertionError, match="snow is green"):
        helpers.check("snow is green", False)


def test_maps_share_one_scale():
    maps = [np.array([[0.0, 1.0]]), np.array([[-5.0, 3.0]]), np.zeros((1, 2))]
    for signed, expected in ((True, (-5, 5)), (False, (0, 5))):
        figure = helpers.map_grid(maps, columns=2, signed=signed)
        limits = {image.get_clim() for axes in figure.axes for image in axes.images}
        assert limits == {expected} and len([axes for axes in figure.axes if axes.get_label() == "<colorbar>"]) == 1
    assert {i.get_clim() for a in helpers.map_grid(maps, limit=2).axes for i in a.images} == {(0, 2)}
    with pytest.raises(ValueError, match="no pictures"):
        helpers.map_grid([])


def test_figures_are_opaque_and_not_too_wide(capsys):
    figure = helpers.image_grid([np.zeros((10, 10, 3))] * 5, ["a"] * 5)
    assert figure.get_size_inches()[0] * 100 <= 1000 and len(figure.axes) >= 5
    helpers.show(figure, alt="five black squares")
    assert "Image object" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("conv3_block1", "1×1 conv\n256 → 512"),
        ("conv3_block2", "shortcut: x itself"),
        ("conv3_block4", "max-pool\n1×1 /2"),
    ],
)
def test_blocks_are_drawn_from_the_graph(model, block, words):
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    helpers.draw_block(model, block, axes)
    texts = [text.get_text() for text in axes.texts]
    assert words in texts and "+" in texts
    assert sum("conv" in text for text in texts) == (4 if block == "conv3_block1" else 3)
    assert ("3×3 conv /2\n128 → 128" in texts) == (block == "conv3_block4")


def test_class_file_is_in_keras_order():
    pairs = json.loads((ROOT / "data" / "imagenet_classes.json").read_text())
    assert [identifier for identifier, _ in pairs] == sorted(identifier for identifier, _ in pairs)
