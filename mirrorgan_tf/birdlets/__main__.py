"""Draws a data set of synthetic birds: `mirrorgan birdlets --data_dir=data/birdlets`.

Writes images of 256 px, captions and, as ground truth, all attributes of every bird:
colours of body, wings, belly, head and beak, length of beak and tail, direction, size,
pose, shape, crest, wing pattern, perch and background. The attributes are independent
of each other. The same flags always give the same bytes.

The layout is that of COCO 2014, which `--dataset=coco` reads as well:

  annotations/captions_train2014.json    captions; `states` of a caption lists
                                         the attributes that it mentions
  annotations/attributes_train2014.json  all attributes of all images
  train2014/COCO_train2014_000000000001.jpg ...
  (the same for val2014)
  birdlets.json                          the flags of the set

The folder appears when it is complete. Nothing is done if it already has the same data
set; a folder with anything else in it is refused. A command that was killed leaves a
hidden folder beside it, .partial-..., which the next command removes.
"""

from absl import flags

from mirrorgan_tf import commands
from mirrorgan_tf.birdlets.dataset import write_birdlets
from mirrorgan_tf.config.path_flags import define_path
from mirrorgan_tf.progress import Progress

__all__ = ["define_flags", "main"]


def define_flags() -> None:
    """Defines the command's flags; not at import, where commands would collide."""
    define_path("data_dir", "data/birdlets", "Folder of the data set.")
    flags.DEFINE_integer("train_images", 4000, "Training images.")
    flags.DEFINE_integer("val_images", 500, "Validation images.")
    flags.DEFINE_integer("captions_per_image", 5, "Captions of each image.")
    flags.DEFINE_integer("seed", 1, "Seed of everything random.")
    flags.DEFINE_integer(
        "workers", None, "Processes that draw images; default: one for each core."
    )


def main() -> None:
    """Draws the set that the flags describe."""
    values = flags.FLAGS
    with Progress("drawing", values.train_images + values.val_images) as progress:
        is_new = write_birdlets(
            values.data_dir,
            train_images=values.train_images,
            val_images=values.val_images,
            captions_per_image=values.captions_per_image,
            seed=values.seed,
            workers=values.workers,
            progress=progress.update,
        )
    if is_new:
        print(f"drawn: {values.data_dir}")
    else:
        print(f"{values.data_dir}: already drawn with these flags")


if __name__ == "__main__":
    commands.run(main, define_flags)
