"""The input pipeline alone: `python -m benchmarks.pipeline`.

Images/s at 256 px with the scales 64 and 128, from files and from shards, on one core
and on two, beside a plain loader as PyTorch's users have it (`benchmarks.loaders`),
in the same run, in turns. Then COCO's size: 82,783 images (hard links to few) with
414,113 captions: start-up to the first batch, and memory over an epoch. Prints
Markdown; a few minutes on two cores, of which --images=N of the epoch decides most.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from absl import app, flags

from benchmarks.coco_tree import write_coco

_IMAGES = flags.DEFINE_integer("images", 82_783, "Images of the epoch.", lower_bound=1)
_PHOTOS = flags.DEFINE_integer("photos", 192, "Different photographs.", lower_bound=16)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Turns of each loader.", lower_bound=1)

_SIZES, _BATCH, _WORDS = (64, 128, 256), 16, 12
_SECONDS = 5.0


def write_sets(folder: Path, photos: int) -> None:
    """The photographs, and the same packed."""
    import numpy as np

    from benchmarks.loaders import write_photos
    from mirrorgan_tf.data.packing import pack
    from mirrorgan_tf.data.records import CaptionedImages

    (folder / "photos").mkdir()
    paths = write_photos(folder / "photos", photos)
    captions = (("a man rides a bike", "a bike on the street"),) * photos
    rows = np.arange(photos)
    index = CaptionedImages(tuple(paths), captions, rows, rows)
    pack({"train": index}, folder / "shards", dataset="coco", size=_SIZES[-1])


def measure_plain(folder: Path) -> float:
    """Images/s of the plain loader in this process."""
    from benchmarks.loaders import PillowLoader

    paths = sorted(map(str, (folder / "photos").iterdir()))
    loader = PillowLoader(paths, _SIZES, seed=1)
    return _rate(lambda: loader.batch(_BATCH))


def measure_pipeline(folder: Path, source: str) -> float:
    """Images/s of the pipeline in this process."""
    import numpy as np

    from mirrorgan_tf.data.records import CaptionedImages
    from mirrorgan_tf.data.shards import read_packed

    index = read_packed(folder / "shards", dataset="coco", shorter_px=304)["train"]
    if source == "photos":
        paths = tuple(sorted(map(str, (folder / "photos").iterdir())))
        rows = np.arange(len(paths))
        index = CaptionedImages(paths, index.captions, rows, rows)
    batches = iter(_dataset(index))
    return _rate(lambda: next(batches))


def measure_epoch(folder: Path, images: int) -> dict[str, float]:
    """Start-up and memory with COCO's numbers, from its JSON on."""
    from mirrorgan_tf.data.bad_examples import BadExamples
    from mirrorgan_tf.data.datasets.coco import read_coco

    begun = time.perf_counter()
    index = read_coco(folder / "coco", ["train"])["train"]
    read = time.perf_counter()
    BadExamples(index).check()
    checked = time.perf_counter()
    batches = iter(_dataset(index))
    next(batches)
    results = {
        "JSON": read - begun,
        "check": checked - read,
        "vocabulary, captions, first batch": time.perf_counter() - checked,
    }
    steps = images // _BATCH
    for step in range(1, steps):
        next(batches)
        if step in (steps // 10, steps // 2, steps - 1):
            results[f"GiB after {step * _BATCH} images"] = _resident_gib()
    return results


def _dataset(index):
    from mirrorgan_tf.data.pipeline import make_dataset
    from mirrorgan_tf.text.tokenizer import CaptionTokenizer
    from mirrorgan_tf.text.vocabulary import Vocabulary

    captions = (text for captions in index.captions for text in captions)
    return make_dataset(
        index,
        CaptionTokenizer(Vocabulary.from_captions(captions), _WORDS),
        sizes=_SIZES,
        batch_size=_BATCH,
        seed=1,
        training=True,
        max_words=_WORDS,
    )


def _rate(make_batch):
    for _ in range(4):
        make_batch()
    begun, batches = time.perf_counter(), 0
    while time.perf_counter() - begun < _SECONDS:
        make_batch()
        batches += 1
    return batches * _BATCH / (time.perf_counter() - begun)


def _resident_gib():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**30


def _start(job, folder, *arguments, cores):
    """Starts a job in a new process that runs on these cores only."""
    command = [sys.executable, "-m", "benchmarks.pipeline", job, str(folder)]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )


def _result(process):
    results, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{process.args}: failed")
    return json.loads(results.splitlines()[-1])


def _one_turn(folder, cores):
    """Images/s of each loader on these cores; of the plain one, a process a core."""
    plain = [_start("plain", folder, cores={core}) for core in cores]
    rates = {"plain loader, files": sum(map(_result, plain))}
    for name, source in (("files", "photos"), ("shards", "shards")):
        process = _start("pipeline", folder, source, cores=cores)
        rates[f"pipeline, {name}"] = _result(process)
    return rates


def _print_rates(folder, rounds):
    available = sorted(os.sched_getaffinity(0))
    print("| cores | loader | images/s | times the plain loader |")
    print("| --- | --- | --- | --- |")
    for count in (1, 2):
        if count > len(available):
            break
        turns = [_one_turn(folder, set(available[:count])) for _ in range(rounds)]
        for name in turns[0]:
            rate = statistics.median(turn[name] for turn in turns)
            # Within a turn: other work on the machine slows all of it down.
            ratio = statistics.median(
                turn[name] / turn["plain loader, files"] for turn in turns
            )
            print(f"| {count} | {name} | {rate:.0f} | {ratio:.2f} |", flush=True)


def main(_) -> None:
    """Writes the data sets, measures, prints."""
    cores = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        _result(_start("write", folder, _PHOTOS.value, cores=cores))
        for kind in ("photos", "shards"):
            sizes = [path.stat().st_size for path in (folder / kind).iterdir()]
            print(f"{kind}: {sum(sizes) / _PHOTOS.value / 1e3:.0f} kB an image")
        print()
        _print_rates(folder, _ROUNDS.value)
        photos = sorted((folder / "photos").iterdir())
        write_coco(folder / "coco", photos)
        results = _result(_start("epoch", folder, _IMAGES.value, cores=cores))
    print("\n| COCO's size | |\n| --- | --- |")
    for name, value in results.items():
        unit = "" if "GiB" in name else " s"
        print(f"| {name} | {value:.2f}{unit} |")


_JOBS = {
    "write": lambda folder, photos: write_sets(folder, int(photos)),
    "plain": measure_plain,
    "pipeline": measure_pipeline,
    "epoch": lambda folder, images: measure_epoch(folder, int(images)),
}

if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in _JOBS:
        print(json.dumps(_JOBS[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])))
    else:
        app.run(main)
