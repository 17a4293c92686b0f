import numpy as np
import pytest

from mirrorgan_tf.evaluation.inception_score import inception_score


def test_certain_balanced_predictions_score_the_number_of_classes():
    probs = np.tile(np.eye(7), (40, 1))
    mean, std = inception_score(probs, splits=1)
    assert mean == pytest.approx(7) and std == 0


@pytest.mark.parametrize("prediction", [np.full(20, 1 / 20), np.eye(20)[2]])
def test_equal_predictions_for_all_images_score_one(prediction):
    mean, std = inception_score(np.tile(prediction, (50, 1)), splits=10)
    assert mean == pytest.approx(1) and std == pytest.approx(0)


def test_score_is_the_exponential_of_mutual_information():
    probs = np.random.default_rng(0).dirichlet(np.ones(5), 90)
    marginal = probs.mean(axis=0)
    # I(x; y) = H(y) - H(y | x).
    information = -(marginal * np.log(marginal)).sum()
    information += (probs * np.log(probs)).sum(axis=1).mean()
    assert inception_score(probs, splits=1)[0] == pytest.approx(np.exp(information))


def test_images_ordered_by_class_are_shuffled_over_the_splits():
    probs = np.repeat(np.eye(5), 200, axis=0)
    mean, std = inception_score(probs, splits=10)
    assert mean > 4.9 and 0 < std < 0.1


@pytest.mark.parametrize("shape", [(19, 3), (30,)])
def test_fewer_than_two_images_a_split_are_refused(shape):
    with pytest.raises(ValueError, match="N at least 20"):
        inception_score(np.zeros(shape))
