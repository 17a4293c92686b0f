import numpy as np
import pytest

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.presets.files import open_preset, save_preset
from mirrorgan_tf.workdir import open_workdir

CAPTIONS = ["a red bird", "two black wings"]


def test_preset_draws_the_images_of_its_workdir(trained_workdir, tmp_path):
    run = open_workdir(trained_workdir)
    save_preset(run, tmp_path / "preset")
    preset = open_preset(tmp_path / "preset")
    assert preset.step == run.step
    for ours, theirs in zip(
        preset.describe(CAPTIONS, seed=[7, 8])["images"],
        run.describe(CAPTIONS, seed=[7, 8])["images"],
        strict=True,
    ):
        assert theirs.std() > 0
        # Weights are rounded to half precision.
        assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert "data_dir=data/birdlets" in (tmp_path / "preset/flags.cfg").read_text()


def test_damaged_or_unknown_presets_are_named(trained_workdir, tmp_path):
    with pytest.raises(
        UserError, match="--preset=nothing: there is no such preset; ch"
    ):
        open_preset("nothing")
    save_preset(open_workdir(trained_workdir), tmp_path)
    weights = tmp_path / "weights.npz"
    arrays = dict(np.load(weights))
    np.savez(weights, **arrays | {"glam/0": np.zeros((3, 3))})
    with pytest.raises(UserError, match="weights.npz: is not of the networks"):
        open_preset(tmp_path)
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="weights.npz: cannot be read"):
        open_preset(tmp_path)


def test_preset_of_the_package_paints_birds_in_the_stated_colour():
    preset = open_preset("birdlets_64")
    colors = ("red", "green", "blue")
    captions = [f"a {color} bird" for color in colors]
    counts = np.zeros((3, 3))
    for seed in range(4):
        images = preset.generate(captions, seed=seed).astype(float)
        # The bird stands in the middle.
        middle = images[:, 20:44, 16:48].reshape(3, -1, 3)
        for channel in range(3):
            others = np.delete(middle, channel, axis=-1).max(-1)
            counts[:, channel] += (middle[..., channel] > others + 60).sum(1)
    # Most pixels of a colour are in the images of the caption that states it.
    assert counts.argmax(0).tolist() == [0, 1, 2], counts
