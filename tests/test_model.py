"""The model: facts about the architecture, receptive fields against what really answers, and the weights files."""

import hashlib
import time

import keras
import numpy as np
import pytest
from conftest import refuses

import helpers

# side at 224, channels, receptive field, stride, positions an axis that no zero padding reaches (None: not stated)
TABLE = {
    "conv1_conv": (112, 64, 7, 2, None),
    "pool1_pool": (56, 64, 11, 4, None),
    "conv2_block1_out": (56, 256, 19, 4, None),
    "conv2_block3_out": (28, 256, 35, 8, 23),
    "conv3_block1_out": (28, 512, 51, 8, None),
    "conv3_block4_out": (14, 512, 99, 16, 7),
    "conv4_block1_out": (14, 1024, 131, 16, 5),
    "conv4_block3_out": (14, 1024, 195, 16, 1),
    "conv4_block6_out": (7, 1024, 291, 32, 0),
    "conv5_block1_out": (7, 2048, 355, 32, None),
    "conv5_block3_out": (7, 2048, 483, 32, None),
}
CAT = helpers.IMAGES / "cat.jpg"


@pytest.fixture(scope="module")
def plain():
    """Keras' own ResNet50V2, untrained and trainable, at 224 px."""
    return keras.applications.ResNet50V2(weights=None, classifier_activation=None)


def size(weights):
    return sum(int(np.prod(w.shape)) for w in weights)


def test_counts(model, plain):
    assert model.count_params() == 25_613_800 and len(model.layers) == 192
    assert size(plain.trainable_weights) == 25_568_360 and size(plain.non_trainable_weights) == 45_440
    assert model.count_params() - model.get_layer("predictions").count_params() == 23_564_800
    convolutions = [layer for layer in plain.layers if isinstance(layer, keras.layers.Conv2D)]
    macs = sum(np.prod(c.output.shape[1:3]) * np.prod(c.kernel.shape) for c in convolutions) + 2048 * 1000
    assert round(macs / 1e9, 2) == 3.48
    kernels = {side: [c.kernel for c in convolutions if c.kernel.shape[0] == side] for side in (7, 3, 1)}
    assert [len(found) for found in kernels.values()] == [1, 16, 36] and len(convolutions) == 53
    assert (size(kernels[1]), size(kernels[3])) == (12_128_256, 11_317_248)
    assert sum(layer.filters for layer in convolutions) == 26_560
    assert sum(layer.output.shape[-1] for layer in model.layers if layer.name.endswith("_relu")) == 22_720
    assert (model.get_layer("conv5_block1_preact_bn").gamma.numpy() > 0).all()  # 05 compares across it
    biased = {layer.name for layer in convolutions if layer.use_bias}
    assert len(biased) == 21 and all(n == "conv1_conv" or n.endswith(("_0_conv", "_3_conv")) for n in biased)
    assert sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers) == 49


def test_any_side_from_32_up_frozen_in_inference_mode(model):
    for side in (32, 57, 300):
        photo = np.zeros((1, side, side + 7, 3), np.float32)
        np.testing.assert_allclose(model(photo, training=True), model(photo), atol=1e-5)
    assert model(photo).shape == (1, 1000) and not model.trainable_weights


def test_rectified_views_and_layers_and_channels_that_do_not_exist(model):
    layers = "conv2_block3_out", "conv5_block3_out", "conv4_block2_1_conv", "post_relu"
    views = "conv3_block1_preact_relu", "post_relu", "conv4_block2_1_relu", "post_relu"
    assert tuple(helpers.rectified_view(model, layer) for layer in layers) == views
    refuses("not read through a ReLU", helpers.rectified_view, model, "predictions")
    with pytest.raises(ValueError, match=r"no layer 'conv3_block4'; the nearest names are (conv\w+, ){2}conv\w+"):
        helpers.feature_model(model, "conv3_block4")
    refuses("empty", helpers.feature_model, model, [])
    for channel in (-1, 512, 1.5, True):
        refuses(r"channels 0 to 511", helpers.check_channel, model, "conv3_block4_out", channel)
    assert helpers.check_channel(model, "conv3_block4_out", np.int64(511)) == 511


def test_a_logit_is_the_mean_of_a_class_map(model):
    """Pooling and the classifier commute (Zhou et al. 2016), so that post_relu says where a class is seen."""
    photo = helpers.preprocess(helpers.load_image(CAT))
    maps, logits = helpers.feature_model(model, ["post_relu", "predictions"])(photo).values()
    kernel, bias = model.get_layer("predictions").get_weights()
    np.testing.assert_allclose((maps.numpy() @ kernel).mean(axis=(1, 2)) + bias, logits, atol=1e-2)


def test_a_silenced_block_passes_on_its_shortcut_and_gets_its_weights_back(model):
    last = model.get_layer("conv2_block2_3_conv")
    before = last.get_weights()
    read = helpers.feature_model(model, ["conv2_block1_out", "conv2_block2_out"])
    inputs = np.random.default_rng(0).uniform(-1, 1, (1, 64, 64, 3)).astype(np.float32)
    with pytest.raises(KeyError), helpers.silenced(model, "conv2_block2"):
        shortcut, output = read(inputs).values()
        np.testing.assert_array_equal(output, shortcut)
        raise KeyError("an error inside the with")
    assert all(map(np.array_equal, before, last.get_weights()))
    with pytest.raises(ValueError, match="no layer"), helpers.silenced(model, "conv2_block9"):
        pass


@pytest.mark.parametrize("layer", TABLE)
def test_side_channels_field_and_stride(model, plain, layer):
    side, channels, field, stride, clear = TABLE[layer]
    assert plain.get_layer(layer).output.shape[1:] == (side, side, channels)
    found = helpers.receptive_field(model, layer)
    assert (found.size, found.stride) == (field, stride)
    assert sum(found.span(3)) / 2 == 3 * stride  # the centre of position i lies at pixel stride·i
    assert clear is None or len(found.clear_of_padding(224)) == clear


@pytest.mark.parametrize("layer", TABLE)
def test_averaging_copy_answers_inside_the_field_only(averaging_model, layer):
    field = helpers.receptive_field(averaging_model, layer)
    position = -(-field.size // 2 // field.stride) + 1
    (first, last), side = field.span(position), 2 * position * field.stride + 1
    inputs = np.zeros((3, side, side, 3), np.float32)
    inputs[0, first, first] = inputs[1, last, last] = 1  # two images: one bright pixel, just inside a corner
    inputs[2] = 1  # the third: every pixel outside the field
    inputs[2, first : last + 1, first : last + 1] = 0
    answers = helpers.feature_model(averaging_model, layer)(inputs).numpy()[:, position, position]
    assert (answers[:2] > 0).all() and (answers[2] == 0).all()


def test_field_of_other_networks_and_layers_without_one(model):
    """Dilation, depthwise, average pooling and "same" padding: exactly the pixels that it answers to."""
    inputs = keras.Input((65, 65, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", dilation_rate=2, kernel_initializer="ones")(inputs)
    x = keras.layers.AveragePooling2D(2)(x)
    x = keras.layers.DepthwiseConv2D(5, strides=2, depthwise_initializer="ones", name="end")(x)
    other = keras.Model(inputs, keras.layers.Conv2D(4, 3, strides=2, padding="same", name="strided")(x))
    dots = np.zeros((65, 65, 65, 3), np.float32)
    dots[range(65), range(65), 32] = 1  # one a row, each in an image of its own
    maps = helpers.feature_model(other, "end")(dots).numpy()
    position = maps.shape[1] // 2
    rows = np.flatnonzero(maps[:, position, position].any(axis=-1))
    assert (rows[0], rows[-1]) == helpers.receptive_field(other, "end").span(position)
    refuses("strided has no receptive field of one size", helpers.receptive_field, other, "strided")  # it depends
    for layer, words in (("avg_pool", "whole image"), ("relu", "nearest")):
        refuses(words, helpers.receptive_field, model, layer)


def test_keras_reads_the_embedded_file_and_both_see_cat_and_coffee(model):
    photos = helpers.preprocess(helpers.load_images([CAT, helpers.IMAGES / "coffee.jpg"]))
    keras_own = keras.applications.ResNet50V2(weights=str(helpers.TRANSPLANT), classifier_activation=None)
    np.testing.assert_allclose(model(photos), keras_own(photos), atol=1e-4)
    cat, coffee = map(helpers.top_predictions, model(photos).numpy())
    assert cat[0].index in range(281, 286) and coffee[0].name == "espresso"
    assert 0 < sum(p.probability for p in cat) <= 1 and cat[0].probability == max(p.probability for p in cat)
    for logits, words in ((np.zeros((2, 1000)), "one image"), (np.full(1000, np.nan), "NaN")):
        refuses(words, helpers.top_predictions, logits)


def test_the_class_of_the_probe_photos_is_among_five_for_nearly_all(model):
    images, labels = helpers.probe_photos(192)
    known = labels["class_index"] != ""
    logits = model.predict(helpers.preprocess(images[known]), batch_size=16, verbose=0)
    among = (np.argsort(-logits)[:, :5] == labels["class_index"][known].astype(int)[:, None]).any(axis=1)
    assert len(among) == 136 and among.mean() > 0.97


@pytest.mark.parametrize("damage", ["cut short", "one byte", "missing"])
@pytest.mark.parametrize("embedded", [True, False])
def test_damaged_weights_are_refused(tmp_path, monkeypatch, damage, embedded):
    data = bytearray(helpers.TRANSPLANT.read_bytes())
    data[1_000_000] ^= 1
    copy = tmp_path / "copy.weights.h5"
    if damage != "missing":
        copy.write_bytes(data if damage == "one byte" and embedded else data[:1_000_000])
    if embedded:
        monkeypatch.setattr(helpers, "TRANSPLANT", copy)
    with pytest.raises((ValueError, FileNotFoundError), match="copy.weights.h5" + ".*git checkout" * embedded):
        helpers.load_model("transplant" if embedded else copy)


def test_weights_of_another_architecture_are_refused_and_those_in_use_are_named(tmp_path, monkeypatch, capsys, model):
    keras.applications.MobileNetV2(weights=None, alpha=0.35).save_weights(tmp_path / "small.weights.h5")
    with pytest.raises(ValueError, match=r"small\.weights\.h5 does not hold weights of ResNet50V2"):
        helpers.load_model(tmp_path / "small.weights.h5")
    model.save_weights(tmp_path / "mine.weights.h5")
    monkeypatch.setenv("RESNET50V2_WEIGHTS", str(tmp_path / "mine.weights.h5"))
    for weights in (None, "transplant"):
        helpers.load_model(weights)
    own, ours = capsys.readouterr().out.splitlines()
    assert "mine.weights.h5" in own and "come with this project" in ours


@pytest.mark.parametrize("setting, value", [("dtype_policy", "mixed_float16"), ("image_data_format", "channels_first")])
def test_other_settings_of_keras_are_refused(setting, value):
    change, before = getattr(keras.config, f"set_{setting}"), getattr(keras.config, setting)()
    change(value)
    try:
        with pytest.raises(RuntimeError, match=f"{value}.*needs tensorflow, channels_last, float32"):
            helpers.load_model("transplant")
    finally:
        change(before)


def test_official_weights_arrive_are_checked_and_stay_in_the_cache(tmp_path, monkeypatch, plain, model):
    file, get_file = tmp_path / "official.h5", keras.utils.get_file
    plain.set_weights(model.get_weights())
    plain.save(file)  # in the older format of Keras' own file
    md5 = hashlib.md5(file.read_bytes()).hexdigest()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))  # Keras itself read it when it was imported
    monkeypatch.setattr(keras.utils, "get_file", lambda **given: get_file(cache_dir=tmp_path, **given))
    monkeypatch.setattr(helpers, "OFFICIAL", file.as_uri())
    monkeypatch.setattr(helpers, "OFFICIAL_MD5", "0" * 32)
    refuses(r"load_model\('transplant'\)", helpers.load_model, "imagenet", error=ConnectionError)
    monkeypatch.setattr(helpers, "OFFICIAL_MD5", md5)
    for _ in range(2):
        loaded = helpers.load_model("imagenet")
        assert all(map(np.array_equal, loaded.get_weights(), model.get_weights()))
        file.unlink(missing_ok=True)  # the second time it comes out of the cache


def test_official_weights_without_a_server(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    started = time.perf_counter()
    for host in ("127.0.0.1:9", "nowhere.invalid"):
        monkeypatch.setattr(helpers, "OFFICIAL", f"http://{host}/official.h5")
        with pytest.raises(ConnectionError, match=r"connect to the internet.*load_model\('transplant'\)"):
            helpers.load_model("imagenet")
    assert time.perf_counter() - started < 60  # some 20, on a busy machine
