import os

import numpy as np
import pytest

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.evaluation.rendering import ImageFolder, claim_folder

CAPTIONS = [f"caption {i}" for i in range(10)]
SEEDS = list(range(10))


def draw(captions, seeds):
    """An image that tells caption, seed and the size of its batch."""
    return np.stack(
        [
            np.full((4, 4, 3), (int(caption[8:]), seed, len(captions)), np.uint8)
            for caption, seed in zip(captions, seeds, strict=True)
        ]
    )


def test_an_interrupted_rendering_ends_as_a_whole_one(tmp_path):
    calls = []

    def interrupted(captions, seeds):
        calls.append(list(captions))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return draw(captions, seeds)

    folder = ImageFolder(tmp_path / "images", 10, batch_size=3)
    with pytest.raises(KeyboardInterrupt):
        folder.render(interrupted, CAPTIONS, SEEDS, "x")
    assert len(os.listdir(folder.folder)) == 6
    # One image of a block is gone too: the block is drawn as it was, together.
    folder.path(4).unlink()
    calls.clear()

    def counted(captions, seeds):
        calls.append(list(captions))
        return draw(captions, seeds)

    folder.render(counted, CAPTIONS, SEEDS, "x")
    assert calls == [CAPTIONS[3:6], CAPTIONS[6:9], CAPTIONS[9:]]
    expected = [[i, i, 1 if i == 9 else 3] for i in range(10)]
    assert folder.read(range(10))[:, 0, 0].tolist() == expected
    calls.clear()
    folder.render(counted, CAPTIONS, SEEDS, "x")
    assert not calls


def test_a_failure_to_write_leaves_no_half_image(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError("no space left on device")

    folder = ImageFolder(tmp_path / "images", 10, batch_size=3)
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="no space left.*goes on with it"):
        folder.render(draw, CAPTIONS, SEEDS, "x")
    assert os.listdir(folder.folder) == []


def test_a_damaged_image_is_told(tmp_path):
    folder = ImageFolder(tmp_path, 2, batch_size=2)
    folder.render(draw, CAPTIONS[:2], SEEDS[:2], "x")
    folder.path(1).write_bytes(b"no image")
    with pytest.raises(UserError, match="000001.png: can't be read.*move it away"):
        folder.read([0, 1])


def test_batches_may_start_anywhere(tmp_path):
    folder = ImageFolder(tmp_path, 10, batch_size=4)
    folder.render(draw, CAPTIONS, SEEDS, "x")
    parts = [part[:, 0, 0, 0].tolist() for part in folder.batches(4, 2)]
    assert parts == [[2, 3, 4, 5], [6, 7, 8, 9]]


def test_a_folder_belongs_to_one_evaluation(tmp_path):
    folder = tmp_path / "evaluation"
    claim_folder(folder, {"seed": 1, "source": {"step": 3}})
    claim_folder(folder, {"seed": 1, "source": {"step": 3}})
    with pytest.raises(UserError, match=r"other settings: seed=2 \(was 1\); choose"):
        claim_folder(folder, {"seed": 2, "source": {"step": 3}})
    (folder / "settings.json").write_text("damaged")
    with pytest.raises(UserError, match="choose another --out"):
        claim_folder(folder, {"seed": 1})


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("all my work")
    with pytest.raises(UserError, match="holds no evaluation"):
        claim_folder(tmp_path, {"seed": 1})
    assert os.listdir(tmp_path) == ["thesis.txt"]
