import json
import subprocess
import sys
from pathlib import Path

import pytest

from mirrorgan_tf.config import Config
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.training.distribution import make_strategy

HARNESS = Path(__file__).parents[2] / "tools" / "replicas.py"


@pytest.mark.slow
def test_two_processes_train_glam_like_one_process():
    done = subprocess.run(
        [sys.executable, HARNESS, "workers=2", "--runs", "glam", "--steps=2"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("of the tolerance") == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": -1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}',
    ],
)
def test_tf_config_without_this_worker_is_refused(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match="--strategy=multi_worker: TF_CONFIG=.*such as"):
        make_strategy(Config.from_flags(strategy="multi_worker"))


@pytest.mark.parametrize("job", ["ps", "evaluator"])
@pytest.mark.parametrize("own", ["worker", None])
def test_tf_config_with_jobs_that_do_not_train_is_refused(job, own, monkeypatch):
    cluster = {"worker": ["a:1"], job: ["b:1"]}
    task = {"type": own or job, "index": 0}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    with pytest.raises(UserError, match=f"names the job '{job}'"):
        make_strategy(Config.from_flags(strategy="multi_worker"))
