"""Trained runs to SavedModels: `python -m export`."""

# Ctrl-C is handled from this import on.
import mirrorgan_tf  # noqa: F401
