"""The index of a data set: what readers return and the pipeline reads."""

import dataclasses
from collections.abc import Sequence

import numpy as np

__all__ = ["CaptionedImages", "Remark", "remark_on"]


@dataclasses.dataclass(frozen=True)
class Remark:
    """A count of things that a reader left out or that a user should know of.

    Attributes:
        kind: such as "images without a caption, left out".
        count: at least 1.
        first: the first of them: a file, a line of a file, a name.
    """

    kind: str
    count: int
    first: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.count:,}, first {self.first}"


def remark_on(kind: str, names: Sequence[object]) -> tuple[Remark, ...]:
    """A tuple of one `Remark` that counts `names`; empty if there are none."""
    return (Remark(kind, len(names), str(names[0])),) if len(names) else ()


# Compared by identity, because == of two arrays is an array.
@dataclasses.dataclass(frozen=True, eq=False)
class CaptionedImages:
    """An index of N images and their captions; no image is read.

    Attributes:
        paths: N image files, or for each image the shard that contains it.
        captions: for each image one or more captions.
        class_ids: (N,) int32; images of one class share it (COCO: all differ).
        image_ids: (N,) int64, the data set's own numbers.
        boxes: (N, 4) float32, left, top, width and height in px of each image's
            subject, for a crop around it; None for a data set without boxes.
        offsets: (N,) int64, byte at which the record of an image begins in its shard;
            None if each image is a file.
        notes: choices of the reader, such as the source of the split.
        remarks: counts of what the reader left out or had to guess.

    Raises:
        ValueError: lengths differ, or an image has no caption.
    """

    paths: tuple[str, ...]
    captions: tuple[tuple[str, ...], ...]
    class_ids: np.ndarray
    image_ids: np.ndarray
    boxes: np.ndarray | None = None
    offsets: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()

    def __post_init__(self) -> None:
        columns = {"captions": self.captions}
        for name, values, dtype in (
            ("class_ids", self.class_ids, np.int32),
            ("image_ids", self.image_ids, np.int64),
            ("boxes", self.boxes, np.float32),
            ("offsets", self.offsets, np.int64),
        ):
            if values is not None:
                columns[name] = np.asarray(values, dtype)
                object.__setattr__(self, name, columns[name])
        if self.boxes is not None and self.boxes.shape[1:] != (4,):
            raise ValueError(f"boxes: shape {self.boxes.shape}; expected (N, 4)")
        for name, column in columns.items():
            if len(column) != len(self.paths):
                raise ValueError(
                    f"{name}: {len(column)} entries; expected {len(self.paths)}, as "
                    "paths"
                )
        if not all(self.captions):
            row = next(row for row, texts in enumerate(self.captions) if not texts)
            raise ValueError(f"captions: none for image {row} ({self.paths[row]})")

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, row: int) -> str:
        """The name of an image in messages: its file, or its shard and id."""
        if self.offsets is None:
            return self.paths[row]
        return f"{self.paths[row]}, image {self.image_ids[row]}"

    def select(self, rows: Sequence[int] | np.ndarray) -> "CaptionedImages":
        """The index of some of the images, in the order of `rows`."""
        rows = np.asarray(rows, np.int64)
        return dataclasses.replace(
            self,
            paths=tuple(self.paths[row] for row in rows),
            captions=tuple(self.captions[row] for row in rows),
            class_ids=self.class_ids[rows],
            image_ids=self.image_ids[rows],
            boxes=None if self.boxes is None else self.boxes[rows],
            offsets=None if self.offsets is None else self.offsets[rows],
        )
