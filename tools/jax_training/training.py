"""Trains the stages and writes the weights of each as soon as it ends."""

import contextlib
import json
import os
import time

import numpy as np

from mirrorgan_tf.config import Config
from tools.jax_training.images import ImageDrawing, wait_for

__all__ = ["train_stages"]

_LOAD_PX, _CROP_PX = 76, 64
# Steps of one call of the compiled function.
_STEPS_A_CALL = 50


def train_stages(arguments) -> None:
    """Trains `arguments.stages` of a packed run."""
    drawing = ImageDrawing(arguments.processes)
    pack = dict(np.load(arguments.pack))
    config = _config(str(pack["config"]), arguments.set)
    train_images = drawing.start(config.data.seed, "train", arguments.images, _LOAD_PX)
    val_images = drawing.start(config.data.seed, "val", arguments.samples, _LOAD_PX)
    os.makedirs(arguments.out, exist_ok=True)

    import jax
    import keras

    keras.utils.set_random_seed(config.run.seed)
    run = _Run(config, pack, arguments)
    _log("networks", device=jax.devices()[0].device_kind)
    images = wait_for(train_images)
    _log("images", count=len(images))
    run.data = jax.device_put(
        {
            "images": images,
            "ids": pack["ids"][: len(images)],
            "lengths": pack["lengths"][: len(images)],
        }
    )
    for stage in arguments.stages.split(","):
        run.train(stage)
    run.make_samples(wait_for(val_images))


class _Run:
    """The networks of a run and the data on the device."""

    def __init__(self, config: Config, pack: dict, arguments):
        from benchmarks.jax_glam import build_compiled
        from mirrorgan_tf import networks

        self._config, self._pack, self._out = config, pack, arguments.out
        words = int(pack["vocabulary_size"])
        self.data = {}

        class Networks:
            """The networks in the form that `build_compiled` takes."""

            frozen: list = []

            def __init__(self):
                self.models = {
                    "stem": networks.build_text_encoder(config, words),
                    "image_encoder": networks.build_image_encoder(config),
                    "stream": networks.build_stream(config, words),
                }
                with _policy(config):
                    self.models |= {
                        "glam": networks.build_glam(config),
                        "glam_ema": networks.build_glam(config),
                    }
                    pixel = networks.build_discriminators(config)
                    features = networks.build_feature_discriminators(
                        config, self.models["image_encoder"].backbone.map_shapes
                    )
                for i, discriminator in enumerate(pixel + features):
                    self.models[f"discriminator_{i}"] = discriminator
                self.trained = [model.variables for model in self.models.values()]

            def values(self):
                import jax

                return jax.tree.map(lambda v: v.value, (self.trained, self.frozen))

        self._models = build_compiled(Networks).models
        backbone = [pack[f"backbone/{i}"] for i in range(_count(pack, "backbone/"))]
        self._models["image_encoder"].backbone.set_weights(backbone)
        self._models["stream"].encoder.backbone.set_weights(backbone)
        if arguments.init:
            self._load(arguments.init)

    def train(self, stage: str) -> None:
        """Trains one stage to its end and writes its weights."""
        import jax

        config = self._config
        trainer = self._trainer(stage)
        steps = config.stage(stage).steps
        calls = -(-steps // _STEPS_A_CALL)
        trained, frozen = jax.tree.map(jax.numpy.copy, trainer.values())
        run = jax.jit(self._many_steps(stage, trainer), donate_argnums=0)
        start = time.perf_counter()
        compiled = run.lower(trained, frozen, self.data, jax.random.key(0)).compile()
        _log("compiled", stage=stage, seconds=round(time.perf_counter() - start, 1))
        start = saved = time.perf_counter()
        for call in range(calls):
            key = jax.random.fold_in(jax.random.key(config.run.seed), call)
            trained, losses = compiled(trained, frozen, self.data, key)
            if call % max(1, calls // 40) == 0 or call == calls - 1:
                losses = {name: round(float(v), 3) for name, v in losses.items()}
                done = (call + 1) * _STEPS_A_CALL
                seconds = time.perf_counter() - start
                rate = done * config.stage(stage).batch_size / seconds
                _log(stage, step=done, images_per_s=round(rate), **losses)
            if time.perf_counter() - saved > 100:
                self._put_back(trainer, trained)
                self._save(stage)
                saved = time.perf_counter()
        self._put_back(trainer, trained)
        self._save(stage)

    def make_samples(self, real: np.ndarray) -> None:
        """Writes images of validation captions by the averaged generator, and real."""
        import jax
        from keras import ops

        from mirrorgan_tf.models.attention import padding_mask_from_lengths

        config, models, pack = self._config, self._models, self._pack

        @jax.jit
        def generate(ids, lengths, key):
            words, sentence, _ = models["stem"](ids, lengths)
            first, second = jax.random.split(key)
            outputs = models["glam_ema"](
                words=words,
                sentence=sentence,
                noise=jax.random.normal(first, (len(ids), config.generator.noise_dim)),
                condition_noise=jax.random.normal(
                    second, (len(ids), config.generator.condition_dim)
                ),
                padding_mask=padding_mask_from_lengths(lengths, ids.shape[1]),
            )
            image = ops.clip((outputs["images"][-1] + 1.0) * 127.5, 0, 255)
            return ops.cast(ops.round(image), "uint8")

        margin = (_LOAD_PX - _CROP_PX) // 2
        generated = [
            np.asarray(
                generate(
                    pack["val_ids"][first : first + 100, 0].astype("int32"),
                    pack["val_lengths"][first : first + 100, 0].astype("int32"),
                    jax.random.fold_in(jax.random.key(7), first),
                )
            )
            for first in range(0, len(real), 100)
        ]
        np.savez_compressed(
            f"{self._out}/samples.npz",
            generated=np.concatenate(generated),
            real=real[:, margin : margin + _CROP_PX, margin : margin + _CROP_PX],
        )

    def _trainer(self, stage):
        from benchmarks.jax_glam import JaxGlam
        from tools.jax_training.stages import JaxStem, JaxStream

        models = self._models
        if stage == "stem":
            parts = ("stem", "image_encoder")
            return JaxStem(self._config, **{name: models[name] for name in parts})
        if stage == "stream":
            return JaxStream(self._config, stream=models["stream"])
        discriminators = [
            model for name, model in models.items() if name.startswith("discriminator")
        ]
        scales = self._config.generator.scales
        parts = ("stem", "stream", "image_encoder", "glam", "glam_ema")
        return JaxGlam(
            self._config,
            discriminators=discriminators[:scales],
            feature_discriminators=discriminators[scales:],
            **{name: models[name] for name in parts},
        )

    def _many_steps(self, stage, trainer):
        import jax

        config = self._config
        size = config.stage(stage).batch_size

        def run(trained, frozen, data, key):
            def one(trained, key):
                batch = _random_batch(config, data, size, key)
                return trainer.step(trained, frozen, batch)

            keys = jax.random.split(key, _STEPS_A_CALL)
            trained, losses = jax.lax.scan(one, trained, keys)
            return trained, jax.tree.map(jax.numpy.mean, losses)

        return run

    def _put_back(self, trainer, values):
        import jax

        jax.tree.map(
            lambda variable, value: variable.assign(value), trainer.trained, values
        )

    def _parts(self, stage):
        """File name -> names of the models in it."""
        if stage == "stem":
            return {"stem": ["stem", "image_encoder"]}
        if stage == "stream":
            return {"stream": ["stream"]}
        names = [name for name in self._models if name.startswith("discriminator")]
        scales = self._config.generator.scales
        return {
            "glam": ["glam", "glam_ema"],
            "pixel_discriminators": names[:scales],
            "feature_discriminators": names[scales:],
        }

    def _save(self, stage):
        for file, names in self._parts(stage).items():
            dtype = np.float16 if file.endswith("discriminators") else np.float32
            arrays = {
                f"{name}/{i}": np.asarray(variable, dtype)
                for name in names
                for i, variable in enumerate(self._models[name].weights)
            }
            path = f"{self._out}/{file}.npz"
            np.savez(f"{path}.partial.npz", **arrays)
            os.replace(f"{path}.partial.npz", path)

    def _load(self, folder):
        for stage in ("stem", "stream", "glam"):
            for file, names in self._parts(stage).items():
                path = f"{folder}/{file}.npz"
                if not os.path.exists(path):
                    continue
                arrays = np.load(path)
                for name in names:
                    for i, variable in enumerate(self._models[name].weights):
                        variable.assign(arrays[f"{name}/{i}"])
                _log("loaded", file=path)


def _random_batch(config, data, size, key):
    """Random images, crops and captions, and noise."""
    import jax
    from keras import ops

    keys = jax.random.split(key, 6)
    rows = jax.random.randint(keys[0], (size,), 0, len(data["images"]))
    corners = jax.random.randint(keys[1], (size, 2), 0, _LOAD_PX - _CROP_PX + 1)
    images = jax.vmap(
        lambda image, corner: jax.lax.dynamic_slice(
            image, (corner[0], corner[1], 0), (_CROP_PX, _CROP_PX, 3)
        )
    )(data["images"][rows], corners)
    images = images.astype("float32") / 127.5 - 1.0
    ids = data["ids"][rows].astype("int32")
    lengths = data["lengths"][rows].astype("int32")
    caption = jax.random.randint(keys[2], (size,), 0, ids.shape[1])
    every = jax.numpy.arange(size)
    return {
        "images": [
            images
            if side == _CROP_PX
            else ops.average_pool(images, _CROP_PX // side, _CROP_PX // side)
            for side in config.sizes
        ],
        "all_ids": ids,
        "all_lengths": lengths,
        "caption": caption,
        "ids": ids[every, caption],
        "lengths": lengths[every, caption],
        "class_ids": rows,
        "shift_numbers": jax.random.uniform(keys[5], (size, 2, 2)),
        "noise": jax.random.normal(keys[3], (size, config.generator.noise_dim)),
        "condition_noise": jax.random.normal(
            keys[4], (size, config.generator.condition_dim)
        ),
    }


def _config(text, changes):
    settings = Config.from_flags(**json.loads(text)).to_flags()
    for change in changes:
        name, _, value = change.partition("=")
        kind = type(settings[name])
        settings[name] = value in ("True", "true", "1") if kind is bool else kind(value)
    return Config.from_flags(**settings)


@contextlib.contextmanager
def _policy(config):
    """Networks built in it have the precision of the settings."""
    import keras

    before = keras.config.dtype_policy()
    if config.run.mixed_precision == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _count(pack, prefix):
    return sum(name.startswith(prefix) for name in pack)


def _log(event, **values):
    print(f"{time.strftime('%H:%M:%S')} {event} {values}", flush=True)
