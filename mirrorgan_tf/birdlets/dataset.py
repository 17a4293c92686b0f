"""Draws birdlets and writes them in the layout of COCO 2014."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from mirrorgan_tf.birdlets.attributes import ATTRIBUTES, sample_attributes
from mirrorgan_tf.birdlets.drawing import SIDE_PX, draw_bird
from mirrorgan_tf.birdlets.grammar import Caption, write_captions
from mirrorgan_tf.cpu import number_of_cores
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import atomic_folder, read_bytes

__all__ = ["MANIFEST", "draw_example", "draw_files", "example", "write_birdlets"]

MANIFEST = "birdlets.json"
# Increase it when the same seed gives other bytes than before.
_VERSION = 2
_SPLITS = ("train", "val")
# The first image id of each split. Fixed, so that the ids of a split do not depend on
# the size of the other.
_FIRST_ID = {"train": 1, "val": 500_001}
_MAX_IMAGES, _MAX_CAPTIONS = 500_000, 20
_JPEG_QUALITY = 92
# An image has two independent streams of random numbers, for text and picture.
_TEXT, _PICTURE = 0, 1


def write_birdlets(
    data_dir: str | Path,
    *,
    train_images: int,
    val_images: int,
    captions_per_image: int = 5,
    seed: int,
    workers: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> bool:
    """Draws a data set; the same arguments give the same bytes.

    The random numbers of an image depend on (seed, split, index) alone, so that it does
    not change with the number of workers or images. The set is written into a folder
    beside `data_dir`, which is renamed when it is complete.

    Layout: that of COCO 2014 captions, plus `states` in each caption's annotation, the
    attributes that it mentions, and `annotations/attributes_*2014.json`, all attributes
    of all images.

    Args:
        data_dir: folder of the set; if it has the same set already, nothing is done.
        train_images: from 1 to 500,000.
        val_images: likewise.
        captions_per_image: from 1 to 20.
        seed: from 0 to 2**31 - 1.
        workers: processes that draw; None: one for each core.
        progress: is called with the number of drawn images after each.

    Returns:
        Whether the set was written; False if it existed already.

    Raises:
        UserError: a number is out of range, or `data_dir` has something else in it or
            cannot be written.
    """
    data_dir = Path(data_dir)
    settings = {
        "version": _VERSION,
        "train_images": train_images,
        "val_images": val_images,
        "captions_per_image": captions_per_image,
        "seed": seed,
    }
    workers = number_of_cores() if workers is None else workers
    _check_numbers(settings, workers)
    if _exists(data_dir, settings):
        return False
    counts = {"train": train_images, "val": val_images}
    try:
        with atomic_folder(data_dir.absolute()) as partial:
            partial.mkdir()
            _write_annotations(partial, counts, captions_per_image, seed)
            _draw_all(partial, counts, seed, workers, progress)
            _write_json(partial / MANIFEST, settings)
    except OSError as error:
        # Another command may have written the same set in the meantime.
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            return not _exists(data_dir, settings)
        raise UserError(f"--data_dir={data_dir}: cannot be written: {error}") from None
    return True


def example(
    seed: int, split: str, index: int, captions: int
) -> tuple[dict[str, str], list[Caption]]:
    """Attributes and captions of one image, without drawing it."""
    rng = _generator(seed, split, index, _TEXT)
    attributes = sample_attributes(rng)
    return attributes, write_captions(attributes, captions, rng)


def draw_example(seed: int, split: str, index: int) -> np.ndarray:
    """One image, (SIDE_PX, SIDE_PX, 3) uint8."""
    attributes = sample_attributes(_generator(seed, split, index, _TEXT))
    return draw_bird(attributes, _generator(seed, split, index, _PICTURE))


def draw_files(
    folder: str | Path, seed: int, jobs: Iterable[tuple[str, int]]
) -> Iterator[None]:
    """Writes a JPEG file for each (split, index); yields after each."""
    for split, index in jobs:
        picture = draw_example(seed, split, index)
        path = Path(folder) / f"{split}2014" / _file_name(split, index)
        Image.fromarray(picture).save(
            path, format="JPEG", quality=_JPEG_QUALITY, subsampling=0
        )
        yield


def _generator(seed, split, index, stream):
    return np.random.default_rng([seed, _SPLITS.index(split), index, stream])


def _file_name(split, index):
    return f"COCO_{split}2014_{_FIRST_ID[split] + index:012d}.jpg"


def _check_numbers(settings, workers):
    bounds = {
        "train_images": (1, _MAX_IMAGES),
        "val_images": (1, _MAX_IMAGES),
        "captions_per_image": (1, _MAX_CAPTIONS),
        "seed": (0, 2**31 - 1),
        "workers": (1, 1024),
    }
    for name, (low, high) in bounds.items():
        value = (settings | {"workers": workers})[name]
        if not low <= value <= high:
            raise UserError(f"--{name}={value}: must be from {low} to {high}")


def _exists(data_dir, settings):
    """Whether a folder has this set; raises UserError if it has something else."""
    if not data_dir.exists():
        return False
    if not data_dir.is_dir():
        raise UserError(f"--data_dir={data_dir}: is a file; name a folder")
    if not any(data_dir.iterdir()):
        return False
    try:
        existing = json.loads(read_bytes(data_dir / MANIFEST))
    except (OSError, ValueError):
        existing = None
    if existing == settings:
        return True
    if not isinstance(existing, dict):
        raise UserError(
            f"--data_dir={data_dir}: is not empty and holds no birdlets; choose "
            "another folder"
        )
    differing = ", ".join(
        f"{name}={existing.get(name)}"
        for name in settings
        if existing.get(name) != settings[name]
    )
    raise UserError(
        f"--data_dir={data_dir}: holds other birdlets ({differing}); choose another "
        "folder"
    )


def _write_annotations(folder, counts, captions_per_image, seed):
    (folder / "annotations").mkdir()
    for split in _SPLITS:
        (folder / f"{split}2014").mkdir()
        images, annotations, truths = [], [], []
        for index in range(counts[split]):
            image_id = _FIRST_ID[split] + index
            attributes, captions = example(seed, split, index, captions_per_image)
            images.append(_image_entry(split, index))
            truths.append({"id": image_id, **attributes})
            annotations += [
                {
                    "image_id": image_id,
                    "id": image_id * _MAX_CAPTIONS + number,
                    "caption": caption.text,
                    "states": caption.states,
                }
                for number, caption in enumerate(captions)
            ]
        _write_json(
            folder / "annotations" / f"captions_{split}2014.json",
            {
                "info": _info(seed),
                "images": images,
                "licenses": [_LICENSE],
                "annotations": annotations,
            },
        )
        values = {name: list(values) for name, values in ATTRIBUTES.items()}
        _write_json(
            folder / "annotations" / f"attributes_{split}2014.json",
            {"attributes": values, "images": truths},
        )


_LICENSE = {"url": "", "id": 1, "name": "Drawn by mirrorgan_tf; use as you like"}


def _info(seed):
    # A fixed date, so that the same seed gives the same bytes.
    return {
        "description": f"birdlets, version {_VERSION}, seed {seed}",
        "url": "",
        "version": str(_VERSION),
        "year": 2014,
        "contributor": "mirrorgan_tf",
        "date_created": "2014/01/01",
    }


def _image_entry(split, index):
    return {
        "license": 1,
        "file_name": _file_name(split, index),
        "coco_url": "",
        "height": SIDE_PX,
        "width": SIDE_PX,
        "date_captured": "2014-01-01 00:00:00",
        "flickr_url": "",
        "id": _FIRST_ID[split] + index,
    }


def _write_json(path, content):
    path.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")


def _draw_all(folder, counts, seed, workers, progress):
    total = sum(counts.values())
    workers = min(workers, -(-total // 50))
    if workers == 1:
        jobs = [(split, i) for split in _SPLITS for i in range(counts[split])]
        drawn = draw_files(folder, seed, jobs)
    else:
        drawn = _draw_in_processes(folder, counts, seed, workers)
    for done, _ in enumerate(drawn, 1):
        progress(done)


def _draw_in_processes(folder, counts, seed, workers):
    # The module multiprocessing is not used: its workers would import the calling
    # command and TensorFlow with it, and forking a process with TensorFlow is unsafe.
    package_root = str(Path(__file__).resolve().parents[2])
    paths = [package_root, os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, "-m", "mirrorgan_tf.birdlets.worker"]
    job = {"folder": str(folder), "seed": seed, "counts": counts, "workers": workers}
    read_end, write_end = os.pipe()
    processes = [
        subprocess.Popen(
            [*command, json.dumps(job | {"worker": worker})],
            stdin=subprocess.DEVNULL,
            stdout=write_end,
            env=environment,
            # Ctrl-C must reach only this process, which then ends the workers.
            start_new_session=True,
        )
        for worker in range(workers)
    ]
    os.close(write_end)
    try:
        # Reading ends when the last worker has closed the pipe.
        with open(read_end, "rb", buffering=0, closefd=False) as pipe:
            while ticks := pipe.read(4096):
                yield from ticks
        if any(process.wait() for process in processes):
            raise UserError(
                f"a process that drew into {folder} failed; see its message above"
            )
    finally:
        os.close(read_end)
        for process in processes:
            process.kill()
            process.wait()
