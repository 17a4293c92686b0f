"""The original PyTorch networks' parameters in ours, and proof that they fit."""
