"""Reads packed data sets: TFRecord shards with random access.

A folder contains a manifest, packed.json, shards such as
train-00000-of-00083.tfrecord, and beside each a .json with the captions, ids and
offsets of its records. With the offsets the pipeline reads single records in any
order. So batches from shards and from image files have the same order, a run resumes at
any step without reading the earlier records, and no shuffle buffer takes memory.

Records are tf.train.Examples: image/encoded, image/id, image/class, image/captions,
image/split. TFRecord's checksums are verified whenever a record is read. The manifest
has a SHA-256 of every shard.
"""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import tensorflow as tf

from mirrorgan_tf.data.records import CaptionedImages, Remark
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.files import read_bytes

__all__ = [
    "MANIFEST",
    "VERSION",
    "is_packed",
    "load_content",
    "read_json",
    "read_packed",
    "read_settings",
]

MANIFEST = "packed.json"
VERSION = 1
_REPACK_HINT = "run `mirrorgan prepare` again"
_COLUMNS = ("captions", "class_ids", "image_ids", "offsets")


def is_packed(data_dir: str | Path) -> bool:
    """Whether `mirrorgan prepare` has packed into a folder."""
    return (Path(data_dir) / MANIFEST).is_file()


def read_packed(
    data_dir: str | Path, *, dataset: str, shorter_px: int
) -> dict[str, CaptionedImages]:
    """Indexes the splits of a packed data set; reads no image.

    Args:
        data_dir: its folder.
        dataset: the `--dataset` that it must have been packed from.
        shorter_px: shorter side of the images that training needs.

    Raises:
        UserError: it was packed from another data set or for smaller images, is
            incomplete, or a shard is damaged.
    """
    data_dir = Path(data_dir)
    manifest = read_json(data_dir / MANIFEST)
    try:
        return _read_manifest(data_dir, manifest, dataset, shorter_px)
    # A manifest that another program wrote may contain values of any type.
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise UserError(
            f"{data_dir / MANIFEST}: not what `mirrorgan prepare` writes "
            f"({type(error).__name__}: {error}); {_REPACK_HINT}"
        ) from None


def _read_manifest(data_dir, manifest, dataset, shorter_px):
    settings = manifest["settings"]
    if settings.get("version") != VERSION:
        raise UserError(f"{data_dir / MANIFEST}: not of this version; {_REPACK_HINT}")
    if "splits" not in manifest:
        raise UserError(f"{data_dir}: packing was interrupted; {_REPACK_HINT}")
    if settings["dataset"] != dataset:
        raise UserError(
            f"--dataset={dataset}: {data_dir} was packed from {settings['dataset']}; "
            f"give --dataset={settings['dataset']}"
        )
    if settings["shorter_px"] < shorter_px:
        raise UserError(
            f"{data_dir}: packed with a shorter side of {settings['shorter_px']} px, "
            f"but {shorter_px} px are needed; {_REPACK_HINT} into another folder"
        )
    if manifest["splits"].keys() != {"train", "val"} or not all(
        manifest["splits"].values()
    ):
        raise ValueError("expected shards of train and val")
    notes = tuple(manifest.get("notes", ()))
    remarks = tuple(Remark(**remark) for remark in manifest.get("remarks", ()))
    return {
        split: dataclasses.replace(
            _read_split(data_dir, shards), notes=notes, remarks=remarks
        )
        for split, shards in manifest["splits"].items()
    }


def load_content(path: tf.Tensor, offset: tf.Tensor | None) -> tf.Tensor:
    """Reads an encoded image, in a graph.

    Args:
        path: () string, the image file or the shard.
        offset: () int64, byte at which the record begins; None for an image file.

    Raises:
        tf.errors.OpError: when run, if it can't be read or its checksum is wrong.
    """
    if offset is None:
        return tf.io.read_file(path)
    shard = tf.raw_ops.TFRecordDatasetV2(
        filenames=[path],
        compression_type="",
        buffer_size=tf.constant(0, tf.int64),
        byte_offsets=[offset],
    )
    records = tf.data.experimental.from_variant(shard, tf.TensorSpec([], tf.string))
    features = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}
    record = records.take(1).get_single_element()
    return tf.io.parse_single_example(record, features)["image/encoded"]


def read_settings(data_dir: str | Path) -> dict:
    """The settings of a packed data set; UserError if they can't be read."""
    path = Path(data_dir) / MANIFEST
    settings = read_json(path).get("settings")
    if not isinstance(settings, dict):
        raise UserError(f"{path}: has no settings; {_REPACK_HINT}")
    return settings


def read_json(path: Path) -> dict:
    """Reads a JSON object; UserError if it is missing or damaged."""
    try:
        content = json.loads(read_bytes(path))
    except (OSError, RecursionError, ValueError) as error:
        raise UserError(f"{path}: can't be read ({error})") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: not what `mirrorgan prepare` writes; {_REPACK_HINT}")
    return content


def _read_split(data_dir, shards):
    paths, columns = [], {name: [] for name in _COLUMNS}
    for shard in shards:
        path = data_dir / _plain_name(shard["file"])
        try:
            size = os.path.getsize(path)
        except OSError as error:
            raise UserError(
                f"{path}: can't be read ({error}); {_REPACK_HINT}"
            ) from None
        if size != shard["bytes"]:
            raise UserError(
                f"{path}: damaged, {size} bytes instead of {shard['bytes']}; "
                f"{_REPACK_HINT}"
            )
        records = read_json(path.with_suffix(".json"))
        for name in _COLUMNS:
            if len(records[name]) != shard["images"]:
                raise UserError(
                    f"{path.with_suffix('.json')}: damaged, {len(records[name])} "
                    f"{name} of {shard['images']} images; {_REPACK_HINT}"
                )
            columns[name].extend(records[name])
        paths += [str(path)] * shard["images"]
    return CaptionedImages(
        paths=tuple(paths),
        captions=tuple(map(_texts, columns["captions"])),
        class_ids=np.array(columns["class_ids"], np.int32),
        image_ids=np.array(columns["image_ids"], np.int64),
        offsets=np.array(columns["offsets"], np.int64),
    )


def _plain_name(name):
    """Returns the name of a shard; UserError if it leads out of the folder.

    A file may be a link to another folder, because users spread shards over disks. But
    a manifest from an untrusted source must not name files elsewhere.
    """
    if os.path.basename(name) != name or name in ("", ".", "..") or "\\" in name:
        raise UserError(
            f"{MANIFEST} names the shard {name!r}; expected the name of a file in its "
            f"folder; {_REPACK_HINT}"
        )
    return name


def _texts(captions):
    if not all(isinstance(caption, str) for caption in captions):
        raise TypeError("a caption is not a string")
    return tuple(captions)
