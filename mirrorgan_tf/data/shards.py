"""Packed data sets: TFRecord shards that are read in any order.

A folder holds a manifest, packed.json, shards like train-00000-of-00083.tfrecord, and
beside each a .json with the captions, ids and offsets of its records. With the offsets
the pipeline reads any record alone, without a buffer, so that the same stateless order
works for files and for shards: batches come in the same order from either, a run
starts at any step without reading what lies before, and no image is held in memory.
Reads within large files are also what remote file systems (tf.io.gfile's) do well. A
shuffle window over whole shards would read in sequence, but its order would depend
on its size and could not be taken up without reading.

Records are tf.train.Examples: image/encoded, image/id, image/class, image/captions,
image/split. TFRecord's checksums are verified whenever a record is read; the manifest
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
    """Whether a folder holds what `mirrorgan_tf.prepare` writes."""
    return (Path(data_dir) / MANIFEST).is_file()


def read_packed(
    data_dir: str | Path, *, dataset: str, shorter_px: int
) -> dict[str, CaptionedImages]:
    """Indexes a packed set, by split; reads no image.

    Args:
        data_dir: its folder.
        dataset: what it must have been packed from.
        shorter_px: the shorter side that training needs.

    Raises:
        UserError: it was packed from another set or for smaller images, is not
            whole, or a shard is damaged.
    """
    data_dir = Path(data_dir)
    manifest = read_json(data_dir / MANIFEST)
    try:
        return _read_manifest(data_dir, manifest, dataset, shorter_px)
    # A manifest from elsewhere may hold anything in the place of a name or a number.
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
    """An encoded image, in the graph.

    Args:
        path: () string, of the image or its shard.
        offset: () int64, where its record begins; None for an image file.

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
    """The settings that a set was packed with; UserError if they can't be read."""
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
    """A shard's name, which must not lead out of the folder.

    The file itself may be a link to elsewhere: people spread shards over disks, and
    download caches link to their stores. A name in a manifest that somebody else wrote
    is another matter.
    """
    if os.path.basename(name) != name or name in ("", ".", "..") or "\\" in name:
        raise UserError(
            f"{MANIFEST} names the shard {name!r}; expected the name of a file in its "
            f"folder; {_REPACK_HINT}"
        )
    return name


def _texts(captions):
    if not all(isinstance(caption, str) for caption in captions):
        raise TypeError("a caption is no text")
    return tuple(captions)
