"""What starting on the whole of COCO 2014 takes: `python -m benchmarks.coco_startup`.

Builds a folder of COCO's size and layout (82,783 + 40,504 images, 414,113 + 202,654
captions; the images are hard links to a few JPEGs), then, in a process of its own,
opens it and prints seconds and peak memory up to the first batch. `--share=0.1` builds
a tenth of it.
"""

import itertools
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_SIZES = {"train": (82_783, 414_113), "val": (40_504, 202_654)}
_WORDS = 27_297
# ext4 lets a file have 65,000 names.
_LINKS = 50_000


def build_tree(folder: Path, share: float) -> None:
    """Writes the annotations and links the images."""
    import numpy as np
    from PIL import Image

    rng = random.Random(1)
    words = [f"w{place}" for place in range(_WORDS)]
    weights = list(itertools.accumulate(1 / (place + 1) for place in range(_WORDS)))
    (folder / "annotations").mkdir()
    for split, (images, captions) in _SIZES.items():
        images, captions = int(images * share), int(captions * share)
        name = f"COCO_{split}2014_{{:012d}}.jpg".format
        image_ids = sorted(rng.sample(range(1, 581_930), images))
        (folder / f"{split}2014").mkdir()
        for place, image_id in enumerate(image_ids):
            if place % _LINKS == 0:
                source = folder / f"{split}{place}.jpg"
                noise = np.random.default_rng(place).integers(0, 256, (15, 20, 3))
                picture = Image.fromarray(noise.astype(np.uint8)).resize((640, 480))
                picture.save(source, quality=90)
            os.link(source, folder / f"{split}2014" / name(image_id))
        notes = []
        for place, note_id in enumerate(rng.sample(range(800_000), captions)):
            length = rng.choice((8, 9, 9, 10, 10, 10, 11, 11, 12, 14, 17))
            text = " ".join(rng.choices(words, cum_weights=weights, k=length))
            # A few of COCO's are not ASCII, many end in a dot, some in a line break.
            text = text.capitalize() + ("." if rng.random() < 0.7 else " \n")
            text = text.replace("e", "\u00e9") if place % 5000 == 0 else text
            image_id = image_ids[place % images]
            notes.append({"image_id": image_id, "id": note_id, "caption": text})
        content = {
            "info": {"year": 2014},
            "images": [_image(image_id, name(image_id)) for image_id in image_ids],
            "licenses": [],
            "annotations": notes,
        }
        path = folder / "annotations" / f"captions_{split}2014.json"
        path.write_text(json.dumps(content))


def _image(image_id, name):
    return {
        "license": 5,
        "file_name": name,
        "coco_url": f"http://images.cocodataset.org/train2014/{name}",
        "height": 480,
        "width": 640,
        "date_captured": "2013-11-14 16:28:13",
        "flickr_url": "http://farm4.staticflickr.com/3153/2970773875_164f0c0b83_z.jpg",
        "id": image_id,
    }


def measure(folder: Path) -> None:
    """Opens the set and prints a Markdown table row for each step."""
    start = last = time.perf_counter()

    def done(step):
        nonlocal last
        now = time.perf_counter()
        peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        cpu_s = time.process_time()
        print(
            f"| {step} | {now - last:.2f} | {now - start:.2f} | {cpu_s:.2f} "
            f"| {peak_gib:.2f} |"
        )
        last = time.perf_counter()

    from mirrorgan_tf.config import Config
    from mirrorgan_tf.data.pipeline import make_dataset
    from mirrorgan_tf.data.sources import open_dataset
    from mirrorgan_tf.text.tokenizer import CaptionTokenizer
    from mirrorgan_tf.text.vocabulary import Vocabulary

    done("import")
    config = Config(dataset="coco", data_dir=str(folder), max_words=12)
    splits = open_dataset(config)
    done("annotations read, images looked for")
    vocabulary = Vocabulary.from_captions(
        caption
        for index in splits.values()
        for captions in index.captions
        for caption in captions
    )
    done(f"vocabulary of {len(vocabulary):,} words")
    dataset = make_dataset(
        splits["train"],
        CaptionTokenizer(vocabulary, config.max_words),
        sizes=config.sizes,
        batch_size=14,
        seed=1,
        training=True,
        max_words=config.max_words,
    )
    done("captions tokenised, pipeline built")
    next(iter(dataset))
    done("first batch of 14")


def main() -> None:
    """Builds, measures in another process, cleans up."""
    if len(sys.argv) > 2 and sys.argv[1] == "--measure":
        measure(Path(sys.argv[2]))
        return
    share = float((sys.argv[1:] or ["--share=1"])[0].removeprefix("--share="))
    with tempfile.TemporaryDirectory() as folder:
        build_tree(Path(folder), share)
        print(
            "| step | s | s in all | peak GiB |\n| --- | --- | --- | --- |", flush=True
        )
        command = [sys.executable, "-m", "benchmarks.coco_startup", "--measure", folder]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
