"""Trains variants of one recipe with several seeds and compares them in a table."""
