"""Asks an exported model under older releases of TensorFlow; run by hand.

python tests/export/older_tensorflow.py VERSION_FOLDER 2.20 2.19 ...

Each release gets a virtual environment of its own from PyPI, removed afterwards, in
which consumer.py runs; its seeded images are compared with this TensorFlow's. Prints a
Markdown table.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import numpy as np

CONSUMER = Path(__file__).parent / "consumer.py"


def ask(python, folder, out):
    done = subprocess.run(
        [python, CONSUMER, folder, "ops", out], capture_output=True, text=True
    )
    if done.returncode:
        return None, done.stderr.strip().splitlines()[-1][:160]
    with np.load(out) as answers:
        return dict(answers), ""


def judge(release, folder, here):
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
        answers, error = ask(python, folder, place / "answers.npz")
    if answers is None:
        return error
    differences = np.abs(answers["seeded"].astype(int) - here["seeded"])
    return (
        f"loads, all signatures answer; seeded images differ by at most "
        f"{differences.max()} of 255"
    )


def main():
    folder, *releases = sys.argv[1:]
    with tempfile.TemporaryDirectory() as place:
        here, error = ask(sys.executable, folder, Path(place) / "here.npz")
    if here is None:
        sys.exit(f"this TensorFlow itself: {error}")
    print("| TensorFlow | result |\n| --- | --- |", flush=True)
    for release in releases:
        print(f"| {release} | {judge(release, folder, here)} |", flush=True)


if __name__ == "__main__":
    main()
