import keras
import keras_nlp
import numpy as np
import pytest

from mirrorgan_tf.keras_hub_task import MirrorGANTextToImage
from mirrorgan_tf.presets.files import keras_hub_task

CAPTIONS = ["a red bird", "black wings", ""]


@pytest.fixture(scope="module")
def task(trained_model):
    return keras_hub_task(trained_model)


def test_task_generates_the_images_of_its_model(trained_model, task):
    images = task.generate(CAPTIONS, seed=[1, 2, 3])
    assert images.shape == (3, 32, 32, 3) and images.dtype == np.uint8
    expected = trained_model.generate(CAPTIONS, seed=[1, 2, 3])
    difference = images.astype(int) - expected
    # The task does not fold batch norms, and computes rows together.
    assert np.abs(difference).max() <= 1
    np.testing.assert_array_equal(
        task.generate({"prompts": CAPTIONS}, seed=[1, 2, 3]), images
    )
    assert task.generate("a red bird").shape == (32, 32, 3)
    with pytest.raises(TypeError, match="captions=7"):
        task.generate(7)
    with pytest.raises(
        ValueError, match=r"keys \['captions'\]; expected \['prompts'\]"
    ):
        task.generate({"captions": CAPTIONS})


def test_keras_hub_loads_a_saved_preset_as_task_and_as_backbone(task, tmp_path):
    task.save_to_preset(str(tmp_path))
    loaded = keras_nlp.models.TextToImage.from_preset(str(tmp_path))
    assert type(loaded) is MirrorGANTextToImage
    np.testing.assert_array_equal(
        loaded.generate(CAPTIONS, seed=5), task.generate(CAPTIONS, seed=5)
    )
    backbone = keras_nlp.models.Backbone.from_preset(str(tmp_path))
    for ours, theirs in zip(backbone.weights, task.backbone.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_task_in_a_keras_file_generates_the_same_images(task, tmp_path):
    task.save(tmp_path / "task.keras")
    loaded = keras.saving.load_model(tmp_path / "task.keras")
    np.testing.assert_array_equal(
        loaded.generate(CAPTIONS, seed=5), task.generate(CAPTIONS, seed=5)
    )
