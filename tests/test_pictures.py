import numpy as np
import pytest
from PIL import Image

from mirrorgan_tf import pictures


def test_grid_has_every_image_and_its_caption():
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    images = np.stack([np.full((8, 8, 3), color, np.uint8) for color in colors])
    grid = pictures.caption_grid(images, ["one", "two", ""], columns=2, image_px=32)
    for color in colors:
        assert (grid == color).all(axis=-1).sum() == 32 * 32
    without_text = pictures.caption_grid(images, ["", "", ""], columns=2, image_px=32)
    assert (grid == 0).all(axis=-1).sum() > (without_text == 0).all(axis=-1).sum()


def test_attention_maps_are_bright_where_the_weights_are_high():
    image = np.zeros((16, 16, 3), np.uint8)
    attention = np.zeros((4, 4, 1))
    attention[0, 0] = 0.7
    sheet = pictures.attention_sheet(image, attention, ["red"], image_px=64)
    cell = sheet[6:70, 6 + 70 : 6 + 70 + 64].astype(int)
    assert cell[:16, :16].mean() > 100
    assert cell[32:, 32:].max() < 30


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.png", "PNG"),
        ("a", "PNG"),
        ("a.JPG", "JPEG"),
        ("a.jpeg", "JPEG"),
        ("a.webp", "WEBP"),
        ("a.bmp", "BMP"),
        ("a.tif", "TIFF"),
    ],
)
def test_an_image_is_written_in_the_format_of_its_ending(tmp_path, name, expected):
    image = np.full((8, 16, 3), (200, 30, 60), np.uint8)
    path = tmp_path / "new" / name
    pictures.check_image_path("out", path)
    pictures.save_image(image, path)
    with Image.open(path) as saved:
        assert saved.format == expected
        np.testing.assert_allclose(np.asarray(saved.convert("RGB")), image, atol=4)


def test_a_failed_write_leaves_the_existing_file(tmp_path):
    path = tmp_path / "a.webp"
    path.write_bytes(b"before")
    with pytest.raises(OSError):
        pictures.save_image(np.zeros((1, 20_000, 3), np.uint8), path)
    assert path.read_bytes() == b"before"
