import hashlib
import json
import subprocess
import sys

import pytest
from PIL import Image

from mirrorgan_tf.birdlets import dataset
from mirrorgan_tf.birdlets.attributes import ATTRIBUTES
from mirrorgan_tf.birdlets.dataset import write_birdlets
from mirrorgan_tf.data.datasets.coco import read_coco
from mirrorgan_tf.errors import UserError
from tests.conftest import ROOT

# Two processes draw more than 50 images.
SIZES = {"train_images": 40, "val_images": 15, "seed": 7}


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written") / "birdlets"
    calls = []
    assert write_birdlets(folder, **SIZES, workers=1, progress=calls.append)
    assert calls == list(range(1, 56))
    return folder


def load(folder, name):
    return json.loads((folder / "annotations" / name).read_text())


def test_two_workers_write_the_same_bytes(written, tmp_path):
    calls = []
    write_birdlets(tmp_path / "set", **SIZES, workers=2, progress=calls.append)
    assert digests(tmp_path / "set") == digests(written)
    assert calls[-1] == 55


def test_images_depend_on_the_seed_but_not_on_the_number_of_images(written, tmp_path):
    folders = {seed: tmp_path / str(seed) for seed in (7, 8)}
    for seed, folder in folders.items():
        write_birdlets(
            folder, train_images=3, val_images=2, seed=seed, captions_per_image=6
        )
    all_images, same, other = (
        {name: digest for name, digest in digests(folder).items() if ".jpg" in name}
        for folder in (written, *folders.values())
    )
    assert len(same) == len(other) == 5
    assert same.items() <= all_images.items()
    # No image occurs twice, in either split.
    assert len(set(all_images.values())) == 55
    assert not set(all_images.values()) & set(other.values())
    assert len(load(folders[7], "captions_val2014.json")["annotations"]) == 12


@pytest.mark.parametrize("split, count", [("train", 40), ("val", 15)])
def test_layout_is_coco_2014(written, split, count):
    content = load(written, f"captions_{split}2014.json")
    assert content.keys() == {"info", "images", "licenses", "annotations"}
    assert content["info"].keys() == {
        "description",
        "url",
        "version",
        "year",
        "contributor",
        "date_created",
    }
    assert len(content["images"]) == count
    assert len(content["annotations"]) == 5 * count
    for image in content["images"]:
        assert image["file_name"] == f"COCO_{split}2014_{image['id']:012d}.jpg"
        with Image.open(written / f"{split}2014" / image["file_name"]) as picture:
            assert picture.format == "JPEG"
            assert picture.size == (image["width"], image["height"]) == (256, 256)
    ids = [annotation["id"] for annotation in content["annotations"]]
    assert len(set(ids)) == len(ids)
    # Captions state only true attributes.
    truth = load(written, f"attributes_{split}2014.json")
    assert truth["attributes"] == {k: list(v) for k, v in ATTRIBUTES.items()}
    by_id = {image.pop("id"): image for image in truth["images"]}
    assert by_id.keys() == {image["id"] for image in content["images"]}
    for annotation in content["annotations"]:
        true_attributes = by_id[annotation["image_id"]]
        assert annotation["states"].items() <= true_attributes.items()
    images = read_coco(written)[split]
    assert [len(captions) for captions in images.captions] == [5] * count


def test_existing_sets_are_kept_and_other_folders_refused(written, tmp_path):
    before = digests(written)
    assert not write_birdlets(written, **SIZES)
    assert digests(written) == before
    with pytest.raises(UserError, match="other birdlets.*seed=7"):
        write_birdlets(written, **SIZES | {"seed": 8})
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UserError, match="not empty"):
        write_birdlets(tmp_path, **SIZES)
    with pytest.raises(UserError, match="is a file"):
        write_birdlets(tmp_path / "mine.txt", **SIZES)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"train_images": 0},
        {"val_images": -1},
        {"captions_per_image": 0},
        {"seed": -1},
        {"workers": 0},
    ],
)
def test_flags_out_of_range_are_named(tmp_path, wrong):
    (name,) = wrong
    with pytest.raises(UserError, match=f"--{name}"):
        write_birdlets(tmp_path / "set", **SIZES | wrong)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_interrupted_or_failed_writing_leaves_no_files(tmp_path, error):
    def stop(done):
        if done == 5:
            raise error("stop")

    with pytest.raises((KeyboardInterrupt, UserError)):
        write_birdlets(tmp_path / "set", **SIZES, workers=1, progress=stop)
    assert not any(tmp_path.iterdir())


def test_killed_writing_leaves_no_set_and_can_be_repeated(tmp_path):
    code = (
        "import os, signal, sys\n"
        "from mirrorgan_tf.birdlets.dataset import write_birdlets\n"
        "def stop(done):\n"
        "    if done == 5: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_birdlets(sys.argv[1], train_images=60, val_images=9, seed=1,\n"
        "               workers=2, progress=stop)\n"
    )
    folder = tmp_path / "set"
    killed = subprocess.run([sys.executable, "-c", code, folder], cwd=ROOT)
    assert killed.returncode == -9
    assert not folder.exists()
    assert write_birdlets(folder, train_images=2, val_images=1, seed=1)


def test_failing_worker_is_an_error_and_leaves_no_files(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset.sys, "executable", "/bin/false")
    with pytest.raises(UserError, match="failed"):
        write_birdlets(tmp_path / "set", **SIZES, workers=2)
    assert not any(tmp_path.iterdir())


def test_command_works_without_tensorflow(tmp_path):
    block = "import sys, runpy; sys.modules['tensorflow'] = None;"
    run = "runpy.run_module('mirrorgan_tf.birdlets', run_name='__main__')"
    command = [sys.executable, "-c", block + run, f"--data_dir={tmp_path / 'set'}"]
    command += ["--train_images=2", "--val_images=1", "--workers=1"]
    first = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    assert len(digests(tmp_path / "set")) == 8
    repeated = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert repeated.returncode == 0 and "already drawn" in repeated.stdout
    other = subprocess.run(
        [*command, "--seed=5"], cwd=ROOT, capture_output=True, text=True
    )
    assert other.returncode == 1
    assert other.stderr.startswith("error: ") and other.stderr.count("\n") == 1
