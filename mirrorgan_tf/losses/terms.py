"""What a loss term is, what terms are computed from, and their weighted sum."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

__all__ = [
    "DiscriminatorLossInputs",
    "GeneratorLossInputs",
    "LossTerm",
    "ScoredImages",
    "sum_terms",
]

Tensor = Any
# (values, weights=None) to this replica's share of the mean over the global batch.
Mean = Callable[..., Tensor]


@dataclasses.dataclass(frozen=True)
class LossTerm:
    """One line of a list of losses.

    Attributes:
        losses: function of the list's inputs to scalars by name, without the weight.
            Each is this replica's share of a mean over the global batch.
        weight: function of the settings of the losses to the term's weight. A term of
            weight 0 is not computed.
    """

    losses: Callable[[Any], dict[str, Tensor]]
    weight: Callable[[Any], float]


@dataclasses.dataclass(frozen=True)
class ScoredImages:
    """One discriminator and what it is called with.

    Attributes:
        name: suffix of the names of its losses.
        discriminator: with `features`, `unconditional` and `conditional`.
        inputs: images (B, s, s, 3) in [-1, 1], or their feature maps.
    """

    name: str
    discriminator: Any
    inputs: Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class GeneratorLossInputs:
    """What the terms of the generator's loss are computed from.

    Attributes:
        settings: forms and weights of the losses.
        images: generated, (B, s, s, 3) in [-1, 1] for each scale, ascending.
        mu: (B, C), mean of the condition.
        log_var: (B, C), natural log of the condition's variance.
        words: (B, L, D), word embeddings.
        sentence: (B, D), sentence embedding.
        padding_mask: (B, L) bool of the words, True = padded.
        caption_ids: (B, N) integers, the caption that STREAM shall read.
        caption_lengths: (B,) integers, its words.
        class_ids: (B,) integers; None: every image is a class of its own.
        image_scores: discriminators of images, one per scale.
        feature_scores: discriminators of feature maps.
        caption_logits: images (B, s, s, 3) to STREAM's logits (B, N, V).
        image_embeddings: images to regions (B, R, D) and code (B, D), of DAMSM's image
            encoder.
        mean: values and, where not all count alike, weights to this replica's share of
            the mean over the global batch.
        gather: (B, ...) of this replica to the global batch.
        training: whether discriminators use the statistics of the batch.
    """

    settings: Any
    images: Sequence[Tensor]
    mu: Tensor
    log_var: Tensor
    words: Tensor
    sentence: Tensor
    padding_mask: Tensor
    caption_ids: Tensor
    caption_lengths: Tensor
    class_ids: Tensor | None
    image_scores: Sequence[ScoredImages]
    feature_scores: Sequence[ScoredImages]
    caption_logits: Callable[[Tensor], Tensor]
    image_embeddings: Callable[[Tensor], tuple[Tensor, Tensor]]
    mean: Mean
    gather: Callable[[Tensor], Tensor]
    training: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiscriminatorLossInputs:
    """What the terms of one discriminator's loss are computed from.

    Logits are (B,) or, of a discriminator of several feature maps, (B, maps).

    Attributes:
        settings: forms and weights of the losses.
        real: unconditional logits of real images.
        fake: of generated images.
        real_matching: conditional logits of real images with their own sentences.
        fake_matching: of generated images with their own sentences.
        real_mismatching: of real images with the next image's sentences.
        mismatching_weights: as `real_mismatching`, 0 where there is no next image.
        mean: as for the generator.
    """

    settings: Any
    real: Tensor
    fake: Tensor
    real_matching: Tensor
    fake_matching: Tensor
    real_mismatching: Tensor
    mismatching_weights: Tensor
    mean: Mean


def sum_terms(
    terms: Iterable[LossTerm], inputs: GeneratorLossInputs | DiscriminatorLossInputs
) -> tuple[dict[str, Tensor], Tensor]:
    """All losses of a list by name, without their weights, and the weighted sum."""
    losses, total = {}, 0.0
    for term in terms:
        weight = term.weight(inputs.settings)
        if weight:
            term_losses = term.losses(inputs)
            losses |= term_losses
            for loss in term_losses.values():
                total += weight * loss
    return losses, total
