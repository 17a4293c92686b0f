import os

import pytest

from mirrorgan_tf.data.datasets.folder_splits import declared_splits


def names(*folders):
    return [os.path.join(folder, "owl.jpg") for folder in folders]


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("train", "val"),
        ("Train", "Validation"),
        ("TRAINING", "VALID"),
        ("training", "test"),
        ("train", "dev"),
        ("train2017", "val2017"),
        ("01-train", "02-eval"),
        ("trainset", "Test set"),
        ("train_images", "val_images"),
        ("TrainImages", "validation"),
        ("birds_train", "birds_val"),
        ("my-photos-training", "my-photos-testing"),
        ("mine/train", "mine/val"),
        ("images/Train/red", "images/Holdout/red"),
        ("owls/train", "finches/valid"),
        ("train/val_like", "val/train_like"),
        ("train_val_split/train", "train_val_split/val"),
    ],
)
def test_folders_named_as_splits_are_the_splits(train, val):
    splits, note = declared_splits(names(train, val, "elsewhere"))
    assert splits == {"train": names(train), "val": names(val)}
    assert "training: " in note and "validation: " in note


def test_a_folder_for_validation_comes_before_one_for_testing():
    splits, _ = declared_splits(names("Test", "Train", "Valid"))
    assert splits == {"train": names("Train"), "val": names("Valid")}


def test_several_sets_have_their_own_splits():
    folders = ["cats_train", "cats_val", "dogs_train", "dogs_val", "train"]
    splits, _ = declared_splits(names(*folders))
    assert splits == {
        "train": names("cats_train", "dogs_train"),
        "val": names("cats_val", "dogs_val"),
    }


@pytest.mark.parametrize(
    "folders", [["birds", "trainers"], ["restrain", "evaluate me"], ["."]]
)
def test_folders_with_other_names_are_not_splits(folders):
    assert declared_splits(names(*folders)) == ({}, "")


@pytest.mark.parametrize(
    ("folders", "listed"),
    [
        (["train", "birds"], "train"),
        (["Validation", "birds"], "Validation"),
        (["train station", "crash test"], "crash test, train station"),
        ([f"{n}/train" for n in range(5)], "0/train, 1/train, 2/train and 2 more"),
    ],
)
def test_a_split_without_its_counterpart_is_named(folders, listed):
    splits, note = declared_splits(names(*folders))
    assert not splits
    assert note.endswith(f": {listed}")
