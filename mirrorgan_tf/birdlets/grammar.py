"""Captions of a birdlet: which attributes, in which words, in which order.

A caption says nothing that its `states` do not list, and the other way round.
"""

import dataclasses
import re
from collections.abc import Mapping

import numpy as np

__all__ = ["Caption", "MAX_WORDS", "MIN_WORDS", "write_captions"]

MIN_WORDS, MAX_WORDS = 5, 25
_BODY_SHARE = 0.7
# Attributes besides the body's colour.
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
    """Different captions of one bird.

    About 70 % of them tell the body's colour.

    Args:
        attributes: a value for each of `ATTRIBUTES`.
        count: captions wanted.
        rng: decides the rest.
    """
    captions: dict[str, Caption] = {}
    while len(captions) < count:
        caption = _Writer(attributes, rng).write()
        words = len(re.findall(r"\w+", caption.text))
        if MIN_WORDS <= words <= MAX_WORDS:
            captions.setdefault(caption.text, caption)
    return list(captions.values())


class _Writer:
    """Writes one caption about a random part of the attributes."""

    def __init__(self, attributes, rng):
        self.rng = rng
        others = [name for name in attributes if name != "body_color"]
        # Few captions state little: a caption that fits many birds teaches little.
        wanted = int(rng.integers(1, _MOST_OTHERS + 1, 2).max())
        chosen = [others[i] for i in rng.permutation(len(others))[:wanted]]
        if rng.uniform() < _BODY_SHARE:
            chosen.append("body_color")
        self.states = {name: attributes[name] for name in attributes if name in chosen}
        # "a red bird"; otherwise "a bird with a red body".
        self._body_by_noun = rng.uniform() < 0.65

    def write(self) -> Caption:
        """Chooses a sentence form that fits the attributes to state."""
        haves = self._shuffled(
            self._body() + self._wings() + self._head() + self._belly_tail_beak()
        )
        doings, place = self._doings(), self._place()
        noun = self._noun()
        forms = [self._plain]
        if haves:
            forms += [self._has, self._has, self._separate]
        if doings or place:
            forms += [self._is, self._there]
        text = self._pick(forms)(noun, haves, doings, place)
        if self.rng.uniform() < 0.5:
            text = text[0].upper() + text[1:]
        if self.rng.uniform() < 0.5:
            text += "."
        return Caption(text, dict(self.states))

    # Sentence forms: noun phrase, things it has, things it does, where.

    def _plain(self, noun, haves, doings, place):
        parts = [*doings, *place]
        if haves:
            parts.append(f"with {_listed(_with_articles(haves))}")
        head, *rest = [_article(noun), *self._shuffled(parts)]
        if place and rest and self.rng.uniform() < 0.2:
            rest.remove(place[0])
            return " ".join([f"{place[0]},", head, *rest])
        return " ".join([head, *rest])

    def _has(self, noun, haves, doings, place):
        has = self._pick(["has", "has got", "shows"])
        text = f"{self._known(noun)} {has} {_listed(_with_articles(haves))}"
        if doings or place:
            text += f" and is {' '.join(self._shuffled([*doings, *place]))}"
        return text

    def _separate(self, noun, haves, doings, place):
        clauses = [
            f"its {have.name} {'are' if have.plural else 'is'} {have.adjective}"
            for have in haves
            if have.adjective
        ]
        rest = [have for have in haves if not have.adjective]
        if not clauses:
            return self._has(noun, haves, doings, place)
        text = " ".join([_article(noun), *doings, *place])
        if rest:
            text += f" with {_listed(_with_articles(rest))}"
        return f"{text}, {_listed(clauses)}"

    def _is(self, noun, haves, doings, place):
        text = f"{self._known(noun)} is {' '.join(self._shuffled(doings + place))}"
        if haves:
            joint = self._pick(["and it has", "and has", "with"])
            text += f" {joint} {_listed(_with_articles(haves))}"
        return text

    def _there(self, noun, haves, doings, place):
        start = self._pick(["there is", "here we see", "a picture of", "this is"])
        text = f"{start} {_article(noun)}"
        if haves:
            text += f" with {_listed(_with_articles(haves))}"
        return f"{text}, {' '.join(self._shuffled(doings + place))}"

    # Parts.

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
            return [_Have("plumage", "", f"{color} plumage on its body", bare=True)]
        return [_Have("body", color, f"{color} body")]

    def _wings(self):
        pattern = self.states.get("wing_pattern")
        color = self._spelled(self.states.get("wing_color", ""))
        if not pattern and not color:
            return []
        wings = f"{color} wings".strip()
        if not pattern:
            return [_Have("wings", color, wings, plural=True)]
        if pattern == "plain":
            phrase = self._pick([f"plain {wings}", f"{wings} without bars"])
        else:
            phrase = self._pick(
                [f"barred {wings}", f"{wings} with bars", f"{wings} with stripes"]
            )
        return [_Have("wings", "", phrase, plural=True)]

    def _head(self):
        crest = self.states.get("crest")
        color = self._spelled(self.states.get("head_color", ""))
        if not crest and not color:
            return []
        if not crest:
            return [_Have("head", color, f"{color} head")]
        if crest == "crested":
            options = [f"crested {color} head"]
            if color:
                options.append(f"{color} crest and head")
            else:
                options += ["crest", "crest on its head"]
        else:
            options = [f"smooth {color} head", f"{color} head without a crest"]
        return [_Have("head", "", " ".join(self._pick(options).split()))]

    def _belly_tail_beak(self):
        haves = []
        if "belly_color" in self.states:
            color = self._spelled(self.states["belly_color"])
            name = self._pick(["belly", "underside", "stomach"])
            haves.append(_Have(name, color, f"{color} {name}"))
        if "tail" in self.states:
            haves.append(
                _Have("tail", self.states["tail"], f"{self.states['tail']} tail")
            )
        length, color = self.states.get("beak_length"), self.states.get("beak_color")
        if length or color:
            words = [self._pick(_BEAK_LENGTHS[length])] if length else []
            words += [color] if color else []
            name = self._pick(["beak", "bill"])
            adjective = " and ".join(words)
            haves.append(_Have(name, adjective, f"{' '.join(words)} {name}"))
        return haves

    def _doings(self):
        doings = []
        pose, perch = self.states.get("pose"), self.states.get("perch")
        if perch:
            phrase = _article(self._pick(_PERCHES[perch]))
            # "near" holds for birds on a perch and above it.
            where = {None: "near", "flying": self._pick(["above", "over"])}.get(
                pose, "on"
            )
            doings.append(" ".join(filter(None, [self._pose(pose), where, phrase])))
        elif pose:
            doings.append(self._pose(pose))
        if "direction" in self.states:
            verb = self._pick(["facing {}", "looking {}", "turned to the {}"])
            doings.append(verb.format(self.states["direction"]))
        return self._shuffled(doings)

    def _pose(self, pose):
        return self._pick(_POSES[pose]) if pose else ""

    def _place(self):
        if "background" not in self.states:
            return []
        return [self._pick(_BACKGROUNDS[self.states["background"]])]

    def _spelled(self, color):
        return self._pick(["gray", "grey"]) if color == "gray" else color

    def _known(self, noun):
        return f"{self._pick(['this', 'the'])} {noun}"

    def _pick(self, options):
        return options[int(self.rng.integers(len(options)))]

    def _shuffled(self, parts):
        return [parts[i] for i in self.rng.permutation(len(parts))]


@dataclasses.dataclass(frozen=True)
class _Have:
    """Something a bird has: "a red belly", or "its belly is red"."""

    name: str
    adjective: str  # empty where only the phrase says it all
    phrase: str
    plural: bool = False
    bare: bool = False


def _with_articles(haves):
    return [
        have.phrase if have.plural or have.bare else _article(have.phrase)
        for have in haves
    ]


def _article(phrase: str) -> str:
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _listed(parts: list[str]) -> str:
    if len(parts) == 1:
        return parts[0]
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
