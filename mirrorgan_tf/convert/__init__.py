"""Converts checkpoints of the original PyTorch networks."""
