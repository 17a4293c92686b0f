"""Workdirs that earlier versions wrote: `tests/workdirs`, one a version."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from mirrorgan_tf.config.config_flags import read_config
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.workdir import open_workdir

pytestmark = pytest.mark.usefixtures("untraced")

FLAT_SETTINGS = Path(__file__).parent / "workdirs" / "flat_settings"


def test_workdir_of_an_earlier_version_gives_the_same_images():
    run = open_workdir(FLAT_SETTINGS)
    images = run.describe(["a red bird", "black wings"], seed=7)["images"]
    with np.load(FLAT_SETTINGS / "expected.npz") as expected:
        for scale, name in zip(images, expected.files, strict=True):
            difference = scale.astype(int) - expected[name]
            assert np.abs(difference).max() <= 1


def test_seed_of_an_earlier_version_is_also_the_seed_of_the_data():
    config = read_config(FLAT_SETTINGS / "flags.cfg")
    assert (config.data.seed, config.run.seed) == (5, 5)


def test_removed_setting_is_refused_where_it_was_used(tmp_path):
    shutil.copytree(FLAT_SETTINGS, tmp_path / "run")
    flags_path = tmp_path / "run" / "flags.cfg"
    text = flags_path.read_text(encoding="utf-8")
    used = text.replace("matching_penalty_weight=0.0", "matching_penalty_weight=2.0")
    assert used != text
    flags_path.write_text(used, encoding="utf-8")
    with pytest.raises(UserError, match="--matching_penalty_weight=2.0.*no such") as e:
        open_workdir(tmp_path / "run")
    assert len(str(e.value).splitlines()) == 1
