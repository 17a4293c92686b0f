import numpy as np
import pytest

from mirrorgan_tf.birdlets import attribute_classifier as oracles
from mirrorgan_tf.birdlets.attributes import ATTRIBUTES
from mirrorgan_tf.birdlets.classifier_training import held_out_accuracy, read_labelled

SIZE = 32


@pytest.fixture(scope="module")
def trained(birdlets):
    data = read_labelled(birdlets, "train", SIZE)
    losses = []
    model = oracles.train_oracle(
        data,
        SIZE,
        seed=1,
        epochs=12,
        progress=lambda epoch, epochs, loss: losses.append((epoch, epochs, loss)),
    )
    assert [call[:2] for call in losses] == [(k, 12) for k in range(1, 13)]
    assert losses[-1][2] < losses[0][2]
    return model


def test_oracle_learns_body_color_from_few_images(trained, birdlets):
    accuracy = held_out_accuracy(trained, read_labelled(birdlets, "val", SIZE))
    assert accuracy.keys() == ATTRIBUTES.keys()
    # Chance is 10 %; the full set, not 400 pictures of 32 px, gets to 95 %.
    assert accuracy["body_color"] > 0.4
    assert accuracy["background"] > 0.8


def test_judge_sees_what_the_oracle_reads(trained, birdlets, tmp_path):
    data = read_labelled(birdlets, "val", SIZE)
    images = data.images[:, :SIZE, :SIZE]
    judge = oracles.OracleJudge(trained, {})
    seen = judge(images)
    features = seen.pop("features")
    assert features.shape[0] == len(images) and features.ndim == 2
    read = oracles.read_attributes(trained, images)
    for name in ATTRIBUTES:
        np.testing.assert_array_equal(seen[name], read[name])
    # Kept and opened again it is the same judge: what it saw counts.
    oracles.save_oracle(trained, tmp_path, {})
    opened = oracles.OracleJudge(oracles.load_oracle(tmp_path, {}), {})
    assert opened.facts == judge.facts
    np.testing.assert_allclose(opened(images)["features"], features, atol=1e-5)


def test_labelled_images_fit_their_labels(birdlets):
    data = read_labelled(birdlets, "val", SIZE)
    assert data.images.shape == (60, 38, 38, 3) and data.images.dtype == np.uint8
    middle = data.images[:, 18:20, 18:20].mean(axis=(1, 2))
    black = data.codes["body_color"] == ATTRIBUTES["body_color"].index("black")
    assert black.any()
    assert middle[black].max() < 80 < np.median(middle[~black].max(axis=1))


@pytest.mark.parametrize("size", [16, 32, 64])
def test_oracle_has_a_head_for_each_attribute(size):
    logits = oracles.build_oracle(size)(np.zeros((2, size, size, 3), np.float32))
    shapes = {name: tuple(values.shape) for name, values in logits.items()}
    assert shapes == {name: (2, len(values)) for name, values in ATTRIBUTES.items()}


def test_same_seed_same_weights():
    first, same, other = (oracles.build_oracle(16, seed=seed) for seed in (1, 1, 2))
    kernels = [model.get_weights()[0] for model in (first, same, other)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert np.any(kernels[0] != kernels[2])


def test_augmentation_keeps_shape_and_range():
    images = np.random.default_rng(0).integers(0, 256, (8, 38, 38, 3), np.uint8)
    rng = np.random.default_rng
    crops = oracles._augment(images, SIZE, rng(1))
    assert crops.shape == (8, SIZE, SIZE, 3)
    assert crops.min() >= 0 and crops.max() <= 255
    np.testing.assert_array_equal(crops, oracles._augment(images, SIZE, rng(1)))
    assert np.any(crops != oracles._augment(images, SIZE, rng(2)))


def test_images_are_reduced_by_means():
    images = np.zeros((1, 4, 4, 3), np.uint8)
    images[0, :2, :2] = [[[10], [20]], [[30], [40]]]
    reduced = oracles.reduce_images(images, 2)
    np.testing.assert_array_equal(reduced[0, :, :, 0], [[25, 0], [0, 0]])
    assert oracles.reduce_images(images, 4) is images
    with pytest.raises(ValueError, match=r"k \* 3"):
        oracles.reduce_images(images, 3)


def test_size_follows_the_generator_up_to_64():
    assert [oracles.oracle_size(px) for px in (16, 64, 128, 256)] == [16, 64, 64, 64]


def test_saved_oracle_is_used_only_if_it_fits(tmp_path):
    model = oracles.build_oracle(16, seed=4)
    assert oracles.load_oracle(tmp_path, {"seed": 4}) is None
    oracles.save_oracle(model, tmp_path, {"seed": 4})
    loaded = oracles.load_oracle(tmp_path, {"seed": 4})
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    read, again = (oracles.read_attributes(one, images) for one in (model, loaded))
    for name in ATTRIBUTES:
        np.testing.assert_array_equal(read[name], again[name])
    assert oracles.load_oracle(tmp_path, {"seed": 5}) is None
    (tmp_path / "oracle.keras").write_bytes(b"damaged")
    assert oracles.load_oracle(tmp_path, {"seed": 4}) is None
