import dataclasses
import os
import pickle

import pytest
import tensorflow as tf

from mirrorgan_tf.commands import UserError
from mirrorgan_tf.config import Config
from mirrorgan_tf.data.sources import open_dataset
from mirrorgan_tf.text.vocabulary import Vocabulary
from mirrorgan_tf.train import Training
from tests.data import trees


def test_ones_own_json_is_split_by_share(tmp_path):
    data_dir = trees.make_own_coco(tmp_path, images=40)
    config = Config(
        dataset="coco",
        data_dir=str(data_dir),
        coco_train_json="captions.json",
        coco_images="pictures",
        val_share=0.25,
    )
    splits = open_dataset(config)
    assert len(splits["train"]) + len(splits["val"]) == 40
    assert 2 <= len(splits["val"]) <= 20
    for index in splits.values():
        assert index.notes == (
            "validation: a share of 0.25 of the images, by a hash of the name",
        )
    other = dataclasses.replace(config, seed=2)
    assert open_dataset(other)["val"].paths != splits["val"].paths


def test_ones_own_two_jsons_are_the_splits(tmp_path):
    trees.make_own_coco(tmp_path / "a", images=4)
    trees.make_own_coco(tmp_path / "b", images=3)
    config = Config(
        dataset="coco",
        data_dir=str(tmp_path),
        coco_train_json="a/captions.json",
        coco_val_json=str(tmp_path / "b" / "captions.json"),
        coco_images="a/pictures",
    )
    assert [len(index) for index in open_dataset(config).values()] == [4, 3]


@pytest.mark.parametrize("name", ["coco_images", "coco_val_json"])
def test_flags_of_ones_own_json_go_together(name):
    with pytest.raises(UserError, match=f"--{name}=x: needs --coco_train_json"):
        Config(**{name: "x"})


@pytest.fixture
def archive(tmp_path):
    birds = trees.make_cub_preprocessed(tmp_path / "birds")
    config = Config(
        dataset="cub",
        data_dir=str(birds),
        captions_pickle=str(birds / "captions.pickle"),
    )
    return config, tmp_path


def test_a_training_takes_the_official_ids_and_keeps_them(archive):
    config, workdir = archive
    training = Training(config, workdir, tf.distribute.get_strategy())
    with open(config.captions_pickle, "rb") as file:
        train, test, words, _ = pickle.load(file)
    assert training.vocabulary.words == tuple(words.values())[1:]
    # The archive's ids of its own captions, by its order of the images.
    index = training.splits["train"]
    with open(os.path.join(config.data_dir, "train", "filenames.pickle"), "rb") as file:
        keys = pickle.load(file)
    for path, captions in zip(index.paths, index.captions, strict=True):
        place = keys.index("/".join(path.split("/")[-2:]).removesuffix(".jpg"))
        ids = training.tokenizer.tokenize(list(captions)).to_list()
        assert ids == train[10 * place : 10 * place + 10]

    without = dataclasses.replace(config, captions_pickle="")
    assert (
        Training(without, workdir, tf.distribute.get_strategy()).vocabulary
        == training.vocabulary
    )


def test_other_words_than_a_runs_own_are_refused(archive):
    config, workdir = archive
    Vocabulary(["owl"]).save(workdir / "vocabulary.txt")
    with pytest.raises(UserError, match=r"--captions_pickle=.*not the words of"):
        Training(config, workdir, tf.distribute.get_strategy())
