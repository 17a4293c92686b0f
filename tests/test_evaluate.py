import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mirrorgan_tf import evaluate as command
from mirrorgan_tf.commands import UserError
from mirrorgan_tf.data.birdlets.attributes import ATTRIBUTES
from mirrorgan_tf.data.birdlets.dataset import write_birdlets
from mirrorgan_tf.data.birdlets.truth import read_claims
from mirrorgan_tf.data.coco import read_coco
from mirrorgan_tf.metrics import real_birdlets
from mirrorgan_tf.metrics.oracle import build_oracle

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def birdlets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate") / "birdlets"
    write_birdlets(folder, train_images=300, val_images=40, seed=3)
    return folder


@dataclasses.dataclass
class RealPictures:
    """A stand-in for a trained run: "generates" the real picture of a caption."""

    folder: Path
    config: SimpleNamespace = dataclasses.field(
        default_factory=lambda: SimpleNamespace(sizes=(16, 32))
    )

    def generate(self, captions, seeds):
        assert len(set(seeds)) == len(captions)
        index = read_coco(self.folder, "val")
        paths = {
            caption: path
            for path, texts in zip(index.paths, index.captions, strict=True)
            for caption in texts
        }
        pictures = [
            np.asarray(
                Image.open(paths[caption]).resize((32, 32), Image.Resampling.BOX)
            )
            for caption in captions
        ]
        return [np.stack(pictures)[:, ::2, ::2], np.stack(pictures)]


def test_pictures_that_obey_are_told_from_shuffled_ones(birdlets, tmp_path):
    settings = {"oracle_folder": tmp_path, "data_dir": birdlets, "seed": 1}
    run = RealPictures(birdlets)
    report, sheet = command.evaluate(run, captions=100, **settings)
    judged = report["attributes"]["body_color"]
    assert judged["captions"] == 100
    assert judged["chance"] == 0.1 <= judged["majority"]
    # Real pictures are read about as well as the held-out ones are.
    assert judged["accuracy"] > judged["shuffled"] + 0.2
    assert judged["accuracy"] > report["oracle_accuracy"]["body_color"] - 0.25
    assert judged["interval"][0] <= judged["accuracy"] <= judged["interval"][1]
    assert sum(row["captions"] for row in report["values"]) == 100
    assert sheet.ndim == 3 and sheet.dtype == np.uint8
    # The classifier is kept: a second evaluation says the very same.
    again, _ = command.evaluate(run, captions=100, **settings)
    assert again == report
    json.dumps(report, allow_nan=False)


def test_oracle_is_trained_again_for_other_birdlets(birdlets, tmp_path, monkeypatch):
    trained = []

    def train(data, size, *, seed, progress):
        trained.append(len(data.images))
        return build_oracle(size)

    monkeypatch.setattr(real_birdlets, "train_oracle", train)
    other = tmp_path / "other"
    write_birdlets(other, train_images=20, val_images=2, seed=4)
    for data_dir, calls in ((birdlets, 1), (birdlets, 1), (other, 2), (other, 2)):
        real_birdlets.obtain_oracle(tmp_path / "oracle", data_dir, 16, seed=1)
        assert len(trained) == calls
    assert trained == [300, 20]


def test_claims_are_read_with_their_states(birdlets):
    claims = read_claims(birdlets, "val")
    assert len(claims) == 200
    for claim in claims:
        for name, value in claim.states.items():
            assert value in ATTRIBUTES[name]


def test_sets_without_attributes_are_refused(birdlets, tmp_path):
    with pytest.raises(UserError, match="captions_val2014.json"):
        read_claims(tmp_path, "val")
    (tmp_path / "annotations").mkdir()
    notes = [{"id": 1, "image_id": 1, "caption": "a bird"}]
    (tmp_path / "annotations" / "captions_val2014.json").write_text(
        json.dumps({"annotations": notes})
    )
    with pytest.raises(UserError, match="no `states`: not written by birdlets"):
        read_claims(tmp_path, "val")


def test_command_tells_mistakes_in_one_line(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "mirrorgan_tf.evaluate"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert "error: --workdir is missing" in result.stderr
    assert "Traceback" not in result.stderr
