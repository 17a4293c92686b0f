"""Presets: small trained models. The presets of the package are subfolders of this."""

__all__ = ["DEFAULT_PRESET"]

# The preset of commands without a flag that names a model.
DEFAULT_PRESET = "birdlets_64"
