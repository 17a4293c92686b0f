"""Words and their ids, kept as one text file."""

import collections
import itertools
import reprlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mirrorgan_tf.encoding import read_text
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import write_atomically
from mirrorgan_tf.pickles.reading import load_plain_pickle
from mirrorgan_tf.text.splitting import split_all

__all__ = ["Vocabulary", "read_captions_pickle"]

_CAPTIONS_AT_ONCE = 16_384
# Bounds the length of captions that a pickle stores as word ids.
_LONGEST_WORD = 200


class Vocabulary:
    """An immutable list of words with ids from 1; id 0 is padding.

    Args:
        words: the words in the order of their ids.

    Raises:
        ValueError: a word is empty, holds white space or comes twice.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._words = tuple(words)
        self._ids = {word: row for row, word in enumerate(self._words, start=1)}
        for row, word in enumerate(self._words, start=1):
            if not word or word.split() != [word]:
                raise ValueError(
                    f"words: word {row} is {reprlib.repr(word)}; expected one word"
                )
            if self._ids[word] != row:
                raise ValueError(
                    f"words: {reprlib.repr(word)} comes twice; expected distinct words"
                )

    @classmethod
    def from_captions(
        cls, captions: Iterable[str | bytes], minimum_count: int = 1
    ) -> "Vocabulary":
        """Collects the words that come at least `minimum_count` times.

        The order is fixed: by falling count, then by alphabet.

        Raises:
            ValueError: minimum_count is below 1.
        """
        if minimum_count < 1:
            raise ValueError(f"minimum_count={minimum_count}; expected at least 1")
        captions, counts = iter(captions), collections.Counter()
        while part := list(itertools.islice(captions, _CAPTIONS_AT_ONCE)):
            counts.update(split_all(part)[0])
        kept = [(word, n) for word, n in counts.items() if n >= minimum_count]
        kept.sort(key=lambda pair: (-pair[1], pair[0]))
        return cls(word for word, _ in kept)

    @classmethod
    def load(cls, path: str | Path) -> "Vocabulary":
        """Reads what `save` wrote.

        Raises:
            UserError: the file is missing, unreadable or no list of words.
        """
        try:
            words = read_text(path).splitlines()
        except OSError as error:
            raise UserError(f"{path}: the vocabulary can't be read ({error})") from None
        try:
            return cls(words)
        except ValueError as error:
            raise UserError(
                f"{path}: not a vocabulary, one word a line ({error})"
            ) from None

    @classmethod
    def from_captions_pickle(cls, path: str | Path) -> "Vocabulary":
        """The words of AttnGAN's `captions.pickle`, with the ids they have there.

        Its encoders' embedding has a row for every id, 0 included.

        Raises:
            UserError: see `read_captions_pickle`.
        """
        return read_captions_pickle(path)[2]

    def save(self, path: str | Path) -> None:
        """Writes one word a line, UTF-8: line k holds the word with id k."""
        write_atomically(Path(path), "".join(f"{word}\n" for word in self._words))

    @property
    def words(self) -> tuple[str, ...]:
        """The words; the one at position k has id k + 1."""
        return self._words

    def word(self, word_id: int) -> str:
        """The word of an id from 1; ValueError for any other."""
        if not 1 <= word_id <= len(self._words):
            raise ValueError(f"word_id={word_id}; expected 1 to {len(self._words)}")
        return self._words[word_id - 1]

    def id(self, word: str) -> int:
        """The id of a word; ValueError for an unknown one."""
        if word not in self._ids:
            raise ValueError(f"word={word!r}; expected a word of the vocabulary")
        return self._ids[word]

    def ids(self, words: Sequence[str]) -> np.ndarray:
        """The ids of N words, (N,) int32; 0 for unknown ones."""
        ids = map(self._ids.get, words, itertools.repeat(0))
        return np.fromiter(ids, np.int32, len(words))

    def __len__(self) -> int:
        return len(self._words)

    def __contains__(self, word: object) -> bool:
        return word in self._ids

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self._words == other._words


def read_captions_pickle(path: str | Path) -> tuple[list, list, Vocabulary]:
    """Reads AttnGAN's `captions.pickle`.

    It holds captions of train and test as lists of word ids, words by id and ids by
    word; id 0 is '<end>', our padding.

    Returns:
        Captions of train and of test, not checked, and the words.

    Raises:
        UserError: the file is missing, unsafe or not what AttnGAN writes.
    """
    content = load_plain_pickle(path)
    try:
        train, test, words, ids = content
        listed = [words[word_id] for word_id in range(len(words))]
        if listed[:1] != ["<end>"]:
            raise ValueError(f"word 0 is {reprlib.repr(listed[:1])}; expected '<end>'")
        if max(map(len, listed)) > _LONGEST_WORD:
            raise ValueError(f"a word has more than {_LONGEST_WORD} characters")
        if ids != {word: row for row, word in enumerate(listed)}:
            raise ValueError("ids by word differ from words by id")
        return train, test, Vocabulary(listed[1:])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path}: not AttnGAN's captions.pickle ({type(error).__name__}: {error}); "
            "expected train captions, test captions, words by id from 0 on, ids by word"
        ) from None
