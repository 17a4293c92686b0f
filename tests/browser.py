"""Chromium for the tests of web pages."""

import os
import shutil

import pytest

__all__ = ["CHROMIUM_FLAGS", "chromium_or_skip"]

# No window, no sandbox (which containers lack), no connections of the browser's own.
CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def chromium_or_skip() -> str:
    """Path of the browser: $CHROMIUM or what PATH has; skips the test without one."""
    candidates = [os.environ.get("CHROMIUM"), *map(shutil.which, _NAMES)]
    path = next(filter(None, candidates), None)
    if path is None:
        pytest.skip("Chromium is not installed (on PATH, or its path in CHROMIUM)")
    return path
