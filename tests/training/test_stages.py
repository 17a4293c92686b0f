import keras
import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf import networks
from mirrorgan_tf.models.rematerialization import Block
from mirrorgan_tf.training.backbone_stage import BackboneStage
from mirrorgan_tf.training.glam_stage import GlamStage
from mirrorgan_tf.training.loop import compile_step
from mirrorgan_tf.training.stem_stage import StemStage
from mirrorgan_tf.training.stream_stage import StreamStage
from tests.conftest import half_precision

WORDS = 11
SIZES = (16, 32)
MAX_WORDS = 6
SEED = tf.constant([0, 0])
ONE = tf.distribute.OneDeviceStrategy("/cpu:0")


def _batch(rows=8):
    random = np.random.default_rng(0)
    # With an empty caption.
    lengths = np.array([6, 1, 3, 0, 5, 2, 4, 6], np.int32)[:rows]
    ids = random.integers(1, WORDS, (rows, MAX_WORDS)).astype(np.int32)
    ids[np.arange(MAX_WORDS) >= lengths[:, None]] = 0
    # A second caption of each image; stage glam takes the first alone.
    ids, lengths = np.stack([ids, ids[::-1]], 1), np.stack([lengths, lengths[::-1]], 1)
    return {
        "images": tuple(
            random.uniform(-1, 1, (rows, size, size, 3)).astype(np.float32)
            for size in SIZES
        ),
        "caption_ids": ids,
        "caption_lengths": lengths,
        "text": {"ids": ids, "lengths": lengths},
        "class_ids": np.array([0, 1, 2, 3, 1, 5, 6, 7], np.int32)[:rows],
        "index": np.array([7, 0, 1, 6, 2, 5, 3, 4], np.int32)[:rows],
    }


def _backbone_stage(config):
    labels = {"color": ("red", "blue", "green"), "size": ("small", "large")}
    codes = {
        label: np.arange(8, dtype=np.int32) % len(values)
        for label, values in labels.items()
    }
    classifier = networks.build_label_classifier(config, labels)
    return BackboneStage(config, classifier, codes)


def _stem_stage(config):
    return StemStage(
        config,
        networks.build_text_encoder(config, WORDS),
        networks.build_image_encoder(config),
    )


def _stream_stage(config):
    return StreamStage(config, networks.build_stream(config, WORDS))


def _glam_stage(config):
    return GlamStage.from_config(config, WORDS)


STAGES = {
    "backbone": (_backbone_stage, {}),
    "stem": (_stem_stage, {}),
    "stream": (_stream_stage, {"stream_gradient_clip": 0.1}),
    "glam": (_glam_stage, {}),
}
# The most collectives in a step of one of two replicas. Batch norms are called 16 times
# (6 in the generator, 5 in the discriminators, twice), each with one collective for the
# moments of all batches and one for the gradient. The others are for gradients of
# weights, weighted means and sentences of other replicas.
MOST_COLLECTIVES = {"glam": 2 * 16 + 10}
RATE = 0.01


def _models(stage):
    """Every model of a stage by name, those in lists included."""
    models = {
        name: value
        for name, value in vars(stage).items()
        if isinstance(value, keras.Model)
    }
    for i, discriminator in enumerate(getattr(stage, "discriminators", [])):
        models[f"discriminator{i}"] = discriminator
    return models


def _weights(stage):
    return {name: model.get_weights() for name, model in _models(stage).items()}


def _use_sgd(stage, rate):
    """Adam would turn rounding on a zero gradient into a step of its full rate."""
    for name in ("optimizer", "generator_optimizer"):
        if hasattr(stage, name):
            setattr(stage, name, keras.optimizers.SGD(rate))
    stage.discriminator_optimizers = [
        keras.optimizers.SGD(rate) for _ in getattr(stage, "discriminators", [])
    ]


def _build(build, config, *, start=None, sgd=None):
    keras.utils.set_random_seed(0)
    stage = build(config)
    if sgd:
        _use_sgd(stage, sgd)
    if start:
        for name, model in _models(stage).items():
            model.set_weights(start[name])
    return stage


def _train(
    build, config, strategy, *, steps=1, start=None, sgd=None, most_collectives=None
):
    """Losses of each step, weights before and after."""
    with strategy.scope():
        stage = _build(build, config, start=start, sgd=sgd)
        step = tf.Variable(0, dtype=tf.int64)
    before = _weights(stage)
    train_step = compile_step(stage, strategy, step, jit=False)
    batch = _batch()
    batch["images"] = batch["images"][: len(config.sizes)]
    dataset = tf.data.Dataset.from_tensors(batch).repeat()
    batches = iter(strategy.experimental_distribute_dataset(dataset))
    losses = [
        {name: value.numpy() for name, value in train_step(batches).items()}
        for _ in range(steps)
    ]
    assert train_step.experimental_get_tracing_count() == 1
    if most_collectives is not None:
        graph = train_step.get_concrete_function(batches).graph
        kinds = [operation.type for operation in graph.get_operations()]
        collectives = sum(kind.startswith(("Collective", "Nccl")) for kind in kinds)
        assert 0 < collectives / strategy.num_replicas_in_sync <= most_collectives
    return losses, before, _weights(stage)


def _train_eagerly(build, config, start=None):
    """Losses of one step of plain SGD, weights before and after."""
    stage = _build(build, config, start=start, sgd=RATE)
    before = _weights(stage)
    losses = _eager_step(stage)
    stage.after_step(tf.constant(0, tf.int64))
    return losses, before, _weights(stage)


@pytest.mark.parametrize("name", STAGES)
def test_two_replicas_have_the_losses_and_updates_of_an_eager_step(
    name, tiny_config, two_replicas
):
    build, changes = STAGES[name]
    config = tiny_config.replace(**changes)
    # One step: rounding errors grow fast in the next ones.
    losses, start, weights = _train_eagerly(build, config)
    (losses_of_two,), _, weights_of_two = _train(
        build,
        config,
        two_replicas,
        start=start,
        sgd=RATE,
        most_collectives=MOST_COLLECTIVES.get(name),
    )
    assert losses.keys() == losses_of_two.keys()
    for key, loss in losses.items():
        np.testing.assert_allclose(loss, losses_of_two[key], rtol=1e-4, err_msg=key)
    for model in start:
        for a, b in zip(weights[model], weights_of_two[model], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5, err_msg=model)


@pytest.mark.parametrize("name", ["backbone", "stem", "stream", "glam"])
def test_losses_in_bfloat16_are_near_those_in_float32(name, tiny_config):
    build, changes = STAGES[name]
    # With two channels oneDNN's convolution of the head is wrong in bfloat16.
    config = tiny_config.replace(discriminator_width=8, **changes)
    exact, start, _ = _train_eagerly(build, config)
    with half_precision():
        losses, _, after = _train_eagerly(build, config, start)
    for key, loss in losses.items():
        assert loss.dtype == np.float32, key
        # The tiny STREAM's logits are almost equal, in bfloat16 as well.
        assert loss != exact[key] or key == "redescription", key
        np.testing.assert_allclose(loss, exact[key], rtol=0.05, err_msg=key)
    for weights in after.values():
        assert {array.dtype for array in weights} == {np.dtype("float32")}


@pytest.mark.parametrize("name", ["stream", "glam"])
def test_micro_batches_give_the_gradient_of_a_whole_batch(
    name, tiny_config, monkeypatch
):
    # Every row twice, side by side: both micro-batches are the batch of four.
    twice = tf.nest.map_structure(lambda rows: np.repeat(rows[:4], 2, axis=0), _batch())
    once = tf.nest.map_structure(lambda rows: rows[::2], twice)
    noise = GlamStage._noise
    results = []
    for batch, count in ((once, 1), (twice, 2)):
        monkeypatch.setattr(
            GlamStage,
            "_noise",
            lambda self, size, seed, count=count: tf.nest.map_structure(
                lambda rows: tf.repeat(rows, count, axis=0), noise(self, 4, seed)
            ),
        )
        keras.utils.set_random_seed(0)
        config = tiny_config.replace(accumulate_steps=count, scales=1)
        batch = batch | {"images": batch["images"][:1]}
        stage = STAGES[name][0](config)
        _use_sgd(stage, 0.5)
        before = [v.numpy() for v in _trainable(stage)]
        losses = _eager_step(stage, batch)
        after = [v.numpy() for v in _trainable(stage)]
        results.append((losses, before, after))
    for key, loss in results[0][0].items():
        np.testing.assert_allclose(results[1][0][key], loss, rtol=1e-5, err_msg=key)
    for a, b, start in zip(results[0][2], results[1][2], results[0][1], strict=True):
        np.testing.assert_allclose(a - start, b - start, rtol=1e-3, atol=1e-5)
    largest = max(
        np.abs(a - start).max()
        for a, start in zip(results[0][2], results[0][1], strict=True)
    )
    assert largest > 1e-2


def test_clipping_bounds_the_update_of_stream(tiny_config):
    stage = _stream_stage(tiny_config.replace(stream_gradient_clip=0.1))
    _use_sgd(stage, 1.0)
    before = [v.numpy() for v in _trainable(stage)]
    losses = _eager_step(stage)
    moved = [
        v.numpy() - start for v, start in zip(_trainable(stage), before, strict=True)
    ]
    assert losses["gradient_norm"] > 0.1  # Before clipping.
    length = np.sqrt(sum(np.sum(np.square(part)) for part in moved))
    assert length == pytest.approx(0.1, rel=1e-4)


def _eager_step(stage, batch=None):
    """One step without a trace, which takes longer for these sizes."""
    batch = batch or _batch()
    images = batch["images"][: len(stage.config.sizes)]
    batch = tf.nest.map_structure(tf.constant, batch | {"images": images})
    return {name: loss.numpy() for name, loss in stage.step(batch, SEED).items()}


def _trainable(stage):
    return [
        variable
        for name, model in _models(stage).items()
        if not name.startswith(("stem", "image_encoder", "glam_ema"))
        for variable in model.trainable_variables
    ]


@pytest.mark.parametrize("frozen", ["generator", "discriminator", None])
def test_glam_updates_only_generator_and_discriminators_with_their_own_rates(
    frozen, tiny_config
):
    rates = {f"{frozen}_learning_rate": 0.0} if frozen else {}
    keras.utils.set_random_seed(0)
    stage = _glam_stage(tiny_config.replace(scales=1, **rates))
    before = {
        name: [variable.numpy() for variable in model.trainable_variables]
        for name, model in _models(stage).items()
    }
    _eager_step(stage)
    stage.after_step(tf.constant(0, tf.int64))
    moved = {
        name
        for name, model in _models(stage).items()
        if any(
            not np.array_equal(a, b.numpy())
            for a, b in zip(before[name], model.trainable_variables, strict=True)
        )
    }
    expected = {
        "generator": {"discriminator0"},
        "discriminator": {"glam", "glam_ema"},
        None: {"glam", "glam_ema", "discriminator0"},
    }
    assert moved == expected[frozen]


def test_remat_is_set_on_the_trained_generator_alone(tiny_config):
    stage = _glam_stage(tiny_config.replace(remat=True))
    for network in (stage.glam, stage.glam_ema):
        blocks = [x for x in network._flatten_layers() if isinstance(x, Block)]
        assert blocks
        assert {block.remat for block in blocks} == {network is stage.glam}


@pytest.mark.parametrize(
    "weights",
    [
        {"redescription": 7.0, "kl": 3.0, "damsm": 2.0},
        {"redescription": 0.0, "kl": 0.0, "damsm": 5.0},
    ],
)
def test_generator_loss_is_the_sum_of_the_terms_whose_weights_are_not_zero(
    weights, tiny_config
):
    flags = {f"{name}_weight": weight for name, weight in weights.items()}
    losses = _eager_step(_glam_stage(tiny_config.replace(**flags)))
    used = {name: weight for name, weight in weights.items() if weight}
    expected = losses["adversarial_16"] + losses["adversarial_32"]
    expected += sum(weight * losses[name] for name, weight in used.items())
    np.testing.assert_allclose(losses["generator"], expected, rtol=1e-5)
    adversarial = {"adversarial_16", "adversarial_32"}
    discriminators = {"discriminator_16", "discriminator_32"}
    assert losses.keys() == {"generator", *used} | adversarial | discriminators


def test_backbone_takes_labels_by_row_of_the_index(tiny_config):
    stage = _backbone_stage(tiny_config)
    batch = _batch()
    logits = stage.classifier(batch["images"][-1], training=True)
    loss = _eager_step(stage)["cross_entropy"]
    expected = 0.0
    for label, count in (("color", 3), ("size", 2)):
        values = logits[label].numpy()
        label_logits = values[np.arange(8), batch["index"] % count]
        # A tenth of the probability is shared among all values.
        label_logits = 0.9 * label_logits + 0.1 * values.mean(axis=1)
        expected += np.mean(np.log(np.exp(values).sum(axis=1)) - label_logits)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("image_encoder_weights", "frozen"), [("none", False), ("backbone", True)]
)
def test_backbones_trained_on_labels_are_frozen(
    image_encoder_weights, frozen, tiny_config
):
    config = tiny_config.replace(
        image_encoder_weights=image_encoder_weights,
        stream_encoder_weights="stem",
    )
    for build in (_stem_stage, _stream_stage):
        stage = build(config)
        model = stage.image_encoder if build is _stem_stage else stage.stream
        backbone = model.backbone if build is _stem_stage else model.encoder.backbone
        before = model.get_weights()
        _eager_step(stage)
        unchanged = [
            np.array_equal(a, b)
            for a, b in zip(before, model.get_weights(), strict=True)
        ]
        assert sum(unchanged) == (len(backbone.weights) if frozen else 0)


@pytest.mark.parametrize(
    ("name", "loss"),
    [("backbone", "cross_entropy"), ("stem", "total"), ("stream", "cross_entropy")],
)
def test_loss_of_one_repeated_batch_falls_by_half(name, loss, tiny_config):
    build, _ = STAGES[name]
    config = tiny_config.replace(
        stem_dropout=0.0,
        stem_learning_rate=0.02,
        stream_learning_rate=0.02,
    )
    losses, _, _ = _train(build, config, ONE, steps=80)
    assert losses[-1][loss] < 0.5 * losses[0][loss]
