import json
import types

import numpy as np
import pytest

from mirrorgan_tf.birdlets.attributes import ATTRIBUTES
from mirrorgan_tf.birdlets.metrics import birdlets_metrics, score_statements
from mirrorgan_tf.data.datasets.coco import read_coco
from mirrorgan_tf.evaluation.sampling import sample_captions


def test_score_statements_counts_only_known_attributes():
    texts = ["a red bird with a short tail", "a bird", "a blue duck"]
    truths = [
        {"body_color": "red", "tail": "long"},
        {"body_color": "red"},
        {"body_color": "blue"},
    ]
    assert score_statements(texts, truths) == {
        "per_caption": 1,
        "mentioned": 3,
        "right": pytest.approx(2 / 3),
        "attributes": {
            "body_color": {"mentioned": 2, "right": 1},
            "tail": {"mentioned": 1, "right": 0},
        },
    }
    assert score_statements(["a bird"], truths[:1])["right"] is None


def test_metrics_of_real_images_and_their_own_captions_are_perfect(birdlets):
    index = read_coco(birdlets)["val"]
    sample = sample_captions(index, 40, seed=0)
    truth = json.loads((birdlets / "annotations/attributes_val2014.json").read_text())
    values = {image["id"]: image for image in truth["images"]}
    ids = index.image_ids[sample.rows]
    read = {
        name: np.array([choices.index(values[i][name]) for i in ids])
        for name, choices in ATTRIBUTES.items()
    }
    # This STREAM describes each image by its first caption.
    stream = types.SimpleNamespace(
        texts=lambda rows: [index.captions[row][0] for row in rows]
    )
    classifier = types.SimpleNamespace(accuracy=dict.fromkeys(ATTRIBUTES, 0.9))
    inputs = types.SimpleNamespace(
        index=index,
        sample=sample,
        seed=0,
        extractors={"stream": stream, "attribute_classifier": classifier},
        features={
            "generated": {
                "attribute_classifier": read,
                "stream": {"redescription": sample.rows},
            },
            "real": {"stream": {"redescription": np.arange(len(index))}},
        },
    )
    metrics = birdlets_metrics(birdlets)
    result = metrics["obedience"].compute(inputs)
    assert result["overall"]["accuracy"] == 1 > result["overall"]["shuffled"]
    assert result["overall_trusted"] is None
    text = "\n".join(metrics["obedience"].to_markdown(result))
    assert "| body color | 90.0 % (doubtful) |" in text
    assert "| **all** |  |" in text and "learned the same labels" in text

    result = metrics["redescribed_attributes"].compute(inputs)
    assert result["real"]["right"] == result["generated"]["right"] == 1
    assert result["real_shuffled"]["right"] < 0.7
    assert result["real"]["per_caption"] > result["generated"]["per_caption"]
    text = "\n".join(metrics["redescribed_attributes"].to_markdown(result))
    assert "| real images |" in text and "100.0 % |" in text
