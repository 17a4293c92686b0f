"""`python -m tools.older_tensorflow VERSION_FOLDER 2.20 2.19 ...`.

Asks an exported model under older releases of TensorFlow.

Each release gets a virtual environment of its own from PyPI, removed afterwards, in
which tests/export/consumer.py runs; its seeded images are compared with those of this
TensorFlow. Prints a Markdown table.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import numpy as np

_CONSUMER = Path(__file__).parents[1] / "tests" / "serving" / "consumer.py"


def _ask(python, folder, out):
    done = subprocess.run(
        [python, _CONSUMER, folder, "ops", out], capture_output=True, text=True
    )
    if done.returncode:
        return None, done.stderr.strip().splitlines()[-1][:160]
    with np.load(out) as answers:
        return dict(answers), ""


def _judge(release, folder, here):
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        venv.create(place / "venv", with_pip=True)
        python = place / "venv" / "bin" / "python"
        wanted = [f"tensorflow=={release}.*", f"tensorflow-text=={release}.*"]
        installed = subprocess.run(
            [python, "-m", "pip", "install", "-q", "--no-cache-dir", *wanted],
            capture_output=True,
            text=True,
        )
        if installed.returncode:
            return "not to be installed: " + installed.stderr.strip().splitlines()[-1]
        answers, error = _ask(python, folder, place / "answers.npz")
    if answers is None:
        return error
    differences = np.abs(answers["seeded"].astype(int) - here["seeded"])
    return (
        f"loads, all signatures answer; seeded images differ by at most "
        f"{differences.max()} of 255"
    )


def main() -> None:
    """Prints the table."""
    folder, *releases = sys.argv[1:]
    with tempfile.TemporaryDirectory() as place:
        here, error = _ask(sys.executable, folder, Path(place) / "here.npz")
    if here is None:
        sys.exit(f"this TensorFlow itself: {error}")
    print("| TensorFlow | result |\n| --- | --- |", flush=True)
    for release in releases:
        print(f"| {release} | {_judge(release, folder, here)} |", flush=True)


if __name__ == "__main__":
    main()
