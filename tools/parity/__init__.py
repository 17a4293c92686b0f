"""Compares the networks with the original code, by golden tensors in a folder."""
