"""Writes packed data sets: see `shards` for what they are."""

import dataclasses
import hashlib
import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from mirrorgan_tf.data.bad_examples import BadExamples, data_errors
from mirrorgan_tf.data.images import ImageFiles, load_whole
from mirrorgan_tf.data.records import CaptionedImages, Remark
from mirrorgan_tf.data.shards import MANIFEST, VERSION, read_json, read_settings
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import atomic_file, file_sha256, locked_folder, write_atomically
from mirrorgan_tf.progress import Progress

__all__ = ["pack"]

# TFRecord adds a length and two checksums to every record.
_FRAME_BYTES = 16


def pack(
    splits: dict[str, CaptionedImages],
    out: str | Path,
    *,
    dataset: str,
    size: int,
    quality: int = 95,
    images_per_shard: int = 1000,
    workers: int = tf.data.AUTOTUNE,
    on_bad_example: str = "fail",
    notes: Sequence[str] = (),
    remarks: Sequence[Remark] = (),
    progress: Progress | None = None,
) -> int:
    """Packs a data set; resumes an interrupted packing of the same set.

    Images are cropped to their boxes, resized so that a random crop of `size` px is
    cut from them as from the originals, and stored as JPEGs. A shard appears under
    its name when it is whole; one that is there is kept if its checksum is right.

    Args:
        splits: the set, by split.
        out: folder to make or go on with.
        dataset: kept with the set; readers ask for it.
        size: side of the crops in px.
        quality: of the JPEGs, from 1 to 100.
        images_per_shard: at most.
        workers: images that are worked on at a time.
        on_bad_example: "fail" or "skip" images that can't be read.
        notes: on the set, kept with it.
        remarks: likewise.
        progress: is updated after each shard.

    Returns:
        The number of shards written; 0 if all were there.

    Raises:
        UserError: the folder holds something else or a set of other settings, can't
            be written, or an image is bad and the policy is to fail.
    """
    out = Path(out)
    writer = _Packer(splits, size, quality, workers, on_bad_example)
    settings = {
        "version": VERSION,
        "dataset": dataset,
        "shorter_px": writer.shorter_px,
        "quality": quality,
        "images_per_shard": images_per_shard,
        "splits": {split: _fingerprint(index) for split, index in splits.items()},
    }
    shards = [
        (
            split,
            f"{split}-{place:05d}-of-{-(-len(index) // images_per_shard):05d}",
            rows,
        )
        for split, index in splits.items()
        for place, rows in enumerate(_parts(len(index), images_per_shard))
    ]
    try:
        with locked_folder(out, flag="out", activity="packing"):
            _start(out, settings)
            written = writer.write(out, shards, progress)
            written_shards = {split: [] for split in splits}
            for split, name, _ in shards:
                written_shards[split].append(read_json(out / f"{name}.json")["shard"])
            manifest = {
                "settings": settings,
                "splits": written_shards,
                "notes": list(notes),
                "remarks": [dataclasses.asdict(remark) for remark in remarks],
            }
            _write_json(out / MANIFEST, manifest)
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"--out={out}: cannot be written: {error}") from None
    return written


class _Packer:
    def __init__(self, splits, size, quality, workers, on_bad_example):
        self._splits = splits
        self._files = {
            split: ImageFiles(index, size) for split, index in splits.items()
        }
        self._bad = {
            split: BadExamples(index, on_bad_example) for split, index in splits.items()
        }
        self._quality = quality
        self._workers = workers
        self.shorter_px = next(iter(self._files.values())).shorter_px

    def write(self, out, shards, progress):
        """Writes the shards that are not whole; returns how many."""
        pending = [shard for shard in shards if not _is_whole(out / shard[1])]
        done = sum(map(len, self._splits.values()))
        done -= sum(len(rows) for *_, rows in pending)
        if progress:
            progress.restart_clock(done)
        streams = {
            split: self._encoded(split, [rows for s, _, rows in pending if s == split])
            for split in self._splits
        }
        for split, name, rows in pending:
            with data_errors():
                self._write_shard(out / name, split, len(rows), streams[split])
            done += len(rows)
            if progress:
                progress.update(done)
        return len(pending)

    def _write_shard(self, path, split, count, stream):
        index = self._splits[split]
        columns = {"captions": [], "class_ids": [], "image_ids": [], "offsets": []}
        position = 0
        shard_path = path.with_name(f"{path.name}.tfrecord")
        with atomic_file(shard_path) as partial:
            with tf.io.TFRecordWriter(str(partial)) as file:
                for row, jpeg in itertools.islice(stream, count):
                    if not jpeg:
                        continue
                    record = _record(index, row, jpeg, split)
                    file.write(record)
                    columns["captions"].append(index.captions[row])
                    columns["class_ids"].append(int(index.class_ids[row]))
                    columns["image_ids"].append(int(index.image_ids[row]))
                    columns["offsets"].append(position)
                    position += len(record) + _FRAME_BYTES
            shard = {
                "file": shard_path.name,
                "images": len(columns["offsets"]),
                "bytes": position,
                "sha256": file_sha256(partial),
            }
        _write_json(path.with_name(f"{path.name}.json"), {"shard": shard, **columns})

    def _encoded(self, split, parts):
        """Pairs (row, JPEG) of all rows of the parts; b"" for a bad image."""

        @tf.autograph.experimental.do_not_convert
        def encode(row):
            image = load_whole(self._files[split], row, self._bad[split])
            jpeg = tf.cond(
                tf.size(image) > 0,
                lambda: tf.io.encode_jpeg(image, quality=self._quality),
                lambda: "",
            )
            return row, jpeg

        rows = np.array(list(itertools.chain(*parts)), np.int64)
        dataset = tf.data.Dataset.from_tensor_slices(rows)
        dataset = dataset.map(encode, self._workers, deterministic=True)
        return dataset.as_numpy_iterator()


def _record(index, row, jpeg, split):
    def of_bytes(*values):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    def of_number(value):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[int(value)]))

    features = {
        "image/encoded": of_bytes(jpeg),
        "image/id": of_number(index.image_ids[row]),
        "image/class": of_number(index.class_ids[row]),
        "image/captions": of_bytes(*(text.encode() for text in index.captions[row])),
        "image/split": of_bytes(split.encode()),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString()


def _fingerprint(index):
    """Identifies a split by all that is packed except the pixels."""
    boxes = None if index.boxes is None else index.boxes.tolist()
    names = [os.path.basename(path) for path in index.paths]
    columns = [
        names,
        index.captions,
        index.class_ids.tolist(),
        index.image_ids.tolist(),
    ]
    text = json.dumps([*columns, boxes])
    return {"images": len(index), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _parts(count, most):
    return [range(first, min(first + most, count)) for first in range(0, count, most)]


def _start(out, settings):
    """Makes the folder, or checks that it belongs to the same packing."""
    if out.is_dir() and any(out.iterdir()):
        if not (out / MANIFEST).is_file():
            raise UserError(f"--out={out}: is not empty and holds no packed set")
        before = read_settings(out)
        other = [name for name in settings if before.get(name) != settings[name]]
        if other:
            raise UserError(
                f"--out={out}: holds a set packed with other settings "
                f"({', '.join(other)}); choose another folder"
            )
    else:
        out.mkdir(parents=True, exist_ok=True)
        # A manifest without splits marks an unfinished packing.
        _write_json(out / MANIFEST, {"settings": settings})


def _is_whole(path):
    try:
        shard = read_json(path.with_name(f"{path.name}.json"))["shard"]
        return file_sha256(path.with_name(shard["file"])) == shard["sha256"]
    # A name that leads out of the folder is a ValueError.
    except (UserError, OSError, KeyError, TypeError, ValueError):
        return False


def _write_json(path, content):
    write_atomically(path, json.dumps(content, separators=(",", ":")))
