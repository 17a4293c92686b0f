"""A version folder that the real command wrote, for every test of what is served."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

ROOT = Path(__file__).parents[2]


def run_export(*arguments):
    """`python -m export` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "export", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="session")
def export():
    return run_export


@pytest.fixture(scope="session")
def exported(trained_workdir, tmp_path_factory):
    """The version folder that the command wrote, moved and renamed: read only."""
    out = tmp_path_factory.mktemp("served") / "birdlets"
    done = run_export(f"--workdir={trained_workdir}", f"--out={out}")
    assert done.returncode == 0, done.stderr
    assert os.listdir(out) == ["1"]
    # A server wants a number; only the folders above it have other names now.
    moved = out.parent / "moved"
    out.rename(moved)
    return moved / "1"


@pytest.fixture(scope="session")
def loaded(exported):
    return tf.saved_model.load(str(exported))
