"""Sweep files: the variants of a recipe that are compared, one a line.

A line is `name | description | flags`; empty lines and lines that begin with `#` are
skipped. The flags of the line with the name `all` apply to every variant.
"""

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from mirrorgan_tf.config import Config, config_flags
from mirrorgan_tf.errors import UserError

__all__ = ["Run", "Variant", "plan_runs", "read_sweep"]

_SWEEPS = Path(__file__).parent / "sweeps"


@dataclasses.dataclass(frozen=True)
class Variant:
    """A row of the table, and the flags in which it differs from the recipe."""

    name: str
    description: str
    arguments: tuple[str, ...]

    def configure(self, recipe: Config, seed: int) -> Config:
        """The settings of a run; raises UserError if a flag is wrong."""
        values = flags.FlagValues()
        config_flags.define_flags(values)
        base = [f"--{flag}={value}" for flag, value in recipe.to_flags().items()]
        try:
            rest = values(["ablation", *base, *self.arguments, f"--seed={seed}"])
        except flags.Error as error:
            raise UserError(f"variant {self.name}: {error}") from None
        if len(rest) > 1:
            raise UserError(f"variant {self.name}: not a flag: {rest[1]!r}")
        return config_flags.config_from_flags(values)


@dataclasses.dataclass(frozen=True)
class Run:
    """One training: a variant with a seed."""

    variant: Variant
    seed: int
    config: Config

    @property
    def name(self) -> str:
        """Variant and seed, also the name of the run's folder."""
        return f"{self.variant.name}-seed{self.seed}"


def read_sweep(name: str) -> dict[str, Variant]:
    """The variants of a sweep file by name, in the file's order.

    Args:
        name: path of a file, or the name of a sweep of the package.

    Raises:
        UserError: there is no such file, or it has no variant or a malformed line.
    """
    path = Path(name) if Path(name).is_file() else _SWEEPS / f"{name}.txt"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        known = ", ".join(sorted(file.stem for file in _SWEEPS.glob("*.txt")))
        raise UserError(
            f"--sweep={name}: no text file of that name; choose from {known}, or give "
            "the path of a file of your own"
        ) from None
    variants = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split("|")]
        if not 2 <= len(cells) <= 3 or not cells[0].isidentifier():
            raise UserError(
                f"{path}, line {number}: expected 'name | description | flags', with a "
                "name of letters, digits and underscores"
            )
        if cells[0] in variants:
            raise UserError(f"{path}, line {number}: {cells[0]!r} occurs twice")
        try:
            arguments = shlex.split(cells[2]) if len(cells) == 3 else []
        except ValueError as error:
            raise UserError(f"{path}, line {number}: {error}") from None
        variants[cells[0]] = Variant(cells[0], cells[1], tuple(arguments))
    common = variants.pop("all").arguments if "all" in variants else ()
    if not variants:
        raise UserError(f"{path}: has no variant; write one a line")
    return {
        name: dataclasses.replace(variant, arguments=common + variant.arguments)
        for name, variant in variants.items()
    }


def plan_runs(
    recipe: Config, variants: Sequence[Variant], repeated: Sequence[str], seeds: int
) -> list[Run]:
    """Lists the runs: the first seed of all variants, then the second and so on.

    In this order, the variants of a stopped ablation have runs of the same seeds.

    Args:
        recipe: the settings that variants change; its seed is the first seed.
        variants: in the order of the table.
        repeated: names of the variants that are run with all seeds, the others with the
            first seed.
        seeds: number of seeds.
    """
    return [
        Run(variant, seed, variant.configure(recipe, seed))
        for seed in range(recipe.run.seed, recipe.run.seed + seeds)
        for variant in variants
        if variant.name in repeated or seed == recipe.run.seed
    ]
