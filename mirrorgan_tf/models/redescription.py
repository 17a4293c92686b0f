"""Captions from image features, by greedy or beam search.

The only module here that needs keras_nlp (and so TensorFlow).
"""

import keras_nlp
from keras import ops

from mirrorgan_tf.models.stream import StreamDecoder

__all__ = ["beam", "greedy", "log_likelihood"]

# Its exponential is 0 in float32, and sums of it stay finite.
_NEVER = -1e9


def greedy(
    decoder: StreamDecoder, features, max_words: int, *, stop_at_end: bool = True
):
    """The likeliest word at each step.

    Args:
        decoder: built.
        features: (B, embedding_dim) of the images.
        max_words: L, the most words to say.
        stop_at_end: only 0 follows a 0; else the search goes on, as in the
            authors' code.

    Returns:
        ids (B, L) int32.
    """
    return _search(
        keras_nlp.samplers.GreedySampler(), decoder, features, max_words, stop_at_end
    )


def beam(decoder: StreamDecoder, features, max_words: int, beams: int):
    """The likeliest caption that a beam search finds, its end counted.

    Args:
        decoder: built.
        features: (B, embedding_dim) of the images.
        max_words: L, the most words to say.
        beams: captions kept at each step; 1 is the greedy search.

    Returns:
        ids (B, L) int32.
    """
    sampler = keras_nlp.samplers.BeamSampler(num_beams=beams)
    return _search(sampler, decoder, features, max_words, stop_at_end=True)


def log_likelihood(decoder: StreamDecoder, features, ids):
    """How likely captions are, given images: what `beam` looks for the most of.

    Args:
        decoder: built.
        features: (B, embedding_dim) of the images.
        ids: (B, L) int32, 0 from each caption's end on.

    Returns:
        (B,) natural log of the probability of the words and, where there is room
        for it, of the end.
    """
    log_probs = ops.log_softmax(decoder(features, ids), axis=-1)
    said = ops.take_along_axis(log_probs, ops.expand_dims(ids, -1), axis=-1)[..., 0]
    # A word counts if the one before it is not the end already.
    counts = ops.concatenate(
        [ops.ones_like(said[:, :1]), ops.cast(ids[:, :-1] > 0, said.dtype)], axis=1
    )
    return ops.sum(said * counts, axis=1)


def _search(sampler, decoder, features, max_words, stop_at_end):
    batch_size = ops.shape(features)[0]
    features = ops.cast(features, decoder.compute_dtype)
    prompt = ops.zeros((batch_size, max_words), dtype="int32")
    cache = (features, *decoder.initial_states(batch_size))
    # Of a finished caption: certainly another 0, so that its score stays.
    finished = ops.concatenate(
        [ops.zeros((1, 1)), ops.full((1, decoder.vocabulary_size - 1), _NEVER)], axis=1
    )

    def next_word(prompt, cache, index):
        features, hidden, cell = cache
        previous = prompt[:, ops.maximum(index - 1, 0)]
        inputs = ops.where(ops.equal(index, 0), features, decoder.embedding(previous))
        logits, (hidden, cell) = decoder.step(inputs, (hidden, cell))
        if stop_at_end:
            ended = ops.logical_and(index > 0, ops.equal(previous, 0))[:, None]
            logits = ops.where(ended, ops.cast(finished, logits.dtype), logits)
        return logits, None, (features, hidden, cell)

    # No stop ids for the sampler: the prompt's zeros would count as ends.
    return sampler(next=next_word, prompt=prompt, cache=cache, index=0)
