import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from PIL import Image

from mirrorgan_tf import evaluate as command
from mirrorgan_tf.birdlets import attribute_classifier
from mirrorgan_tf.birdlets.dataset import write_birdlets
from mirrorgan_tf.data.datasets.coco import read_coco
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.evaluation import autoencoder, two_sample_test
from mirrorgan_tf.evaluation.image_sets import real_images
from mirrorgan_tf.evaluation.image_source import open_saved_model_source
from mirrorgan_tf.evaluation.sampling import sample_captions
from mirrorgan_tf.workdir import open_workdir

IMAGES = 110


@pytest.fixture(autouse=True)
def short_trainings(monkeypatch):
    monkeypatch.setattr(two_sample_test, "_STEPS", 2)
    monkeypatch.setattr(autoencoder, "_MAX_EPOCHS", 1)
    monkeypatch.setattr(
        attribute_classifier,
        "train_classifier",
        lambda data, size, seed: attribute_classifier.build_classifier(size),
    )


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    """Noise in COCO's layout."""
    folder = tmp_path_factory.mktemp("evaluate") / "coco"
    (folder / "annotations").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, count in (("train", 30), ("val", IMAGES)):
        (folder / f"{split}2014").mkdir()
        for number in range(count):
            image = rng.integers(0, 256, (40, 44, 3), np.uint8)
            Image.fromarray(image).save(folder / f"{split}2014" / f"{number}.png")
        content = {
            "images": [{"id": i, "file_name": f"{i}.png"} for i in range(count)],
            "annotations": [
                {"id": i, "image_id": i // 2, "caption": f"a red bird, number {i}"}
                for i in range(2 * count)
            ],
        }
        path = folder / "annotations" / f"captions_{split}2014.json"
        path.write_text(json.dumps(content))
    return folder


def run(*arguments):
    """The command, in this process; returns its report."""
    values = flags.FlagValues()
    command.define_flags(values)
    values(["evaluate", *map(str, arguments)])
    command.evaluate(values)
    return json.loads((command.Path(values.out) / "report.json").read_text())


def test_evaluation_of_a_run_reports_reasons_and_resumes(
    trained_workdir, coco, tmp_path
):
    out = tmp_path / "out"
    arguments = [
        f"--workdir={trained_workdir}",
        "--dataset=coco",
        f"--data_dir={coco}",
        f"--out={out}",
        f"--networks_dir={tmp_path / 'networks'}",
        f"--inception_weights={tmp_path / 'none.h5'}",
        "--evaluate_captions=130",
        "--diversity_captions=2",
        "--diversity_seeds=3",
    ]
    report = run(*arguments)
    metrics, missing = report["metrics"], report["not_computed"]
    assert missing.keys() == {"inception_score", "features of inception"}
    assert (
        "none.h5 are not available (there is no such file)"
        in (missing["inception_score"])
    )
    assert report["captions"] == 130 and report["real_images"] == IMAGES
    # All validation images are compared, so the others are training images.
    assert (report["other_real_split"], report["other_real_images"]) == ("train", 30)
    fid = metrics["fid"]["autoencoder"]
    assert fid.keys() == {"generated", "other_real", "blurred_real"}
    assert fid["other_real"] < fid["generated"]
    # Without numbers in the vocabulary all captions are the same.
    assert metrics["r_precision"]["generated"]["k=3"] == {"mean": 0, "std": 0}
    assert metrics["redescription"]["generated"]["perplexity"] > 1
    nearest = metrics["redescription"]["neighbour"]
    assert nearest["own_caption"]["bleu_1"] == pytest.approx(4 / 5, abs=0.02)
    assert len(report["samples"]["best"]) == 8
    assert (out / "contact_sheet.png").stat().st_size > 1000
    text = (out / "report.md").read_text()
    assert "## Realism without labels" in text and "## R-precision" in text

    images = {path: path.read_bytes() for path in (out / "images").iterdir()}
    assert len(images) == 130
    # Images and features that are missing are computed again, with equal results.
    for path in list(images)[::40]:
        path.unlink()
    shutil.rmtree(out / "features" / "real")
    assert run(*arguments) == report
    assert {path: path.read_bytes() for path in (out / "images").iterdir()} == images

    with pytest.raises(UserError, match="--metrics=inception_score: not comp.*none.h5"):
        run(*arguments, "--metrics=diversity,inception_score")
    with pytest.raises(UserError, match="coco has no 'obedience'; choose from"):
        run(*arguments, "--metrics=obedience")
    with pytest.raises(UserError, match="coco has no 'attribute_classifier'; choose"):
        run(*arguments, "--features=attribute_classifier")


def test_birdlets_add_their_classifier_and_metrics_also_by_their_old_names(
    trained_workdir, tmp_path
):
    birdlets = tmp_path / "birdlets"
    write_birdlets(birdlets, train_images=12, val_images=12, seed=3, workers=1)
    report = run(
        f"--workdir={trained_workdir}",
        "--dataset=birdlets",
        f"--data_dir={birdlets}",
        f"--out={tmp_path / 'out'}",
        f"--oracle={tmp_path / 'classifier'}",
        "--features=oracle",
        "--metrics=obedience,redescribed_attributes,kid",
        "--evaluate_captions=50",
        "--diversity_captions=2",
        "--diversity_seeds=2",
        "--neighbour_images=0",
    )
    metrics = report["metrics"]
    assert metrics["obedience"]["overall"]["statements"] > 100
    assert metrics["redescribed_attributes"]["real"]["per_caption"] >= 0
    assert metrics["kid"].keys() == {"attribute_classifier"}
    assert (tmp_path / "classifier" / "attribute_classifier.json").is_file()
    assert "## Obedience" in (tmp_path / "out" / "report.md").read_text()


def test_damaged_real_image_is_named_in_the_error(coco, tmp_path):
    shutil.copytree(coco, tmp_path / "coco")
    (tmp_path / "coco" / "val2014" / "3.png").write_bytes(b"no picture")
    images = real_images("real", read_coco(tmp_path / "coco", "val"), 32)
    with pytest.raises(UserError, match="3.png"):
        list(images.batches(32, 0))


def test_export_is_evaluated_without_a_run_and_gives_the_runs_images(
    trained_workdir, exported, coco, tmp_path
):
    report = run(
        f"--saved_model={exported}",
        "--dataset=coco",
        f"--data_dir={coco}",
        f"--out={tmp_path / 'out'}",
        "--features=autoencoder",
        "--metrics=diversity",
        "--evaluate_captions=9",
        "--diversity_captions=2",
        "--diversity_seeds=2",
    )
    assert report["metrics"].keys() == {"diversity"}
    assert report["samples"]["score"] is None
    captions = sample_captions(read_coco(coco, "val"), 9, seed=1).captions
    seeds = [2**24 + position for position in range(9)]
    expected = open_workdir(trained_workdir).generate(captions, seed=seeds)
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
        ("seeded", "must take caption and seed and give image"),
        ("other", "has no signature seeded"),
    ):
        signatures = {name: module.answer}
        tf.saved_model.save(module, tmp_path / name, signatures=signatures)
        with pytest.raises(UserError, match=message):
            open_saved_model_source(tmp_path / name)


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
