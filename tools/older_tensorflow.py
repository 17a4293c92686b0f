"""`python -m tools.older_tensorflow VERSION_FOLDER 2.20 2.19 ...`.

Calls all signatures of an export with older releases of TensorFlow.

For each release, tests/serving/consumer.py runs in a temporary virtual environment, and
its seeded images are compared with those of the installed TensorFlow. Prints a Markdown
table.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import numpy as np

_CONSUMER = Path(__file__).parents[1] / "tests" / "serving" / "consumer.py"


def _call_signatures(python, folder, out):
    process = subprocess.run(
        [python, _CONSUMER, folder, "ops", out], capture_output=True, text=True
    )
    if process.returncode:
        return None, process.stderr.strip().splitlines()[-1][:160]
    with np.load(out) as answers:
        return dict(answers), ""


def _compare(release, folder, reference):
    with tempfile.TemporaryDirectory() as temporary:
        temporary = Path(temporary)
        venv.create(temporary / "venv", with_pip=True)
        python = temporary / "venv" / "bin" / "python"
        wanted = [f"tensorflow=={release}.*", f"tensorflow-text=={release}.*"]
        installed = subprocess.run(
            [python, "-m", "pip", "install", "-q", "--no-cache-dir", *wanted],
            capture_output=True,
            text=True,
        )
        if installed.returncode:
            return "can't be installed: " + installed.stderr.strip().splitlines()[-1]
        answers, error = _call_signatures(python, folder, temporary / "answers.npz")
    if answers is None:
        return error
    differences = np.abs(answers["seeded"].astype(int) - reference["seeded"])
    return (
        f"loads, all signatures answer; seeded images differ by at most "
        f"{differences.max()} of 255"
    )


def main() -> None:
    """Prints the table."""
    folder, *releases = sys.argv[1:]
    with tempfile.TemporaryDirectory() as temporary:
        reference, error = _call_signatures(
            sys.executable, folder, Path(temporary) / "reference.npz"
        )
    if reference is None:
        sys.exit(f"error: with the installed TensorFlow: {error}")
    print("| TensorFlow | result |\n| --- | --- |", flush=True)
    for release in releases:
        print(f"| {release} | {_compare(release, folder, reference)} |", flush=True)


if __name__ == "__main__":
    main()
