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

SIZES = {"train_images": 60, "val_images": 45, "seed": 7}


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
    assert write_birdlets(
        folder, **SIZES, workers=1, progress=lambda *call: calls.append(call)
    )
    assert calls == [(done, 105) for done in range(1, 106)]
    return folder


def load(folder, name):
    return json.loads((folder / "annotations" / name).read_text())


def test_two_workers_write_the_same_bytes(written, tmp_path):
    calls = []
    write_birdlets(
        tmp_path / "again",
        **SIZES,
        workers=2,
        progress=lambda *call: calls.append(call),
    )
    assert digests(tmp_path / "again") == digests(written)
    assert calls[-1] == (105, 105)


def test_images_do_not_depend_on_the_number_of_images(written, tmp_path):
    write_birdlets(
        tmp_path / "few", train_images=3, val_images=2, seed=7, captions_per_image=6
    )
    whole, few = digests(written), digests(tmp_path / "few")
    pictures = [name for name in few if name.endswith(".jpg")]
    assert len(pictures) == 5
    assert all(few[name] == whole[name] for name in pictures)
    assert len(load(tmp_path / "few", "captions_val2014.json")["annotations"]) == 12


def test_another_seed_draws_other_images(written, tmp_path):
    write_birdlets(tmp_path / "other", train_images=3, val_images=2, seed=8)
    whole, other = digests(written), digests(tmp_path / "other")
    assert not set(whole.values()) & set(other.values())


def test_splits_share_no_image(written):
    pictures = [
        value for name, value in digests(written).items() if name.endswith(".jpg")
    ]
    assert len(set(pictures)) == len(pictures) == 105


@pytest.mark.parametrize("split, count", [("train", 60), ("val", 45)])
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
    ids = [note["id"] for note in content["annotations"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("split", ["train", "val"])
def test_states_of_captions_agree_with_the_attributes_file(written, split):
    truth = load(written, f"attributes_{split}2014.json")
    content = load(written, f"captions_{split}2014.json")
    assert truth["attributes"] == {k: list(v) for k, v in ATTRIBUTES.items()}
    by_id = {image.pop("id"): image for image in truth["images"]}
    assert by_id.keys() == {image["id"] for image in content["images"]}
    for note in content["annotations"]:
        assert note["states"].items() <= by_id[note["image_id"]].items()


def test_coco_reader_reads_birdlets(written):
    images = read_coco(written)["val"]
    assert len(images) == 45
    assert all(len(captions) == 5 for captions in images.captions)


def test_the_same_set_is_not_drawn_again(written):
    before = digests(written)
    assert not write_birdlets(written, **SIZES)
    assert digests(written) == before


def test_folders_with_another_set_or_other_files_are_refused(written, tmp_path):
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
def test_interrupted_writing_leaves_no_files(tmp_path, error):
    def stop(done, total):
        if done == 5:
            raise error("stop")

    with pytest.raises((KeyboardInterrupt, UserError)):
        write_birdlets(tmp_path / "set", **SIZES, workers=1, progress=stop)
    assert not any(tmp_path.iterdir())


def test_killed_writing_leaves_no_set(tmp_path):
    code = (
        "import os, signal, sys\n"
        "from mirrorgan_tf.birdlets.dataset import write_birdlets\n"
        "def stop(done, total):\n"
        "    if done == 60: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_birdlets(sys.argv[1], train_images=150, val_images=9, seed=1,\n"
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
