"""Captions from image features, by greedy search."""

from keras import ops

from mirrorgan_tf.models.stream import StreamDecoder

__all__ = ["greedy", "log_likelihood"]

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
    batch_size = ops.shape(features)[0]
    next_logits, state = _decoding(decoder, features, stop_at_end)
    positions = ops.arange(max_words)

    def append_word(index, ids_and_state):
        ids, state = ids_and_state
        logits, state = next_logits(ids, state, index)
        word = ops.cast(ops.argmax(logits, axis=-1), ids.dtype)
        # No ops.slice_update: it is XlaDynamicUpdateSlice, which TensorFlow Serving
        # refuses to run on CPUs.
        return ops.where(positions == index, word[:, None], ids), state

    ids = ops.zeros((batch_size, max_words), dtype="int32")
    ids, _ = ops.fori_loop(0, max_words, append_word, (ids, state))
    return ids


def log_likelihood(decoder: StreamDecoder, features, ids):
    """How likely captions are, given images.

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


def _decoding(decoder, features, stop_at_end):
    """A function to the logits of the word at an index, and the state it begins with.

    The function takes the ids (B, L), of which those before the index are read, the
    state and the index; it returns logits (B, vocabulary_size) and the new state.
    """
    features = ops.cast(features, decoder.compute_dtype)
    # Of a finished caption: certainly another 0, so that its score stays.
    finished = ops.concatenate(
        [ops.zeros((1, 1)), ops.full((1, decoder.vocabulary_size - 1), _NEVER)], axis=1
    )

    def next_logits(ids, state, index):
        features, hidden, cell = state
        previous = ids[:, ops.maximum(index - 1, 0)]
        inputs = ops.where(ops.equal(index, 0), features, decoder.embedding(previous))
        logits, (hidden, cell) = decoder.step(inputs, (hidden, cell))
        if stop_at_end:
            ended = ops.logical_and(index > 0, ops.equal(previous, 0))[:, None]
            logits = ops.where(ended, ops.cast(finished, logits.dtype), logits)
        return logits, (features, hidden, cell)

    return next_logits, (features, *decoder.initial_states(ops.shape(features)[0]))
