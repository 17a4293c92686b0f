"""Ablations: variants of a recipe are trained with several seeds and compared."""
