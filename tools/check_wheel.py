"""Builds the wheel, installs it elsewhere and uses it from an empty folder.

`python -m tools.check_wheel` uses the dependencies of the running Python and takes some
minutes on two cores; tests/tools/test_check_wheel.py does the quick part. Nothing is
downloaded.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]

_TINY_NETWORKS = (
    "--generator_width=2",
    "--discriminator_width=2",
    "--r1_weight=0",
    "--small_width=4",
    *(f"--{stage}_batch_size=2" for stage in ("backbone", "stem", "stream", "glam")),
)
_PYTHON_LINES = """
from mirrorgan_tf import MirrorGAN
model = MirrorGAN.from_preset("birdlets_64")
image = model.generate("a red bird", seed=7)
assert image.shape == (64, 64, 3)
images = model.generate(["a red bird", "a blue bird"], num_images=4)
assert images.shape == (2, 4, 64, 64, 3)
assert model.describe("a red bird", seed=7)["words"] == ["a", "red", "bird"]
assert model.embed([])["sentence"].shape == (0, 256)
assert len(model.redescribe(images[0])) == 4
model.save_to_preset("mine")
assert (MirrorGAN.from_preset("mine").generate("a red bird", seed=7) == image).all()
assert (model.export("served/mine") / "saved_model.pb").is_file()
"""
# A command and a file that it writes.
COMMANDS = [
    (["generate", "a red bird with black wings", "--out=bird.png"], "bird.png"),
    (["export", "--preset=birdlets_64", "--out=served"], "served/1/saved_model.pb"),
    (["train", "--recipe=birdlets", "--dry_run", *_TINY_NETWORKS], None),
    (["check", "--help"], None),
]


def build_wheel(folder: Path) -> Path:
    """Builds the wheel from a copy of the sources, which stay as they are."""
    source = folder / "source"
    source.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("mirrorgan_tf", "flags"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignored)
    _pip("wheel", "--no-build-isolation", f"--wheel-dir={folder}", str(source))
    return next(folder.glob("*.whl"))


def install(wheel: Path, folder: Path) -> None:
    """Installs the wheel alone: the package and `bin/mirrorgan`."""
    _pip("install", f"--target={folder}", str(wheel))


def run(site: Path, folder: Path, *command: str) -> subprocess.CompletedProcess:
    """Runs `mirrorgan`, or Python with `-c`, on the installed package.

    Args:
        site: where `install` put the package.
        folder: the current directory.
        command: a verb and its arguments, or `-c` and a program.
    """
    program = [] if command[:1] == ("-c",) else [str(site / "bin" / "mirrorgan")]
    return subprocess.run(
        [sys.executable, *program, *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )


def _pip(verb, *arguments):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            verb,
            "--no-deps",
            "--no-index",
            "-q",
            *arguments,
        ],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"pip {verb} failed:\n{done.stdout}{done.stderr}")


def main() -> None:
    """Checks the wheel and prints each command with its status."""
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        wheel = build_wheel(folder)
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
        install(wheel, folder / "site")
        empty = folder / "empty"
        empty.mkdir()
        for command, file in [*COMMANDS, (["-c", _PYTHON_LINES], None)]:
            done = run(folder / "site", empty, *command)
            good = done.returncode == 0 and (file is None or (empty / file).exists())
            failed |= not good
            label = " ".join(command[:2]).splitlines()[0]
            print("ok    " if good else "FAILED", label, flush=True)
            if not good:
                print(done.stdout[-2000:], done.stderr[-4000:])
    sys.exit(int(failed))


def names_in(wheel: Path) -> set[str]:
    """Paths of all files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


if __name__ == "__main__":
    main()
