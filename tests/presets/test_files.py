import shutil

import huggingface_hub
import kagglehub
import numpy as np
import pytest

from mirrorgan_tf import MirrorGAN
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.evaluation.feature_extractors import model_extractors
from mirrorgan_tf.presets.files import open_preset, preset_handle, save_preset
from tests.conftest import eager_functions

pytestmark = pytest.mark.usefixtures("untraced")

CAPTIONS = ["a red bird", "two black wings"]


@pytest.fixture(scope="module")
def saved(trained_model, tmp_path_factory):
    """A float32 preset of `trained_model`; read only."""
    folder = tmp_path_factory.mktemp("preset")
    with eager_functions():
        trained_model.save_to_preset(folder)
    return folder


def test_float16_preset_generates_the_images_of_its_workdir(
    trained_model, trained_workdir, tmp_path
):
    model = trained_model
    (tmp_path / "README.md").write_text("card")
    save_preset(model, tmp_path, "float16")
    preset = open_preset(tmp_path)
    assert (preset.step, preset.path) == (model.step, tmp_path)
    assert preset.config.generator == model.config.generator
    expected = model.describe(CAPTIONS, seed=[7, 8])["images"]
    for images, theirs in zip(
        preset.describe(CAPTIONS, seed=[7, 8])["images"], expected, strict=True
    ):
        assert theirs.std() > 0
        # The weights are rounded to half precision.
        assert np.abs(images.astype(int) - theirs).max() <= 1
    assert (tmp_path / "README.md").read_text() == "card"
    assert str(trained_workdir) not in (tmp_path / "config.json").read_text()


def test_float32_preset_is_equal_bit_for_bit(trained_model, saved):
    model = trained_model
    preset = MirrorGAN.from_preset(saved)
    np.testing.assert_array_equal(
        preset.generate(CAPTIONS, seed=1), model.generate(CAPTIONS, seed=1)
    )
    assert preset.redescribe(preset.generate("a", seed=1)) == model.redescribe(
        model.generate("a", seed=1)
    )


@pytest.mark.parametrize(
    ("handle", "package", "function"),
    [
        ("hf://owner/birds", huggingface_hub, "hf_hub_download"),
        ("kaggle://owner/birds/keras/small", kagglehub, "model_download"),
    ],
)
def test_handles_of_hubs_are_downloaded_by_keras_hub(
    trained_model, saved, monkeypatch, handle, package, function
):
    requests = []

    def download(*args, **kwargs):
        name, file = [*args, *kwargs.values()]
        requests.append(name)
        if not (saved / file).exists():
            raise FileNotFoundError(file)
        return str(saved / file)

    monkeypatch.setattr(package, function, download)
    preset = MirrorGAN.from_preset(handle)
    assert set(requests) == {handle.partition("://")[2]}
    np.testing.assert_array_equal(
        preset.generate(CAPTIONS, seed=1), trained_model.generate(CAPTIONS, seed=1)
    )
    with pytest.raises(UserError, match="it needs DAMSM, which a preset lacks"):
        model_extractors(preset)["damsm"]()

    def fail(*_, **__):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(package, function, fail)
    with pytest.raises(ValueError, match=f"^{handle}: .*no route to host.*network"):
        MirrorGAN.from_preset(handle)


def test_unknown_or_damaged_presets_are_named(saved, tmp_path):
    with pytest.raises(UserError, match="--preset=nothing: there is no such preset; c"):
        preset_handle("nothing")
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    config = tmp_path / "config.json"
    text = config.read_text()
    for damaged, message in (
        (text.replace('"base_size"', '"bass_size"'), "there is no setting 'bass_size'"),
        (text[:100], "cannot be loaded"),
    ):
        config.write_text(damaged)
        (tmp_path / "task.json").unlink(missing_ok=True)
        with pytest.raises(UserError, match=message) as caught:
            open_preset(tmp_path)
        assert "\n" not in str(caught.value)
    config.write_text(text)
    weights = tmp_path / "model.weights.h5"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match=f"{tmp_path}: cannot be loaded"):
        MirrorGAN.from_preset(tmp_path)


def test_preset_of_the_package_generates_birds_of_the_stated_colour():
    preset = open_preset("birdlets_64")
    size = sum(f.stat().st_size for f in preset.path.rglob("*") if f.is_file())
    assert size <= 8e6
    colors = ("red", "green", "blue")
    captions = [f"a {color} bird" for color in colors]
    counts = np.zeros((3, 3))
    for seed in range(4):
        images = preset.generate(captions, seed=seed).astype(float)
        # The bird is in the middle of the image.
        middle = images[:, 20:44, 16:48].reshape(3, -1, 3)
        for channel in range(3):
            others = np.delete(middle, channel, axis=-1).max(-1)
            counts[:, channel] += (middle[..., channel] > others + 60).sum(1)
    # Most pixels of a colour are in the images of the caption that states it.
    assert counts.argmax(0).tolist() == [0, 1, 2], counts
