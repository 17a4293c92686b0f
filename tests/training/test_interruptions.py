import shutil
import subprocess
import sys

import pytest
from tensorflow.python.framework.config import disable_op_determinism

from mirrorgan_tf.training_run import Training, prepare_devices
from mirrorgan_tf.workdir import start_workdir
from tests.conftest import ROOT
from tools.interruptions import check_same

STEPS = 2


@pytest.fixture
def config(tiny_config, tmp_path):
    return tiny_config.replace(
        dataset="birdlets",
        data_dir=str(tmp_path / "data"),
        birdlets_train_images=8,
        birdlets_val_images=4,
        deterministic=True,
        strategy="one_device",
        scales=1,
        log_every=1,
        checkpoint_every=1,
        keep_checkpoints=STEPS,
        **{f"{stage}_steps": STEPS for stage in ("stem", "stream", "glam")},
        **{f"{stage}_batch_size": 4 for stage in ("stem", "stream", "glam")},
    )


@pytest.fixture
def deterministic_strategy(config):
    try:
        yield prepare_devices(config)
    finally:
        disable_op_determinism()


@pytest.mark.slow
def test_resumed_stages_end_with_the_bits_of_uninterrupted_ones(
    config, untraced, deterministic_strategy, tmp_path
):
    straight, interrupted = tmp_path / "straight", tmp_path / "interrupted"
    for workdir in (straight, interrupted):
        workdir.mkdir()
        start_workdir(workdir, config)
    steps = []
    training = Training(
        config,
        straight,
        deterministic_strategy,
        callbacks=[lambda stage, step, values: steps.append(step)],
    )
    for stage in config.stages:
        training.workdir = straight
        training.run(stage)
        # What a process leaves that is killed after the checkpoint of its first step.
        shutil.copytree(
            straight / stage,
            interrupted / stage,
            ignore=shutil.ignore_patterns(f"ckpt-{STEPS}.*", "checkpoint", "best"),
        )
        steps.clear()
        training.workdir = interrupted
        training.run(stage)
        assert set(steps) == {STEPS}
    check_same(interrupted, straight, config.stages, STEPS)


@pytest.mark.slow
def test_killed_and_resumed_process_ends_with_the_bits_of_an_uninterrupted_one():
    done = subprocess.run(
        [sys.executable, "tools/interruptions.py", "--count=2", "--stages=backbone"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "finished with the same bits" in done.stdout
    assert "2 interruptions" in done.stdout
