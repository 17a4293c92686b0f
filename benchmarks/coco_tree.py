"""A folder of the size and layout of COCO 2014's training images, of hard links."""

import itertools
import json
import os
import random
from collections.abc import Sequence
from pathlib import Path

__all__ = ["write_coco"]

_IMAGES, _CAPTIONS, _WORDS = 82_783, 414_113, 27_297


def write_coco(folder: Path, photos: Sequence[str]) -> None:
    """Writes the annotations and links the images.

    Args:
        folder: to write into; on the file system of the photographs.
        photos: JPEGs; at least two, as ext4 lets a file have 65,000 names.
    """
    rng = random.Random(1)
    words = [f"w{place}" for place in range(_WORDS)]
    weights = list(itertools.accumulate(1 / (place + 1) for place in range(_WORDS)))
    (folder / "annotations").mkdir(parents=True)
    (folder / "train2014").mkdir()
    image_ids = sorted(rng.sample(range(1, 581_930), _IMAGES))
    for place, image_id in enumerate(image_ids):
        os.link(photos[place % len(photos)], folder / "train2014" / _name(image_id))
    notes = []
    for place, note_id in enumerate(rng.sample(range(800_000), _CAPTIONS)):
        length = rng.choice((8, 9, 9, 10, 10, 10, 11, 11, 12, 14, 17))
        text = " ".join(rng.choices(words, cum_weights=weights, k=length))
        # A few of COCO's are not ASCII, many end in a dot, some in a line break.
        text = text.capitalize() + ("." if rng.random() < 0.7 else " \n")
        text = text.replace("e", "\u00e9") if place % 5000 == 0 else text
        image_id = image_ids[place % _IMAGES]
        notes.append({"image_id": image_id, "id": note_id, "caption": text})
    content = {
        "info": {"year": 2014},
        "images": list(map(_image, image_ids)),
        "licenses": [],
        "annotations": notes,
    }
    path = folder / "annotations" / "captions_train2014.json"
    path.write_text(json.dumps(content))


def _name(image_id):
    return f"COCO_train2014_{image_id:012d}.jpg"


def _image(image_id):
    return {
        "license": 5,
        "file_name": _name(image_id),
        "coco_url": f"http://images.cocodataset.org/train2014/{_name(image_id)}",
        "height": 480,
        "width": 640,
        "date_captured": "2013-11-14 16:28:13",
        "flickr_url": "http://farm4.staticflickr.com/3153/2970773875_164f0c0b83_z.jpg",
        "id": image_id,
    }
