"""A folder data set of images of one colour, each with a caption."""

from PIL import Image

COLORS = {"red": (200, 40, 40), "blue": (40, 40, 200), "green": (40, 160, 60)}


def write_color_folder(folder, words):
    """Three images in train/ and the same in val/, captions such as "a red bird".

    Args:
        folder: new.
        words: those before and after the colour.
    """
    for split in ("train", "val"):
        (folder / split).mkdir(parents=True)
        for i, (name, color) in enumerate(COLORS.items()):
            Image.new("RGB", (40, 40), color).save(folder / split / f"{i}.png")
            caption = " ".join([words[0], name, *words[1:]])
            (folder / split / f"{i}.txt").write_text(caption)
