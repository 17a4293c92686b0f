import os
import pickle
import re
import shlex
import shutil

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from mirrorgan_tf.birdlets.dataset import write_birdlets
from mirrorgan_tf.config import SETTINGS, Config
from mirrorgan_tf.config.registry import DATASETS
from mirrorgan_tf.data.leaks import shared_images
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.data.registry import Dataset, dataset_class
from mirrorgan_tf.data.sources import guess_dataset, open_dataset
from mirrorgan_tf.data.statistics import caption_findings
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.text.vocabulary import Vocabulary
from mirrorgan_tf.training_run import Training
from tests.data import trees


def test_one_json_is_split_by_val_share(tmp_path):
    data_dir = trees.make_own_coco(tmp_path, images=40)
    config = Config.from_flags(
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
    other = config.replace(data_seed=2)
    assert open_dataset(other)["val"].paths != splits["val"].paths


def test_two_jsons_are_the_splits(tmp_path):
    trees.make_own_coco(tmp_path / "a", images=4)
    trees.make_own_coco(tmp_path / "b", images=3)
    config = Config.from_flags(
        dataset="coco",
        data_dir=str(tmp_path),
        coco_train_json="a/captions.json",
        coco_val_json=str(tmp_path / "b" / "captions.json"),
        coco_images="a/pictures",
    )
    assert [len(index) for index in open_dataset(config).values()] == [4, 3]


def own_coco_of_two_folders(folder):
    """Two JSONs whose images have the same names, with `pictures` beside each."""
    for split, color in (("train", "blue"), ("val", "red")):
        trees.make_own_coco(folder / split, images=3)
        for path in (folder / split / "pictures").rglob("*.png"):
            PIL.Image.new("RGB", (40, 30), color).save(path)
    return Config.from_flags(
        dataset="coco",
        data_dir=str(folder),
        coco_train_json="train/captions.json",
        coco_val_json="val/captions.json",
    )


def folders_of(splits, parent):
    return {
        split: {os.path.relpath(path, parent).split(os.sep)[0] for path in index.paths}
        for split, index in splits.items()
    }


@pytest.mark.parametrize("images", ["pictures", "."])
def test_images_are_read_from_the_folder_beside_each_json(tmp_path, images):
    config = own_coco_of_two_folders(tmp_path)
    if images == ".":
        for split in ("train", "val"):
            for path in (tmp_path / split / "pictures").iterdir():
                path.rename(tmp_path / split / path.name)
    config = config.replace(coco_images="" if images == "." else images)
    splits = open_dataset(config)
    assert folders_of(splits, tmp_path) == {"train": {"train"}, "val": {"val"}}
    assert not shared_images(splits["train"], splits["val"])


def test_coco_val_images_names_the_folder_of_validation(tmp_path):
    config = own_coco_of_two_folders(tmp_path)
    for split in ("train", "val"):
        (tmp_path / split / "pictures").rename(tmp_path / f"{split}_pictures")
    config = config.replace(coco_images="train_pictures")
    splits = open_dataset(config)
    # Without --coco_val_images, the images of the same names are training's.
    (remark,) = shared_images(splits["train"], splits["val"])
    assert remark.count == 3
    config = config.replace(coco_val_images="val_pictures")
    splits = open_dataset(config)
    assert folders_of(splits, tmp_path)["val"] == {"val_pictures"}
    assert not shared_images(splits["train"], splits["val"])


@pytest.mark.parametrize("name", ["coco_images", "coco_val_json"])
def test_coco_flags_without_their_json_are_refused(name):
    with pytest.raises(UserError, match=f"--{name}=x: needs --coco_train_json"):
        Config.from_flags(**{name: "x"})
    with pytest.raises(UserError, match="--coco_val_images=x: needs --coco_val_json"):
        Config.from_flags(coco_train_json="y", coco_val_images="x")


@pytest.fixture
def archive(tmp_path):
    birds = trees.make_cub_preprocessed(tmp_path / "birds")
    config = Config.from_flags(
        dataset="cub",
        data_dir=str(birds),
        captions_pickle=str(birds / "captions.pickle"),
    )
    return config, tmp_path


def test_a_run_keeps_the_word_ids_of_captions_pickle(archive):
    config, workdir = archive
    training = Training(config, workdir, tf.distribute.get_strategy())
    with open(config.text.captions_pickle, "rb") as file:
        train, test, words, _ = pickle.load(file)
    assert training.vocabulary.words == tuple(words.values())[1:]
    # The archive has word ids of its captions, in the order of its images.
    index = training.splits["train"]
    with open(
        os.path.join(config.data.data_dir, "train", "filenames.pickle"), "rb"
    ) as file:
        keys = pickle.load(file)
    for path, captions in zip(index.paths, index.captions, strict=True):
        place = keys.index("/".join(path.split("/")[-2:]).removesuffix(".jpg"))
        ids = training.tokenizer.tokenize(list(captions)).to_list()
        assert ids == train[10 * place : 10 * place + 10]

    without = config.replace(captions_pickle="")
    assert (
        Training(without, workdir, tf.distribute.get_strategy()).vocabulary
        == training.vocabulary
    )


def test_a_captions_pickle_that_differs_from_the_runs_words_is_refused(archive):
    config, workdir = archive
    Vocabulary(["owl"]).save(workdir / "vocabulary.txt")
    with pytest.raises(UserError, match=r"--captions_pickle=.*not the words of"):
        Training(config, workdir, tf.distribute.get_strategy())


def make_birdlets(folder):
    write_birdlets(folder, train_images=2, val_images=1, seed=1, workers=1)
    return folder


MAKERS = {
    "cub": trees.make_cub_original,
    "coco": trees.make_coco,
    "folder": trees.make_folder,
}


@pytest.mark.parametrize(
    ("actual", "requested"),
    [
        (actual, requested)
        for actual in MAKERS
        for requested in ("birdlets", "cub", "coco", "folder")
        if requested != actual
    ],
)
def test_the_error_names_the_dataset_that_is_in_the_folder(actual, requested, tmp_path):
    MAKERS[actual](tmp_path / "data")
    before = sorted(tmp_path.rglob("*"))
    config = Config.from_flags(dataset=requested, data_dir=str(tmp_path / "data"))
    with pytest.raises(UserError, match=f"try --dataset={actual} --data_dir="):
        open_dataset(config)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("actual", ["cub", "coco"])
@pytest.mark.parametrize("place", ["renamed", "a/b c"])
def test_the_error_names_the_folder_of_a_nested_or_renamed_dataset(
    actual, place, tmp_path
):
    home = tmp_path / "data" / place
    home.parent.mkdir(parents=True)
    shutil.move(MAKERS[actual](tmp_path / "actual"), home)
    assert guess_dataset(tmp_path / "data") == actual
    flags = f"try --dataset={actual} " + shlex.quote(f"--data_dir={home}")
    for requested in ("birdlets", actual):
        config = Config.from_flags(dataset=requested, data_dir=str(tmp_path / "data"))
        with pytest.raises(UserError, match=re.escape(flags)):
            open_dataset(config)
    open_dataset(Config.from_flags(dataset=actual, data_dir=str(home)))


@pytest.mark.parametrize(
    ("actual", "inside"), [("cub", "images/001.Ibis"), ("coco", "annotations")]
)
def test_the_error_names_the_dataset_above_the_folder(actual, inside, tmp_path):
    home = MAKERS[actual](tmp_path / "data")
    (home / inside).mkdir(parents=True, exist_ok=True)
    config = Config.from_flags(dataset=actual, data_dir=str(home / inside))
    with pytest.raises(UserError, match=f"try --dataset={actual} --data_dir={home}$"):
        open_dataset(config)


def test_draw_false_reads_birdlets_and_writes_nothing(tmp_path):
    config = Config.from_flags(
        data_dir=str(tmp_path / "data"), birdlets_train_images=5, birdlets_val_images=5
    )
    with pytest.raises(UserError, match="no such folder"):
        open_dataset(config, draw=False)
    assert list(tmp_path.iterdir()) == []
    make_birdlets(tmp_path / "data")
    # The existing birdlets have other settings.
    assert len(open_dataset(config, draw=False)["train"]) == 2
    with pytest.raises(UserError, match="holds other birdlets"):
        open_dataset(config)


def test_every_registered_dataset_can_be_imported_and_is_a_choice_of_the_flag():
    choices = {setting.flag: setting.choices for setting in SETTINGS}["dataset"]
    assert choices == tuple(DATASETS)
    for name in DATASETS:
        assert issubclass(dataset_class(name), Dataset)


def test_stage_backbone_needs_a_dataset_with_labels(tmp_path):
    config = Config.from_flags(
        dataset="folder", image_encoder="small", image_encoder_weights="backbone"
    )
    with pytest.raises(UserError, match="--dataset=folder has none; choose imagenet"):
        Training(config, tmp_path, tf.distribute.get_strategy())


def test_many_unknown_words_are_reported():
    captions = (("a red bird", "a bird of unheard plumage and provenance"),)
    index = CaptionedImages(("x.png",), captions, np.array([0]), np.array([0]))
    known = Vocabulary(["a", "red", "bird", "of", "and"])
    findings = caption_findings("train", index, known, 8)
    assert (
        "30% of the captions' words are not in the vocabulary" in findings.warnings[0]
    )
    assert "'unheard'" in findings.warnings[0]
    everything = Vocabulary([*known.words, "unheard", "plumage", "provenance"])
    assert caption_findings("train", index, everything, 8).warnings == []
