"""The atlas: pictures made anew, an interrupted build, files that do not fit together, other weights, a full disk."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys

import atlas
import numpy as np
import pytest
import website
from conftest import ROOT, refuses
from PIL import Image

import helpers

LAYER, COUNT = "conv1_conv", 40  # three chunks
NATURAL_INPUTS = helpers.natural_inputs  # `built` puts another in its place
STORED = sorted(path.stem for path in helpers.ATLAS.glob("*.json"))
KILLED = f"""
import os, pathlib, signal, sys
import atlas
write = pathlib.Path.write_bytes
def half(path, data):  # of the second chunk one half is written when the process is killed
    write(path, data[: len(data) // 2] if "0016" in path.name else data)
    "0016" in path.name and os.kill(os.getpid(), signal.SIGKILL)
pathlib.Path.write_bytes = half
atlas.make(["{LAYER}"], 2, 32, {COUNT}, pathlib.Path(sys.argv[1], "atlas"), pathlib.Path(sys.argv[1], "work"))
"""
BREAK = {
    "No such file": lambda page, sheet: sheet.unlink(),
    "cut short or altered": lambda page, sheet: sheet.write_bytes(sheet.read_bytes()[:-100]),
    "delimiter": lambda page, sheet: page.write_bytes(page.read_bytes()[:-100]),
    "(64, 64) px": lambda page, sheet: Image.new("RGB", (64, 64)).save(sheet),
    "there is conv9": lambda page, sheet: page.rename(page.with_name("conv9.json")),
}


def interrupt(*_, **__):
    raise KeyboardInterrupt  # what Python makes of SIGINT


def distance(layer, channel, image, side=96):
    tile = Image.fromarray(np.uint8(255 * image + 0.5)).resize((side, side), Image.Resampling.LANCZOS)
    return np.abs(helpers.atlas_picture(layer, channel).astype(float) - np.asarray(tile)).mean()


@pytest.fixture(scope="module")
def built(model, tmp_path_factory):
    """A folder with an atlas that was killed while it wrote, then interrupted, then finished; its arguments."""
    folder = tmp_path_factory.mktemp("built")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tools")])}
    killed = subprocess.run([sys.executable, "-c", KILLED, folder], env=environment, capture_output=True)
    first, half = sorted((folder / "work" / LAYER).iterdir())
    written = first.stat().st_mtime_ns
    assert killed.returncode == -signal.SIGKILL and half.suffix == ".part"
    given = {"layers": [LAYER], "steps": 2, "size": 32, "channels": COUNT, "work": folder / "work"}
    natural = {size: helpers.natural_inputs(size, probe=None) for size in (32, 224)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(helpers, "natural_inputs", lambda size: helpers.NaturalInputs(*(p[::20] for p in natural[size])))
        patch.setattr(helpers, "load_model", lambda: model)
        with pytest.MonkeyPatch.context() as stop, pytest.raises(KeyboardInterrupt):
            stop.setattr(helpers, "maximize", interrupt)
            atlas.make(**given, out=folder / "atlas")
        assert half.exists() and not (folder / "atlas").exists()
        atlas.make(**given, out=folder / "atlas")
        assert first.stat().st_mtime_ns == written and len(list(first.parent.iterdir())) == 3
        yield folder / "atlas", given


@pytest.fixture
def copy(built, tmp_path, monkeypatch):
    """That atlas, copied, as the one that `helpers.atlas_picture` reads."""
    monkeypatch.setattr(helpers, "ATLAS", shutil.copytree(built[0], tmp_path / "atlas"))
    return helpers.ATLAS


def test_what_is_stored(copy, model):
    page = json.loads((copy / f"{LAYER}.json").read_bytes())
    assert page["weights"] == helpers.TRANSPLANT_SHA256 and page["recipe"]["steps"] == 2 and page["seed"] == 0
    assert sorted(page["order"]) == list(range(COUNT))
    for number, channel in enumerate(page["channels"]):
        assert number not in channel["nearest"] and channel["strongest"][0][1] == 1
        assert len({page["crops"]["sources"][index] for index, _ in channel["strongest"]}) == atlas.STRONGEST
    assert np.shape([photo["channels"] for photo in page["photos"].values()]) == (38, 7, 7, 3)
    for channel, image in zip((39, 3), helpers.maximize(model, LAYER, [39, 3], 32, 2).images, strict=True):
        assert distance(LAYER, channel, image) < 4 < distance(LAYER, 30, image)  # whatever was made beside it


@pytest.mark.parametrize("steps", [2, None, 3])
def test_what_is_made_stays_unless_other_steps_are_asked_for(built, monkeypatch, steps):
    monkeypatch.setattr(helpers, "maximize", interrupt)
    with pytest.raises(KeyboardInterrupt) if steps == 3 else contextlib.nullcontext():
        atlas.make(**built[1] | {"steps": steps}, out=built[0])


@pytest.mark.parametrize("words", BREAK)
def test_files_that_do_not_fit_together_are_refused(copy, words, monkeypatch, capsys):
    helpers.atlas_picture(LAYER, 0)  # and is kept in memory
    BREAK[words](copy / f"{LAYER}.json", copy / f"{LAYER}.jpg")
    with pytest.raises(ValueError, match=f"make atlas LAYERS={LAYER}") as refusal:
        helpers.atlas_picture(LAYER, 0)
    assert words in str(refusal.value)
    monkeypatch.setattr(website, "ATLAS", copy)
    assert not website.write_layer(copy / f"{LAYER}.json", copy) and "left out of the atlas" in capsys.readouterr().out


def test_with_other_weights_the_picture_is_computed(copy, averaging_model, monkeypatch, capsys):
    computed = helpers.atlas_picture(LAYER, 3, averaging_model)
    assert "made with other weights" in capsys.readouterr().out and computed.shape == (96, 96, 3)
    monkeypatch.setenv("RESNET50V2_WEIGHTS", "my.weights.h5")
    monkeypatch.setattr(helpers, "load_model", lambda: averaging_model)
    assert np.array_equal(helpers.atlas_picture(LAYER, 3), computed)
    refuses(f"channels 0 to {COUNT - 1}, not {COUNT}", helpers.atlas_picture, LAYER, COUNT)


def test_what_cannot_be_written_is_said_in_words(tmp_path):
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit, match=r"No space left.* is kept"):
        patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        atlas.put(tmp_path / "sheet.jpg", b"1")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    refuses("cannot write", atlas.put, tmp_path / "file" / "sheet.jpg", b"1", error=SystemExit)


@pytest.mark.parametrize("layer", STORED)
def test_pictures_made_anew(model, layer):
    """The same pictures, or, where another processor's rounding sent the ascent another way, equally strong ones."""
    about = json.loads((helpers.ATLAS / f"{layer}.json").read_bytes())
    channels = [len(about["channels"]) * place // 7 for place in ((1, 3, 6) if layer == "conv2_block3_out" else (2, 5))]
    made = helpers.maximize(model, layer, channels, about["recipe"]["size"], about["recipe"]["steps"]).images
    if max(distance(layer, c, image, about["tile"]) for c, image in zip(channels, made, strict=True)) >= 8:
        natural = helpers.channel_responses(model, layer, NATURAL_INPUTS(about["recipe"]["size"]).images)
        found = helpers.drive(model, layer, channels, made, natural).drive
        assert found == pytest.approx([about["channels"][c]["drive"] for c in channels], rel=0.3)
    assert website.stride(layer) == min(32, helpers.receptive_field(model, layer).stride)
    assert sum(path.stat().st_size for path in helpers.ATLAS.iterdir()) < 30e6
