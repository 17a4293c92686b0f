from pathlib import Path

import pytest
import tensorflow as tf

REFERENCE = Path(__file__).parents[2] / "shared" / "reference"


def pytest_configure():
    # Two virtual devices, so that a strategy can have two replicas.
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )


@pytest.fixture(scope="session")
def reference():
    """Folder of golden tensors, made by running the original networks."""
    if not REFERENCE.is_dir():
        pytest.skip(f"the golden tensors are not on this machine ({REFERENCE})")
    return REFERENCE


@pytest.fixture(scope="session")
def two_replicas():
    """The only strategy of two replicas: keys of collectives are not shared."""
    return tf.distribute.MirroredStrategy(["cpu:0", "cpu:1"])
