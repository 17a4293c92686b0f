"""Presets: small trained models, each in one folder; those of the package are here."""
