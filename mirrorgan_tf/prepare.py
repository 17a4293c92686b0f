"""Packs a data set for slow disks: `mirrorgan prepare --recipe=coco --out=data/packed`.

Writes TFRecord shards with captions, ids, checksums and images. Images are cropped to
their boxes; their shorter side is 76/64 of the generator's largest image (304 px for
256 px). To train on them, set --data_dir to the packed folder. All settings of a
training are accepted. After an interruption the same command continues, and it replaces
damaged shards.
"""

from absl import flags

from mirrorgan_tf import commands
from mirrorgan_tf.config import config_flags
from mirrorgan_tf.config.path_flags import define_path
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.progress import Progress

__all__ = ["define_flags", "main"]


def define_flags() -> None:
    """Defines the command's flags and those of a training."""
    config_flags.define_flags()
    define_path("out", None, "Folder to write.")
    flags.DEFINE_integer(
        "quality", 95, "Quality of the JPEGs.", lower_bound=1, upper_bound=100
    )
    flags.DEFINE_integer(
        "images_per_shard", 1000, "The most images of a shard.", lower_bound=1
    )
    define_path("workdir", None, "Not used. The flagfiles of recipes set it.")


def main() -> None:
    """Packs the data set that the flags name."""
    values = flags.FLAGS
    config = config_flags.config_from_flags()
    if not values.out:
        raise UserError("--out is missing; give the folder to write")
    # Wrong flags are reported before TensorFlow is imported, which takes seconds.
    commands.start_keras()
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
            on_bad_example=config.data.on_bad_example,
            notes=verdict.notes,
            remarks=verdict.remarks,
            progress=progress,
        )
    print(f"{values.out}: {written} shards written; the others existed already")


if __name__ == "__main__":
    commands.run(main, define_flags)
