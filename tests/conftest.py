from pathlib import Path

import pytest

REFERENCE = Path(__file__).parents[2] / "shared" / "reference"


@pytest.fixture(scope="session")
def reference():
    """Folder of golden tensors, made by running the original networks."""
    if not REFERENCE.is_dir():
        pytest.skip(f"the golden tensors are not on this machine ({REFERENCE})")
    return REFERENCE
