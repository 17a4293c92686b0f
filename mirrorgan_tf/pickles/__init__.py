"""Pickles from strangers, read at a bounded cost and without running anything."""
