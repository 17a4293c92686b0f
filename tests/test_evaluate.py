import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from PIL import Image

from mirrorgan_tf import evaluate as command
from mirrorgan_tf.birdlets import classifier_training as real_birdlets
from mirrorgan_tf.birdlets.attribute_classifier import build_oracle, train_oracle
from mirrorgan_tf.birdlets.attributes import ATTRIBUTES
from mirrorgan_tf.birdlets.dataset import write_birdlets
from mirrorgan_tf.birdlets.truth import read_claims
from mirrorgan_tf.data.datasets.coco import read_coco
from mirrorgan_tf.data.datasets.cub import read_cub
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.evaluation.drawing import Drawer, open_saved_model_drawer
from mirrorgan_tf.evaluation.evaluation import Evaluation, Plan
from mirrorgan_tf.evaluation.measures import METRICS, Metric
from mirrorgan_tf.evaluation.open_extractors import judge_openers, real_reader, truth_of
from mirrorgan_tf.evaluation.report import to_markdown
from mirrorgan_tf.evaluation.sampling import sample_captions
from mirrorgan_tf.workdir import open_workdir
from tests.data import trees

ROOT = Path(__file__).parents[1]
IMAGES = 110


@pytest.fixture(scope="module")
def birdlets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate") / "birdlets"
    write_birdlets(folder, train_images=300, val_images=40, seed=3)
    return folder


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    """Plain images in COCO's layout: no attributes, nothing of birdlets."""
    folder = tmp_path_factory.mktemp("evaluate") / "coco"
    (folder / "annotations").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, count in (("train", 1), ("val", IMAGES)):
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
    """The command, in this process."""
    asked = flags.FlagValues()
    command.define_flags(asked)
    asked(["evaluate", *map(str, arguments)])
    command.evaluate(asked)


def real_pictures(folder):
    """A stand-in for a generator: "draws" the real picture of a caption, 32 px."""
    index = read_coco(folder, "val")
    paths = {
        caption: path
        for path, texts in zip(index.paths, index.captions, strict=True)
        for caption in texts
    }

    def draw(captions, seeds):
        assert len(set(seeds)) == len(captions)
        pictures = [
            Image.open(paths[caption]).resize((32, 32), Image.Resampling.BOX)
            for caption in captions
        ]
        return np.stack([np.asarray(picture) for picture in pictures])

    return draw


def test_pictures_that_obey_are_told_from_shuffled_ones(
    birdlets, tmp_path, monkeypatch
):
    index = read_coco(birdlets, "val")
    briefly = functools.partial(train_oracle, epochs=10)
    monkeypatch.setattr(real_birdlets, "train_oracle", briefly)

    def evaluate(folder, metrics=None):
        openers = judge_openers(
            None,
            data_dir=birdlets,
            side_px=32,
            oracle_folder=tmp_path / "oracle",
            inception_weights=str(tmp_path / "none"),
        )
        plan = Plan(
            folder=folder,
            drawer=Drawer(real_pictures(birdlets), 32, {"model": "real"}, "real"),
            index=index,
            read_real=real_reader(32),
            judges=openers,
            features="oracle",
            metrics=metrics,
            captions=100,
            varied=(2, 3),
            batch_size=16,
            seed=1,
            truth=truth_of(birdlets, index),
        )
        evaluation = Evaluation(plan)
        return *evaluation.run(), evaluation

    report, sheet, evaluation = evaluate(tmp_path / "first")
    evaluation.raise_if_missing()
    obedience = report["metrics"]["obedience"]
    judged = obedience["attributes"]["body_color"]
    assert judged["captions"] == 100
    assert judged["chance"] == 0.1 <= judged["majority"]
    # Real pictures are read about as well as the held-out ones are.
    assert judged["accuracy"] > judged["shuffled"] + 0.2
    assert judged["accuracy"] > obedience["oracle_accuracy"]["body_color"] - 0.25
    assert judged["interval"][0] <= judged["accuracy"] <= judged["interval"][1]
    assert sum(row["captions"] for row in obedience["values"]) == 100
    assert obedience["overall"]["accuracy"] > obedience["overall"]["shuffled"] + 0.1
    # The same picture for every seed, and real ones: as precise as can be.
    assert report["metrics"]["diversity"]["pixel_rmse"]["within"] == 0
    assert report["metrics"]["precision_recall"]["precision"] > 0.8
    assert sheet.ndim == 3 and sheet.dtype == np.uint8
    json.dumps(report, allow_nan=False)
    assert "## Obedience" in to_markdown(report | {"model": "", "data": ""})
    assert report["not_computed"].keys() == {
        "inception_score",
        "r_precision",
        "redescription",
    }

    # The classifier is kept: a second evaluation says the very same. A metric that
    # fails late fails no other.
    def fail(seen):
        raise ValueError("too few pictures")

    monkeypatch.setitem(METRICS, "diversity", Metric(fail, ()))
    again, _, evaluation = evaluate(tmp_path / "second", ["diversity", "obedience"])
    assert again["metrics"] == {"obedience": obedience}
    with pytest.raises(UserError, match="diversity: not computed: too few pictures"):
        evaluation.raise_if_missing()


def test_any_data_set_is_evaluated_and_gone_on_with(trained_workdir, coco, tmp_path):
    arguments = [
        f"--workdir={trained_workdir}",
        "--dataset=coco",
        f"--data_dir={coco}",
        f"--out={tmp_path / 'out'}",
        f"--inception_weights={tmp_path / 'none.h5'}",
        "--evaluate_captions=130",
        "--diversity_captions=2",
        "--diversity_seeds=3",
    ]
    run(*arguments)
    out = tmp_path / "out"
    report = json.loads((out / "report.json").read_text())
    metrics, missing = report["metrics"], report["not_computed"]
    assert metrics.keys() == {"r_precision", "redescription", "diversity"}
    assert "none.h5 can't be had (there is no such file)" in missing["fid"]
    assert "birdlets only" in missing["obedience"]
    assert report["captions"] == 130 and report["real_images"] == IMAGES
    # All captions are the same to a vocabulary without numbers: nothing is found.
    assert metrics["r_precision"]["generated"]["k=3"] == {"mean": 0, "std": 0}
    assert metrics["redescription"]["generated"]["perplexity"] > 1
    # The only training image is everyone's nearest, and right but for the number.
    nearest = metrics["redescription"]["neighbour"]
    assert nearest["own_caption"]["bleu_1"] == pytest.approx(4 / 5, abs=0.02)
    samples = report["samples"]
    assert len(samples["best"]) == 8
    assert samples["captions"].keys() == {
        str(row) for kind in ("random", "best", "worst") for row in samples[kind]
    }
    assert samples["captions"][str(samples["best"][0])].startswith("a red bird, number")
    assert (out / "contact_sheet.png").stat().st_size > 1000
    assert (
        "- inception_score, fid, kid, precision_recall: Inc"
        in (out / "report.md").read_text()
    )

    drawn = {path: path.read_bytes() for path in (out / "images").iterdir()}
    assert len(drawn) == 130
    # What is gone is made again, as it was.
    for path in list(drawn)[::40]:
        path.unlink()
    shutil.rmtree(out / "looks" / "real")
    run(*arguments)
    assert json.loads((out / "report.json").read_text()) == report
    assert {path: path.read_bytes() for path in (out / "images").iterdir()} == drawn

    with pytest.raises(UserError, match="--metrics=kid: not computed: .*none.h5"):
        run(*arguments, "--metrics=diversity,kid")


def test_a_damaged_real_image_is_told(coco, tmp_path):
    shutil.copytree(coco, tmp_path / "coco")
    (tmp_path / "coco" / "val2014" / "3.png").write_bytes(b"no picture")
    read = real_reader(32)(read_coco(tmp_path / "coco", "val"))
    with pytest.raises(UserError, match="3.png"):
        list(read(32, 0))


def test_cub_is_evaluated_as_it_is_unpacked(trained_workdir, tmp_path):
    birds = trees.make_cub_original(tmp_path / "CUB_200_2011", class_lists=True)
    arguments = [
        f"--workdir={trained_workdir}",
        "--dataset=cub",
        f"--data_dir={birds}",
        f"--out={tmp_path / 'out'}",
        "--evaluate_captions=20",
        "--metrics=redescription",
        "--diversity_captions=1",
        "--diversity_seeds=2",
        "--neighbour_images=0",
    ]
    run(*arguments)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["captions"] == 20
    assert "neighbour" not in report["metrics"]["redescription"]
    assert report["real_images"] == len(read_cub(birds)["val"])
    assert report["metrics"].keys() == {"redescription"}
    # Its few captions are too few for 99 of other species: found out late, and told.
    with pytest.raises(UserError, match="r_precision: not computed: .*other classes"):
        run(*arguments, "--metrics=r_precision")


def test_a_saved_model_needs_no_run(trained_workdir, exported, coco, tmp_path):
    run(
        f"--saved_model={exported}",
        "--dataset=coco",
        f"--data_dir={coco}",
        f"--out={tmp_path / 'out'}",
        f"--inception_weights={tmp_path / 'none.h5'}",
        "--evaluate_captions=9",
        "--diversity_captions=1",
        "--diversity_seeds=2",
    )
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["metrics"].keys() == {"diversity"}
    assert "give --workdir" in report["not_computed"]["r_precision"]
    assert report["samples"]["score"] is None
    # It draws what the run that it was made of draws.
    captions = sample_captions(read_coco(coco, "val"), 9, seed=1).captions
    seeds = [2**24 + place for place in range(9)]
    expected = open_workdir(trained_workdir).generate(captions, seed=seeds)
    for number, image in enumerate(expected):
        drawn = Image.open(tmp_path / "out" / "images" / f"{number:06d}.png")
        np.testing.assert_allclose(np.asarray(drawn).astype(int), image, atol=1)


def test_a_saved_model_of_other_signatures_is_refused(tmp_path):
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
            open_saved_model_drawer(tmp_path / name)


def test_oracle_is_trained_again_for_other_birdlets(birdlets, tmp_path, monkeypatch):
    trained = []

    def train(data, size, *, seed, progress):
        trained.append(len(data.images))
        return build_oracle(size)

    monkeypatch.setattr(real_birdlets, "train_oracle", train)
    other = tmp_path / "other"
    write_birdlets(other, train_images=20, val_images=2, seed=4)
    for data_dir, calls in ((birdlets, 1), (birdlets, 1), (other, 2), (other, 2)):
        real_birdlets.obtain_oracle(tmp_path / "oracle", data_dir, 16, seed=1)
        assert len(trained) == calls
    assert trained == [300, 20]


def test_claims_are_read_with_their_states(birdlets):
    claims = read_claims(birdlets, "val")
    assert len(claims) == 200
    for claim in claims:
        for name, value in claim.states.items():
            assert value in ATTRIBUTES[name]
    index = read_coco(birdlets, "val")
    texts = [caption for captions in index.captions for caption in captions]
    assert [claim.caption for claim in claims] == texts


def test_sets_without_attributes_are_refused(tmp_path):
    assert truth_of(tmp_path, None) is None
    with pytest.raises(UserError, match="captions_val2014.json"):
        read_claims(tmp_path, "val")
    (tmp_path / "annotations").mkdir()
    notes = [{"id": 1, "image_id": 1, "caption": "a bird"}]
    (tmp_path / "annotations" / "captions_val2014.json").write_text(
        json.dumps({"annotations": notes})
    )
    with pytest.raises(UserError, match="no `states`: not written by birdlets"):
        read_claims(tmp_path, "val")


def test_the_flag_names_every_metric():
    assert command._METRICS == tuple(METRICS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--workdir is missing"),
        (["--workdir=x", "--metrics=fid,fit"], "'fit' is no metric; choose from"),
        (["--saved_model=x", "--dataset=coco"], "--data_dir is missing; --saved_model"),
        (["--workdir=/nowhere"], "--workdir=/nowhere: no flags.cfg in it"),
    ],
)
def test_mistakes_are_told(arguments, message):
    with pytest.raises(UserError, match=message):
        run(*arguments)


def test_command_tells_mistakes_in_one_line():
    result = subprocess.run(
        [sys.executable, "-m", "mirrorgan_tf.evaluate"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert "error: --workdir is missing" in result.stderr
    assert "Traceback" not in result.stderr
