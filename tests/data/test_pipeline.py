import dataclasses

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from mirrorgan_tf.data.captions import tokenize_captions
from mirrorgan_tf.data.images import decode_images
from mirrorgan_tf.data.pipeline import make_dataset
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.text.tokenizer import CaptionTokenizer
from mirrorgan_tf.text.vocabulary import Vocabulary

COUNT, BATCH, WORDS = 10, 4, 5
LONG = "red bird with black wings and a long beak"


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """Ten small pictures of several shapes, the red channel rising to the right."""
    folder = tmp_path_factory.mktemp("pictures")
    paths, captions = [], []
    for row in range(COUNT):
        height, width = 24 + 4 * (row % 3), 30 - 3 * (row % 2)
        pixels = np.random.default_rng(row).integers(0, 256, (height, width, 3))
        pixels[..., 0] = np.linspace(0, 255, width)
        paths.append(str(folder / f"{row}.png"))
        PIL.Image.fromarray(pixels.astype(np.uint8)).save(paths[-1])
        captions.append(("a bird", "", LONG, f"number {row} zebra")[: 3 + row % 2])
    return CaptionedImages(
        tuple(paths), tuple(captions), np.arange(COUNT) // 2, np.arange(COUNT)
    )


@pytest.fixture(scope="module")
def tokenizer(index):
    texts = [text.replace("zebra", "") for texts in index.captions for text in texts]
    return CaptionTokenizer(Vocabulary.from_captions(texts), WORDS)


@pytest.fixture(scope="module")
def decoded(index):
    return decode_images(index, 16)


@pytest.fixture(scope="module")
def make(index, tokenizer, decoded):
    """Makes a dataset of `index`, with other arguments if given."""

    def make(training=True, index=index, tokenizer=tokenizer, **changes):
        arguments = {"sizes": (8, 16), "batch_size": BATCH, "seed": 3}
        arguments |= {"max_words": WORDS, "cache": decoded, **changes}
        return make_dataset(index, tokenizer, training=training, **arguments)

    return make


def take(dataset, count):
    return list(dataset.take(count).as_numpy_iterator())


def assert_same(batches, others):
    assert len(batches) == len(others)
    for batch, other in zip(batches, others, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, batch, other)


@pytest.fixture(scope="module")
def run(make):
    """The first eight batches of training, which are more than three epochs."""
    return take(make(), 8)


def test_batches_have_the_documented_keys_shapes_and_types(make):
    def spec(dataset):
        return {
            name: (value.shape.as_list(), value.dtype)
            for name, value in dataset.element_spec.items()
            if name != "images"
        }, [
            (image.shape.as_list(), image.dtype)
            for image in dataset.element_spec["images"]
        ]

    for training, batch in ((True, BATCH), (False, None)):
        others, images = spec(make(training=training))
        assert others == {
            "captions": ([batch, 1], tf.string),
            "caption_ids": ([batch, 1, WORDS], tf.int32),
            "caption_lengths": ([batch, 1], tf.int32),
            "class_ids": ([batch], tf.int32),
            "index": ([batch], tf.int32),
        }
        assert images == [([batch, size, size, 3], tf.float32) for size in (8, 16)]


def test_each_epoch_visits_every_image_once(run):
    rows = np.concatenate([batch["index"] for batch in run])
    epochs = rows[: 3 * COUNT].reshape(3, COUNT)
    np.testing.assert_array_equal(np.sort(epochs), [range(COUNT)] * 3)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert tuple(epochs[0]) != tuple(range(COUNT))


# Batch 2 has images of two epochs, batch 5 begins an epoch.
@pytest.mark.parametrize("start_step", [2, 5])
def test_start_step_gives_the_batches_from_that_step_on(make, run, start_step):
    assert_same(take(make(start_step=start_step), 8 - start_step), run[start_step:])


def test_steps_before_a_large_start_step_are_not_made(make):
    batch = take(make(start_step=10**12), 1)[0]
    assert batch["index"].shape == (BATCH,)


def test_batches_do_not_depend_on_the_number_of_threads(make, run):
    options = tf.data.Options()
    options.threading.private_threadpool_size = 7
    assert_same(take(make().with_options(options), 8), run)


def test_examples_do_not_depend_on_the_batch_size(make, run):
    singles = take(make(batch_size=1), 8)
    for position, single in enumerate(singles):
        batch = run[position // BATCH]
        for name in ("caption_ids", "index", "captions"):
            np.testing.assert_array_equal(
                single[name][0], batch[name][position % BATCH]
            )
        np.testing.assert_array_equal(
            single["images"][1][0], batch["images"][1][position % BATCH]
        )


def test_seeds_give_different_batches(make, run):
    other = take(make(seed=4), 3)
    assert any(
        (a["index"] != b["index"]).any() for a, b in zip(run[:3], other, strict=True)
    )


def test_batches_from_files_equal_batches_from_memory(make, run):
    assert_same(take(make(cache=None), 8), run)


def test_small_images_are_means_of_the_large_ones(run):
    for batch in run:
        small, big = batch["images"]
        assert -1 <= big.min() < -0.5 < 0.5 < big.max() <= 1
        means = big.reshape(BATCH, 8, 2, 8, 2, 3).mean((2, 4))
        np.testing.assert_allclose(small, means, atol=1e-5)


def test_crops_and_flips_vary(make):
    batches = take(make(), 30)
    visits = [
        image
        for batch in batches
        for image, row in zip(batch["images"][1], batch["index"], strict=True)
        if row == 0
    ]
    assert len(visits) == 12
    assert len({visit.tobytes() for visit in visits}) >= 10
    rows = np.concatenate([batch["images"][1] for batch in batches])
    # Red rises to the right unless the image was mirrored.
    mirrored = (rows[:, :, 0, 0] > rows[:, :, -1, 0]).all(1)
    upright = (rows[:, :, 0, 0] < rows[:, :, -1, 0]).all(1)
    assert (mirrored ^ upright).all()
    assert 0.3 < mirrored.mean() < 0.7


def test_noflip_mirrors_no_image(make, run):
    batches = take(make(flip=False), 8)
    for batch, other in zip(batches, run, strict=True):
        pixels, mirrored = batch["images"][1], other["images"][1]
        assert (pixels[:, :, 0, 0] < pixels[:, :, -1, 0]).all()
        for image, maybe in zip(pixels, mirrored, strict=True):
            assert (image == maybe).all() or (image[:, ::-1] == maybe).all()


def test_every_caption_of_an_image_is_used(make, index):
    used = {
        (int(row), caption.decode())
        for batch in take(make(), 200)
        for row, (caption,) in zip(batch["index"], batch["captions"], strict=True)
    }
    assert used == {
        (row, caption) for row, texts in enumerate(index.captions) for caption in texts
    }


def test_further_captions_follow_the_first_and_change_nothing_else(
    make, run, index, tokenizer
):
    batches = take(make(captions_each=3), len(run))
    assert_same(
        [
            {
                name: values[:, :1] if name.startswith("caption") else values
                for name, values in batch.items()
            }
            for batch in batches
        ],
        run,
    )
    for batch in batches:
        names = ("index", "captions", "caption_ids", "caption_lengths")
        for row, texts, ids, lengths in zip(*(batch[n] for n in names), strict=True):
            captions = index.captions[row]
            place = captions.index(texts[0].decode())
            next_ones = [captions[(place + n) % len(captions)] for n in (0, 1, 2)]
            assert [caption.decode() for caption in texts] == next_ones
            expected_ids, expected_lengths = tokenizer(next_ones)
            np.testing.assert_array_equal(lengths, expected_lengths)
            short = np.array([caption != LONG for caption in next_ones])
            np.testing.assert_array_equal(ids[short], expected_ids.numpy()[short])


def test_words_of_long_captions_are_sampled_and_short_ones_kept(run, tokenizer):
    long_ids = tokenizer.tokenize([LONG]).to_list()[0]
    subsets = set()
    for batch in run:
        ids, lengths = (value.numpy() for value in tokenizer(batch["captions"][:, 0]))
        short = batch["captions"][:, 0] != LONG.encode()
        np.testing.assert_array_equal(batch["caption_ids"][short, 0], ids[short])
        np.testing.assert_array_equal(batch["caption_lengths"][:, 0], lengths)
        for row in batch["caption_ids"][~short, 0]:
            places = [long_ids.index(word) for word in row]
            assert places == sorted(set(places))
            subsets.add(tuple(places))
    assert len(subsets) > 2


def test_class_ids_belong_to_their_images(run, index):
    for batch in run:
        np.testing.assert_array_equal(
            batch["class_ids"], index.class_ids[batch["index"]]
        )


def test_evaluation_visits_every_image_once_in_order(make, tokenizer):
    batches = take(make(training=False, cache=None), 99)
    assert [len(batch["index"]) for batch in batches] == [4, 4, 2]
    rows = np.concatenate([batch["index"] for batch in batches])
    np.testing.assert_array_equal(rows, range(COUNT))
    assert all((batch["captions"] == b"a bird").all() for batch in batches)
    assert_same(take(make(training=False), 99), batches)
    assert_same(take(make(training=False, start_step=2), 99), batches[2:])
    assert take(make(training=False, start_step=3), 99) == []


def test_evaluation_crops_the_middle(make, decoded):
    batch = take(make(training=False, sizes=(16,)), 1)[0]
    loaded = decoded(0).numpy().astype(np.float32)
    top, left = (loaded.shape[0] - 16) // 2, (loaded.shape[1] - 16) // 2
    middle = loaded[top : top + 16, left : left + 16] / 127.5 - 1
    np.testing.assert_allclose(batch["images"][0][0], middle, atol=1e-6)


def test_evaluation_uses_the_first_words_of_the_first_caption(make, index, tokenizer):
    long_first = dataclasses.replace(index, captions=((LONG, "a bird"),) * COUNT)
    first_words = tokenizer([LONG])[0].numpy()[0]
    for batch in take(make(training=False, index=long_first), 99):
        assert (batch["caption_ids"] == first_words).all()


def test_a_batch_may_be_larger_than_the_index(make):
    batch = take(make(batch_size=25), 1)[0]
    counts = np.bincount(batch["index"], minlength=COUNT)
    assert (counts[counts > 0] >= 2).all()
    assert counts.sum() == 25


def test_workers_batches_are_parts_of_the_global_batches(make, run):
    parts = [
        take(make(input_context=tf.distribute.InputContext(4, i), start_step=2), 6)
        for i in range(4)
    ]
    for step, batch in enumerate(run[2:]):
        joined = tf.nest.map_structure(
            lambda *rows: np.concatenate(rows), *(part[step] for part in parts)
        )
        tf.nest.map_structure(np.testing.assert_array_equal, joined, batch)


def test_a_batch_that_workers_cannot_share_equally_is_refused(make):
    with pytest.raises(ValueError, match="batch_size=4; expected a multiple of the 3"):
        make(input_context=tf.distribute.InputContext(3, 0))


def test_captions_can_be_tokenized_before(make, run, index, tokenizer):
    captions = tokenize_captions(index, tokenizer)
    assert_same(take(make(tokenizer=captions), 2), run[:2])
    with pytest.raises(ValueError, match="captions of 10 images; expected 3"):
        make(tokenizer=captions, index=index.select(range(3)), cache=None)


def test_a_strategy_splits_global_batches(make, run):
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    batches = iter(strategy.experimental_distribute_dataset(make()))
    assert_same([tf.nest.map_structure(lambda t: t.numpy(), next(batches))], run[:1])


def test_a_cache_of_another_size_is_refused(make, index):
    with pytest.raises(ValueError, match="cache: 10 images of 10 px"):
        make(cache=decode_images(index, 8))
