"""The index of a data set, which every reader returns and the pipeline reads."""

import dataclasses
from collections.abc import Sequence

import numpy as np

__all__ = ["CaptionedImages", "Remark", "remark_on"]


@dataclasses.dataclass(frozen=True)
class Remark:
    """One kind of thing that a reader left out, or that people should know.

    Attributes:
        kind: such as "images without a caption, left out".
        count: how many, at least 1.
        first: the first one: a file, a line of it, a name.
    """

    kind: str
    count: int
    first: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.count:,}, first {self.first}"


def remark_on(kind: str, names: Sequence[object]) -> tuple[Remark, ...]:
    """A `Remark` about the things with these names; none if there are no names."""
    return (Remark(kind, len(names), str(names[0])),) if len(names) else ()


# Compared by identity, because == of arrays is not a bool.
@dataclasses.dataclass(frozen=True, eq=False)
class CaptionedImages:
    """An index of N images with their captions; nothing is decoded.

    Attributes:
        paths: N image files, or the shards that hold the images.
        captions: for each image one or more captions.
        class_ids: (N,) int32; images of one class share it (COCO: all differ).
        image_ids: (N,) int64, the data set's own numbers.
        boxes: (N, 4) float32, left, top, width and height in px of what an image is
            about, for a crop around it; None where a data set has none.
        offsets: (N,) int64, where in its shard the record of an image begins, in
            bytes; None where each image is a file of its own.
        notes: what the reader chose, for people.
        remarks: what it left out or had to guess.

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
        object.__setattr__(self, "class_ids", np.asarray(self.class_ids, np.int32))
        object.__setattr__(self, "image_ids", np.asarray(self.image_ids, np.int64))
        columns = ["captions", "class_ids", "image_ids"]
        if self.boxes is not None:
            boxes = np.asarray(self.boxes, np.float32)
            if boxes.shape[1:] != (4,):
                raise ValueError(f"boxes: shape {boxes.shape}; expected (N, 4)")
            object.__setattr__(self, "boxes", boxes)
            columns.append("boxes")
        if self.offsets is not None:
            object.__setattr__(self, "offsets", np.asarray(self.offsets, np.int64))
            columns.append("offsets")
        for name in columns:
            length = len(getattr(self, name))
            if length != len(self.paths):
                raise ValueError(
                    f"{name}: {length} entries; expected {len(self.paths)}, as paths"
                )
        if not all(self.captions):
            row = next(row for row, texts in enumerate(self.captions) if not texts)
            raise ValueError(f"captions: none for image {row} ({self.paths[row]})")

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, row: int) -> str:
        """What to call an image in a message."""
        if self.offsets is None:
            return self.paths[row]
        return f"{self.paths[row]}, image {self.image_ids[row]}"
