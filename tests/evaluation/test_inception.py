import keras
import numpy as np
import pytest
from PIL import Image

from mirrorgan_tf.errors import UserError
from mirrorgan_tf.evaluation.inception import InceptionExtractor, clean_resize
from tests.conftest import eager_functions


@pytest.mark.parametrize("side", [64, 400])
def test_clean_resize_agrees_with_pillow(side):
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    bands = [
        Image.fromarray(image[..., band].astype(np.float32), "F").resize(
            (299, 299), Image.Resampling.BICUBIC
        )
        for band in range(3)
    ]
    expected = np.stack([np.asarray(band) for band in bands], axis=-1)
    np.testing.assert_allclose(clean_resize(image[None])[0], expected, atol=0.02)


def test_features_and_probabilities_of_weights_with_and_without_top_layer(
    tmp_path, monkeypatch
):
    network = keras.applications.InceptionV3(weights=None, classes=5)
    bare = keras.Model(network.input, network.get_layer("avg_pool").output)
    network.save_weights(tmp_path / "birds.weights.h5")
    bare.save_weights(tmp_path / "bare.weights.h5")
    kernel, bias = network.get_layer("predictions").get_weights()
    network.get_layer("predictions").set_weights([kernel * 0, bias])

    def build(*, classes, include_top, weights, **_):
        # Building the network takes seconds, so it is built only once.
        assert weights is None and classes == (5 if include_top else 1000)
        return network if include_top else bare

    monkeypatch.setattr(keras.applications, "InceptionV3", build)
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    extractor = InceptionExtractor(str(tmp_path / "birds.weights.h5"))
    assert "5 classes" in extractor.about and "bicubic" in extractor.about
    with eager_functions():
        outputs = extractor(images)
    assert outputs["features"].shape == (2, 2048)
    np.testing.assert_allclose(outputs["probs"].sum(axis=1), 1, atol=1e-5)
    expected = keras.ops.softmax(outputs["features"] @ kernel + bias)
    np.testing.assert_allclose(outputs["probs"], expected, rtol=1e-3, atol=1e-5)

    extractor = InceptionExtractor(str(tmp_path / "bare.weights.h5"))
    assert "no classes" in extractor.about
    alone = extractor(images)
    assert alone.keys() == {"features"}
    np.testing.assert_allclose(alone["features"], outputs["features"], atol=1e-6)


def test_error_for_missing_weights_names_the_flag(tmp_path):
    with pytest.raises(UserError, match="no such file.*--inception_weights the path"):
        InceptionExtractor(str(tmp_path / "none.h5"))
    (tmp_path / "damaged.h5").write_bytes(b"no weights")
    with pytest.raises(UserError, match="are not available"):
        InceptionExtractor(str(tmp_path / "damaged.h5"))
