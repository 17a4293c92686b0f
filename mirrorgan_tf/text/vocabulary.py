"""Words and their ids, which are stored as a text file."""

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
# Bounds the captions of a pickle, which contain a word as often as its id.
_LONGEST_WORD = 200


class Vocabulary:
    """An immutable list of words with ids from 1; id 0 is padding.

    Args:
        words: the words in the order of their ids.

    Raises:
        ValueError: a word is empty, contains white space or is listed twice.
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
                    f"words: {reprlib.repr(word)} is listed twice; expected distinct "
                    "words"
                )

    @classmethod
    def from_captions(
        cls, captions: Iterable[str | bytes], minimum_count: int = 1
    ) -> "Vocabulary":
        """Collects the words that occur at least `minimum_count` times.

        The most frequent word comes first; equally frequent words are sorted.

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
        """Reads a file that `save` wrote.

        Raises:
            UserError: the file can't be read or is not a list of words.
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
        """The words of AttnGAN's `captions.pickle`, with the ids that they have there.

        The embedding of AttnGAN's encoders has a row for every id, 0 included.

        Raises:
            UserError: see `read_captions_pickle`.
        """
        return read_captions_pickle(path)[2]

    def save(self, path: str | Path) -> None:
        """Writes one word a line in UTF-8; the word with id k is in line k."""
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

    It contains captions of train and test as lists of word ids, words by id and ids by
    word; id 0 is '<end>', our padding.

    Returns:
        The captions of train and of test, which are not checked, and the words.

    Raises:
        UserError: the file can't be read, is unsafe or not AttnGAN's.
    """
    content = load_plain_pickle(path)
    try:
        train, test, words, ids = content
        ordered = [words[word_id] for word_id in range(len(words))]
        if ordered[:1] != ["<end>"]:
            raise ValueError(f"word 0 is {reprlib.repr(ordered[:1])}; expected '<end>'")
        if max(map(len, ordered)) > _LONGEST_WORD:
            raise ValueError(f"a word has more than {_LONGEST_WORD} characters")
        if ids != {word: word_id for word_id, word in enumerate(ordered)}:
            raise ValueError("ids by word differ from words by id")
        return train, test, Vocabulary(ordered[1:])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path}: not AttnGAN's captions.pickle ({type(error).__name__}: {error}); "
            "expected train captions, test captions, words by id from 0 on, ids by word"
        ) from None
