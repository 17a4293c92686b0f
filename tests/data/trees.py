"""Functions that write small data sets with the layouts and quirks of real ones.

Each function takes a folder, creates it if it is missing, and returns it for use as
`--data_dir`. Images are tiny and depend on their names.
"""

import json
import pickle
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image

__all__ = [
    "BIRD_CLASSES",
    "bird_captions",
    "make_coco",
    "make_cub_original",
    "make_cub_preprocessed",
    "make_folder",
    "make_own_coco",
    "write_image",
]

BIRD_CLASSES = (
    "001.Black_footed_Albatross",
    "002.Laysan_Albatross",
    "003.Sooty_Albatross",
    "004.Groove_billed_Ani",
    "005.Crested_Auklet",
    "006.Least_Auklet",
    "007.Parakeet_Auklet",
    "008.Rhinoceros_Auklet",
)
_COLOURS = ("red", "blue", "white", "black", "grey", "yellow", "brown", "green")
_PARTS = ("wings", "belly", "crown", "beak", "tail")


def bird_captions(name: str, count: int) -> list[str]:
    """Captions that depend only on the name; a few have more than 18 words."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    captions = []
    for _ in range(count):
        body, other = rng.choice(_COLOURS, 2, replace=False)
        text = f"this bird is {body} with {other} {rng.choice(_PARTS)}"
        if rng.random() < 0.3:
            text += f", and it has a {rng.choice(_COLOURS)} {rng.choice(_PARTS)}" * 2
        captions.append(text)
    return captions


def write_image(path: Path, width: int = 40, height: int = 30, **how) -> None:
    """Writes a picture of two colours; `how` may have mode, exif and format."""
    rng = np.random.default_rng(zlib.crc32(path.name.encode()))
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:] = rng.integers(0, 256, 3)
    pixels[height // 4 : height // 2, width // 4 : width // 2] = rng.integers(0, 256, 3)
    image = PIL.Image.fromarray(pixels).convert(how.pop("mode", "RGB"))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **how)


def make_coco(
    folder: Path,
    *,
    year: int = 2014,
    train_images: int = 12,
    val_images: int = 6,
    quirks: bool = True,
) -> Path:
    """COCO as unpacked: 2014's file names have a prefix, 2017's have none.

    Args:
        folder: to make.
        year: 2014 or 2017.
        train_images: with captions.
        val_images: with captions.
        quirks: images in grey, CMYK, palette and rotated by EXIF; captions with line
            breaks, other scripts and spaces, empty ones; 5 to 7 an image; one image
            more in each split, without a caption.
    """
    first = 9
    for split, count in (("train", train_images), ("val", val_images)):
        images, notes = [], []
        for place in range(count + quirks):
            image_id = first + 7 * place
            prefix = f"COCO_{split}2014_" if year == 2014 else ""
            name = f"{prefix}{image_id:012d}.jpg"
            _write_coco_image(folder / f"{split}{year}" / name, place if quirks else 0)
            images.append({"license": 3, "file_name": name, "id": image_id})
            if place < count:
                captions = _coco_captions(name, place if quirks else 0)
                notes += [(image_id, caption) for caption in captions]
        first += 7 * (count + 1)
        json_file = folder / "annotations" / f"captions_{split}{year}.json"
        _write_coco_json(json_file, images, notes)
    return folder


def _write_coco_image(path, place):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    how = ({}, {"mode": "L"}, {"mode": "CMYK"}, {"exif": exif}, {"mode": "P"})[
        place % 5
    ]
    # JPEG has no palettes. In COCO, too, a few files have the wrong suffix.
    write_image(path, format="PNG" if how.get("mode") == "P" else "JPEG", **how)


def _coco_captions(name, place):
    captions = bird_captions(name, 5 + place % 3)
    if place:
        captions[1] += "\n"
        captions[2] = captions[2].replace(" with ", "\nwith\u00a0") + "   "
    if place % 4 == 1:
        captions[0] = (
            "Un oiseau \u00e0 la t\u00eate tr\u00e8s fonc\u00e9e \u2014 \u65e5\u672c"
        )
    if place % 4 == 2:
        captions[3] = " \n"
    return captions


def _write_coco_json(path, images, notes):
    # Like COCO's, the ids of annotations are in no particular order.
    ids = np.random.default_rng(len(notes)).permutation(len(notes)) + 38
    annotations = [
        {"image_id": image_id, "id": int(note_id), "caption": caption}
        for (image_id, caption), note_id in zip(notes, ids, strict=True)
    ]
    content = {"info": {}, "images": images, "annotations": annotations}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def make_own_coco(folder: Path, *, images: int = 8) -> Path:
    """A user's images: `captions.json`, and `pictures/` with two subfolders."""
    entries, notes = [], []
    for place in range(images):
        name = f"{'day' if place % 2 else 'night'}/{place}.png"
        write_image(folder / "pictures" / name)
        entries.append({"id": place, "file_name": name})
        notes += [(place, caption) for caption in bird_captions(name, 2)]
    _write_coco_json(folder / "captions.json", entries, notes)
    return folder


def make_cub_original(
    folder: Path,
    *,
    images_per_class: int = 3,
    classes: Sequence[str] = BIRD_CLASSES,
    captions: str = "text_c10",
    captions_per_image: int = 10,
    class_lists: bool = False,
) -> Path:
    """`CUB_200_2011` as it is unpacked, and Reed et al.'s captions in it.

    Args:
        folder: becomes `CUB_200_2011` itself.
        images_per_class: of each class.
        classes: names with their numbers in front.
        captions: folder of the captions, or "" for none.
        captions_per_image: lines of a file; a reader uses 10.
        class_lists: write `trainvalclasses.txt` and `testclasses.txt`, where the
            first quarter of the classes is the test set.
    """
    keys = [
        f"{name}/{name.split('.')[1]}_{place + 1:04d}_{1000 * number + place}"
        for number, name in enumerate(classes)
        for place in range(images_per_class)
    ]
    tables = {name: [] for name in ("images", "image_class_labels", "bounding_boxes")}
    split = []
    for image_id, key in enumerate(keys, start=1):
        width, height = 40 + image_id % 3 * 10, 36
        write_image(folder / "images" / f"{key}.jpg", width, height)
        tables["images"].append(f"{image_id} {key}.jpg")
        class_id = list(classes).index(key.split("/")[0]) + 1
        tables["image_class_labels"].append(f"{image_id} {class_id}")
        box = (4.0, 3.0, float(width // 2), 20.0 + image_id % 5)
        tables["bounding_boxes"].append(" ".join(map(str, (image_id, *box))))
        split.append(f"{image_id} {image_id % 2}")
        if captions:
            _write_caption_file(
                folder / captions / f"{key}.txt", key, captions_per_image
            )
    tables["train_test_split"] = split
    tables["classes"] = [f"{number} {name}" for number, name in enumerate(classes, 1)]
    for name, lines in tables.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    if class_lists:
        quarter = len(classes) // 4
        (folder / "testclasses.txt").write_text("\n".join(classes[:quarter]) + "\n")
        (folder / "trainvalclasses.txt").write_text("\n".join(classes[quarter:]))
    return folder


def _write_caption_file(path, key, count):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = bird_captions(key, count)
    # Like Reed et al.'s files: spaces at the end, lost characters, a blank last line.
    lines[0] += " "
    lines[-1] = lines[-1].replace(" is ", " is\ufffd\ufffd")
    path.write_text("\n".join(lines) + "\n\n", encoding="utf-8")


def make_cub_preprocessed(
    folder: Path,
    *,
    images_per_class: int = 3,
    classes: Sequence[str] = BIRD_CLASSES,
    text: bool = True,
    protocol: int = 2,
) -> Path:
    """AttnGAN's `birds`: pickles, `text/`, and `CUB_200_2011` unpacked inside.

    Args:
        folder: becomes `birds` itself.
        images_per_class: of each class.
        classes: names with their numbers in front; the first quarter is the test set.
        text: with the folder `text`; `captions.pickle` holds the captions anyway.
        protocol: of the pickles; their strings are unicode.
    """
    cub = make_cub_original(
        folder / "CUB_200_2011",
        images_per_class=images_per_class,
        classes=classes,
        captions="",
    )
    lines = (cub / "images.txt").read_text().split()[1::2]
    keys = [name.removesuffix(".jpg") for name in lines]
    test = set(classes[: len(classes) // 4])
    parts = {
        "train": [key for key in keys if key.split("/")[0] not in test][::-1],
        "test": [key for key in keys if key.split("/")[0] in test],
    }
    words: list[str] = []
    captions = []
    for part, part_keys in parts.items():
        _write_pickle(folder / part / "filenames.pickle", part_keys, protocol)
        tokens = [
            caption.replace(",", "").split()
            for key in part_keys
            for caption in bird_captions(key, 10)
        ]
        # AttnGAN's order of the words, which differs from that of `Vocabulary`.
        words += sorted({word for row in tokens for word in row} - {*words})[::-1]
        captions.append([[words.index(word) + 1 for word in row] for row in tokens])
    ixtoword = dict(enumerate(["<end>", *words]))
    wordtoix = {word: word_id for word_id, word in ixtoword.items()}
    _write_pickle(folder / "captions.pickle", [*captions, ixtoword, wordtoix], protocol)
    if text:
        for key in keys:
            _write_caption_file(folder / "text" / f"{key}.txt", key, 10)
    return folder


def _write_pickle(path, content, protocol):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol))


def make_folder(
    folder: Path, *, images: int = 12, val_images: int = 0, captions: int = 2
) -> Path:
    """Images with a text file beside each; with `val_images`, in train/ and val/."""
    endings = (".jpg", ".png", ".JPEG", ".bmp", ".gif")
    for place in range(images + val_images):
        split = ("train" if place < images else "val") if val_images else "mine"
        name = f"bird {place}"
        subfolder = folder / split / f"shelf{place % 2}"
        write_image(subfolder / f"{name}{endings[place % len(endings)]}")
        text = "\n".join(bird_captions(name, captions))
        (subfolder / f"{name}.txt").write_text(text, encoding="utf-8")
    (folder / "README.txt").write_text("what this is")
    return folder
