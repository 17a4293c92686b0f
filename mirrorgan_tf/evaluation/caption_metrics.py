"""Metrics that compare images with their captions, for reports of an evaluation."""

import numpy as np

from mirrorgan_tf.evaluation.bleu import bleu
from mirrorgan_tf.evaluation.cider import cider_d
from mirrorgan_tf.evaluation.metric import Metric, NotComputed, require
from mirrorgan_tf.evaluation.neighbours import nearest
from mirrorgan_tf.evaluation.r_precision import r_precision, sample_mismatches
from mirrorgan_tf.evaluation.report import markdown_table, mean_and_spread
from mirrorgan_tf.evaluation.rouge import rouge_l
from mirrorgan_tf.text.splitting import split_words

__all__ = ["CAPTION_METRICS", "SHUFFLED_SETS"]

# Title of each score's column in a report.
_SCORES = {
    "bleu_1": "BLEU-1",
    "bleu_2": "BLEU-2",
    "bleu_3": "BLEU-3",
    "bleu_4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "cider_d": "CIDEr-D",
}
# Images whose captions are compared, and the title of each row in a report.
SHUFFLED_SETS = {
    "generated": "generated images",
    "generated_shuffled": "generated images, shuffled captions",
    "real": "real images",
    "real_shuffled": "real images, shuffled captions",
}
_ROW_TITLES = SHUFFLED_SETS | {"neighbour": "(a caption of the nearest training image)"}


def _r_precision(inputs):
    sample, damsm = inputs.sample, inputs.extractors["damsm"]
    require(len(sample), 10, "captions")
    try:
        mismatches = sample_mismatches(
            inputs.index.class_ids[sample.rows], sample.captions, seed=inputs.seed
        )
    except ValueError as error:
        raise NotComputed(f"{error}; raise --evaluate_captions") from None
    sentences = damsm.embed(sample.captions)
    order = np.random.default_rng(inputs.seed).permutation(len(sample))
    real = inputs.features["real"]["damsm"]["code"][sample.rows]
    codes_by_set = {
        "generated": inputs.features["generated"]["damsm"]["code"],
        "real": real,
        "real_shuffled": real[order],
    }
    result = {}
    for name, codes in codes_by_set.items():
        shares = r_precision(codes, sentences, mismatches, seed=inputs.seed)
        result[name] = {
            f"k={k}": {"mean": mean, "std": std} for k, (mean, std) in shares.items()
        }
    return result


def _redescription(inputs):
    sample, stream = inputs.sample, inputs.extractors["stream"]
    own = [[words] for words in _split(sample.captions)]
    captions = inputs.index.captions
    # All captions are split in one call; a call for each image would be slow.
    words = iter(_split([text for texts in captions for text in texts]))
    by_image = [[next(words) for _ in texts] for texts in captions]
    all_of_image = [by_image[row] for row in sample.rows]

    def scores(candidates):
        return {
            "own_caption": _caption_scores(candidates, own, by_image),
            "all_captions": _caption_scores(candidates, all_of_image, by_image),
        }

    def rows_of(features, rows):
        return {name: array[rows] for name, array in features.items()}

    order = np.random.default_rng(inputs.seed).permutation(len(sample))
    generated = inputs.features["generated"]["stream"]
    real = rows_of(inputs.features["real"]["stream"], sample.rows)
    result = {}
    for name, features in (
        ("generated", generated),
        ("generated_shuffled", rows_of(generated, order)),
        ("real", real),
        ("real_shuffled", rows_of(real, order)),
    ):
        logs, counts = stream.likelihood(features["feature"], sample.captions)
        texts = stream.texts(features["redescription"])
        # Perplexity: exponential of the mean negative log-likelihood of a word. A
        # caption's end counts as a word, so there is at least one.
        perplexity = float(np.exp(-np.sum(logs, dtype=np.float64) / np.sum(counts)))
        result[name] = {
            "perplexity": perplexity,
            **scores([text.split() for text in texts]),
        }
    if inputs.training is not None:
        training = inputs.features["training"]["stream"]["feature"]
        rows = nearest(real["feature"], training)
        neighbours = [inputs.training.captions[row][0] for row in rows]
        result["neighbour"] = scores(_split(neighbours))
    return result


def _split(captions):
    """The words of each caption, as strings."""
    return [
        [word.decode() for word in words] for words in split_words(captions).to_list()
    ]


def _caption_scores(candidates, references, documents):
    scores = bleu(candidates, references)
    return {f"bleu_{n}": score for n, score in enumerate(scores, 1)} | {
        "rouge_l": rouge_l(candidates, references),
        "cider_d": cider_d(candidates, references, documents),
    }


def _r_precision_section(result):
    ranks = list(result["generated"])
    return [
        "## R-precision",
        "",
        "Share of images whose own caption is among the k nearest of 100 captions (99 "
        "of other classes), in DAMSM's common space, 10 folds. A generator that DAMSM "
        "trained can exceed real images.",
        "",
        *markdown_table(
            ["images", *(k.replace("=", " = ") for k in ranks)],
            [
                [
                    _ROW_TITLES[name],
                    *(mean_and_spread(row[k], 100, digits=1) + " %" for k in ranks),
                ]
                for name, row in result.items()
            ],
        ),
    ]


def _redescription_section(result):
    rows = []
    for name, row in result.items():
        perplexity = f"{row['perplexity']:.2f}" if "perplexity" in row else "-"
        for references in ("own_caption", "all_captions"):
            scores = [f"{row[references][score]:.3f}" for score in _SCORES]
            title = references.replace("_", " ")
            rows.append([_ROW_TITLES[name], title, perplexity, *scores])
    return [
        "## Redescription",
        "",
        "STREAM's captions of images, against the caption of the sample and against "
        "all captions of its image; CIDEr-D takes document frequencies from the real "
        "images' captions. Perplexity is of the sample's caption, given the image. The "
        "nearest training image is the one in STREAM's features.",
        "",
        *markdown_table(
            ["captions of", "against", "perplexity", *_SCORES.values()], rows
        ),
    ]


CAPTION_METRICS = {
    "r_precision": Metric(
        _r_precision, needs=("damsm",), to_markdown=_r_precision_section
    ),
    "redescription": Metric(
        _redescription, needs=("stream",), to_markdown=_redescription_section
    ),
}
