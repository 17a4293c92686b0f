"""Losses as pure functions; one value an example, the caller takes the mean."""
