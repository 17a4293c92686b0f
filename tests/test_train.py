"""From an empty folder to a generated image."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from mirrorgan_tf import generate, train, training_run
from mirrorgan_tf.config import STAGES, Config
from mirrorgan_tf.config.config_flags import read_config
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.training import observers
from mirrorgan_tf.workdir import start_workdir
from tests.conftest import OTHER_KERAS_SETTINGS, ROOT, check_native_messages

SMALL = [
    "--recipe=birdlets",
    "--birdlets_train_images=48",
    "--birdlets_val_images=24",
    # With two channels oneDNN's bfloat16 convolutions are wrong.
    "--mixed_precision=none",
    "--strategy=one_device",
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


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """A small run, trained to step 2 of stage glam by a process of its own.

    Yields its folder, the flags of the training and the lines of the process.
    """
    folder = tmp_path_factory.mktemp("run")
    arguments = [*SMALL, f"--workdir={folder}/run", f"--data_dir={folder}/data"]
    done = subprocess.run(
        [sys.executable, "-m", "mirrorgan_tf.train", *arguments, "--glam_steps=2"],
        cwd=ROOT,
        env=os.environ | OTHER_KERAS_SETTINGS,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    check_native_messages(done.stderr)
    return folder, arguments, done.stderr


@pytest.mark.slow
def test_one_command_trains_all_stages(finished_run):
    folder, _, lines = finished_run
    for stage in ("backbone 4/4", "stem 4/4", "stream 4/4", "glam 2/2"):
        assert re.search(rf"{stage} steps \| ETA .* images/s \| ", lines), stage
    pictures = {path.name for path in (folder / "run" / "pictures").iterdir()}
    assert {
        "data.png",
        "backbone_misread_000004.png",
        "stem_similarity_000004.png",
        "stream_captions_000004.png",
        "glam_samples_000002.png",
        "glam_scales_000002.png",
        "glam_attention_000002.png",
    } <= pictures
    for name in pictures:
        assert np.asarray(Image.open(folder / "run" / "pictures" / name)).std() > 0


@pytest.mark.slow
def test_finished_run_has_nothing_left_to_train(finished_run, run_command, caplog):
    caplog.set_level("INFO", logger="absl")
    status, _, err = run_command(train, *finished_run[1], "--glam_steps=2")
    assert status == 0, err
    assert "nothing left to train" in caplog.text


@pytest.mark.slow
def test_finished_run_generates(finished_run, run_command):
    workdir = finished_run[0] / "run"
    out = finished_run[0] / "images"
    status, _, err = run_command(
        generate, "--captions=a red bird", f"--workdir={workdir}", f"--out={out}/"
    )
    assert status == 0, err
    (image,) = out.iterdir()
    pixels = np.asarray(Image.open(image))
    assert pixels.shape == (32, 32, 3) and pixels.std() > 0
    assert Image.open(image).text["model"] == f"{workdir}, step 2"


@pytest.mark.slow
def test_dry_run_needs_no_data(untraced, run_command, tmp_path, caplog):
    caplog.set_level("INFO", logger="absl")
    small = [
        "--generator_width=2",
        "--discriminator_width=2",
        "--residual_blocks=1",
        "--r1_weight=0",
    ]
    quick = ["--scales=1", "--strategy=one_device", "--mixed_precision=none"]
    backbones = ["--image_encoder=small", "--stream_encoder=small"]
    batches = [f"--{stage}_batch_size=2" for stage in STAGES]
    status, _, err = run_command(
        train,
        "--recipe=birdlets",
        f"--workdir={tmp_path}/run",
        "--dry_run",
        *small,
        *quick,
        *backbones,
        *batches,
    )
    assert status == 0, err
    for text in ("generator (GLAM)", "peak memory", "an epoch is", "all steps"):
        assert text in caplog.text
    assert not (tmp_path / "run").exists()


def test_unknown_stage_is_refused_in_one_line(run_command, tmp_path):
    status, _, err = run_command(
        train, "--stages=stem,gan", f"--workdir={tmp_path}/run"
    )
    assert status == 1
    assert "there is no stage 'gan'" in err[-1]
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
    before = (tmp_path / "run" / "flags.cfg").read_text()
    other = Config.from_flags(seed=4, generator_width=6)
    with pytest.raises(UserError, match=r"--generator_width=6 .*, --seed=4 \(was 3\)"):
        start_workdir(tmp_path / "run", other)
    assert (tmp_path / "run" / "flags.cfg").read_text() == before


def test_settings_may_change_until_a_stage_has_begun(tmp_path):
    start_workdir(tmp_path, Config.from_flags(seed=3))
    (tmp_path / "vocabulary.txt").write_text("old\n")
    start_workdir(tmp_path, Config.from_flags(seed=4))
    assert read_config(tmp_path / "flags.cfg").run.seed == 4
    assert not (tmp_path / "vocabulary.txt").exists()


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
