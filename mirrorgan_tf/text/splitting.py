"""Splits captions into words: in a graph, or many captions at once in Python."""

import re
import unicodedata
from collections.abc import Container, Sequence

import tensorflow as tf
import tensorflow_text as tf_text

__all__ = ["loses_letters", "split_all", "split_words", "unknown_words"]

# A table for bytes.translate: letters become lower case, digits and '_' stay, and all
# other characters become spaces. NUL stays, because `split_all` puts it between
# captions.
_ASCII = bytes(
    ord(chr(code).lower()) if chr(code).isalnum() or chr(code) in "_\0" else ord(" ")
    for code in range(128)
).ljust(256)


def split_words(captions: tf.Tensor) -> tf.Tensor | tf.RaggedTensor:
    r"""Splits captions into lower-case ASCII words.

    The steps are, in order: invalid UTF-8 becomes U+FFFD; Unicode's normal form NFKD;
    combining marks are dropped; lower case; words are runs of Unicode letters, numbers
    and '_'; inside words, non-ASCII characters are dropped. So 'naïve' gives 'naive',
    'a日b' gives 'ab' and '日本' gives nothing. Captions may contain any bytes.

    Args:
        captions: string of rank 0 or 1, UTF-8.

    Returns:
        Words: a string tensor (words,) for rank 0, a ragged one (B, words) for rank 1.

    Source: the authors' `\w+` on lower-cased text with non-ASCII letters dropped. NFKD
    and dropping combining marks are added so that accents don't divide words.
    """
    return tf.strings.split(_to_ascii_words(captions))


def split_all(captions: Sequence[str | bytes]) -> tuple[list[str], list[int]]:
    """Splits captions into the words of `split_words`, many times as fast.

    Returns:
        The concatenated words of all captions, and the number of words of each.
    """
    texts = list(captions)
    rows_to_normalize = [
        row
        for row, text in enumerate(texts)
        if isinstance(text, bytes) or not text.isascii() or "\0" in text
    ]
    if rows_to_normalize:
        words = _to_ascii_words(tf.constant([texts[row] for row in rows_to_normalize]))
        for row, text in zip(rows_to_normalize, words.numpy().tolist(), strict=True):
            texts[row] = text.decode("ascii")
    joined = "\0".join(texts).encode("ascii").translate(_ASCII).decode("ascii")
    # One flat list, because a list for each caption costs much garbage collection.
    counts = [len(text.split()) for text in joined.split("\0")] if texts else []
    return joined.replace("\0", " ").split(), counts


def unknown_words(caption: str | bytes, known: Container[str]) -> list[str]:
    """The words of a caption that a vocabulary lacks, each once, in their spelling.

    Args:
        caption: any text.
        known: the words of the vocabulary.
    """
    text = caption.decode("utf-8", "replace") if isinstance(caption, bytes) else caption
    words = re.findall(r"\w+", unicodedata.normalize("NFC", text))
    return [
        word
        for word in dict.fromkeys(words)
        if not any(part in known for part in split_all([word])[0])
    ]


def loses_letters(caption: str) -> bool:
    """Whether `split_words` drops letters or numbers of a caption, as in 'bird 鳥'.

    Accents do not count: 'naïve' keeps its letters.
    """
    if caption.isascii():
        return False
    return any(
        not letter.isascii() and unicodedata.category(letter)[0] in "LN"
        for letter in unicodedata.normalize("NFKD", caption)
    )


def _to_ascii_words(captions: tf.Tensor) -> tf.Tensor:
    text = tf.strings.unicode_transcode(captions, "UTF-8", "UTF-8")
    text = tf_text.normalize_utf8(text, "NFKD")
    text = tf.strings.regex_replace(text, r"\p{M}+", "")
    text = tf.strings.regex_replace(text, r"[^\pL\pN_]+", " ")
    text = tf.strings.regex_replace(text, r"[^\x00-\x7f]+", "")
    # Only ASCII remains. After NFKD, the lower case of other letters is never ASCII.
    return tf.strings.lower(text)
