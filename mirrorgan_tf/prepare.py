"""Packs a data set for slow disks: `mirrorgan prepare --recipe=coco --out=data/packed`.

Writes TFRecord shards with captions, ids, checksums, and images cropped to their boxes,
whose shorter side is 76/64 of the generator's largest image (304 px for 256 px). To
train on them, set --data_dir to the packed folder. All settings of a training are
accepted. The same command continues after an interruption and repairs damaged shards.
"""

from absl import flags

from mirrorgan_tf import commands
from mirrorgan_tf.config import config_flags
from mirrorgan_tf.config.path_flags import define_path
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.progress import Progress

__all__ = ["define_flags", "main"]


def define_flags() -> None:
    """Defines the command's flags: a training's, and its own."""
    config_flags.define_flags()
    define_path("out", None, "Folder to write.")
    flags.DEFINE_integer("quality", 95, "Of the JPEGs.", lower_bound=1, upper_bound=100)
    flags.DEFINE_integer("images_per_shard", 1000, "At most.", lower_bound=1)
    flags.DEFINE_integer(
        "workers", None, "Images worked on at a time; default: by load.", lower_bound=1
    )
    define_path("workdir", None, "Not used: a training's flagfile has it.")


def main() -> None:
    """Packs what the flags name."""
    values = flags.FLAGS
    config = config_flags.config_from_flags()
    if not values.out:
        raise UserError("--out is missing; give the folder to write")
    # TensorFlow takes seconds to import: --help and wrong flags are answered before.
    commands.start_keras()
    import tensorflow as tf

    from mirrorgan_tf.data.packing import pack
    from mirrorgan_tf.data.shards import is_packed
    from mirrorgan_tf.data.sources import choose_vocabulary, open_dataset
    from mirrorgan_tf.data.verdict import announce, examine

    if is_packed(config.data.data_dir):
        raise UserError(f"--data_dir={config.data.data_dir}: is packed already")
    splits = open_dataset(config)
    verdict = examine(splits, choose_vocabulary(config, splits), config.text.max_words)
    announce(verdict)
    with Progress("packing", sum(map(len, splits.values()))) as progress:
        written = pack(
            splits,
            values.out,
            dataset=config.data.dataset,
            size=config.sizes[-1],
            quality=values.quality,
            images_per_shard=values.images_per_shard,
            workers=values.workers or tf.data.AUTOTUNE,
            on_bad_example=config.data.on_bad_example,
            notes=verdict.notes,
            remarks=verdict.remarks,
            progress=progress,
        )
    print(f"{values.out}: {written} shards written, the others were there already")


if __name__ == "__main__":
    commands.run(main, define_flags)
