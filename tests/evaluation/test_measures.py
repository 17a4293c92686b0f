"""Metrics of a report, on judges that see what is put before them."""

import dataclasses

import numpy as np
import pytest

from mirrorgan_tf.birdlets.attributes import ATTRIBUTES
from mirrorgan_tf.birdlets.caption_attributes import Truth
from mirrorgan_tf.birdlets.truth import Claim
from mirrorgan_tf.data.records import CaptionedImages
from mirrorgan_tf.evaluation.contact_sheet import contact_sheet
from mirrorgan_tf.evaluation.measures import METRICS, NotComputed, Seen
from mirrorgan_tf.evaluation.rendering import ImageFolder
from mirrorgan_tf.evaluation.sampling import sample_captions

COUNT = 120


class Listener:
    """A STREAM that says caption `said`; likelier the nearer its feature to 1."""

    def __init__(self, captions):
        self._captions = captions

    def texts(self, said):
        return [self._captions[number] for number in said]

    def likelihood(self, features, captions):
        words = np.array([len(caption.split()) for caption in captions])
        return -words * (1 + np.abs(features[:, 0] - 1)), words


class Embedder:
    """A DAMSM with a direction of its own for each caption."""

    def __init__(self, captions):
        self._place = {caption: place for place, caption in enumerate(captions)}

    def embed(self, captions):
        return np.eye(len(self._place))[[self._place[c] for c in captions]]


@pytest.fixture
def seen(tmp_path):
    index = CaptionedImages(
        paths=("",) * COUNT,
        captions=tuple(
            (f"a bird w{i} x{i} y{i}", f"one more w{i} z{i}") for i in range(COUNT)
        ),
        class_ids=np.arange(COUNT),
        image_ids=np.arange(COUNT),
    )
    sample = sample_captions(index, COUNT, seed=0, eligible=range(0, 2 * COUNT, 2))
    assert sample.captions == tuple(texts[0] for texts in index.captions)
    rows = np.arange(COUNT)
    says = np.array([text for texts in index.captions for text in texts])
    stream = {"feature": np.ones((COUNT, 1)), "said": 2 * rows}
    codes = np.eye(COUNT)
    varied = ImageFolder(tmp_path, 4, batch_size=4)
    levels = np.array([0, 10, 100, 160], np.uint8)
    images = np.broadcast_to(levels[:, None, None, None], (4, 8, 8, 3))
    varied.render(lambda captions, seeds: images, [""] * 4, [0] * 4, "x")
    return Seen(
        sample=sample,
        index=index,
        judges={"stream": Listener(says), "damsm": Embedder(sample.captions)},
        generated={"stream": stream, "damsm": {"code": codes}},
        # STREAM says the other caption of real images; DAMSM sees the next image.
        real={
            "stream": {"feature": np.zeros((COUNT, 1)), "said": 2 * rows + 1},
            "damsm": {"code": np.roll(codes, 1, axis=0)},
        },
        varied=varied,
        varied_seen={},
        seeds=2,
        features="inception",
        truth=None,
        seed=0,
    )


def test_redescription_tells_real_generated_and_shuffled_apart(seen):
    result = METRICS["redescription"].compute(seen)
    assert result["generated"]["perplexity"] == pytest.approx(np.e)
    assert result["real"]["perplexity"] == pytest.approx(np.e**2)
    generated, real, shuffled = (
        result[name]["own_caption"] for name in ("generated", "real", "shuffled")
    )
    assert generated["bleu_4"] == pytest.approx(1)
    assert generated["rouge_l"] == pytest.approx(1)
    # Of "one more w z" only w is in "a bird w x y"; in all captions all words are.
    assert real["bleu_1"] == pytest.approx(np.exp(1 - 5 / 4) / 4)
    assert result["real"]["all_captions"]["bleu_4"] == pytest.approx(1)
    # Of other images' captions only "a bird" is right.
    assert shuffled["bleu_1"] == pytest.approx(2 / 5, abs=0.02)
    assert shuffled["cider_d"] < generated["cider_d"] / 20


def test_redescription_stands_beside_the_nearest_training_images_caption(seen):
    place = np.arange(COUNT)[:, None]
    real = {"feature": 1.0 * place, "said": 2 * np.arange(COUNT)}
    # The other way round, and a little beside them.
    backwards = slice(None, None, -1)
    training = dataclasses.replace(seen.index, captions=seen.index.captions[backwards])
    seen = dataclasses.replace(
        seen,
        real={"stream": real},
        neighbours=training,
        neighbours_seen={"stream": {"feature": place[backwards] + 0.3}},
    )
    result = METRICS["redescription"].compute(seen)
    assert result["neighbour"]["own_caption"]["bleu_4"] == pytest.approx(1)
    assert "perplexity" not in result["neighbour"]
    assert result["real"]["own_caption"]["bleu_4"] == pytest.approx(1)
    shuffled = result["real_shuffled"]
    assert shuffled["own_caption"]["bleu_1"] == pytest.approx(2 / 5, abs=0.02)
    assert shuffled["perplexity"] == pytest.approx(result["real"]["perplexity"], 1e-6)


def test_what_stream_says_is_held_against_the_truth(seen):
    says = ["a red bird", "a blue bird with a long tail"]
    # The second image is a red bird with a long tail; its caption told the tail only.
    codes = {name: np.zeros(COUNT, int) for name in ATTRIBUTES}
    codes["tail"][:] = ATTRIBUTES["tail"].index("long")
    claims = [Claim(i, "", {"tail": "long"}) for i in range(COUNT)]
    stream = {"feature": np.ones((COUNT, 1)), "said": np.ones(COUNT, int)}
    seen = dataclasses.replace(
        seen,
        judges={"stream": Listener(says)},
        generated={"stream": stream},
        real={"stream": stream},
        truth=Truth(claims, codes),
    )
    result = METRICS["redescription"].compute(seen)
    said = result["real"]["statements"]
    assert (said["a_caption"], said["mentioned"], said["right"]) == (2, 2 * COUNT, 0.5)
    assert said["attributes"]["tail"] == {"mentioned": COUNT, "right": 1}
    assert result["generated"]["statements"]["a_caption"] == 1
    assert result["generated"]["statements"]["right"] == 1


def test_r_precision_of_generated_and_of_real_images(seen):
    result = METRICS["r_precision"].compute(seen)
    assert result["generated"]["k=1"] == {"mean": 1, "std": 0}
    assert result["real"]["k=3"]["mean"] == 0


def test_diversity_within_and_between_captions(seen):
    distances = METRICS["diversity"].compute(seen)["pixel_rmse"]
    assert distances["within"] == pytest.approx((10 + 60) / 2)
    assert distances["between"] == pytest.approx(100)


def test_equal_features_are_at_no_distance(seen):
    rng = np.random.default_rng(0)
    features = {"features": rng.standard_normal((COUNT, 4))}
    features["probs"] = rng.dirichlet(np.ones(4), COUNT)
    seen = dataclasses.replace(
        seen, generated={"inception": features}, real={"inception": features}
    )
    fid = METRICS["fid"].compute(seen)
    assert fid["value"] == pytest.approx(0, abs=1e-6)
    assert "120 real and 120 generated images: too high" in fid["note"]
    assert METRICS["precision_recall"].compute(seen)["precision"] == 1
    score = METRICS["inception_score"].compute(seen)
    assert score["mean"] == score["real_mean"] > 1
    # Below 0, since each row stands in both sets, which no independent ones do.
    assert METRICS["kid"].compute(seen)["mean"] < 0


def test_without_a_top_layer_there_is_no_inception_score(seen):
    features = {"features": np.ones((COUNT, 4))}
    seen = dataclasses.replace(
        seen, generated={"inception": features}, real={"inception": features}
    )
    with pytest.raises(NotComputed, match="top layer"):
        METRICS["inception_score"].compute(seen)
    with pytest.raises(NotComputed, match="birdlets only"):
        METRICS["obedience"].compute(seen)


def test_too_few_images_have_no_number(seen):
    one = {"inception": {"features": np.ones((1, 4)), "probs": np.ones((1, 4))}}
    seen = dataclasses.replace(seen, generated=one, real=one)
    for name in ("fid", "kid", "precision_recall"):
        with pytest.raises(NotComputed, match="1 real images; it needs at least"):
            METRICS[name].compute(seen)


def test_the_contact_sheet_shows_best_and_worst_as_such(seen, tmp_path):
    images = ImageFolder(tmp_path / "images", COUNT, batch_size=COUNT)
    images.render(
        lambda captions, seeds: np.zeros((COUNT, 4, 4, 3), np.uint8),
        [""] * COUNT,
        [0] * COUNT,
        "x",
    )
    # The farther down, the less likely.
    features = 1.0 + np.arange(COUNT)[:, None]
    stream = seen.generated["stream"] | {"feature": features}
    seen = dataclasses.replace(seen, generated={"stream": stream})
    sheet, samples = contact_sheet(seen, images)
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3
    assert samples["best"] == list(range(8))
    assert samples["worst"] == list(range(COUNT - 1, COUNT - 9, -1))
    assert len(set(samples["random"])) == 16
    assert "STREAM" in samples["score"]
    assert contact_sheet(seen, images)[1] == samples
