"""Examples for Slurm and Kubernetes; `scontrol`, `srun`, `mirrorgan` are imitated."""

import json
import os
import subprocess

import pytest

from tests.conftest import ROOT

FOLDER = ROOT / "examples" / "distributed"


@pytest.fixture
def programs(tmp_path):
    """Environment in which `mirrorgan` prints TF_CONFIG and its arguments."""
    for name, script in {
        "scontrol": "printf 'node7\\nnode8\\n'",
        "srun": 'shift; SLURM_PROCID=1 "$@"',
        "mirrorgan": 'echo "$TF_CONFIG"; echo "$@"',
    }.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)
    return os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}


def run(command, environment):
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    )
    tf_config, arguments = result.stdout.splitlines()
    return json.loads(tf_config), arguments.split()


def test_slurm_script_gives_each_process_the_cluster_and_its_number(programs):
    environment = programs | {"SLURM_JOB_NODELIST": "node[7-8]"}
    tf_config, arguments = run(["bash", FOLDER / "slurm.sh"], environment)
    assert tf_config == {
        "cluster": {"worker": ["node7:2222", "node8:2222"]},
        "task": {"type": "worker", "index": 1},
    }
    assert arguments[0] == "train" and "--strategy=multi_worker" in arguments


def test_kubernetes_job_gives_each_pod_the_cluster_and_its_number(programs):
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    service, job = yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text())
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    command = [*container["command"], *container["args"]]
    tf_config, arguments = run(command, programs | {"JOB_COMPLETION_INDEX": "1"})
    # The host names that Kubernetes gives to the pods of an indexed job.
    name, domain = job["metadata"]["name"], service["metadata"]["name"]
    assert pod["subdomain"] == domain
    assert tf_config == {
        "cluster": {
            "worker": [f"{name}-{i}.{domain}:2222" for i in range(2)],
        },
        "task": {"type": "worker", "index": 1},
    }
    assert job["spec"]["completions"] == 2
    assert arguments[0] == "train" and "--strategy=multi_worker" in arguments
