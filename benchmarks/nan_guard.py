"""What looking for NaN costs a step: `python -m benchmarks.nan_guard`.

Stage glam of flags/birdlets.cfg, whose steps are the shortest, on random data. Losses
are looked at when the log's means are taken, weights before a checkpoint.
"""

from pathlib import Path

from benchmarks.rates import best_seconds
from mirrorgan_tf import commands  # noqa: F401  (quiets TensorFlow before its import)

_FLAGS = Path(__file__).parents[1] / "flags" / "birdlets.cfg"
_VOCABULARY_SIZE = 200


def main() -> None:
    """Measures and prints Markdown."""
    import tensorflow as tf

    from mirrorgan_tf.config.config_flags import read_config
    from mirrorgan_tf.training.checkpoints import StageCheckpoints
    from mirrorgan_tf.training.dry_run import random_batch
    from mirrorgan_tf.training.glam_stage import GlamStage
    from mirrorgan_tf.training.loop import compile_step, read_losses

    config = read_config(_FLAGS, ignored=["workdir"])
    stage = GlamStage.from_config(config, _VOCABULARY_SIZE)
    # None is written.
    checkpoints = StageCheckpoints(Path(), stage.checkpointed, keep=1)
    train_step = compile_step(
        stage, tf.distribute.get_strategy(), checkpoints.step, jit=False
    )
    batch = random_batch(config, config.glam.batch_size, _VOCABULARY_SIZE)
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
    unread = []
    step_s = best_seconds(
        lambda: unread.append(train_step(batches)), tries=config.run.log_every
    )
    print("| what | ms a step | of a step |\n| --- | --- | --- |")
    for what, function, every in (
        (
            f"{len(unread[0])} losses, read every {config.run.log_every} steps",
            lambda: read_losses(unread[-config.run.log_every :], len(unread)),
            config.run.log_every,
        ),
        (
            f"all weights and averages, every {config.run.checkpoint_every} steps",
            checkpoints.not_finite,
            config.run.checkpoint_every,
        ),
    ):
        guard_s = best_seconds(function) / every
        print(f"| {what} | {1e3 * guard_s:.2f} | {guard_s / step_s:.2%} |")
    print(f"\nA step of {config.glam.batch_size} images: {1e3 * step_s:.0f} ms.")


if __name__ == "__main__":
    main()
