"""Data sets, image transforms and the input pipeline."""
