"""Presets: small trained models, each in one folder; those of the package are here."""

__all__ = ["DEFAULT_PRESET"]

# What commands use where no model is named.
DEFAULT_PRESET = "birdlets_64"
