"""What starting on the whole of COCO 2014 takes: `python -m benchmarks.coco_startup`.

Builds a folder of COCO's size and layout (82,783 + 40,504 images, 414,113 + 202,654
captions; the images are hard links to a few JPEGs), then, in a process of its own,
opens it and prints seconds and peak memory up to the first batch. `--share=0.1` builds
a tenth of it.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.coco_tree import write_coco
from mirrorgan_tf.training.memory import peak_gib


def measure(folder: Path) -> None:
    """Opens the set and prints a Markdown table row for each step."""
    start = last = time.perf_counter()

    def done(step):
        nonlocal last
        now = time.perf_counter()
        cpu_s = time.process_time()
        print(
            f"| {step} | {now - last:.2f} | {now - start:.2f} | {cpu_s:.2f} "
            f"| {peak_gib():.2f} |"
        )
        last = time.perf_counter()

    from mirrorgan_tf.config import Config
    from mirrorgan_tf.data.pipeline import make_dataset
    from mirrorgan_tf.data.sources import open_dataset
    from mirrorgan_tf.text.tokenizer import CaptionTokenizer
    from mirrorgan_tf.text.vocabulary import Vocabulary

    done("import")
    config = Config.from_flags(dataset="coco", data_dir=str(folder), max_words=12)
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
        CaptionTokenizer(vocabulary, config.text.max_words),
        sizes=config.sizes,
        batch_size=14,
        seed=1,
        training=True,
        max_words=config.text.max_words,
    )
    done("captions tokenised, pipeline built")
    next(iter(dataset))
    done("first batch of 14")


def main() -> None:
    """Builds, measures in another process, cleans up."""
    if len(sys.argv) > 2 and sys.argv[1] == "--measure":
        measure(Path(sys.argv[2]))
        return
    from benchmarks.loaders import write_photos

    share = float((sys.argv[1:] or ["--share=1"])[0].removeprefix("--share="))
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder, "photos")
        photos.mkdir()
        write_coco(Path(folder), write_photos(photos, 4), share=share)
        print(
            f"| step | s | s in all | CPU s in all | peak GiB |\n|{' --- |' * 5}",
            flush=True,
        )
        command = [sys.executable, "-m", "benchmarks.coco_startup", "--measure", folder]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
