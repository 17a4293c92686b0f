"""Reads the attributes that a caption states; the inverse of `grammar`."""

import re

from mirrorgan_tf.birdlets.attributes import ATTRIBUTES

__all__ = ["read_states"]

_COLORS = sorted(
    {
        value
        for name, values in ATTRIBUTES.items()
        if name.endswith("_color")
        for value in values
    }
    | {"grey"}
)
_ANY_COLOR = f"(?:{'|'.join(_COLORS)})"
_COLOR = f"({_ANY_COLOR})"
_NOUN = "(?:bird|songbird|finch|wren|swallow|duck|heron|wader)"
_BELLY = "(?:belly|underside|stomach)"
_ANY_LENGTH = "(?:short|stubby|medium length|long|lengthy)"

# Attribute -> patterns, each with one group: a value or a synonym of it.
_PATTERNS = {
    "body_color": (
        rf"{_COLOR} {_NOUN}",
        rf"{_COLOR} (?:plumage on its )?body",
        rf"body is {_COLOR}",
    ),
    "wing_color": (rf"{_COLOR} wings", rf"wings are {_COLOR}"),
    "belly_color": (rf"{_COLOR} {_BELLY}", rf"{_BELLY} is {_COLOR}"),
    "head_color": (
        rf"{_COLOR} head",
        rf"{_COLOR} crest and head",
        rf"head is {_COLOR}",
    ),
    "beak_length": (
        rf"({_ANY_LENGTH}) (?:{_ANY_COLOR} )?(?:beak|bill)",
        rf"(?:beak|bill) is ({_ANY_LENGTH})",
    ),
    "beak_color": (
        rf"{_COLOR} (?:beak|bill)",
        rf"(?:beak|bill) is (?:{_ANY_LENGTH} and )?{_COLOR}",
    ),
    "direction": (r"(?:facing|looking|turned to the) (left|right)",),
    "tail": (r"(short|long) tail", r"tail is (short|long)"),
}
# Attribute -> value -> pattern of words that state it. The first match counts.
_PHRASES = {
    "size": {
        "small": "small|little|tiny",
        "medium": "(?:medium|mid) sized",
        "large": "large|big",
    },
    "pose": {
        "standing": "standing|(?:sitting|perched) upright",
        "leaning": "(?:leaning|bending) forward|leaning down",
        "flying": "flying|in flight|in the air with raised wings",
    },
    "shape": {
        "songbird": "songbird|finch",
        "wren": "wren",
        "swallow": "swallow",
        "duck": "duck",
        "heron": "heron|wader",
    },
    "crest": {"smooth": "smooth|without a crest", "crested": "crested|crest"},
    "wing_pattern": {
        "plain": "plain|wings without bars",
        "barred": "barred|wings with (?:bars|stripes)",
    },
    "perch": {
        "branch": "branch|twig",
        "rock": "rock|stone|boulder",
        "post": "post",
    },
    "background": {
        "sky": "sky",
        "water": "water",
        "leaves": "leaves",
        "meadow": "meadow|tall grass",
        "sunset": "sunset|evening sun",
    },
}
_SYNONYMS = {
    "grey": "gray",
    "stubby": "short",
    "medium length": "medium",
    "lengthy": "long",
}


def read_states(caption: str) -> dict[str, str]:
    """Reads the attributes that a caption states, each with its first stated value.

    The caption may be one of `write_captions` or of a network trained on them, with or
    without capitals and punctuation.

    Returns:
        Attribute -> value, in the order of `ATTRIBUTES`.
    """
    text = " ".join(re.findall(r"\w+", caption.lower()))
    states = {name: _value(patterns, text) for name, patterns in _PATTERNS.items()}
    for name, values in _PHRASES.items():
        states[name] = next(
            (
                value
                for value, words in values.items()
                if re.search(rf"\b(?:{words})\b", text)
            ),
            None,
        )
    return {
        name: states[name]
        for name, values in ATTRIBUTES.items()
        if states[name] in values
    }


def _value(patterns, text):
    for pattern in patterns:
        match = re.search(rf"\b{pattern}\b", text)
        if match:
            return _SYNONYMS.get(match[1], match[1])
    return None
