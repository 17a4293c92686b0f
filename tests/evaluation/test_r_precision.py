import numpy as np
import pytest

from mirrorgan_tf.evaluation.r_precision import r_precision, sample_mismatches


def brute_force(codes, sentences, mismatches, k):
    hits = 0
    for row, code in enumerate(codes):
        candidates = [row, *mismatches[row]]
        cosines = [
            code @ sentences[i] / np.linalg.norm(code) / np.linalg.norm(sentences[i])
            for i in candidates
        ]
        hits += 0 in np.argsort(cosines)[::-1][:k]
    return hits / len(codes)


def test_r_precision_agrees_with_brute_force():
    rng = np.random.default_rng(0)
    sentences = rng.standard_normal((60, 5))
    codes = 3 * sentences + rng.standard_normal((60, 5)) * 4
    mismatches = sample_mismatches(range(60), [str(i) for i in range(60)], count=20)
    result = r_precision(codes, sentences, mismatches)
    for k in (1, 2, 3):
        expected = brute_force(codes, sentences, mismatches, k)
        assert 0 < expected < 1
        assert result[k][0] == pytest.approx(expected)
        assert result[k][1] > 0


def test_random_codes_score_k_of_a_hundred():
    rng = np.random.default_rng(0)
    codes, sentences = rng.standard_normal((2, 4000, 16))
    mismatches = rng.integers(0, 4000, (4000, 99))
    result = r_precision(codes, sentences, mismatches)
    for k in (1, 2, 3):
        assert result[k][0] == pytest.approx(k / 100, abs=0.01)


def test_equal_codes_score_zero():
    # The codes differ by less than the rounding of float32.
    sentences = np.ones((20, 4)) + np.random.default_rng(0).uniform(0, 1e-7, (20, 4))
    mismatches = sample_mismatches(range(20), [str(i) for i in range(20)], count=9)
    result = r_precision(sentences, sentences, mismatches)
    assert result == {1: (0, 0), 2: (0, 0), 3: (0, 0)}


def test_mismatches_have_other_classes_and_other_texts():
    classes = np.repeat(np.arange(10), 6)
    texts = [f"caption {i % 20}" for i in range(60)]
    rows = sample_mismatches(classes, texts, count=30, seed=1)
    assert rows.shape == (60, 30)
    for row, rivals in enumerate(rows):
        assert len(set(rivals)) == 30
        assert all(classes[rivals] != classes[row])
        assert all(texts[rival] != texts[row] for rival in rivals)
    repeated = sample_mismatches(classes, texts, count=30, seed=1)
    np.testing.assert_array_equal(rows, repeated)
    assert (rows != sample_mismatches(classes, texts, count=30, seed=2)).any()


def test_too_few_captions_are_refused():
    with pytest.raises(ValueError, match="at least 99"):
        sample_mismatches(range(99), [str(i) for i in range(99)])
    with pytest.raises(ValueError, match="N at least 10"):
        r_precision(np.ones((4, 2)), np.ones((4, 2)), np.zeros((4, 1), int))
