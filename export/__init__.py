"""Trained runs to SavedModels: `python -m export`."""
