"""The model: facts about the architecture, receptive fields against what really answers, and the weights files."""

import hashlib
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

import helpers

TABLE = {  # receptive field, stride, positions an axis of 224 px that no zero padding reaches
    "conv1_conv": (7, 2, 109),
    "pool1_pool": (11, 4, 53),
    "conv2_block3_out": (35, 8, 23),
    "conv3_block4_out": (99, 16, 7),
    "conv4_block1_out": (131, 16, 5),
    "conv4_block3_out": (195, 16, 1),
    "conv4_block6_out": (291, 32, 0),
    "conv5_block3_out": (483, 32, 0),
}
CAT = helpers.IMAGES / "cat.jpg"


def test_any_side_from_32_up_frozen_in_inference_mode(model):
    for side in (32, 57, 300):
        photo = np.zeros((1, side, side + 7, 3), np.float32)
        np.testing.assert_allclose(model(photo, training=True), model(photo), atol=1e-5)
    assert model(photo).shape == (1, 1000) and not model.trainable_weights


def test_rectified_view(model):
    assert helpers.rectified_view(model, "conv2_block3_out") == "conv3_block1_preact_relu"
    assert helpers.rectified_view(model, "conv5_block3_out") == "post_relu"
    assert helpers.rectified_view(model, "conv4_block2_1_conv") == "conv4_block2_1_relu"
    assert helpers.rectified_view(model, "post_relu") == "post_relu"
    with pytest.raises(ValueError, match="not read through a ReLU"):
        helpers.rectified_view(model, "predictions")


def test_layers_and_channels_that_do_not_exist(model):
    with pytest.raises(ValueError, match=r"no layer 'conv3_block4'; the nearest names are (conv\w+, ){2}conv\w+"):
        helpers.feature_model(model, "conv3_block4")
    with pytest.raises(ValueError, match="empty"):
        helpers.feature_model(model, [])
    for channel in (-1, 512, 1.5, True):
        with pytest.raises(ValueError, match=r"channels 0 to 511"):
            helpers.check_channel(model, "conv3_block4_out", channel)
    assert helpers.check_channel(model, "conv3_block4_out", np.int64(511)) == 511


@pytest.mark.parametrize("layer", TABLE)
def test_averaging_copy_answers_inside_the_field_only(averaging_model, layer):
    field = helpers.receptive_field(averaging_model, layer)
    assert (field.size, field.stride, len(field.clear_of_padding(224))) == TABLE[layer]
    position = -(-field.size // 2 // field.stride) + 1
    (first, last), side = field.span(position), 2 * position * field.stride + 1
    assert first + last == 2 * position * field.stride  # so an overlay puts position i over pixel stride·i
    inputs = np.zeros((3, side, side, 3), np.float32)
    inputs[0, first, first] = inputs[1, last, last] = 1  # two images: one bright pixel, just inside a corner
    inputs[2] = 1  # the third: every pixel outside the field
    inputs[2, first : last + 1, first : last + 1] = 0
    answers = helpers.feature_model(averaging_model, layer)(inputs).numpy()[:, position, position]
    assert (answers[:2] > 0).all() and (answers[2] == 0).all()


def test_field_of_other_networks_and_layers_without_one(model):
    """Dilation, depthwise, average pooling and "same" padding: exactly the pixels that have a gradient."""
    inputs = keras.Input((65, 65, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", dilation_rate=2, kernel_initializer="ones")(inputs)
    x = keras.layers.AveragePooling2D(2)(x)
    x = keras.layers.DepthwiseConv2D(5, strides=2, depthwise_initializer="ones", name="end")(x)
    strided = keras.layers.Conv2D(4, 3, strides=2, padding="same", name="strided")(x)
    other = keras.Model(inputs, strided)
    features, ones = helpers.feature_model(other, "end"), tf.ones((1, 65, 65, 3))
    with tf.GradientTape() as tape:
        tape.watch(ones)
        middle = features(ones)[:, 8, 8]
    rows = np.flatnonzero(np.any(tape.gradient(middle, ones)[0], axis=(1, 2)))
    assert (rows[0], rows[-1]) == helpers.receptive_field(other, "end").span(8)
    for network, layer, words in (
        (other, "strided", "strided has no receptive field of one size"),  # it depends on the image's
        (model, "avg_pool", "whole image"),
        (model, "relu", "nearest"),
    ):
        with pytest.raises(ValueError, match=words):
            helpers.receptive_field(network, layer)


def test_keras_reads_the_embedded_file_and_both_see_cat_and_coffee(model):
    photos = helpers.preprocess(helpers.load_images([CAT, helpers.IMAGES / "coffee.jpg"]))
    keras_own = keras.applications.ResNet50V2(weights=str(helpers.TRANSPLANT), classifier_activation=None)
    np.testing.assert_allclose(model(photos), keras_own(photos), atol=1e-4)
    cat, coffee = map(helpers.top_predictions, model(photos).numpy())
    assert cat[0].index in range(281, 286) and coffee[0].name == "espresso"
    assert 0 < sum(p.probability for p in cat) <= 1 and cat[0].probability == max(p.probability for p in cat)
    for logits, words in ((np.zeros((2, 1000)), "one image"), (np.full(1000, np.nan), "NaN")):
        with pytest.raises(ValueError, match=words):
            helpers.top_predictions(logits)


def test_the_class_of_the_probe_photos_is_among_five_for_nearly_all(model):
    photos, labels = helpers.probe_photos(192)
    known = labels["class_index"] != ""
    logits = model.predict(helpers.preprocess(photos[known]), batch_size=16, verbose=0)
    among = (np.argsort(-logits)[:, :5] == np.int64(labels["class_index"][known])[:, None]).any(axis=1)
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


def test_official_weights_arrive_are_checked_and_stay_in_the_cache(tmp_path, monkeypatch, model):
    plain = keras.applications.ResNet50V2(weights=None, classifier_activation=None)
    file, get_file = tmp_path / "server" / "official.h5", keras.utils.get_file
    file.parent.mkdir()
    plain.set_weights(model.get_weights())
    plain.save(file)  # in the older format of Keras' own file
    md5 = hashlib.md5(file.read_bytes()).hexdigest()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))  # Keras itself read it when it was imported
    monkeypatch.setattr(keras.utils, "get_file", lambda **given: get_file(cache_dir=tmp_path, **given))
    monkeypatch.setattr(helpers, "OFFICIAL", file.as_uri())
    monkeypatch.setattr(helpers, "OFFICIAL_MD5", "0" * 32)
    with pytest.raises(ConnectionError, match=r"load_model\('transplant'\)"):
        helpers.load_model("imagenet")
    monkeypatch.setattr(helpers, "OFFICIAL_MD5", md5)
    for _ in range(2):
        loaded = helpers.load_model("imagenet")
        assert all(map(np.array_equal, loaded.get_weights(), model.get_weights()))
        file.unlink(missing_ok=True)  # the second time it comes out of the cache


@pytest.mark.parametrize("host", ["127.0.0.1:9", "nowhere.invalid"])
def test_official_weights_without_a_server(tmp_path, monkeypatch, host):
    monkeypatch.setattr(helpers, "OFFICIAL", f"http://{host}/official.h5")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    started = time.perf_counter()
    with pytest.raises(ConnectionError, match=r"connect to the internet.*load_model\('transplant'\)"):
        helpers.load_model("imagenet")
    assert time.perf_counter() - started < 30  # some 10, on a busy machine
