"""Reads untrusted pickles at a bounded cost and without running anything."""
