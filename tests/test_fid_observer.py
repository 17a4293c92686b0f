import keras
import numpy as np
import pytest

from mirrorgan_tf import fid_observer
from mirrorgan_tf.data.sources import open_dataset
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.evaluation.fid import fid
from mirrorgan_tf.text.tokenizer import CaptionTokenizer
from mirrorgan_tf.text.vocabulary import Vocabulary
from mirrorgan_tf.training.glam_stage import GlamStage
from tests.color_folders import write_color_folder


def test_fid_is_that_of_averaged_generator_and_validation_images(
    tiny_config, tmp_path, monkeypatch
):
    write_color_folder(tmp_path / "data", ["a", "bird"])
    config = tiny_config.replace(dataset="folder", data_dir=str(tmp_path / "data"))
    splits = open_dataset(config)
    vocabulary = Vocabulary(["a", "bird", "red", "blue", "green"])
    keras.utils.set_random_seed(0)
    stage = GlamStage.from_config(config, len(vocabulary) + 1)
    monkeypatch.setattr(
        fid_observer,
        "open_autoencoder",
        # Mean colours stand for the features of the autoencoder.
        lambda *arguments: lambda images: {"features": images.mean(axis=(1, 2))},
    )
    tokenizer = CaptionTokenizer(vocabulary, config.text.max_words)
    options = {"networks_folder": tmp_path / "networks", "every": 5}
    observer = fid_observer.FidObserver(stage, tokenizer, splits, **options)
    figures, pictures = observer()
    assert figures == observer()[0] and not pictures
    # |m - m'|² + tr(C) where all generated images have one colour.
    for weight in stage.glam_ema.weights:
        weight.assign(np.zeros(weight.shape))
    real = np.array([(200, 40, 40), (40, 40, 200), (40, 160, 60)], float)
    gray = np.full(3, 128)
    expected = np.sum((real.mean(0) - gray) ** 2) + np.trace(np.cov(real.T))
    assert observer()[0]["fid"] == pytest.approx(expected, rel=0.02)
    assert figures["fid"] != pytest.approx(expected, rel=0.02)
    few = splits | {"val": splits["val"].select([0])}
    with pytest.raises(UserError, match="at least 2 validation images"):
        fid_observer.FidObserver(stage, tokenizer, few, **options)


CAPTIONS = [f"caption {i}" for i in range(40)]


def random_pixels(captions, seeds):
    """Pixels that depend on the seed alone."""
    return np.stack(
        [
            np.random.default_rng(seed).integers(0, 256, (2, 2, 3), np.uint8)
            for seed in seeds
        ]
    )


def flat_pixels(images):
    return {"features": images.reshape(len(images), -1).astype(np.float32)}


def test_fid_of_equals_the_fid_of_all_generated_images():
    real = np.random.default_rng(1).normal(100, 50, (60, 12))
    images = random_pixels(CAPTIONS, range(5 * 2**24, 5 * 2**24 + 40))
    expected = fid(real, flat_pixels(images)["features"])
    assert fid_observer.fid_of(
        random_pixels, CAPTIONS, real, flat_pixels, seed=5
    ) == pytest.approx(expected)
    assert fid_observer.fid_of(
        random_pixels, CAPTIONS, real, flat_pixels, seed=6
    ) != pytest.approx(expected)
