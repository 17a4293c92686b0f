"""Captions to words, in the graph: normalise, then split."""

import tensorflow as tf
import tensorflow_text as tf_text

__all__ = ["split_words"]


def split_words(captions: tf.Tensor) -> tf.Tensor | tf.RaggedTensor:
    r"""Splits captions into lower-case ASCII words.

    The steps, in order: invalid UTF-8 becomes U+FFFD, which separates words; NFKD;
    combining marks are dropped; lower case; a run of anything but Unicode letters,
    numbers and '_' separates; inside words, non-ASCII characters are dropped. So
    'naïve' gives 'naive', 'a日b' gives 'ab' and '日本' gives nothing.

    Any bytes are a valid caption, of any length; NUL separates like punctuation.

    Args:
        captions: string of rank 0 or 1, UTF-8.

    Returns:
        Words: a string tensor (words,) for rank 0, else a ragged one (B, words).

    Source: the authors' `\w+` on lower-cased text with non-ASCII letters dropped;
    NFKD and the marks are ours, so that accents don't break words.
    """
    text = tf.strings.unicode_transcode(captions, "UTF-8", "UTF-8")
    text = tf_text.normalize_utf8(text, "NFKD")
    text = tf.strings.regex_replace(text, r"\p{M}+", "")
    text = tf.strings.regex_replace(text, r"[^\pL\pN_]+", " ")
    text = tf.strings.regex_replace(text, r"[^\x00-\x7f]+", "")
    # Only ASCII is left, and no other letter's lower case is ASCII after NFKD.
    return tf.strings.split(tf.strings.lower(text))
