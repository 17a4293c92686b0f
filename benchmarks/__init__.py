"""Timings, each with the machine's own rates beside."""
