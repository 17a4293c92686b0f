"""Writes captions of birdlets in varied words and sentence forms.

The `states` of a caption list exactly the attributes that its text states.
"""

import dataclasses
import re
from collections.abc import Mapping

import numpy as np

__all__ = ["Caption", "MAX_WORDS", "MIN_WORDS", "write_captions"]

MIN_WORDS, MAX_WORDS = 5, 25
# Share of the captions that state the body's colour.
_BODY_SHARE = 0.7
# The most attributes that a caption states besides the body's colour.
_MOST_OTHERS = 7

_SIZES = {
    "small": ("small", "little", "tiny"),
    "medium": ("medium-sized", "mid-sized"),
    "large": ("large", "big"),
}
_SHAPES = {
    "songbird": ("songbird", "finch"),
    "wren": ("wren",),
    "swallow": ("swallow",),
    "duck": ("duck",),
    "heron": ("heron", "wader"),
}
_BEAK_LENGTHS = {
    "short": ("short", "stubby"),
    "medium": ("medium-length",),
    "long": ("long", "lengthy"),
}
_POSES = {
    "standing": ("standing", "sitting upright", "perched upright"),
    "leaning": ("leaning forward", "bending forward", "leaning down"),
    "flying": ("flying", "in flight", "in the air with raised wings"),
}
_PERCHES = {
    "branch": ("branch", "thin branch", "twig"),
    "rock": ("rock", "stone", "boulder"),
    "post": ("post", "wooden post"),
}
_BACKGROUNDS = {
    "sky": ("against the sky", "in front of a cloudy sky", "with the sky behind it"),
    "water": ("in front of the water", "by the water", "with water in the background"),
    "leaves": ("in front of leaves", "among the leaves", "surrounded by leaves"),
    "meadow": ("in a meadow", "in front of tall grass", "with a meadow behind it"),
    "sunset": ("at sunset", "in the evening sun", "with a sunset behind it"),
}


@dataclasses.dataclass(frozen=True)
class Caption:
    """A caption and the attributes that it states.

    Attributes:
        text: 5 to 25 words.
        states: attribute -> value, for every attribute the text mentions.
    """

    text: str
    states: dict[str, str]


def write_captions(
    attributes: Mapping[str, str], count: int, rng: np.random.Generator
) -> list[Caption]:
    """Writes different captions of one bird; about 70 % state the body's colour.

    Args:
        attributes: a value for each of `ATTRIBUTES`.
        count: number of captions.
        rng: chooses attributes, words and sentence forms.
    """
    captions: dict[str, Caption] = {}
    while len(captions) < count:
        caption = _Writer(attributes, rng).write()
        words = len(re.findall(r"\w+", caption.text))
        if MIN_WORDS <= words <= MAX_WORDS:
            captions.setdefault(caption.text, caption)
    return list(captions.values())


class _Writer:
    """Writes one caption about randomly chosen attributes."""

    def __init__(self, attributes, rng):
        self.rng = rng
        others = [name for name in attributes if name != "body_color"]
        # The maximum of two numbers makes short captions rare: they fit many birds, so
        # a model learns little from them.
        wanted = int(rng.integers(1, _MOST_OTHERS + 1, 2).max())
        chosen = [others[i] for i in rng.permutation(len(others))[:wanted]]
        if rng.uniform() < _BODY_SHARE:
            chosen.append("body_color")
        self.states = {name: attributes[name] for name in attributes if name in chosen}
        # True: "a red bird"; False: "a bird with a red body".
        self._body_by_noun = rng.uniform() < 0.65

    def write(self) -> Caption:
        """Writes the attributes in a sentence form that fits them."""
        parts = self._shuffled(
            self._body() + self._wings() + self._head() + self._belly_tail_beak()
        )
        actions, place = self._actions(), self._place()
        noun = self._noun()
        forms = [self._noun_phrase]
        if parts:
            # "has" is written twice as often as the other forms.
            forms += [self._has, self._has, self._clauses]
        if actions or place:
            forms += [self._is, self._there_is]
        text = self._pick(forms)(noun, parts, actions, place)
        if self.rng.uniform() < 0.5:
            text = text[0].upper() + text[1:]
        if self.rng.uniform() < 0.5:
            text += "."
        return Caption(text, dict(self.states))

    # Sentence forms. Their arguments: noun such as "small red bird", parts of the body,
    # actions such as "sitting on a rock", and the place, a list of at most one phrase.

    def _noun_phrase(self, noun, parts, actions, place):
        phrases = [*actions, *place]
        if parts:
            phrases.append(f"with {_enumerate(parts)}")
        head, *rest = [_with_article(noun), *self._shuffled(phrases)]
        if place and rest and self.rng.uniform() < 0.2:
            rest.remove(place[0])
            return " ".join([f"{place[0]},", head, *rest])
        return " ".join([head, *rest])

    def _has(self, noun, parts, actions, place):
        has = self._pick(["has", "has got", "shows"])
        text = f"{self._definite(noun)} {has} {_enumerate(parts)}"
        if actions or place:
            text += f" and is {' '.join(self._shuffled([*actions, *place]))}"
        return text

    def _clauses(self, noun, parts, actions, place):
        clauses = [
            f"its {part.name} {'are' if part.plural else 'is'} {part.adjective}"
            for part in parts
            if part.adjective
        ]
        rest = [part for part in parts if not part.adjective]
        if not clauses:
            return self._has(noun, parts, actions, place)
        text = " ".join([_with_article(noun), *actions, *place])
        if rest:
            text += f" with {_enumerate(rest)}"
        return f"{text}, {_join(clauses)}"

    def _is(self, noun, parts, actions, place):
        text = f"{self._definite(noun)} is {' '.join(self._shuffled(actions + place))}"
        if parts:
            conjunction = self._pick(["and it has", "and has", "with"])
            text += f" {conjunction} {_enumerate(parts)}"
        return text

    def _there_is(self, noun, parts, actions, place):
        start = self._pick(["there is", "here we see", "a picture of", "this is"])
        text = f"{start} {_with_article(noun)}"
        if parts:
            text += f" with {_enumerate(parts)}"
        return f"{text}, {' '.join(self._shuffled(actions + place))}"

    # Words for attributes.

    def _noun(self):
        words = []
        if "size" in self.states:
            words.append(self._pick(_SIZES[self.states["size"]]))
        if "body_color" in self.states and self._body_by_noun:
            words.append(self.states["body_color"])
        noun = (
            self._pick(_SHAPES[self.states["shape"]])
            if "shape" in self.states
            else "bird"
        )
        return " ".join([*words, noun])

    def _body(self):
        if "body_color" not in self.states or self._body_by_noun:
            return []
        color = self.states["body_color"]
        if self.rng.uniform() < 0.3:
            return [
                _Part("plumage", "", f"{color} plumage on its body", uncountable=True)
            ]
        return [_Part("body", color, f"{color} body")]

    def _wings(self):
        pattern = self.states.get("wing_pattern")
        color = self._spelled(self.states.get("wing_color", ""))
        if not pattern and not color:
            return []
        wings = f"{color} wings".strip()
        if not pattern:
            return [_Part("wings", color, wings, plural=True)]
        if pattern == "plain":
            phrase = self._pick([f"plain {wings}", f"{wings} without bars"])
        else:
            phrase = self._pick(
                [f"barred {wings}", f"{wings} with bars", f"{wings} with stripes"]
            )
        return [_Part("wings", "", phrase, plural=True)]

    def _head(self):
        crest = self.states.get("crest")
        color = self._spelled(self.states.get("head_color", ""))
        if not crest and not color:
            return []
        if not crest:
            return [_Part("head", color, f"{color} head")]
        if crest == "crested":
            options = [f"crested {color} head"]
            if color:
                options.append(f"{color} crest and head")
            else:
                options += ["crest", "crest on its head"]
        else:
            options = [f"smooth {color} head", f"{color} head without a crest"]
        return [_Part("head", "", " ".join(self._pick(options).split()))]

    def _belly_tail_beak(self):
        parts = []
        if "belly_color" in self.states:
            color = self._spelled(self.states["belly_color"])
            name = self._pick(["belly", "underside", "stomach"])
            parts.append(_Part(name, color, f"{color} {name}"))
        if "tail" in self.states:
            parts.append(
                _Part("tail", self.states["tail"], f"{self.states['tail']} tail")
            )
        length, color = self.states.get("beak_length"), self.states.get("beak_color")
        if length or color:
            words = [self._pick(_BEAK_LENGTHS[length])] if length else []
            words += [color] if color else []
            name = self._pick(["beak", "bill"])
            adjective = " and ".join(words)
            parts.append(_Part(name, adjective, f"{' '.join(words)} {name}"))
        return parts

    def _actions(self):
        actions = []
        pose, perch = self.states.get("pose"), self.states.get("perch")
        if perch:
            phrase = _with_article(self._pick(_PERCHES[perch]))
            # "near" is true for birds that sit on the perch and that fly above it.
            where = {None: "near", "flying": self._pick(["above", "over"])}.get(
                pose, "on"
            )
            actions.append(" ".join(filter(None, [self._pose(pose), where, phrase])))
        elif pose:
            actions.append(self._pose(pose))
        if "direction" in self.states:
            verb = self._pick(["facing {}", "looking {}", "turned to the {}"])
            actions.append(verb.format(self.states["direction"]))
        return self._shuffled(actions)

    def _pose(self, pose):
        return self._pick(_POSES[pose]) if pose else ""

    def _place(self):
        if "background" not in self.states:
            return []
        return [self._pick(_BACKGROUNDS[self.states["background"]])]

    def _spelled(self, color):
        return self._pick(["gray", "grey"]) if color == "gray" else color

    def _definite(self, noun):
        return f"{self._pick(['this', 'the'])} {noun}"

    def _pick(self, options):
        return options[int(self.rng.integers(len(options)))]

    def _shuffled(self, items):
        return [items[i] for i in self.rng.permutation(len(items))]


@dataclasses.dataclass(frozen=True)
class _Part:
    """Words for a part of the body: "a red belly", or "its belly is red".

    Attributes:
        name: such as "belly".
        adjective: such as "red"; empty if only `phrase` states all its attributes.
        phrase: such as "red belly".
        plural: whether the name is a plural.
        uncountable: whether the phrase has no article.
    """

    name: str
    adjective: str
    phrase: str
    plural: bool = False
    uncountable: bool = False


def _enumerate(parts):
    """Phrases with their articles: "a red belly, a short tail and blue wings"."""
    return _join(
        [
            part.phrase
            if part.plural or part.uncountable
            else _with_article(part.phrase)
            for part in parts
        ]
    )


def _with_article(phrase: str) -> str:
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _join(phrases: list[str]) -> str:
    if len(phrases) == 1:
        return phrases[0]
    return f"{', '.join(phrases[:-1])} and {phrases[-1]}"
