"""What is compared: MirrorGAN, what is left of it without a part, what came later.

All variants have the steps, the data, the frozen STEM and STREAM and the final size of
the flags; a seed gives each the same order of examples and the same noise.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from mirrorgan_tf.config import Config
from mirrorgan_tf.errors import UserError

__all__ = ["BASELINE", "CLAIMS", "RECIPES", "VARIANTS", "Run", "Variant", "plan_runs"]

BASELINE = "mirror"
# The settings that variants are about, as the paper has them.
_PAPER = {
    "redescription_weight": 20.0,
    "damsm_weight": 0.0,
    "word_attention": True,
    "sentence_attention": True,
    "redescribe": "last",
    "adversarial_loss": "cross_entropy",
    "r1_weight": 0.0,
    "augment": "",
    "spectral_norm": False,
}


@dataclasses.dataclass(frozen=True)
class Variant:
    """One row of the table.

    Attributes:
        name: of the row and of its runs' folders.
        about: in words.
        changes: settings in which it differs from `mirror`, the paper's MirrorGAN.
        stages: images in the cascade, the last as big as ever; None: --scales.
    """

    name: str
    about: str
    changes: dict[str, float | bool | str] = dataclasses.field(default_factory=dict)
    stages: int | None = None

    def configure(self, base: Config, seed: int) -> Config:
        """The configuration of a run.

        Args:
            base: the flags.
            seed: of GLAM.

        Raises:
            UserError: the flags leave no room for so many stages.
        """
        changes = _PAPER | self.changes
        if self.stages is not None:
            changes["scales"] = self.stages
            changes["base_size"] = base.sizes[-1] >> (self.stages - 1)
        return base.replace(seed=seed, **changes)


def _named(*variants):
    return {variant.name: variant for variant in variants}


# The paper's table 3, and AttnGAN and fewer stages.
CLAIMS = _named(
    Variant(BASELINE, "the paper's MirrorGAN, λ = 20"),
    Variant("lambda0", "no redescription, λ = 0", {"redescription_weight": 0.0}),
    Variant(
        "attngan",
        "DAMSM loss (weight 5, AttnGAN's on CUB), λ = 0, no global attention",
        {
            "redescription_weight": 0.0,
            "damsm_weight": 5.0,
            "sentence_attention": False,
        },
    ),
    Variant(
        "no_global_attention",
        "λ = 20, no global attention",
        {"sentence_attention": False},
    ),
    Variant(
        "lambda0_no_global_attention",
        "λ = 0, no global attention",
        {"redescription_weight": 0.0, "sentence_attention": False},
    ),
    Variant("lambda5", "λ = 5", {"redescription_weight": 5.0}),
    Variant("lambda10", "λ = 10", {"redescription_weight": 10.0}),
    Variant("stages1", "one stage: no attention at all", stages=1),
    Variant("stages2", "two stages", stages=2),
)

# Each is the paper's MirrorGAN with one thing of later years.
RECIPES = _named(
    Variant("damsm", "and AttnGAN's DAMSM loss (weight 5)", {"damsm_weight": 5.0}),
    Variant("hinge", "hinge loss", {"adversarial_loss": "hinge"}),
    Variant("r1", "R1 penalty (γ = 1)", {"r1_weight": 1.0}),
    Variant("spectral_norm", "spectral normalisation", {"spectral_norm": True}),
    Variant(
        "diff_augment",
        "DiffAugment (translation, cutout)",
        {"augment": "translation,cutout"},
    ),
    Variant("all_scales", "redescribes every scale", {"redescribe": "all"}),
)

VARIANTS = CLAIMS | RECIPES


@dataclasses.dataclass(frozen=True)
class Run:
    """One training: a variant with a seed, in a folder of its own."""

    variant: Variant
    seed: int
    config: Config
    folder: Path

    @property
    def name(self) -> str:
        """Variant and seed, as the folder is called."""
        return self.folder.name


def plan_runs(
    base: Config,
    folder: Path,
    *,
    variants: Sequence[str],
    repeated: Sequence[str],
    seeds: int,
) -> list[Run]:
    """All runs, what matters most first: an ablation that is stopped is worth reading.

    Seed by seed those of `repeated`, then the first seed of the others.

    Args:
        base: the flags; its seed is the first.
        folder: in which each run has its own.
        variants: names of `VARIANTS`, in the order of the tables.
        repeated: those that are run with all seeds.
        seeds: how many.

    Raises:
        UserError: a name is no variant or stands there twice, or the flags are not
            fit for one of them.
    """
    for flag, names in (("variants", variants), ("repeated", repeated)):
        _check_names(flag, names)
    often = [name for name in variants if name in repeated]
    once = [name for name in variants if name not in repeated]
    pairs = [(name, base.run.seed + i) for i in range(seeds) for name in often]
    pairs += [(name, base.run.seed) for name in once]
    return [
        Run(
            VARIANTS[name],
            seed,
            VARIANTS[name].configure(base, seed),
            folder / f"{name}-seed{seed}",
        )
        for name, seed in pairs
    ]


def _check_names(flag, names):
    for name in names:
        if name not in VARIANTS:
            raise UserError(
                f"--{flag}={','.join(names)}: {name!r} is no variant; choose from "
                f"{', '.join(VARIANTS)}"
            )
    if len(set(names)) < len(names):
        raise UserError(f"--{flag}={','.join(names)}: a variant stands there twice")
