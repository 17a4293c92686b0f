import math

import pytest

from mirrorgan_tf.training.schedules import learning_rate


@pytest.mark.parametrize("stage", ["stem", "stream"])
def test_steps_fall_by_a_factor_every_so_often(stage, tiny_config):
    config = tiny_config.replace(
        **{
            f"{stage}_learning_rate": 0.5,
            f"{stage}_decay": 0.2,
            f"{stage}_decay_steps": 10,
        },
    )
    rates = [float(learning_rate(config, stage)(step)) for step in (0, 9, 10, 25)]
    assert rates == pytest.approx([0.5, 0.5, 0.1, 0.02])


@pytest.mark.parametrize(
    "stage, changes",
    [
        ("backbone", {}),
        ("stem", {"stem_schedule": "cosine"}),
        ("stream", {"stream_schedule": "cosine"}),
    ],
)
def test_cosine_ends_with_the_stage(stage, changes, tiny_config):
    changes |= {f"{stage}_learning_rate": 0.5, f"{stage}_steps": 30}
    schedule = learning_rate(tiny_config.replace(**changes), stage)
    for step in (0, 10, 15, 30):
        expected = 0.5 * (1 + math.cos(math.pi * step / 30)) / 2
        assert float(schedule(step)) == pytest.approx(expected, abs=1e-7)
