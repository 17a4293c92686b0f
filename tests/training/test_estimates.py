import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.config import Config
from mirrorgan_tf.training.estimates import (
    MeasuredStep,
    describe_epoch,
    estimate,
    step_gflop,
    table,
)

MEASURED = MeasuredStep(images=2, seconds=0.5, gflop=1200.0)


@pytest.mark.parametrize("jit", [False, True])
def test_gflop_counts_matrix_products_and_convolutions(jit):
    @tf.function(jit_compile=jit)
    def product(a, b):
        return tf.matmul(a, b)

    @tf.function
    def step(a, image, kernel):
        return product(a, a), tf.nn.conv2d(image, kernel, 1, "SAME")

    arguments = tf.zeros((50, 50)), tf.zeros((2, 8, 8, 3)), tf.zeros((3, 3, 3, 5))
    operations = 2 * 50**3 + 2 * (2 * 8 * 8 * 5) * (3 * 3 * 3)
    np.testing.assert_allclose(step_gflop(step, *arguments), operations / 1e9)


def test_gflop_counts_only_gradients_that_the_results_need():
    @tf.function
    def step(image, kernel, a, b):
        with tf.GradientTape() as tape:
            tape.watch((image, kernel, a, b))
            convolved = tf.nn.conv2d(image, kernel, 2, "SAME")
            product = tf.matmul(a, b, transpose_a=True)
            total = tf.reduce_sum(convolved**2) + tf.reduce_sum(product**2)
        # Without the gradient of the image.
        return tape.gradient(total, (image, kernel, a, b))[1:]

    arguments = (
        tf.zeros((2, 8, 8, 3)),
        tf.zeros((4, 4, 3, 5)),
        tf.zeros((1, 7, 11)),
        tf.zeros((1, 7, 13)),
    )
    operations = 2 * 2 * (2 * 4 * 4 * 5) * (4 * 4 * 3) + 3 * 2 * 7 * 11 * 13
    np.testing.assert_allclose(step_gflop(step, *arguments), operations / 1e9)


def test_gflop_of_an_unknown_shape_is_zero():
    @tf.function(input_signature=[tf.TensorSpec(None), tf.TensorSpec([3, 3])])
    def step(unknown, square):
        return tf.matmul(unknown, square), tf.matmul(square, square)

    assert step_gflop(step) == 2 * 3**3 / 1e9


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
    estimated = estimate(config, "glam", MEASURED)
    assert estimated.epoch_s == pytest.approx(images * 0.25)
    assert estimated.all_steps_s == pytest.approx(3000 * 0.25)
    assert describe_epoch(config) == text


def test_table_has_a_line_for_each_stage():
    config = Config.from_flags(dataset="cub", stem_steps=2_000_000)
    slow = dataclasses.replace(MEASURED, seconds=100.0)
    header, stem, glam = table(
        [estimate(config, "stem", slow), estimate(config, "glam", MEASURED)]
    )
    assert len(header) == len(stem) == len(glam)
    assert stem.split()[:4] == ["stem", "100", "1.2e+03", "12"]
    # 8,855 images of 50 s; 2,000,000 batches of 48.
    assert "5.1 days" in stem and "2,000,000 of 48" in stem
    # 8,855 images of 0.25 s.
    assert "37 min" in glam
