import keras
import numpy as np
import pytest
import tensorflow as tf

from mirrorgan_tf import networks
from mirrorgan_tf.models.rematerialization import Block
from mirrorgan_tf.ops import adam
from mirrorgan_tf.training.backbone_stage import BackboneStage
from mirrorgan_tf.training.glam_stage import GlamStage
from mirrorgan_tf.training.loop import compile_step
from mirrorgan_tf.training.stem_stage import StemStage
from mirrorgan_tf.training.stream_stage import StreamStage
from tests.conftest import half_precision

WORDS = 11
SIZES = (16, 32)
MAX_WORDS = 6
ATTNGAN = {
    "sentence_attention": False,
    "redescription_weight": 0.0,
    "damsm_weight": 5.0,
}


def _batch(rows=8):
    random = np.random.default_rng(0)
    # An empty caption among the others.
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
    "stream": (_stream_stage, {}),
    "stream_clipped": (_stream_stage, {"stream_gradient_clip": 0.1}),
    "glam": (_glam_stage, {}),
    "attngan": (_glam_stage, ATTNGAN),
}
# One scale: second derivatives take long to trace.
PENALTIES = {
    "penalties": (
        _glam_stage,
        {"scales": 1, "r1_weight": 10.0},
    )
}
# Of a step on one of two replicas. Batch norms are called 16 times (6 in the generator,
# 5 in the discriminators, twice): one collective each for the moments of all batches of
# a call, one for the gradient. The rest is for gradients of weights, weighted means and
# sentences of other replicas.
MOST_COLLECTIVES = {"glam": 2 * 16 + 10}
OPTIMIZERS = ("optimizer", "generator_optimizer")


def _models(stage):
    """Every model of a stage by name, lists taken apart."""
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
    # Adam turns rounding on a zero gradient into a step of its full rate.
    for name in OPTIMIZERS:
        if hasattr(stage, name):
            setattr(stage, name, keras.optimizers.SGD(rate))
    stage.discriminator_optimizers = [
        keras.optimizers.SGD(rate) for _ in getattr(stage, "discriminators", [])
    ]


def _train(
    build, config, strategy, *, steps=3, start=None, sgd=None, most_collectives=None
):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        stage = build(config)
        if sgd:
            _use_sgd(stage, sgd)
        if start:
            for name, model in _models(stage).items():
                model.set_weights(start[name])
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


@pytest.mark.parametrize("name", STAGES | PENALTIES)
def test_one_and_two_replicas_agree(name, tiny_config, two_replicas):
    build, changes = (STAGES | PENALTIES)[name]
    config = tiny_config.replace(**changes)
    one = tf.distribute.OneDeviceStrategy("/cpu:0")
    # One step: what rounding leaves grows fast in the next ones.
    losses_one, start, weights_one = _train(build, config, one, steps=1, sgd=0.01)
    losses_two, _, weights_two = _train(
        build,
        config,
        two_replicas,
        steps=1,
        start=start,
        sgd=0.01,
        most_collectives=MOST_COLLECTIVES.get(name),
    )
    for a, b in zip(losses_one, losses_two, strict=True):
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_allclose(a[key], b[key], rtol=1e-4, err_msg=key)
    for model in start:
        for a, b in zip(weights_one[model], weights_two[model], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5, err_msg=model)


@pytest.mark.parametrize("name", STAGES)
def test_mixed_precision_stays_near(name, tiny_config):
    build, changes = STAGES[name]
    # Of two channels oneDNN's head is wrong, see BUILD.md.
    config = tiny_config.replace(discriminator_width=8, **changes)
    one = tf.distribute.OneDeviceStrategy("/cpu:0")
    exact, start, _ = _train(build, config, one, steps=1, sgd=0.01)
    with half_precision():
        mixed, _, after = _train(build, config, one, steps=1, start=start, sgd=0.01)
    for key, loss in mixed[0].items():
        assert loss.dtype == np.float32, key
        # The tiny STREAM's logits are almost flat: rounding need not reach its loss.
        assert loss != exact[0][key] or key == "redescription", key
        np.testing.assert_allclose(loss, exact[0][key], rtol=0.05, err_msg=key)
    for weights in after.values():
        assert {array.dtype for array in weights} == {np.dtype("float32")}


def test_a_mirrored_replica_trains_as_none_in_half_precision(tiny_config, monkeypatch):
    # The large weights' own update, for some of these.
    monkeypatch.setattr(adam, "MIN_SIZE_FOR_COMPILED_UPDATE", 2**12)
    config = tiny_config.replace(discriminator_width=8)
    with half_precision():
        (losses, start, weights), (mirrored_losses, _, mirrored_weights) = (
            _train(_glam_stage, config, strategy, steps=2)
            for strategy in (
                tf.distribute.get_strategy(),
                tf.distribute.MirroredStrategy(["cpu:0"]),
            )
        )
    for one, other in zip(losses, mirrored_losses, strict=True):
        for key, loss in one.items():
            np.testing.assert_allclose(other[key], loss, rtol=1e-3, err_msg=key)
    for model, arrays in weights.items():
        for one, other in zip(arrays, mirrored_weights[model], strict=True):
            np.testing.assert_allclose(other, one, atol=2e-5, err_msg=model)
    for model in ("glam", "discriminator0", "discriminator1"):
        assert np.abs(weights[model][0] - start[model][0]).max() > 1e-4


@pytest.mark.parametrize("name", ["stream", "glam"])
def test_micro_batches_give_the_gradient_of_a_batch(name, tiny_config, monkeypatch):
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
        config = tiny_config.replace(accumulate_steps=count)
        stage = STAGES[name][0](config)
        _use_sgd(stage, 0.5)
        before = [v.numpy() for v in _trainable(stage)]
        step = tf.Variable(0, dtype=tf.int64)
        one = tf.distribute.OneDeviceStrategy("/cpu:0")
        train_step = compile_step(stage, one, step, jit=False)
        losses = train_step(iter(tf.data.Dataset.from_tensors(batch)))
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


def test_a_clipped_gradient_moves_stream_by_the_bound(tiny_config):
    config = tiny_config.replace(stream_gradient_clip=0.1)
    stage = _stream_stage(config)
    _use_sgd(stage, 1.0)
    before = [v.numpy() for v in _trainable(stage)]
    step = tf.Variable(0, dtype=tf.int64)
    one = tf.distribute.OneDeviceStrategy("/cpu:0")
    losses = compile_step(stage, one, step, jit=False)(
        iter(tf.data.Dataset.from_tensors(_batch()))
    )
    moved = [
        v.numpy() - start for v, start in zip(_trainable(stage), before, strict=True)
    ]
    assert losses["gradient_norm"] > 0.1  # before the bound
    length = np.sqrt(sum(np.sum(np.square(part)) for part in moved))
    assert length == pytest.approx(0.1, rel=1e-4)


def _trainable(stage):
    return [
        variable
        for name, model in _models(stage).items()
        if not name.startswith(("stem", "image_encoder", "glam_ema"))
        for variable in model.trainable_variables
    ]


def _moved(before, after):
    return {
        name: any(
            not np.array_equal(a, b)
            for a, b in zip(before[name], after[name], strict=True)
        )
        for name in before
    }


def test_glam_moves_the_generator_its_average_and_the_discriminators_alone(tiny_config):
    one = tf.distribute.OneDeviceStrategy("/cpu:0")
    _, before, after = _train(_glam_stage, tiny_config, one, steps=2)
    assert _moved(before, after) == {
        "stem": False,
        "stream": False,
        "image_encoder": False,
        "glam": True,
        "glam_ema": True,
        "discriminator0": True,
        "discriminator1": True,
    }


@pytest.mark.parametrize("frozen", ["glam", "discriminator"])
def test_each_optimizer_keeps_to_its_network(frozen, tiny_config):
    one = tf.distribute.OneDeviceStrategy("/cpu:0")
    rate = {"glam": "generator", "discriminator": "discriminator"}[frozen]
    config = tiny_config.replace(**{f"{rate}_learning_rate": 0.0})
    keras.utils.set_random_seed(0)
    stage = _glam_stage(config)
    trainable = {
        name: [variable.numpy() for variable in model.trainable_variables]
        for name, model in _models(stage).items()
    }
    with one.scope():
        step = tf.Variable(0, dtype=tf.int64)
    train_step = compile_step(stage, one, step, jit=False)
    train_step(iter(tf.data.Dataset.from_tensors(_batch())))
    for name, model in _models(stage).items():
        moved = any(
            not np.array_equal(a, b.numpy())
            for a, b in zip(trainable[name], model.trainable_variables, strict=True)
        )
        learns = name.startswith(("glam", "discriminator"))
        still = name.startswith(frozen)
        assert moved == (learns and not still), name


def test_remat_is_for_the_generator_that_is_trained(tiny_config):
    stage = _glam_stage(tiny_config.replace(remat=True))
    for network in (stage.glam, stage.glam_ema):
        blocks = [x for x in network._flatten_layers() if isinstance(x, Block)]
        assert blocks
        assert {block.remat for block in blocks} == {network is stage.glam}


def test_losses_have_names_and_the_weights_of_the_flags(tiny_config):
    one = tf.distribute.OneDeviceStrategy("/cpu:0")
    config = tiny_config.replace(
        redescription_weight=7.0, kl_weight=3.0, damsm_weight=2.0
    )
    (losses,), _, _ = _train(_glam_stage, config, one, steps=1)
    expected = (
        losses["adversarial_16"]
        + losses["adversarial_32"]
        + 7 * losses["redescription"]
        + 3 * losses["kl"]
        + 2 * losses["damsm"]
    )
    np.testing.assert_allclose(losses["generator"], expected, rtol=1e-5)
    assert {"discriminator_16", "discriminator_32"} <= losses.keys()


def test_without_the_mirror_stream_is_not_asked(tiny_config):
    one = tf.distribute.OneDeviceStrategy("/cpu:0")
    config = tiny_config.replace(**ATTNGAN)
    (losses,), _, _ = _train(_glam_stage, config, one, steps=1)
    assert "redescription" not in losses
    assert "damsm" in losses


def test_a_backbone_reads_each_image_by_its_own_row(tiny_config):
    """Codes in the batch's order, not the index's, are learned just as well."""
    stage = _backbone_stage(tiny_config)
    batch, seed = _batch(), tf.constant([0, 0])
    logits = stage.classifier(batch["images"][-1], training=True)
    loss = stage.step(batch, seed)["cross_entropy"]
    expected = 0.0
    for label, count in (("color", 3), ("size", 2)):
        values = logits[label].numpy()
        wanted = values[np.arange(8), batch["index"] % count]
        # A tenth of the truth is shared out among all values.
        wanted = 0.9 * wanted + 0.1 * values.mean(axis=1)
        expected += np.mean(np.log(np.exp(values).sum(axis=1)) - wanted)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("image_encoder_weights", "frozen"), [("none", False), ("backbone", True)]
)
def test_what_knew_labels_before_is_frozen(image_encoder_weights, frozen, tiny_config):
    config = tiny_config.replace(
        image_encoder_weights=image_encoder_weights,
        stream_encoder_weights="stem",
    )
    one = tf.distribute.OneDeviceStrategy("/cpu:0")
    for build in (_stem_stage, _stream_stage):
        stage = build(config)
        model = getattr(stage, "image_encoder", None) or stage.stream.encoder
        weights = len(model.backbone.weights)
        _, before, after = _train(build, config, one, steps=1)
        name = "image_encoder" if "image_encoder" in before else "stream"
        same = [
            np.array_equal(a, b) for a, b in zip(before[name], after[name], strict=True)
        ]
        assert sum(same) == (weights if frozen else 0)


@pytest.mark.parametrize(
    ("name", "loss"),
    [("backbone", "cross_entropy"), ("stem", "total"), ("stream", "cross_entropy")],
)
def test_pretraining_learns_a_batch_by_heart(name, loss, tiny_config):
    build, _ = STAGES[name]
    config = tiny_config.replace(
        stem_dropout=0.0,
        stem_learning_rate=0.02,
        stream_learning_rate=0.02,
    )
    one = tf.distribute.OneDeviceStrategy("/cpu:0")
    losses, _, _ = _train(build, config, one, steps=80)
    assert losses[-1][loss] < 0.5 * losses[0][loss]
