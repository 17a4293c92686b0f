import os

import numpy as np
import pytest

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.evaluation.image_folder import ImageFolder, check_settings

CAPTIONS = [f"caption {i}" for i in range(10)]
SEEDS = list(range(10))


def generate(captions, seeds):
    """Images whose channels are the caption's number, the seed and the batch size."""
    return np.stack(
        [
            np.full((4, 4, 3), (int(caption[8:]), seed, len(captions)), np.uint8)
            for caption, seed in zip(captions, seeds, strict=True)
        ]
    )


def test_interrupted_rendering_resumes_with_the_same_batches(tmp_path):
    calls = []

    def interrupted(captions, seeds):
        calls.append(list(captions))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return generate(captions, seeds)

    folder = ImageFolder(tmp_path / "images", 10, batch_size=3)
    with pytest.raises(KeyboardInterrupt):
        folder.render(interrupted, CAPTIONS, SEEDS, "x")
    assert len(os.listdir(folder.folder)) == 6
    # One image of a batch is missing too. Its batch is generated again.
    folder.path(4).unlink()
    calls.clear()
    calls.extend([None] * 3)
    folder.render(interrupted, CAPTIONS, SEEDS, "x")
    assert calls[3:] == [CAPTIONS[3:6], CAPTIONS[6:9], CAPTIONS[9:]]
    expected = [[i, i, 1 if i == 9 else 3] for i in range(10)]
    assert folder.read(range(10))[:, 0, 0].tolist() == expected
    assert [part[0, 0, 0, 0] for part in folder.batches(4, 2)] == [2, 6]


def test_failure_to_write_leaves_no_partial_image(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError("no space left on device")

    folder = ImageFolder(tmp_path / "images", 10, batch_size=3)
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="no space left.*again to resume"):
        folder.render(generate, CAPTIONS, SEEDS, "x")
    assert os.listdir(folder.folder) == []


def test_damaged_image_is_named_in_the_error(tmp_path):
    folder = ImageFolder(tmp_path, 2, batch_size=2)
    folder.render(generate, CAPTIONS[:2], SEEDS[:2], "x")
    folder.path(1).write_bytes(b"no image")
    with pytest.raises(UserError, match="000001.png: can't be read.*delete it"):
        folder.read([0, 1])


def test_check_settings_refuses_other_settings_and_other_files(tmp_path):
    folder = tmp_path / "evaluation"
    for _ in range(2):
        check_settings(folder, {"seed": 1, "source": {"step": 3}})
    with pytest.raises(UserError, match=r"other settings: seed=2 \(was 1\); choose"):
        check_settings(folder, {"seed": 2, "source": {"step": 3}})
    (folder / "settings.json").write_text("damaged")
    with pytest.raises(UserError, match="choose another --out"):
        check_settings(folder, {"seed": 1})
    (folder / "settings.json").rename(folder / "thesis.txt")
    with pytest.raises(UserError, match="holds no evaluation"):
        check_settings(folder, {"seed": 1})
    assert os.listdir(folder) == ["thesis.txt"]
