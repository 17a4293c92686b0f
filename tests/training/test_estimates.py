import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf.config import Config
from mirrorgan_tf.training.estimates import (
    MeasuredStep,
    assumptions,
    estimate,
    step_gflop,
    table,
)

MEASURED = MeasuredStep(images=2, seconds=0.5, gflop=1200.0)


@pytest.mark.parametrize("jit", [False, True])
def test_operations_are_those_of_the_products(jit):
    @tf.function(jit_compile=jit)
    def product(a, b):
        return tf.matmul(a, b)

    @tf.function
    def step(a, image, kernel):
        return product(a, a), tf.nn.conv2d(image, kernel, 1, "SAME")

    arguments = tf.zeros((50, 50)), tf.zeros((2, 8, 8, 3)), tf.zeros((3, 3, 3, 5))
    operations = 2 * 50**3 + 2 * (2 * 8 * 8 * 5) * (3 * 3 * 3)
    np.testing.assert_allclose(step_gflop(step, *arguments), operations / 1e9)


def test_operations_of_gradients_are_those_that_are_needed():
    @tf.function
    def step(image, kernel, a, b):
        with tf.GradientTape() as tape:
            # Of the images' gradient nothing is asked.
            tape.watch((image, kernel, a, b))
            convolved = tf.nn.conv2d(image, kernel, 2, "SAME")
            product = tf.matmul(a, b, transpose_a=True)
            total = tf.reduce_sum(convolved**2) + tf.reduce_sum(product**2)
        return tape.gradient(total, (image, kernel, a, b))[1:]

    arguments = (
        tf.zeros((2, 8, 8, 3)),
        tf.zeros((4, 4, 3, 5)),
        tf.zeros((1, 7, 11)),
        tf.zeros((1, 7, 13)),
    )
    operations = 2 * 2 * (2 * 4 * 4 * 5) * (4 * 4 * 3) + 3 * 2 * 7 * 11 * 13
    np.testing.assert_allclose(step_gflop(step, *arguments), operations / 1e9)


def test_what_has_no_known_shape_counts_nothing():
    @tf.function(input_signature=[tf.TensorSpec(None), tf.TensorSpec([3, 3])])
    def step(some, square):
        return tf.matmul(some, square), tf.matmul(square, square)

    assert step_gflop(step) == 2 * 3**3 / 1e9


def test_times_are_in_proportion_to_images():
    config = Config.from_flags(dataset="cub", glam_steps=100, glam_batch_size=30)
    estimated = estimate(config, "glam", MEASURED)
    # 8,855 images an epoch, 3,000 in all; 600 GFLOP an image, 10 % of 156 and 495
    # TFLOP/s.
    expected = {"here": 0.25, "A100": 0.6 / (0.1 * 156), "H100": 0.6 / (0.1 * 495)}
    for machine, seconds in expected.items():
        assert estimated.epoch_s[machine] == pytest.approx(8855 * seconds)
        assert estimated.all_steps_s[machine] == pytest.approx(3000 * seconds)


def test_half_precision_has_the_peak_of_its_own():
    config = Config.from_flags(mixed_precision="bfloat16", birdlets_train_images=10)
    estimated = estimate(config, "stem", MEASURED)
    assert estimated.epoch_s["A100"] == pytest.approx(10 * 0.6 / (0.1 * 312))
    assert estimated.epoch_s["H100"] == pytest.approx(10 * 0.6 / (0.1 * 989))
    assert "10% of the dense bfloat16 peak" in assumptions(config, 2)


def test_full_precision_has_the_peak_of_its_own():
    config = Config.from_flags(tf32=False, birdlets_train_images=10)
    estimated = estimate(config, "stem", MEASURED)
    assert estimated.epoch_s["A100"] == pytest.approx(10 * 0.6 / (0.1 * 19.5))
    assert estimated.epoch_s["H100"] == pytest.approx(10 * 0.6 / (0.1 * 67))
    assert "10% of the dense float32 peak" in assumptions(config, 2)


@pytest.mark.parametrize(
    ("settings", "images"),
    [
        ({"dataset": "coco"}, "82,783 images"),
        ({"dataset": "coco", "coco_train_json": "own.json"}, "1,000 images (the set's"),
        ({"dataset": "folder"}, "1,000 images (the set's"),
    ],
)
def test_what_an_epoch_is_gets_said(settings, images):
    assert f"an epoch being {images}" in assumptions(Config.from_flags(**settings), 2)


def test_the_table_has_a_column_a_machine():
    config = Config.from_flags(dataset="cub", stem_steps=2_000_000)
    slow = dataclasses.replace(MEASURED, seconds=100.0)
    header, stem, glam = table(
        [estimate(config, "stem", slow), estimate(config, "glam", MEASURED)]
    )
    assert len(header) == len(stem) == len(glam)
    assert stem.split()[:4] == ["stem", "100", "1.2e+03", "12"]
    # 8,855 images of 50 s; 2,000,000 batches of 48.
    assert "5.1 days" in stem and "2,000,000 of 48" in stem
    # 8,855 images of 0.25 s, and of 0.6 TFLOP at 49.5 TFLOP/s.
    assert "37 min" in glam and "107 s" in glam
