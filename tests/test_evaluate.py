import json

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from PIL import Image

from mirrorgan_tf import evaluate as command
from mirrorgan_tf import workdir
from mirrorgan_tf.birdlets import attribute_classifier
from mirrorgan_tf.birdlets.dataset import write_birdlets
from mirrorgan_tf.data.datasets.coco import read_coco
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.evaluation import autoencoder, two_sample_test
from mirrorgan_tf.evaluation.image_source import open_saved_model_source
from mirrorgan_tf.evaluation.sampling import sample_captions


@pytest.fixture(autouse=True)
def short_trainings(monkeypatch):
    monkeypatch.setattr(two_sample_test, "_train", lambda *arguments: None)
    monkeypatch.setattr(autoencoder, "_MAX_EPOCHS", 1)
    monkeypatch.setattr(
        attribute_classifier,
        "train_classifier",
        lambda data, size, seed: attribute_classifier.build_classifier(size),
    )


def run(*arguments):
    """The command, in this process; returns its report."""
    values = flags.FlagValues()
    command.define_flags(values)
    values(["evaluate", *map(str, arguments)])
    command.evaluate(values)
    return json.loads((command.Path(values.out) / "report.json").read_text())


def test_birdlets_are_evaluated_with_their_own_metrics_under_old_names_too(
    trained_workdir, trained_model, monkeypatch, tmp_path
):
    monkeypatch.setattr(workdir, "open_workdir", lambda path: trained_model)
    birdlets = tmp_path / "birdlets"
    write_birdlets(birdlets, train_images=24, val_images=24, seed=3, workers=1)
    report = run(
        f"--workdir={trained_workdir}",
        "--dataset=birdlets",
        f"--data_dir={birdlets}",
        f"--out={tmp_path / 'out'}",
        f"--oracle={tmp_path / 'networks'}",
        f"--inception_weights={tmp_path / 'none.h5'}",
        "--features=inception,autoencoder,oracle",
        "--evaluate_captions=110",
        "--diversity_captions=2",
        "--diversity_seeds=2",
    )
    assert report["captions"] == 110 and report["real_images"] == 24
    missing = report["not_computed"]
    assert missing.keys() == {"inception_score", "features of inception"}
    assert (
        "none.h5 are not available (there is no such file)"
        in (missing["inception_score"])
    )
    metrics = report["metrics"]
    assert metrics["obedience"]["overall"]["statements"] > 300
    assert metrics["redescribed_attributes"]["real"]["per_caption"] >= 0
    assert metrics["kid"].keys() == {"autoencoder", "attribute_classifier"}
    assert metrics["redescription"]["generated"]["perplexity"] > 1
    assert metrics["r_precision"]["real"]["k=3"]["mean"] < 0.5
    assert len(report["samples"]["best"]) == 8
    for name in ("autoencoder", "attribute_classifier"):
        assert (tmp_path / "networks" / f"{name}.json").is_file()
    out = tmp_path / "out"
    assert len(list((out / "images").iterdir())) == 110
    assert (out / "contact_sheet.png").stat().st_size > 1000
    text = (out / "report.md").read_text()
    for title in (
        "Realism without labels",
        "R-precision",
        "Redescription",
        "Obedience",
    ):
        assert f"## {title}" in text


def test_export_is_evaluated_without_a_run_and_gives_the_runs_images(
    trained_model, exported, noise_in_coco_layout, tmp_path
):
    report = run(
        f"--saved_model={exported}",
        "--dataset=coco",
        f"--data_dir={noise_in_coco_layout}",
        f"--out={tmp_path / 'out'}",
        "--features=autoencoder",
        "--metrics=diversity",
        "--evaluate_captions=9",
        "--diversity_captions=2",
        "--diversity_seeds=2",
    )
    assert report["metrics"].keys() == {"diversity"}
    assert report["samples"]["score"] is None
    index = read_coco(noise_in_coco_layout)["val"]
    captions = sample_captions(index, 9, seed=1).captions
    seeds = [2**24 + position for position in range(9)]
    expected = trained_model.generate(captions, seed=seeds)
    for number, image in enumerate(expected):
        rendered = Image.open(tmp_path / "out" / "images" / f"{number:06d}.png")
        np.testing.assert_allclose(np.asarray(rendered).astype(int), image, atol=1)


def test_saved_model_with_another_signature_is_refused(tmp_path):
    module = tf.Module()
    module.answer = tf.function(
        lambda caption: {"image": tf.zeros([tf.size(caption), 8, 8, 3], tf.uint8)},
        input_signature=[tf.TensorSpec([None], tf.string, "caption")],
    )
    for name, message in (
        ("seeded", "must take caption and seed and return image"),
        ("other", "has no signature seeded"),
    ):
        signatures = {name: module.answer}
        tf.saved_model.save(module, tmp_path / name, signatures=signatures)
        with pytest.raises(UserError, match=message):
            open_saved_model_source(tmp_path / name)


def test_names_that_a_data_set_lacks_are_refused_with_a_choice():
    with pytest.raises(
        UserError, match="coco has no 'obedience'; choose from fid, kid"
    ):
        command._check_names("metrics", ["obedience"], {"kid", "fid"}, "coco")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--workdir is missing"),
        (["--workdir=x", "--preset=y"], "give one of them"),
        (["--preset=birdlets_64", "--out=x"], "--data_dir is missing; --preset needs"),
        (["--saved_model=x", "--dataset=coco"], "--data_dir is missing; --saved_model"),
        (["--workdir=/nowhere"], "--workdir=/nowhere: no flags.cfg in it"),
    ],
)
def test_wrong_flags_are_refused_in_one_line(arguments, message):
    with pytest.raises(UserError, match=message):
        run(*arguments)
