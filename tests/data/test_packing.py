import json
import shutil
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from mirrorgan_tf import prepare
from mirrorgan_tf.config import Config
from mirrorgan_tf.data.bad_examples import BadExamples, data_errors
from mirrorgan_tf.data.packing import pack
from mirrorgan_tf.data.pipeline import make_dataset
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.data.shards import MANIFEST, is_packed, read_packed
from mirrorgan_tf.data.sources import guess_dataset, open_dataset
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.progress import Progress
from mirrorgan_tf.text.tokenizer import CaptionTokenizer
from mirrorgan_tf.text.vocabulary import Vocabulary

COUNTS = {"train": 23, "val": 7}
SIZE = 32  # Crops; images are packed with a shorter side of 38 px.


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    """Smooth pictures of several shapes with boxes; a few are smaller than 38 px."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    splits, first_id = {}, 0
    for split, count in COUNTS.items():
        paths, boxes = [], []
        for row in range(count):
            width, height = random.integers(36, 120, 2)
            small = random.integers(0, 256, (4, 5, 3), np.uint8)
            picture = PIL.Image.fromarray(small).resize((width, height))
            paths.append(str(folder / f"{split}{row}.jpg"))
            picture.save(paths[-1], quality=95)
            boxes.append((4, 6, width // 2, height // 2))
        splits[split] = CaptionedImages(
            tuple(paths),
            tuple((f"bird {row}", "ein schöner Vogel\n") for row in range(count)),
            np.arange(count) // 2,
            first_id + 10 * np.arange(count),
            np.array(boxes),
        )
        first_id += 1000
    return splits


def packed(splits, out, **changes):
    arguments = {"dataset": "cub", "size": SIZE, "images_per_shard": 5, **changes}
    return pack(splits, out, **arguments)


@pytest.fixture(scope="module")
def folder(splits, tmp_path_factory):
    """A packed data set; read only."""
    out = tmp_path_factory.mktemp("packed") / "set"
    assert packed(splits, out) == 7
    return out


def read(folder, shorter_px=38, dataset="cub"):
    return read_packed(folder, dataset=dataset, shorter_px=shorter_px)


def batches(index, count, **changes):
    tokenizer = CaptionTokenizer(Vocabulary(["bird"]), 3)
    arguments = {"sizes": (SIZE,), "batch_size": 4, "seed": 2, "training": True}
    dataset = make_dataset(index, tokenizer, max_words=3, **(arguments | changes))
    return list(dataset.take(count).as_numpy_iterator())


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_index_of_a_packed_set_equals_the_original(splits, folder):
    for split, index in read(folder).items():
        assert index.captions == splits[split].captions
        np.testing.assert_array_equal(index.class_ids, splits[split].class_ids)
        np.testing.assert_array_equal(index.image_ids, splits[split].image_ids)
        assert index.boxes is None


def test_batches_from_shards_are_close_to_batches_from_files(splits, folder):
    """The same examples in the same order; JPEG changes the pixels slightly."""
    from_shards = batches(read(folder)["train"], 12)
    for batch, other in zip(batches(splits["train"], 12), from_shards, strict=True):
        for name in batch.keys() - {"images"}:
            np.testing.assert_array_equal(batch[name], other[name])
        error = np.abs(batch["images"][0] - other["images"][0]) * 127.5
        assert error.mean() < 2
    resumed = batches(read(folder)["train"], 5, start_step=7)
    for batch, other in zip(from_shards[7:], resumed, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, batch, other)


def test_shards_are_readable_by_tfrecorddataset_and_the_documented_features(
    splits, folder
):
    features = {
        "image/encoded": tf.io.FixedLenFeature([], tf.string),
        "image/id": tf.io.FixedLenFeature([], tf.int64),
        "image/class": tf.io.FixedLenFeature([], tf.int64),
        "image/captions": tf.io.VarLenFeature(tf.string),
        "image/split": tf.io.FixedLenFeature([], tf.string),
    }
    shards = sorted(str(path) for path in folder.glob("train-*.tfrecord"))
    records = [
        tf.io.parse_single_example(record, features)
        for record in tf.data.TFRecordDataset(shards)
    ]
    index = splits["train"]
    assert [int(record["image/id"]) for record in records] == index.image_ids.tolist()
    assert [int(r["image/class"]) for r in records] == index.class_ids.tolist()
    for record, captions in zip(records, index.captions, strict=True):
        texts = [text.decode() for text in record["image/captions"].values.numpy()]
        assert tuple(texts) == captions
        assert record["image/split"] == b"train"
        assert min(tf.io.decode_jpeg(record["image/encoded"]).shape[:2]) == 38


def test_an_interrupted_packing_is_resumed(splits, folder, tmp_path):
    class Stop(Exception):
        pass

    class StoppingProgress(Progress):
        def update(self, done):
            if done >= 10:
                raise Stop

    with pytest.raises(Stop):
        packed(splits, tmp_path / "set", progress=StoppingProgress("packing", 30))
    assert is_packed(tmp_path / "set")
    with pytest.raises(UserError, match="packing was interrupted"):
        read(tmp_path / "set")
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "set").glob("*-of*")}
    assert len(kept) == 4
    # A process that is killed in the third shard leaves this file.
    (tmp_path / "set" / ".partial-train-00002-of-00005.tfrecord").write_bytes(b"half")
    done = []
    progress = Progress("packing", 30)
    progress.update = done.append
    assert packed(splits, tmp_path / "set", progress=progress) == 5
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())
    assert contents(tmp_path / "set") == contents(folder)
    assert progress.done == 10
    assert done == [15, 20, 23, 28, 30]


def test_damaged_shards_are_reported_and_packed_again(splits, folder, tmp_path):
    out = Path(shutil.copytree(folder, tmp_path / "set"))
    shard, other = sorted(out.glob("train-*.tfrecord"))[1:3]
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    index = read(out)["train"]
    with pytest.raises(UserError, match=f"{shard}, image .* damaged; pack"):
        with data_errors():
            batches(index, 6)
    bad_examples = BadExamples(index)
    with pytest.raises(UserError, match=f"{shard}, image"):
        bad_examples.check()
    other.write_bytes(other.read_bytes()[:-7])
    with pytest.raises(UserError, match=f"{other}: damaged, .* bytes instead of"):
        read(out)
    other.unlink()
    with pytest.raises(UserError, match=f"{other}: can't be read"):
        read(out)
    assert packed(splits, out) == 2
    assert contents(out) == contents(folder)
    assert packed(splits, out) == 0


def edited(folder, out, edit, name=MANIFEST):
    """A copy of a packed data set with a change to one of its JSON files."""
    out = Path(shutil.copytree(folder, out / "set"))
    content = json.loads((out / name).read_text())
    changed = edit(content)
    (out / name).write_text(json.dumps(content if changed is None else changed))
    return out


@pytest.mark.parametrize(
    "name", ["../{file}", "/{folder}/{file}", "sub/{file}", "..", ".", "", "a\\{file}"]
)
def test_a_manifest_that_names_files_outside_its_folder_is_refused(
    splits, folder, tmp_path, name
):
    def edit(manifest):
        shard = manifest["splits"]["train"][0]
        # The files exist; their names are refused.
        for place in (tmp_path, tmp_path / "set" / "sub"):
            place.mkdir(exist_ok=True)
            for path in folder.glob("train-00000*"):
                shutil.copy(path, place)
        shard["file"] = name.format(file=shard["file"], folder=folder)

    out = edited(folder, tmp_path, edit)
    with pytest.raises(UserError, match="names the shard .* a file in its folder"):
        read(out)


def test_a_shard_may_be_a_symbolic_link(folder, tmp_path):
    out = Path(shutil.copytree(folder, tmp_path / "set"))
    for path in list(out.glob("train-00001*")):
        path.rename(tmp_path / path.name)
        path.symlink_to(tmp_path / path.name)
    assert len(read(out)["train"]) == COUNTS["train"]


def test_packing_ignores_shards_outside_its_folder(splits, folder, tmp_path):
    def edit(records):
        records["shard"]["file"] = "../elsewhere"

    (name,) = (path.name for path in folder.glob("train-00000*.json"))
    out = edited(folder, tmp_path, edit, name)
    assert packed(splits, out) == 1
    assert contents(out) == contents(folder)


@pytest.mark.parametrize(
    "edit",
    [
        lambda manifest: [],
        lambda manifest: {"settings": []},
        lambda manifest: manifest | {"splits": []},
        lambda manifest: manifest | {"splits": {"train": [1], "val": [1]}},
        lambda manifest: manifest["splits"].pop("val"),
        lambda manifest: manifest["splits"].update(train=[]),
        lambda manifest: manifest | {"splits": {"train": [{"file": 1}]}},
        lambda manifest: manifest["splits"]["train"][0].update(images=10**12),
        lambda manifest: manifest["splits"]["train"][0].update(file="a\0b"),
        lambda manifest: manifest["settings"].update(shorter_px="many"),
    ],
)
def test_an_invalid_manifest_is_a_user_error(folder, tmp_path, edit):
    out = edited(folder, tmp_path, edit)
    with pytest.raises(UserError, match="set") as caught:
        read(out)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    ["[]", '{"settings": []}', '{"settings": {"dataset": [1]}}', "[" * 100_000],
)
def test_guessing_the_dataset_of_an_invalid_manifest_is_a_user_error(tmp_path, content):
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(UserError, match=MANIFEST):
        guess_dataset(tmp_path)


@pytest.mark.parametrize(
    "edit",
    [
        lambda records: records.update(offsets=[0]),
        lambda records: records.update(class_ids=[2**40] * 5),
        lambda records: records["captions"].__setitem__(0, [1]),
        lambda records: [],
    ],
)
def test_an_invalid_record_file_is_a_user_error(folder, tmp_path, edit):
    (name,) = (path.name for path in folder.glob("train-00000*.json"))
    out = edited(folder, tmp_path, edit, name)
    with pytest.raises(UserError, match="set") as caught:
        read(out)
    assert "\n" not in str(caught.value)


def test_a_folder_with_another_packed_set_is_refused(splits, folder, tmp_path):
    before = contents(folder)
    for changes in ({"quality": 80}, {"size": 16}, {"dataset": "coco"}):
        with pytest.raises(UserError, match="packed with other settings"):
            packed(splits, folder, **changes)
    fewer = {"train": splits["val"], "val": splits["val"]}
    with pytest.raises(UserError, match=r"other settings \(splits\)"):
        packed(fewer, folder)
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty and contains no packed data set"):
        packed(splits, tmp_path)
    assert contents(folder) == before


def test_a_packed_set_must_fit_the_training(folder):
    with pytest.raises(UserError, match="38 px, but 76 px are needed"):
        read(folder, shorter_px=76)
    with pytest.raises(UserError, match="--dataset=coco: .* packed from cub"):
        read(folder, dataset="coco")
    config = Config.from_flags(
        dataset="cub", data_dir=str(folder), base_size=32, scales=1
    )
    assert {
        split: len(index) for split, index in open_dataset(config).items()
    } == COUNTS


def test_packing_fails_at_bad_images_or_skips_them(splits, tmp_path):
    index = splits["train"]
    paths = (str(tmp_path / "nowhere.jpg"), *index.paths[1:], *index.paths * 5)
    bad = CaptionedImages(
        paths, index.captions * 6, np.zeros(138), np.arange(138), None
    )
    with_bad = splits | {"train": bad}
    with pytest.raises(UserError, match=r"nowhere\.jpg: can't be read"):
        packed(with_bad, tmp_path / "fail")
    assert packed(with_bad, tmp_path / "skip", on_bad_example="skip") == 30
    assert read(tmp_path / "skip")["train"].image_ids.tolist() == list(range(1, 138))


def test_the_command_packs_and_refuses_other_settings(run_command, tmp_path, caplog):
    out = tmp_path / "packed"
    birdlets = [
        "--dataset=birdlets",
        f"--data_dir={tmp_path}/birdlets",
        "--birdlets_train_images=6",
        "--birdlets_val_images=4",
        "--base_size=16",
        f"--out={out}",
    ]
    status, _, err = run_command(prepare, *birdlets, "--images_per_shard=4")
    assert status == 0, err
    assert "packing 10/10 images | ETA 0:00 | " in caplog.text
    # A note of the data set's reader.
    assert "COCO 2014" in caplog.text
    manifest = json.loads((out / MANIFEST).read_text())
    assert [shard["images"] for shard in manifest["splits"]["train"]] == [4, 2]
    status, _, err = run_command(prepare, *birdlets, "--images_per_shard=6")
    assert status == 1
    assert "other settings (images_per_shard)" in err[-1]
    assert "Traceback" not in "".join(err)


def test_a_second_packing_of_a_folder_is_refused_while_the_first_runs(splits, tmp_path):
    errors = []

    class SecondPacking(Progress):
        def update(self, done):
            if not errors:
                with pytest.raises(UserError, match="another packing is running") as e:
                    packed(splits, tmp_path)
                errors.append(str(e.value))

    assert packed(splits, tmp_path, progress=SecondPacking("packing", 30)) == 7
    assert errors[0].startswith(f"--out={tmp_path}: ")
    assert packed(splits, tmp_path) == 0
