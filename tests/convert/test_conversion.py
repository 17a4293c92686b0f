"""Converts files like the original's to a workdir, with tiny networks."""

import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl import flags

from mirrorgan_tf.config import Config
from mirrorgan_tf.config.config_flags import read_config
from mirrorgan_tf.convert import __main__ as convert_command
from mirrorgan_tf.convert.__main__ import (
    define_flags,
    pick_file,
    read_settings,
)
from mirrorgan_tf.convert.conversion import convert
from mirrorgan_tf.convert.parts import Checkpoints
from mirrorgan_tf.data.transforms import to_uint8
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.evaluation.feature_extractors import model_extractors
from mirrorgan_tf.generate import draw_sheet
from mirrorgan_tf.models.redescription import greedy
from mirrorgan_tf.networks import (
    build_discriminators,
    build_glam,
    build_image_encoder,
    build_stream,
    build_text_encoder,
)
from mirrorgan_tf.presets.files import open_preset, save_preset
from mirrorgan_tf.text.tokenizer import CaptionTokenizer
from mirrorgan_tf.text.vocabulary import Vocabulary
from mirrorgan_tf.text_to_image import TextToImage, seeded_noise
from mirrorgan_tf.training.checkpoints import saved_step
from mirrorgan_tf.training.distribution import make_strategy
from mirrorgan_tf.training_run import Training
from mirrorgan_tf.workdir import open_workdir
from tests.conftest import ROOT
from tests.convert.states import pytorch_state

pytestmark = pytest.mark.usefixtures("untraced")

WORDS = ["red", "a", "bird", "with", "black", "wings", "blue"]
CAPTIONS = ["a red bird with black wings", "blue"]


@pytest.fixture(scope="module")
def original_config(tiny_config):
    """The sizes of the networks in the files."""
    return tiny_config.replace(
        dataset="birdlets",
        image_encoder="inception_v3_torchvision",
        stream_encoder="resnet152_torchvision",
    )


@pytest.fixture(scope="module")
def networks(original_config, tiny_backbones):
    """The original's networks with random weights and batch norms."""
    keras.utils.set_random_seed(3)
    size = len(WORDS) + 1
    stream = build_stream(original_config, size)
    networks = {
        "text_encoder": build_text_encoder(original_config, size),
        "image_encoder": build_image_encoder(original_config),
        "generator": build_glam(original_config),
        "caption_cnn": stream.encoder,
        "caption_rnn": stream.decoder,
    }
    for i, network in enumerate(build_discriminators(original_config)):
        networks[f"netD{i}"] = network
    random = np.random.default_rng(0)
    for network in networks.values():
        network.set_weights(
            [w + random.uniform(0, 0.1, w.shape) for w in network.get_weights()]
        )
    return networks


@pytest.fixture(scope="module")
def states(networks):
    return {name: pytorch_state(network) for name, network in networks.items()}


@pytest.fixture(scope="module")
def files(states, tmp_path_factory):
    """Paths by network; the generator's file is from DataParallel."""
    folder = tmp_path_factory.mktemp("official")
    paths = {}
    for name, state in states.items():
        if name == "generator":
            state = {f"module.{key}": array for key, array in state.items()}
        paths[name] = folder / f"{name}.npz"
        np.savez(paths[name], **state)
    ids = {"<end>": 0} | {word: i for i, word in enumerate(WORDS, start=1)}
    content = [[[1]], [[2]], {i: word for word, i in ids.items()}, ids]
    paths["captions_pickle"] = folder / "captions.pickle"
    paths["captions_pickle"].write_bytes(pickle.dumps(content, protocol=2))
    return paths


def checkpoints(files, *names, **changes):
    paths = {name: str(files[name]) for name in ("text_encoder", "image_encoder")}
    paths |= {name: str(files[name]) for name in names if name != "netD"}
    if "netD" in names:
        # The order of the files does not matter.
        paths["discriminators"] = (str(files["netD1"]), str(files["netD0"]))
    return Checkpoints(**(paths | changes))


def user_config(files, **changes):
    """A user's settings, without sizes."""
    settings = {
        "dataset": "birdlets",
        "captions_pickle": str(files["captions_pickle"]),
        "max_words": 6,
        "stem_steps": 11,
        "stream_steps": 12,
        "glam_steps": 13,
    }
    return Config.from_flags(**settings | changes)


FILES = ("text_encoder", "image_encoder", "captions_pickle")
ALL = ("generator", "netD", "caption_cnn", "caption_rnn")


@pytest.fixture(scope="module")
def converted(files, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "official"
    convert(checkpoints(files, *ALL), user_config(files), workdir)
    return workdir


def test_the_workdir_generates_the_same_images_as_the_networks(converted, networks):
    run = open_workdir(converted)
    assert run.step == 13
    outputs = run.describe(CAPTIONS, seed=5)
    tokenizer = CaptionTokenizer(Vocabulary(WORDS), max_words=6)
    original = TextToImage(tokenizer, networks["text_encoder"], networks["generator"])
    noise = seeded_noise(tf.constant([5, 5], tf.int64), original.noise_dim)
    expected = original(tf.constant(CAPTIONS), noise)
    for ours, images in zip(outputs["images"], expected["images"], strict=True):
        images = to_uint8(images).numpy()
        assert images.std() > 5
        assert np.abs(ours.astype(int) - images.astype(int)).max() <= 1
    features = networks["caption_cnn"](expected["images"][-1])
    ids = greedy(networks["caption_rnn"], features, 6)
    assert outputs["redescription"] == [
        text.decode() for text in tokenizer.detokenize(ids).numpy()
    ]


def test_converted_networks_make_a_preset(converted, tmp_path):
    model = open_workdir(converted)
    save_preset(model, tmp_path)
    preset = open_preset(tmp_path)
    np.testing.assert_array_equal(
        preset.generate(CAPTIONS, seed=5), model.generate(CAPTIONS, seed=5)
    )


def test_settings_come_from_the_files_and_from_the_user(converted, original_config):
    config = read_config(converted / "flags.cfg")
    for name in (
        "base_size scales generator_width residual_blocks discriminator_width "
        "noise_dim condition_dim embedding_dim words_dim word_attention "
        "sentence_attention image_encoder image_encoder_weights stream_encoder "
        "stream_encoder_weights stream_embedding_dim stream_hidden_dim"
    ).split():
        assert config.to_flags()[name] == original_config.to_flags()[name], name
    assert (config.text.max_words, config.text.captions_pickle) == (6, "")
    assert Vocabulary.load(converted / "vocabulary.txt").words == tuple(WORDS)
    steps = [saved_step(converted / stage) for stage in ("stem", "stream", "glam")]
    assert steps == [11, 12, 13]


def test_backbones_are_frozen_and_saved_with_the_encoder(networks, tmp_path):
    encoder = networks["image_encoder"]
    assert len(encoder.trainable_variables) == 3
    before = encoder.backbone.get_weights()
    images = np.random.default_rng(1).uniform(-1, 1, (2, 16, 16, 3))
    regions, _ = encoder(images, training=True)
    for a, b in zip(before, encoder.backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    assert loaded.get_config() == encoder.get_config()
    np.testing.assert_array_equal(loaded(images)[0], regions)


def test_training_continues_in_a_converted_workdir(files, converted, tmp_path):
    workdir = tmp_path / "run"
    convert(checkpoints(files, *ALL), user_config(files), workdir, generator_step=12)
    config = read_config(workdir / "flags.cfg").replace(
        data_dir=str(tmp_path / "birdlets"),
        birdlets_train_images=4,
        birdlets_val_images=2,
        glam_batch_size=2,
        strategy="one_device",
    )
    Training(config, workdir, make_strategy(config)).run("glam")
    assert saved_step(workdir / "glam") == 13
    before, after = (
        open_workdir(path).glam.trainable_variables for path in (converted, workdir)
    )
    changes = [np.abs(a - b).max() for a, b in zip(before, after, strict=True)]
    # Adam's first step has the size of the learning rate; the average is smaller.
    assert 0 < max(changes) < config.glam.generator_learning_rate


def test_attngan_is_converted_without_stream_and_discriminators(
    files, original_config, networks, tmp_path
):
    glam = build_glam(original_config.replace(sentence_attention=False))
    np.savez(tmp_path / "netG.npz", **pytorch_state(glam))
    workdir = tmp_path / "run"
    generator = {"generator": str(tmp_path / "netG.npz")}
    convert(checkpoints(files, **generator), user_config(files), workdir)
    assert not read_config(workdir / "flags.cfg").generator.sentence_attention
    run = open_workdir(workdir)
    assert run.stream is None
    outputs = run.describe(CAPTIONS, seed=1)
    assert "redescription" not in outputs
    sheet = draw_sheet(outputs, CAPTIONS, scales=False, attention=False)
    assert sheet.std() > 0
    for a, b in zip(run.glam.get_weights(), glam.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    # Stage stream can still be trained.
    assert saved_step(workdir / "stream") == 0
    # Only metrics that need STREAM are refused.
    extractors = model_extractors(run)
    images = outputs["images"][-1]
    _, expected = networks["image_encoder"](images / 127.5 - 1)
    code = extractors["damsm"]()(images)["code"]
    np.testing.assert_allclose(code, expected, atol=1e-4)
    with pytest.raises(UserError, match="needs STREAM, and the run has none"):
        extractors["stream"]()


def assert_refused(
    files, workdir, message, *names, settings=None, explicit=(), **changes
):
    before = sorted(workdir.parent.iterdir())
    with pytest.raises(UserError, match=message) as failure:
        convert(
            checkpoints(files, *names, **changes),
            user_config(files, **(settings or {})),
            workdir,
            explicit_settings=frozenset(explicit),
        )
    assert "\n" not in str(failure.value) and len(str(failure.value)) < 1000
    # No partial folder remains.
    assert sorted(workdir.parent.iterdir()) == before


@pytest.mark.parametrize(
    "name, edit, message",
    [
        (
            "image_encoder",
            lambda state: {"emb_features.weight": state["emb_features.weight"]},
            r"missing: Conv2d_1a_3x3\.conv\.weight, .* and 7 more",
        ),
        (
            "generator",
            lambda state: state | {"h_net9.x": np.ones(2), "h_net9.y": np.ones(2)},
            "unknown: h_net9.x, h_net9.y$",
        ),
        (
            "caption_rnn",
            lambda state: state | {"linear.bias": np.ones(3)},
            r"wrong shape: linear.bias \(3,\), expected \(8,\)",
        ),
        (
            "text_encoder",
            lambda state: {"encoder.weight": state["encoder.weight"]},
            "no parameter rnn.weight_hh_l0",
        ),
        (
            "generator",
            lambda state: {"ca_net.fc.weight": np.ones(3)},
            r"ca_net.fc.weight has shape \(3,\), not 2 axes",
        ),
        (
            "generator",
            lambda state: {
                key.replace("img_net1", "img_net").replace("img_net2", "x"): array
                for key, array in state.items()
            },
            "G_DCGAN",
        ),
    ],
)
def test_parameters_that_do_not_fit_are_named(
    files, states, tmp_path, name, edit, message
):
    path = tmp_path / "edited.npz"
    np.savez(path, **edit(states[name]))
    names = ("caption_cnn", "caption_rnn") if name.startswith("caption") else ()
    message = f"--{name}={path}: .*{message}"
    assert_refused(files, tmp_path / "run", message, *names, **{name: str(path)})


def test_files_of_other_networks_are_named(files, tmp_path):
    workdir = tmp_path / "run"
    other = str(files["caption_rnn"])
    assert_refused(
        files, workdir, "parameters are of --caption_rnn", text_encoder=other
    )
    assert_refused(
        files,
        workdir,
        "of 16 px, but the .* 16, 32 px",
        *ALL[:1],
        discriminators=(str(files["netD0"]),),
    )
    assert_refused(files, workdir, "no such file", generator=str(tmp_path / "gone.npz"))


def test_files_that_contradict_each_other_or_a_flag_are_refused(
    files, states, tmp_path
):
    workdir, path = tmp_path / "run", tmp_path / "other.npz"
    state = states["text_encoder"]
    np.savez(path, **state | {"encoder.weight": np.ones((9, 8), np.float32)})
    assert_refused(
        files,
        workdir,
        "other.npz has vocabulary_size 9, but --captions_pickle has 8",
        text_encoder=str(path),
    )
    np.savez(
        path,
        **states["image_encoder"]
        | {"emb_features.weight": np.ones((6, 4, 1, 1), np.float32)},
    )
    assert_refused(
        files,
        workdir,
        "other.npz has words_dim 6, but --text_encoder=.* has 8",
        image_encoder=str(path),
    )
    message = "--generator_width=32: --generator=.* has 4; leave the flag out"
    assert_refused(files, workdir, message, "generator", explicit=["generator_width"])
    message = "--captions_pickle is missing"
    assert_refused(files, workdir, message, settings={"captions_pickle": ""})


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"text_encoder": ""}, "--text_encoder is missing"),
        ({"discriminators": ("a",)}, "their --generator"),
        ({"caption_cnn": "a"}, "go together"),
    ],
)
def test_incomplete_sets_of_files_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        Checkpoints(**{"text_encoder": "a", "image_encoder": "b"} | changes)


def test_a_workdir_that_exists_is_refused(files, converted, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for workdir in (converted, tmp_path, tmp_path / "notes.txt"):
        assert_refused(files, workdir, "exists and is not an empty folder")


def test_a_full_disk_is_a_user_error_and_leaves_no_workdir(
    files, tmp_path, monkeypatch
):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Vocabulary, "save", fail)
    assert_refused(files, tmp_path / "run", "can't be written .*No space left")


def parse(*arguments):
    values = flags.FlagValues()
    define_flags(values)
    values(["convert", *arguments])
    return values


def test_flags_override_the_recipe_of_the_data_set():
    values = parse("--dataset=coco", "--glam_steps=7", "--image_encoder=a.pth")
    config, explicit = read_settings(values)
    assert explicit == {"dataset", "glam_steps"}
    coco = read_config(ROOT / "flags" / "coco.cfg", ignored=["workdir"])
    assert config == coco.replace(glam_steps=7)
    assert pick_file(values.image_encoder) == "a.pth"
    with pytest.raises(UserError, match="--dataset is missing"):
        read_settings(parse())


def test_a_data_set_without_a_recipe_needs_settings():
    with pytest.raises(UserError, match=r"no recipe .*--max_words, --stem_steps"):
        read_settings(parse("--dataset=folder"))
    config, _ = read_settings(
        parse(f"--flagfile={ROOT / 'flags' / 'coco.cfg'}", "--dataset=folder")
    )
    assert (config.text.max_words, config.glam.steps) == (12, 709_560)
    assert config.data.dataset == "folder"


@pytest.mark.parametrize("flag_first", [True, False])
def test_image_encoder_is_a_backbone_in_flagfiles_and_a_file_as_a_flag(flag_first):
    flagfile = f"--flagfile={ROOT / 'flags' / 'cub.cfg'}"
    arguments = ["--image_encoder=image_encoder200.pth", flagfile]
    values = parse(*(arguments if flag_first else reversed(arguments)))
    assert pick_file(values.image_encoder) == "image_encoder200.pth"
    config, explicit = read_settings(values)
    assert config.generator.width == 32 and "generator_width" in explicit
    assert pick_file(parse(flagfile).image_encoder) == ""


def test_errors_of_the_command_are_one_line(files, tmp_path, run_command):
    status, _, err = run_command(
        convert_command,
        f"--flagfile={ROOT / 'flags' / 'cub.cfg'}",
        f"--workdir={tmp_path / 'run'}",
        *(f"--{name}={files[name]}" for name in FILES),
    )
    assert status == 1 and "Traceback" not in str(err)
    assert err[-1].startswith("error: --embedding_dim=300: --text_encoder=")
    assert not (tmp_path / "run").exists()
