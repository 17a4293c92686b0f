"""Captions from image features, by greedy search."""

from keras import ops

from mirrorgan_tf.models.stream import StreamDecoder

__all__ = ["greedy", "log_likelihood"]


def greedy(
    decoder: StreamDecoder, features, max_words: int, *, stop_at_end: bool = True
):
    """The likeliest word at each step.

    Args:
        decoder: built.
        features: (B, embedding_dim) of the images.
        max_words: L, the most words of a caption.
        stop_at_end: only 0 follows a 0; False: the search goes on after the end, as in
            the authors' code.

    Returns:
        ids (B, L) int32.
    """
    features = ops.cast(features, decoder.compute_dtype)
    batch_size = ops.shape(features)[0]
    positions = ops.arange(max_words)

    def append_word(index, carry):
        ids, states = carry
        previous = ids[:, ops.maximum(index - 1, 0)]
        inputs = ops.where(ops.equal(index, 0), features, decoder.embedding(previous))
        logits, states = decoder.step(inputs, states)
        word = ops.cast(ops.argmax(logits, axis=-1), ids.dtype)
        if stop_at_end:
            has_ended = ops.logical_and(index > 0, ops.equal(previous, 0))
            word = ops.where(has_ended, 0, word)
        # Not ops.slice_update: TensorFlow Serving on CPUs lacks its
        # XlaDynamicUpdateSlice.
        return ops.where(positions == index, word[:, None], ids), states

    ids = ops.zeros((batch_size, max_words), dtype="int32")
    carry = ids, decoder.initial_states(batch_size)
    ids, _ = ops.fori_loop(0, max_words, append_word, carry)
    return ids


def log_likelihood(decoder: StreamDecoder, features, ids):
    """The log-likelihood of captions, given images.

    Args:
        decoder: built.
        features: (B, embedding_dim) of the images.
        ids: (B, L) int32, 0 from each caption's end on.

    Returns:
        (B,) natural log of the probability of the words and, where L leaves room for
        it, of the end.
    """
    log_probs = ops.log_softmax(decoder(features, ids), axis=-1)
    chosen = ops.take_along_axis(log_probs, ops.expand_dims(ids, -1), axis=-1)[..., 0]
    # The first word counts, and every one that does not follow the end.
    counts = ops.concatenate(
        [ops.ones_like(chosen[:, :1]), ops.cast(ids[:, :-1] > 0, chosen.dtype)], axis=1
    )
    return ops.sum(chosen * counts, axis=1)
