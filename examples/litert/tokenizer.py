"""Captions to word ids in plain Python: what `CaptionTokenizer` does in TensorFlow."""

import json
import unicodedata
from pathlib import Path


class CaptionTokenizer:
    """Reads the `tokenizer.json` of `mirrorgan export --format=litert`.

    Args:
        path: of the file.
    """

    def __init__(self, path: str | Path) -> None:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        self.max_words = content["max_words"]
        # Id 0 is padding.
        self.ids = {word: i for i, word in enumerate(content["words"], start=1)}

    def __call__(self, caption: str) -> tuple[list[int], int]:
        """Turns a caption into ids.

        Unknown words are left out. A caption without a known word has length 0.

        Args:
            caption: any text.

        Returns:
            `max_words` ids, padded with 0, and the number of ids before the padding.
        """
        ids = [self.ids[word] for word in split_words(caption) if word in self.ids]
        ids = ids[: self.max_words]
        return ids + [0] * (self.max_words - len(ids)), len(ids)


def split_words(caption: str) -> list[str]:
    """Splits a caption into lower-case words of ASCII letters, digits and '_'.

    Accents are dropped, and so are letters outside ASCII; everything that is neither
    a letter nor a digit separates words.
    """
    text = []
    for character in unicodedata.normalize("NFKD", caption):
        kind = unicodedata.category(character)[0]
        if kind in "LN" or character == "_":
            text.append(character if character.isascii() else "")
        elif kind != "M":
            text.append(" ")
    return "".join(text).lower().split()
