import pickle

import numpy as np
import pytest

from mirrorgan_tf.data.datasets.cub import read_cub
from mirrorgan_tf.errors import UserError
from tests.data import trees

TEST_CLASSES = {name for name in trees.BIRD_CLASSES[:2]}


@pytest.fixture
def original(tmp_path):
    return trees.make_cub_original(tmp_path / "CUB_200_2011", class_lists=True)


@pytest.fixture
def birds(tmp_path):
    return trees.make_cub_preprocessed(tmp_path / "birds")


def classes_of(index):
    return {path.split("/")[-2] for path in index.paths}


def test_the_original_layout_is_read(original):
    splits = read_cub(original)
    assert classes_of(splits["val"]) == TEST_CLASSES
    assert classes_of(splits["train"]) == set(trees.BIRD_CLASSES) - TEST_CLASSES
    lines = (original / "images.txt").read_text().splitlines()
    names = dict(line.split() for line in lines)
    boxes = np.loadtxt(original / "bounding_boxes.txt")
    for index in splits.values():
        for row, image_id in enumerate(index.image_ids):
            name = names[str(image_id)]
            assert index.paths[row] == str(original / "images" / name)
            assert index.class_ids[row] == int(name.split(".")[0])
            np.testing.assert_array_equal(index.boxes[row], boxes[image_id - 1, 1:])
            expected = trees.bird_captions(name.removesuffix(".jpg"), 10)
            assert index.captions[row] == tuple(expected)
    assert sum(map(len, splits.values())) == len(names)
    assert list(splits["train"].image_ids) == sorted(splits["train"].image_ids)


@pytest.mark.parametrize("name", ["CUB_200_2011", "."])
def test_data_dir_may_be_the_folder_or_its_parent(original, name):
    splits = read_cub(original.parent / name)
    assert len(splits["val"]) == 6


def test_captions_and_class_lists_may_lie_beside_the_folder(original):
    for name in ("text_c10", "trainvalclasses.txt", "testclasses.txt"):
        (original / name).rename(original.parent / name)
    for data_dir in (original, original.parent):
        splits = read_cub(data_dir)
        assert classes_of(splits["val"]) == TEST_CLASSES
        assert str(original.parent / "text_c10") in splits["val"].notes[1]


def test_without_a_split_every_fourth_class_is_for_validation(tmp_path):
    classes = [f"{number:03d}.Bird" for number in range(1, 201)]
    trees.make_cub_original(
        tmp_path, images_per_class=1, classes=classes, captions="text"
    )
    splits = read_cub(tmp_path)
    assert set(splits["val"].class_ids) == set(range(4, 201, 4))
    assert set(splits["train"].class_ids).isdisjoint(splits["val"].class_ids)
    assert len(splits["train"]) == 150
    assert "every fourth class" in splits["train"].notes[0]


def test_the_first_ten_captions_are_used(tmp_path):
    trees.make_cub_original(tmp_path, captions_per_image=13, images_per_class=1)
    assert {len(texts) for texts in read_cub(tmp_path)["train"].captions} == {10}


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.parametrize("text", [True, False])
def test_attngans_archive_is_read(tmp_path, text, protocol):
    birds = trees.make_cub_preprocessed(
        tmp_path / "birds", text=text, protocol=protocol, images_per_class=2
    )
    for data_dir in (birds, birds / "CUB_200_2011", tmp_path):
        splits = read_cub(data_dir)
        assert classes_of(splits["val"]) == TEST_CLASSES
        assert [len(index) for index in splits.values()] == [12, 4]
        for index in splits.values():
            for path, captions in zip(index.paths, index.captions, strict=True):
                key = "/".join(path.split("/")[-2:]).removesuffix(".jpg")
                expected = trees.bird_captions(key, 10)
                # The pickle has only words, no punctuation.
                if not text:
                    expected = [caption.replace(",", "") for caption in expected]
                assert captions == tuple(expected)
        assert index.boxes.shape == (4, 4)


def test_python_2s_lists_of_byte_strings_are_read(birds):
    path = birds / "test" / "filenames.pickle"
    keys = pickle.loads(path.read_bytes())
    lines = "".join(f"S'{key}'\np{row + 1}\na" for row, key in enumerate(keys))
    path.write_bytes(f"(lp0\n{lines}.".encode())
    assert len(read_cub(birds)["val"]) == len(keys)


def edit(path, old, new):
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1), errors="surrogateescape")


FIRST = "001.Black_footed_Albatross/Black_footed_Albatross_0001_0"


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("images.txt", "2 001", "1 001", "line 2 repeats image 1"),
        ("images.txt", "2 001", "99 001", "image_class_labels.txt: image 2 is listed"),
        ("images.txt", "1 001", "x 001", "line 1 is 'x 001"),
        ("images.txt", "1 001.", "1 ../001.", "leads out"),
        ("images.txt", "0002_1.jpg", "0001_0.jpg", "2 times"),
        ("bounding_boxes.txt", "1 4.0", "1", "line 1 is '1 3.0"),
        ("bounding_boxes.txt", "1 4.0", "1 nan", "image 1 has the box"),
        ("bounding_boxes.txt", "24 4.0", "25 4.0", "image 24 is listed"),
        ("image_class_labels.txt", "1 1", "1 one", "line 1 is '1 one'"),
        ("image_class_labels.txt", "1 1", "1 9999999999", "line 1 is '1 99"),
        ("images.txt", "1 001", f"{10**30} 001", "line 1 is '1000"),
        ("trainvalclasses.txt", "008", "009", "'009.Rhinoceros_Auklet' is not in"),
        ("trainvalclasses.txt", "003.Sooty", "002.Laysan", "in both lists of"),
        ("testclasses.txt", "\n", " x ", "'x' is not in images.txt"),
        ("testclasses.txt", "\n", " \x00 ", "testclasses.txt: line 1: a NUL"),
        ("images.txt", "0002_1.jpg", "0001_0.png", "differ only in their suffix"),
        (
            "images.txt",
            "Albatross",
            "Albatross\udce9",
            "line 1: bytes that are not UTF",
        ),
    ],
)
def test_broken_tables_are_user_errors(original, file, old, new, words):
    edit(original / file, old, new)
    with pytest.raises(UserError) as error:
        read_cub(original)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("bounding_boxes.txt", "bounding_boxes.txt: can't be read"),
        ("image_class_labels.txt", "image_class_labels.txt: can't be read"),
        ("testclasses.txt", "testclasses.txt: can't be read"),
        ("trainvalclasses.txt", "trainvalclasses.txt: can't be read"),
        (f"images/{FIRST}.jpg", r"0001_0\.jpg: no such image.*1 missing"),
        (f"text_c10/{FIRST}.txt", r"0001_0\.txt: no such file.*1 missing"),
    ],
)
def test_missing_files_are_user_errors(original, file, words):
    (original / file).unlink()
    with pytest.raises(UserError, match=words):
        read_cub(original)


def test_missing_captions_are_a_user_error(original):
    (original / "text_c10").rename(original / "elsewhere")
    with pytest.raises(UserError, match=f"{original}: no captions; put"):
        read_cub(original)
    (original.parent / "text.zip").write_bytes(b"")
    with pytest.raises(UserError, match="text.zip: unpack it"):
        read_cub(original)


def test_a_wrong_folder_is_a_user_error(original):
    with pytest.raises(UserError, match="no CUB-200-2011"):
        read_cub(original / "images")


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("train/filenames", lambda keys: ["../x", *keys], "'../x' is not in images"),
        ("train/filenames", lambda keys: [*keys, keys[0]], "lists an image twice"),
        ("train/filenames", lambda keys: {}, "expected a list of file names"),
        ("train/filenames", lambda keys: [[]], "expected a list of file names"),
        ("train/filenames", lambda keys: [], "leaves no image for training"),
        ("train/filenames", lambda keys: [FIRST, *keys[1:]], "in both train and test"),
        ("train/filenames", lambda keys: range(18), "refused: it contains"),
        ("captions", lambda four: [four[0][1:], *four[1:]], "179 captions for the 18"),
        ("captions", lambda four: [[[9999]], *four[1:]], "a caption has unknown words"),
        ("captions", lambda four: [3, *four[1:]], "a caption has unknown words"),
    ],
)
def test_a_broken_archive_is_a_user_error(tmp_path, file, change, words):
    birds = trees.make_cub_preprocessed(tmp_path, text=False)
    path = birds / f"{file}.pickle"
    path.write_bytes(pickle.dumps(change(pickle.loads(path.read_bytes())), 2))
    with pytest.raises(UserError) as error:
        read_cub(birds)
    assert words in str(error.value)


def test_files_that_are_left_out_are_counted_and_the_first_is_named(original):
    edit(original / "trainvalclasses.txt", trees.BIRD_CLASSES[4], "")
    edit(original / "text_c10" / f"{FIRST}.txt", "\n", "\n\n...\n")
    first_class = original / "images" / trees.BIRD_CLASSES[0]
    trees.write_image(first_class / "other.webp")
    (original / "text_c10" / trees.BIRD_CLASSES[0] / "other.txt").write_text("a bird")
    remarks = {
        remark.kind: (remark.count, remark.first)
        for remark in read_cub(original)["val"].remarks
    }
    texts = original / "text_c10"
    neither = [
        line.split()[1]
        for line in (original / "images.txt").read_text().splitlines()
        if trees.BIRD_CLASSES[4] in line
    ]
    first_train = f"{trees.BIRD_CLASSES[2]}/Sooty_Albatross_0001_2000.txt"
    assert remarks == {
        # The last line of each file of `trees` has a lost character.
        "captions with characters that can't be read (not UTF-8?)": (
            21,
            f"{texts / first_train}: line 10",
        ),
        "images of the 1 classes in neither list, left out": (3, neither[0]),
        "captions after an image's 10, left out": (1, f"in {texts / FIRST}.txt"),
        "text files without an image of the split, left out": (
            4,
            str(texts / trees.BIRD_CLASSES[0] / "other.txt"),
        ),
        "images that images.txt does not list, left out": (
            1,
            f"{trees.BIRD_CLASSES[0]}/other.webp",
        ),
        "empty captions, left out": (1, f"of {original / 'images' / FIRST}.jpg"),
    }


def test_images_outside_an_archives_lists_are_counted(birds):
    path = birds / "train" / "filenames.pickle"
    path.write_bytes(pickle.dumps(pickle.loads(path.read_bytes())[1:], 2))
    (birds / "captions.pickle").unlink()
    kinds = {remark.kind: remark.count for remark in read_cub(birds)["train"].remarks}
    assert kinds["images in neither filenames.pickle, left out"] == 1


def test_a_split_without_images_is_a_user_error(original):
    (original / "testclasses.txt").write_text("")
    with pytest.raises(UserError, match="leaves no image for validation"):
        read_cub(original)


def test_an_incomplete_archive_is_a_user_error(birds):
    (birds / "test" / "filenames.pickle").unlink()
    with pytest.raises(UserError, match="test/filenames.pickle: can't be read"):
        read_cub(birds)
