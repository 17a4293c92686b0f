"""BLEU, ROUGE-L and CIDEr-D, against hand-computed values and keras_nlp."""

import math

import keras_nlp
import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.evaluation.bleu import bleu
from mirrorgan_tf.evaluation.cider import cider_d
from mirrorgan_tf.evaluation.rouge import rouge_l

THE_CAT = "the tiny little cat was found under the big funny bed"


def split(texts):
    return [text.split() for text in texts]


def test_bleu_clips_counts_as_in_example_2_of_its_paper():
    # Of seven "the", two count.
    references = [split(["the cat is on the mat", "there is a cat on the mat"])]
    assert bleu(split(["the the the the the the the"]), references)[0] == (
        pytest.approx(2 / 7)
    )


def test_bleu_uses_the_length_of_the_nearest_reference():
    references = [split(["a b c d", "a b c d e f g h i"])]
    assert bleu(split(["a b c d e"]), references)[0] == pytest.approx(1)
    assert bleu(split(["a b c"]), references)[0] == pytest.approx(math.exp(1 - 4 / 3))


def test_bleu_of_all_orders_agrees_with_keras_nlp():
    rng = np.random.default_rng(0)
    words = np.array(list("abcde"))
    texts = [[" ".join(rng.choice(words, 9)) for _ in range(25)] for _ in range(2)]
    ours = bleu(split(texts[1]), [split([text]) for text in texts[0]])
    for order in (1, 2, 4):
        theirs = keras_nlp.metrics.Bleu(tokenizer=tf.strings.split, max_order=order)
        expected = float(theirs([[text] for text in texts[0]], texts[1]))
        assert 0 < expected < 1
        assert ours[order - 1] == pytest.approx(expected, rel=1e-5)


def test_scores_of_an_empty_candidate_are_zero():
    assert bleu([[]], [split(["a b"])]) == [0, 0, 0, 0]
    assert rouge_l([[]], [split(["a b"])]) == 0
    assert cider_d([[]], [split(["a b"])], [split(["a b"]), split(["c"])]) == 0


def test_rouge_agrees_with_values_in_the_documentation_of_keras_nlp():
    # With beta 1, from the documentation of keras_nlp.metrics.RougeL.
    pairs = [
        ("the cat was under the bed", THE_CAT),
        ("i love contributing to KerasNLP", "i really love contributing to KerasNLP"),
    ]
    candidates = split([candidate for candidate, _ in pairs])
    references = [split([reference]) for _, reference in pairs]
    assert rouge_l(candidates[:1], references[:1], beta=1) == pytest.approx(0.7058824)
    assert rouge_l(candidates, references, beta=1) == pytest.approx(0.80748665)


def test_rouge_takes_the_best_precision_and_recall_of_all_references():
    # "a c d": 3 of the candidate's 4 words, 3 of the reference's 5.
    score = rouge_l(split(["a b c d"]), [split(["a c x d y", "z"])])
    precision, recall, beta = 3 / 4, 3 / 5, 1.2
    assert score == pytest.approx(
        (1 + beta**2) * precision * recall / (recall + beta**2 * precision)
    )


def test_cider_matches_values_computed_by_hand():
    # The captions of three images. The weights of their words: "a", in all images, 0;
    # "red" and "blue", in one image, log 3; "bird", in two, log 1.5.
    references = [split(["a red bird"]), split(["a blue bird"]), split(["a dog"])]
    rare, common = math.log(3), math.log(1.5)
    # "a blue bird" shares one 1-gram with "a red bird", "bird", and no longer n-gram.
    one = common**2 / (rare**2 + common**2)
    scores = [10 * (one + 0 + 0 + 0) / 4]
    # The second candidate equals its reference, which has no 4-gram.
    scores.append(10 * 3 / 4)
    # The third candidate repeats "a dog". Counts are clipped, lengths of vectors are
    # not: 1-grams (dog 2) 1·1/(2·1); 2-grams (a dog 2, dog a 1) 1/√(4 + 1); the
    # reference has neither 3-grams nor 4-grams.
    penalty = math.exp(-(2**2) / (2 * 6**2))
    scores.append(10 * (1 / 2 + 1 / math.sqrt(5)) / 4 * penalty)
    candidates = split(["a blue bird", "a blue bird", "a dog a dog"])
    for row, score in enumerate(scores):
        ours = cider_d(candidates[row : row + 1], references[row : row + 1], references)
        assert ours == pytest.approx(score)
    whole = cider_d(candidates, references, references)
    assert whole == pytest.approx(np.mean(scores))


def test_cider_is_the_mean_over_references_and_zero_for_one_document():
    documents = [split(["a b c d", "w x y z"]), split(["e f"])]
    score = cider_d(split(["a b c d"]), documents[:1], documents)
    assert score == pytest.approx(10 * (1 + 0) / 2)
    assert cider_d(split(["a bird"]), *[[split(["a bird"])]] * 2) == 0
