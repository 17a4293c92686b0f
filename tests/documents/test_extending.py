"""The code of docs/extending.md, applied to a copy of the package and run there."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT

# Runs in the changed copy: each new part does what the page says.
USE_ALL_CHANGES = """
import json, sys
from pathlib import Path
import keras
import numpy as np
from PIL import Image
from mirrorgan_tf import networks
from mirrorgan_tf.config import Config
from mirrorgan_tf.data.registry import find_dataset
from mirrorgan_tf.losses.registry import GENERATOR_LOSS
from mirrorgan_tf.losses.total_variation import total_variation
from mirrorgan_tf.models.backbones import build_backbone
from mirrorgan_tf.training.optimizers import make_optimizer

config = Config.from_flags(
    dataset="json_lines", data_dir=sys.argv[1], text_encoder="mean_words",
    image_encoder="mobilenet_v2", stream_encoder="mobilenet_v2",
    image_encoder_weights="none", stream_encoder_weights="none",
    total_variation_weight=2.0, embedding_dim=4, words_dim=6,
)

# A loss: a checkerboard of -1 and 1 has differences of 2 in both directions.
board = 1.0 - 2.0 * (np.indices((4, 4)).sum(0) % 2)
np.testing.assert_allclose(total_variation(board[None, :, :, None]), [4.0])
assert 2.0 in [term.weight(config.losses) for term in GENERATOR_LOSS]

# A data set.
folder = Path(sys.argv[1])
lines = []
for split in ("train", "val"):
    Image.new("RGB", (8, 8)).save(folder / f"{split}.png")
    entry = {"image": f"{split}.png", "captions": ["a bird"], "split": split}
    lines.append(json.dumps(entry))
(folder / "captions.jsonl").write_text("\\n".join(lines))
splits = find_dataset(config).read()
assert splits["val"].captions == (("a bird",),)
assert splits["val"].paths == (str(folder / "val.png"),)

# A backbone, with the shapes that its entry promises.
backbone = build_backbone("mobilenet_v2")
regions, code = backbone(np.zeros((1, 64, 64, 3), np.float32))
assert regions.shape == (1, 14, 14, 576) and code.shape == (1, 1280)
assert backbone.map_shapes[-1] == (7, 1280)
networks.check_encoders(config)

# A text encoder: padded words are 0 and do not change the sentence.
encoder = networks.build_text_encoder(config, 9)
ids = np.array([[1, 2, 0], [1, 2, 5]])
words, sentence, padding_mask = encoder(ids=ids, lengths=np.array([2, 2]))
assert words.shape == (2, 3, 6)
np.testing.assert_array_equal(padding_mask, [[False, False, True]] * 2)
np.testing.assert_allclose(sentence[0], sentence[1], rtol=1e-6)
np.testing.assert_allclose(sentence[0], np.mean(words[0, :2], axis=0), rtol=1e-5)

# An optimizer.
variable = keras.Variable(np.ones(3))
assert isinstance(make_optimizer(config, "stream", [variable]), keras.optimizers.AdamW)
stem_optimizer = make_optimizer(config, "stem", [variable])
assert not isinstance(stem_optimizer, keras.optimizers.AdamW)
"""


def code_blocks():
    """(language, path of the file, lines) of the blocks that begin with a path."""
    text = (ROOT / "docs" / "extending.md").read_text("utf-8")
    for language, block in re.findall(r"```(python|diff)\n(.*?)```", text, re.S):
        first, *lines = block.splitlines()
        yield language, first.removeprefix("# "), lines


def apply_hunk(text, lines):
    """The text with one hunk of a diff applied; its old lines must occur once."""
    old = "".join(f"{line[1:]}\n" for line in lines if line[0] in " -")
    new = "".join(f"{line[1:]}\n" for line in lines if line[0] in " +")
    assert text.count(old) == 1, f"not once in the file:\n{old}"
    return text.replace(old, new)


@pytest.fixture(scope="module")
def changed_package(tmp_path_factory):
    """A copy of the package with all changes of the page."""
    root = tmp_path_factory.mktemp("extended")
    shutil.copytree(
        ROOT / "mirrorgan_tf",
        root / "mirrorgan_tf",
        ignore=shutil.ignore_patterns("__pycache__", "*.npz", "*.h5", "flags"),
    )
    for language, name, lines in code_blocks():
        path = root / name
        if language == "python":
            assert not path.exists()
            path.write_text("\n".join(lines) + "\n")
            continue
        text = path.read_text("utf-8")
        for hunk in "\n".join(lines).split("\n@@\n"):
            text = apply_hunk(text, hunk.splitlines())
        path.write_text(text)
    return root


def test_the_changes_touch_as_few_files_as_the_table_says():
    files = [name for _, name, _ in code_blocks()]
    assert files == [
        # A loss, a data set, a backbone, a text encoder, an optimizer.
        "mirrorgan_tf/losses/total_variation.py",
        "mirrorgan_tf/losses/registry.py",
        "mirrorgan_tf/config/groups.py",
        "mirrorgan_tf/data/datasets/json_lines.py",
        "mirrorgan_tf/config/registry.py",
        "mirrorgan_tf/models/backbones.py",
        "mirrorgan_tf/models/mean_words.py",
        "mirrorgan_tf/networks.py",
        "mirrorgan_tf/training/optimizers.py",
    ]


def test_every_change_works_in_a_copy_of_the_package(changed_package, tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", USE_ALL_CHANGES, str(tmp_path)],
        cwd=changed_package,
        env=os.environ | {"PYTHONPATH": str(changed_package)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
