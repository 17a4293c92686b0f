"""Metrics of captions: does an image show what its caption says?"""

import numpy as np

from mirrorgan_tf.evaluation.bleu import bleu
from mirrorgan_tf.evaluation.cider import cider_d
from mirrorgan_tf.evaluation.metric import Metric, NotComputed, require
from mirrorgan_tf.evaluation.neighbours import nearest
from mirrorgan_tf.evaluation.perplexity import perplexity
from mirrorgan_tf.evaluation.r_precision import r_precision, sample_mismatches
from mirrorgan_tf.evaluation.rouge import rouge_l
from mirrorgan_tf.text.splitting import split_words

__all__ = ["CAPTION_METRICS"]

_SCORES = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider_d")
# Rows of the tables.
_ROWS = {
    "generated": "generated images",
    "generated_shuffled": "generated images, shuffled captions",
    "real": "real images",
    "real_shuffled": "real images, shuffled captions",
    "neighbour": "(a caption of the nearest training image)",
}


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
    generated = inputs.features["generated"]["damsm"]["code"]
    real = inputs.features["real"]["damsm"]["code"][sample.rows]
    codes = {"generated": generated, "real": real, "real_shuffled": real[order]}
    return {
        name: {
            f"k={k}": {"mean": mean, "std": std}
            for k, (mean, std) in r_precision(
                of, sentences, mismatches, seed=inputs.seed
            ).items()
        }
        for name, of in codes.items()
    }


def _redescription(inputs):
    sample, stream = inputs.sample, inputs.extractors["stream"]
    own = [[words] for words in _words(sample.captions)]
    words = iter(_words([text for texts in inputs.index.captions for text in texts]))
    by_image = [[next(words) for _ in texts] for texts in inputs.index.captions]
    all_of_image = [by_image[row] for row in sample.rows]

    def scores(texts):
        candidates = [text.split() for text in texts]
        return {
            "own_caption": _caption_scores(candidates, own, by_image),
            "all_captions": _caption_scores(candidates, all_of_image, by_image),
        }

    real = {
        name: array[sample.rows]
        for name, array in inputs.features["real"]["stream"].items()
    }
    generated = inputs.features["generated"]["stream"]
    order = np.random.default_rng(inputs.seed).permutation(len(sample))
    result = {}
    for name, arrays in (
        ("generated", generated),
        ("generated_shuffled", {key: of[order] for key, of in generated.items()}),
        ("real", real),
        ("real_shuffled", {key: of[order] for key, of in real.items()}),
    ):
        logs, counts = stream.likelihood(arrays["feature"], sample.captions)
        result[name] = {
            "perplexity": perplexity(logs, counts),
            **scores(stream.texts(arrays["redescription"])),
        }
    if inputs.training is not None:
        training = inputs.features["training"]["stream"]["feature"]
        rows = nearest(real["feature"], training)
        captions = _words([inputs.training.captions[row][0] for row in rows])
        result["neighbour"] = scores([" ".join(words) for words in captions])
    return result


def _words(captions):
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
        "| images | " + " | ".join(k.replace("=", " = ") for k in ranks) + " |",
        "| --- |" + " --- |" * len(ranks),
        *(
            f"| {_ROWS[name]} | "
            + " | ".join(
                f"{100 * row[k]['mean']:.1f} ± {100 * row[k]['std']:.1f} %"
                for k in ranks
            )
            + " |"
            for name, row in result.items()
        ),
        "",
    ]


def _redescription_section(result):
    lines = [
        "## Redescription",
        "",
        "STREAM's captions of images, against the caption of the sample and against "
        "all captions of its image; CIDEr-D takes document frequencies from the real "
        "images' captions. Perplexity is of the sample's caption, given the image. The "
        "nearest training image is the one in STREAM's features.",
        "",
        "| captions of | against | perplexity | BLEU-1 | BLEU-2 | BLEU-3 | BLEU-4 | "
        "ROUGE-L | CIDEr-D |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in result.items():
        perplexed = f"{row['perplexity']:.2f}" if "perplexity" in row else "-"
        for against in ("own_caption", "all_captions"):
            scores = " | ".join(f"{row[against][score]:.3f}" for score in _SCORES)
            lines.append(
                f"| {_ROWS[name]} | {against.replace('_', ' ')} | {perplexed} | "
                f"{scores} |"
            )
    return [*lines, ""]


CAPTION_METRICS = {
    "r_precision": Metric(
        _r_precision, needs=("damsm",), to_markdown=_r_precision_section
    ),
    "redescription": Metric(
        _redescription, needs=("stream",), to_markdown=_redescription_section
    ),
}
