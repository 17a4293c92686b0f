"""`python -m export`, another name of `mirrorgan export`."""

# This import handles Ctrl-C from here on.
import mirrorgan_tf  # noqa: F401
