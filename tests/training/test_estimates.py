import pytest

from mirrorgan_tf.config import Config
from mirrorgan_tf.training.dry_run import describe_epoch, estimate, table


@pytest.mark.parametrize(
    ("settings", "images", "text"),
    [
        ({"dataset": "cub"}, 8_855, "8,855 images"),
        ({"dataset": "coco"}, 82_783, "82,783 images"),
        ({"birdlets_train_images": 10}, 10, "10 images"),
        (
            {"dataset": "coco", "coco_train_json": "own.json"},
            1_000,
            "1,000 images (the size of the data set is not known)",
        ),
    ],
)
def test_times_are_in_proportion_to_the_number_of_images(settings, images, text):
    config = Config.from_flags(glam_steps=100, glam_batch_size=30, **settings)
    estimated = estimate(config, "glam", images=2, step_s=0.5)
    assert estimated.epoch_s == pytest.approx(images * 0.25)
    assert estimated.all_steps_s == pytest.approx(3000 * 0.25)
    assert describe_epoch(config) == text


def test_table_has_a_line_for_each_stage():
    config = Config.from_flags(dataset="cub", stem_steps=2_000_000)
    header, stem, glam = table(
        [
            estimate(config, "stem", images=2, step_s=100.0),
            estimate(config, "glam", images=2, step_s=0.5),
        ]
    )
    assert len(header) == len(stem) == len(glam)
    assert stem.split()[:2] == ["stem", "100"]
    # 8,855 images of 50 s; 2,000,000 batches of 48.
    assert "5.1 days" in stem and "2,000,000 of 48" in stem
    # 8,855 images of 0.25 s.
    assert "37 min" in glam
