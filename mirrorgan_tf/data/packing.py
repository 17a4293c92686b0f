"""Writes packed data sets; `shards` describes their format."""

import dataclasses
import hashlib
import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from mirrorgan_tf.data.bad_examples import BadExamples, data_errors
from mirrorgan_tf.data.images import ImageFiles, load_uncropped
from mirrorgan_tf.data.records import CaptionedImages, Remark
from mirrorgan_tf.data.shards import MANIFEST, VERSION, read_json, read_settings
from mirrorgan_tf.data.transforms import load_size
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
    on_bad_example: str = "fail",
    notes: Sequence[str] = (),
    remarks: Sequence[Remark] = (),
    progress: Progress | None = None,
) -> int:
    """Packs a data set; continues an interrupted packing of the same data set.

    Images are cropped to their boxes, resized to the shorter side that random crops of
    `size` px need, and stored as JPEGs. Existing shards with the right checksum are
    kept.

    Args:
        splits: the index of each split.
        out: folder to write.
        dataset: name of the data set, which readers compare with `--dataset`.
        size: side of the crops in px.
        quality: of the JPEGs, from 1 to 100.
        images_per_shard: the most images of a shard.
        on_bad_example: "fail" at images that can't be read, or "skip" them.
        notes: notes on the data set, to store in the manifest.
        remarks: likewise.
        progress: is updated after each shard.

    Returns:
        The number of shards written; 0 if all existed.

    Raises:
        UserError: the folder contains something else or was packed with other settings,
            can't be written, or an image is bad and `on_bad_example` is "fail".
    """
    out = Path(out)
    writer = _ShardWriter(splits, size, quality, on_bad_example)
    settings = {
        "version": VERSION,
        "dataset": dataset,
        "shorter_px": load_size(size),
        "quality": quality,
        "images_per_shard": images_per_shard,
        "splits": {split: _fingerprint(index) for split, index in splits.items()},
    }
    shards = [
        shard
        for split, index in splits.items()
        for shard in _plan_shards(split, len(index), images_per_shard)
    ]
    try:
        with locked_folder(out, flag="out", activity="packing"):
            _start_or_continue(out, settings)
            written = writer.write(out, shards, progress)
            shards_by_split = {split: [] for split in splits}
            for shard in shards:
                facts = read_json(out / f"{shard.name}.json")["shard"]
                shards_by_split[shard.split].append(facts)
            manifest = {
                "settings": settings,
                "splits": shards_by_split,
                "notes": list(notes),
                "remarks": [dataclasses.asdict(remark) for remark in remarks],
            }
            _write_json(out / MANIFEST, manifest)
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"--out={out}: cannot be written: {error}") from None
    return written


class _Shard(NamedTuple):
    """A shard to write; its name has no suffix."""

    split: str
    name: str
    rows: range


def _plan_shards(split, images, images_per_shard):
    count = -(-images // images_per_shard)
    return [
        _Shard(
            split,
            f"{split}-{number:05d}-of-{count:05d}",
            range(images)[number * images_per_shard :][:images_per_shard],
        )
        for number in range(count)
    ]


class _ShardWriter:
    def __init__(self, splits, size, quality, on_bad_example):
        self._splits = splits
        self._files = {
            split: ImageFiles(index, size) for split, index in splits.items()
        }
        self._bad_examples = {
            split: BadExamples(index, on_bad_example) for split, index in splits.items()
        }
        self._quality = quality

    def write(self, out, shards, progress):
        """Writes the shards that are missing or damaged; returns their number."""
        pending = [shard for shard in shards if not _is_complete(out / shard.name)]
        done = sum(map(len, self._splits.values()))
        done -= sum(len(shard.rows) for shard in pending)
        if progress:
            progress.restart_clock(done)
        encoded_images = {
            split: self._encode_images(
                split, [row for s in pending if s.split == split for row in s.rows]
            )
            for split in self._splits
        }
        for shard in pending:
            with data_errors():
                self._write_shard(out, shard, encoded_images[shard.split])
            done += len(shard.rows)
            if progress:
                progress.update(done)
        return len(pending)

    def _write_shard(self, out, shard, encoded_images):
        index = self._splits[shard.split]
        rows, offsets, position = [], [], 0
        path = out / f"{shard.name}.tfrecord"
        with atomic_file(path) as partial:
            with tf.io.TFRecordWriter(str(partial)) as file:
                for row, jpeg in itertools.islice(encoded_images, len(shard.rows)):
                    if not jpeg:
                        continue
                    record = _serialize(index, row, jpeg, shard.split)
                    file.write(record)
                    rows.append(row)
                    offsets.append(position)
                    position += len(record) + _FRAME_BYTES
            facts = {
                "file": path.name,
                "images": len(rows),
                "bytes": position,
                "sha256": file_sha256(partial),
            }
        columns = {
            "captions": [index.captions[row] for row in rows],
            "class_ids": index.class_ids[rows].tolist(),
            "image_ids": index.image_ids[rows].tolist(),
            "offsets": offsets,
        }
        _write_json(out / f"{shard.name}.json", {"shard": facts, **columns})

    def _encode_images(self, split, rows):
        """Pairs (row, JPEG) of the rows; b"" for a bad image."""

        @tf.autograph.experimental.do_not_convert
        def encode(row):
            image = load_uncropped(self._files[split], row, self._bad_examples[split])
            jpeg = tf.cond(
                tf.size(image) > 0,
                lambda: tf.io.encode_jpeg(image, quality=self._quality),
                lambda: "",
            )
            return row, jpeg

        dataset = tf.data.Dataset.from_tensor_slices(np.array(rows, np.int64))
        dataset = dataset.map(encode, tf.data.AUTOTUNE, deterministic=True)
        return dataset.as_numpy_iterator()


def _serialize(index, row, jpeg, split):
    """A record of one image as bytes."""

    def bytes_feature(*values):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    def int_feature(value):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[int(value)]))

    features = {
        "image/encoded": bytes_feature(jpeg),
        "image/id": int_feature(index.image_ids[row]),
        "image/class": int_feature(index.class_ids[row]),
        "image/captions": bytes_feature(*map(str.encode, index.captions[row])),
        "image/split": bytes_feature(split.encode()),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString()


def _fingerprint(index):
    """Identifies a split by everything that is packed except the pixels."""
    columns = [
        [os.path.basename(path) for path in index.paths],
        index.captions,
        index.class_ids.tolist(),
        index.image_ids.tolist(),
        None if index.boxes is None else index.boxes.tolist(),
    ]
    text = json.dumps(columns)
    return {"images": len(index), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _start_or_continue(out, settings):
    """Starts a packing in an empty folder, or checks that it is the same one."""
    if not any(out.iterdir()):
        # A manifest without splits means that the packing is unfinished.
        _write_json(out / MANIFEST, {"settings": settings})
        return
    if not (out / MANIFEST).is_file():
        raise UserError(f"--out={out}: is not empty and contains no packed data set")
    earlier = read_settings(out)
    changed = [name for name in settings if earlier.get(name) != settings[name]]
    if changed:
        raise UserError(
            f"--out={out}: was packed with other settings ({', '.join(changed)}); "
            "choose another folder"
        )


def _is_complete(path):
    """Whether a shard exists and has the right checksum; `path` has no suffix."""
    try:
        facts = read_json(path.with_name(f"{path.name}.json"))["shard"]
        return file_sha256(path.with_name(facts["file"])) == facts["sha256"]
    # Path.with_name raises a ValueError for a name that leads out of the folder.
    except (UserError, OSError, KeyError, TypeError, ValueError):
        return False


def _write_json(path, content):
    write_atomically(path, json.dumps(content, separators=(",", ":")))
