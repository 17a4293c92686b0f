import json

import numpy as np
import pytest

from mirrorgan_tf.birdlets import attribute_classifier as classifiers
from mirrorgan_tf.birdlets.attributes import ATTRIBUTES
from mirrorgan_tf.birdlets.dataset import write_birdlets
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.evaluation.saved_networks import load_network
from tests.conftest import eager_functions


def test_trained_classifier_recognises_attributes_of_held_out_images(birdlets):
    data = classifiers.read_labelled(birdlets, "train", 16)
    classifier = classifiers.train_classifier(data, 16, seed=1, epochs=10)
    held_out = classifiers.read_labelled(birdlets, "val", 16)
    accuracy = classifiers.held_out_accuracy(classifier, held_out)
    assert accuracy.keys() == ATTRIBUTES.keys()
    # Chance is 20 %. After a training with 12,000 images of 64 px it is above 99 %.
    assert accuracy["background"] > 0.6
    images = held_out.images[:, :16, :16]
    extractor = classifiers.AttributeExtractor(classifier, accuracy)
    outputs = extractor(images)
    assert outputs.pop("features").shape[0] == len(images)
    logits = classifier.predict(images, verbose=0)
    for name in ATTRIBUTES:
        np.testing.assert_array_equal(outputs[name], logits[name].argmax(axis=1))


def test_images_of_black_birds_are_dark_in_the_middle(birdlets):
    data = classifiers.read_labelled(birdlets, "val", 32)
    assert data.images.shape == (60, 38, 38, 3) and data.images.dtype == np.uint8
    centre = data.images[:, 18:20, 18:20].mean(axis=(1, 2))
    black = data.codes["body_color"] == ATTRIBUTES["body_color"].index("black")
    assert black.any()
    assert centre[black].max() < 80 < np.median(centre[~black].max(axis=1))


def test_open_classifier_trains_only_if_no_saved_one_fits(tmp_path, monkeypatch):
    sizes = []

    def train(data, size, *, seed):
        sizes.append(len(data.images))
        return classifiers.build_classifier(size)

    monkeypatch.setattr(classifiers, "train_classifier", train)
    first, other = tmp_path / "first", tmp_path / "other"
    for data_dir, count in ((first, 10), (other, 20)):
        write_birdlets(data_dir, train_images=count, val_images=2, seed=4, workers=1)
    folder = tmp_path / "networks"
    with eager_functions():
        for data_dir, calls in ((first, 1), (other, 2), (other, 2)):
            extractor = classifiers.open_classifier(folder, data_dir, 16)
            assert len(sizes) == calls
    assert sizes == [10, 20]

    # Older versions wrote the same files with another name.
    for suffix in (".keras", ".json"):
        (folder / f"attribute_classifier{suffix}").rename(folder / f"oracle{suffix}")
    with eager_functions():
        old = classifiers.open_classifier(folder, other, 16)
    assert len(sizes) == 2 and old.facts == extractor.facts
    facts = json.loads((folder / "oracle.json").read_text())
    assert load_network(folder, "oracle", facts | {"size": 32}) is None

    with pytest.raises(UserError, match="birdlets.json is missing or damaged"):
        classifiers.open_classifier(folder, tmp_path, 16)
