"""From an empty folder to a served image, each command run as users do."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from mirrorgan_tf import training_run
from mirrorgan_tf.config import STAGES, Config
from mirrorgan_tf.config.config_flags import read_config
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.training import observers
from mirrorgan_tf.workdir import open_workdir, start_workdir
from tests.conftest import OTHER_KERAS_SETTINGS, check_native_messages

ROOT = Path(__file__).parents[1]
SMALL = [
    "--flagfile=flags/birdlets.cfg",
    "--birdlets_train_images=48",
    "--birdlets_val_images=24",
    # With two channels oneDNN's bfloat16 convolutions are wrong.
    "--mixed_precision=none",
    "--scales=2",
    "--generator_width=4",
    "--generator_inner_width=8",
    "--discriminator_width=2",
    # They take long to trace; tests/training/test_recipes.py has them.
    "--feature_discriminator=none",
    "--r1_weight=0",
    "--small_width=4",
    "--image_encoder_weights=backbone",
    "--backbone_steps=4",
    "--backbone_batch_size=8",
    "--stem_steps=4",
    "--stem_batch_size=8",
    "--stream_steps=4",
    "--stream_batch_size=8",
    "--stream_hidden_dim=16",
    "--glam_batch_size=8",
    "--log_every=2",
    "--checkpoint_every=2",
    "--picture_every=100",
]


def run(module, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | OTHER_KERAS_SETTINGS,
        capture_output=True,
        text=True,
        timeout=600,
    )
    check_native_messages(done.stderr)
    return done


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """A small run, trained to step 2 of stage glam and then to step 5."""
    folder = tmp_path_factory.mktemp("run")
    paths = [f"--workdir={folder}/run", f"--data_dir={folder}/data"]
    first = run("mirrorgan_tf.train", *SMALL, *paths, "--glam_steps=2")
    second = run("mirrorgan_tf.train", *SMALL, *paths, "--glam_steps=5")
    return folder, paths, first, second


@pytest.mark.slow
def test_one_command_trains_all_stages_and_continues(finished_run):
    folder, _, first, second = finished_run
    assert first.returncode == 0, first.stderr
    for stage in ("backbone 4/4", "stem 4/4", "stream 4/4", "glam 2/2"):
        assert re.search(rf"{stage} steps \| ETA .* images/s \| ", first.stderr), stage
    assert second.returncode == 0, second.stderr
    assert "glam: going on from step 2" in second.stderr
    assert "stem 4/4" not in second.stderr
    pictures = {path.name for path in (folder / "run" / "pictures").iterdir()}
    assert {
        "data.png",
        "backbone_misread_000004.png",
        "stem_similarity_000004.png",
        "stream_captions_000004.png",
        "glam_samples_000005.png",
        "glam_scales_000005.png",
        "glam_attention_000005.png",
    } <= pictures
    for name in pictures:
        assert np.asarray(Image.open(folder / "run" / "pictures" / name)).std() > 0


@pytest.mark.slow
def test_finished_run_has_nothing_left_to_train(finished_run):
    _, paths, _, _ = finished_run
    third = run("mirrorgan_tf.train", *SMALL, *paths, "--glam_steps=5")
    assert third.returncode == 0
    assert "nothing left to train" in third.stderr


@pytest.mark.slow
def test_other_settings_for_a_workdir_are_refused(finished_run):
    folder, paths, _, _ = finished_run
    before = (folder / "run" / "flags.cfg").read_text()
    refused = run(
        "mirrorgan_tf.train", *SMALL, *paths, "--generator_width=6", "--seed=5"
    )
    assert refused.returncode == 1
    assert "--generator_width=6 (was 4), --seed=5 (was 1)" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert (folder / "run" / "flags.cfg").read_text() == before


@pytest.mark.slow
def test_finished_run_generates_and_is_exported(finished_run):
    folder, paths, _, _ = finished_run
    generated = run(
        "mirrorgan_tf.generate",
        paths[0],
        "--captions=a red bird with black wings",
        f"--out={folder}/grid.png",
    )
    assert generated.returncode == 0, generated.stderr
    assert np.asarray(Image.open(folder / "grid.png")).std() > 0
    served = run("export", paths[0], f"--out={folder}/served")
    assert served.returncode == 0, served.stderr
    assert (folder / "served" / "1" / "saved_model.pb").is_file()
    opened = open_workdir(folder / "run")
    assert opened.step == 5
    images = opened.describe(["a red bird", ""], seed=3)["images"]
    assert [scale.shape for scale in images] == [(2, 16, 16, 3), (2, 32, 32, 3)]
    alone = opened.generate("a red bird", seed=3)
    np.testing.assert_array_equal(alone, images[-1][0])


@pytest.mark.slow
def test_dry_run_needs_no_data(tmp_path):
    small = [
        "--generator_width=2",
        "--discriminator_width=2",
        "--residual_blocks=1",
        "--r1_weight=0",
    ]
    backbones = ["--image_encoder=small", "--stream_encoder=small"]
    batches = [f"--{stage}_batch_size=2" for stage in STAGES]
    done = run(
        "mirrorgan_tf.train",
        "--recipe=birdlets",
        f"--workdir={tmp_path}/run",
        "--dry_run",
        *small,
        *backbones,
        *batches,
    )
    assert done.returncode == 0, done.stderr
    for text in ("generator (GLAM)", "peak memory", "an epoch is", "all steps"):
        assert text in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--stages=stem,gan"], "there is no stage 'gan'"),
        (["--scales=9"], "--scales=9: must be 1 to 4"),
        (["--dataset=mnist"], "--dataset=mnist"),
        (["extra"], "unexpected argument 'extra'"),
    ],
)
def test_bad_flags_are_one_clear_line(arguments, words, tmp_path):
    refused = run("mirrorgan_tf.train", *arguments, f"--workdir={tmp_path}/run")
    assert refused.returncode == 1
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "run").exists()


def test_workdir_keeps_its_settings(tmp_path):
    config = Config.from_flags(seed=3)
    start_workdir(tmp_path / "run", config)
    assert read_config(tmp_path / "run" / "flags.cfg") == config.replace(
        data_dir=os.path.abspath(config.data.data_dir)
    )
    (tmp_path / "run" / "stem").mkdir()
    start_workdir(tmp_path / "run", Config.from_flags(seed=3, glam_steps=7))
    assert read_config(tmp_path / "run" / "flags.cfg").glam.steps == 7
    with pytest.raises(UserError, match=r"--seed=4 \(was 3\)"):
        start_workdir(tmp_path / "run", Config.from_flags(seed=4))


def test_settings_may_change_until_a_stage_has_begun(tmp_path):
    start_workdir(tmp_path, Config.from_flags(seed=3))
    (tmp_path / "vocabulary.txt").write_text("old\n")
    start_workdir(tmp_path, Config.from_flags(seed=4))
    assert read_config(tmp_path / "flags.cfg").run.seed == 4
    assert not (tmp_path / "vocabulary.txt").exists()


def test_folder_without_a_trained_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="no flags.cfg in it"):
        open_workdir(tmp_path)
    start_workdir(tmp_path, Config())
    with pytest.raises(UserError, match="train stage stem first"):
        open_workdir(tmp_path)


@pytest.mark.parametrize(
    ("left", "line"),
    [
        (["stream", "glam"], "done; left to train: stream, glam"),
        ([], "done; try: mirrorgan generate '--workdir=my runs/a' 'a red bird with "),
    ],
)
def test_the_last_line_proposes_generate_only_when_all_stages_are_trained(left, line):
    assert training_run._closing_line(Path("my runs/a"), left).startswith(line)


@pytest.mark.parametrize("is_writable", [True, False])
def test_the_picture_of_the_data_is_named_only_if_it_was_written(is_writable, tmp_path):
    if not is_writable:
        (tmp_path / "pictures").touch()
    batch = {
        "images": (tf.zeros((1, 16, 16, 3)),),
        "captions": tf.constant([["a red bird"]]),
    }
    path = observers.save_data_picture(batch, tmp_path)
    assert path == (tmp_path / "pictures" / "data.png" if is_writable else None)
