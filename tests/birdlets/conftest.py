import pytest

from mirrorgan_tf.birdlets.dataset import write_birdlets


@pytest.fixture(scope="session")
def birdlets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("metrics") / "birdlets"
    write_birdlets(folder, train_images=400, val_images=60, seed=3)
    return folder
