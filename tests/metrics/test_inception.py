import keras
import numpy as np
import pytest
from PIL import Image

from mirrorgan_tf.commands import UserError
from mirrorgan_tf.metrics.inception import InceptionJudge, clean_resize


@pytest.mark.parametrize("side", [64, 299, 400])
def test_resizing_is_pillows(side):
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    bands = [
        Image.fromarray(image[..., band].astype(np.float32), "F").resize(
            (299, 299), Image.Resampling.BICUBIC
        )
        for band in range(3)
    ]
    expected = np.stack([np.asarray(band) for band in bands], axis=-1)
    np.testing.assert_allclose(clean_resize(image[None])[0], expected, atol=0.02)


def test_weights_of_any_number_of_classes(tmp_path, monkeypatch):
    network = keras.applications.InceptionV3(weights=None, classes=5)
    path = tmp_path / "birds.weights.h5"
    network.save_weights(path)
    kernel, bias = network.get_layer("predictions").get_weights()
    network.get_layer("predictions").set_weights([kernel * 0, bias])

    def build(*, classes, include_top, weights, **_):
        # Building it takes seconds: once is enough.
        assert (classes, include_top, weights) == (5, True, None)
        return network

    monkeypatch.setattr(keras.applications, "InceptionV3", build)
    judge = InceptionJudge(str(path))
    assert "5 classes" in judge.about and "bicubic" in judge.about
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    seen = judge(images)
    assert seen["features"].shape == (2, 2048)
    np.testing.assert_allclose(seen["probs"].sum(axis=1), 1, atol=1e-5)
    logits = seen["features"] @ kernel + bias
    np.testing.assert_allclose(
        seen["probs"], keras.ops.softmax(logits), rtol=1e-3, atol=1e-5
    )


def test_missing_weights_say_what_to_do(tmp_path):
    with pytest.raises(UserError, match="no such file.*--inception_weights the path"):
        InceptionJudge(str(tmp_path / "none.h5"))
    (tmp_path / "damaged.h5").write_bytes(b"no weights")
    with pytest.raises(UserError, match="can't be had"):
        InceptionJudge(str(tmp_path / "damaged.h5"))
