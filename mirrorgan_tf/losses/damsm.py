"""DAMSM: how well the images and captions of a batch match.

Source: AttnGAN, section 3.2, and its code.
"""

from keras import ops

from mirrorgan_tf.models.blocks import MASKED_LOGIT, full_precision

__all__ = [
    "damsm_losses",
    "generator_losses",
    "matching_losses",
    "sentence_similarity",
    "word_similarity",
]

# Floor of a vector's squared length.
_MIN_SQUARED_LENGTH = 1e-16


def word_similarity(
    regions,
    words,
    padding_mask,
    *,
    gamma1: float = 4.0,
    gamma2: float = 5.0,
    gamma3: float = 10.0,
):
    """Similarity of every image with every caption, by regions and words.

    Each word gets a context: region features weighted by a softmax over the
    caption's words, sharpened by gamma 1, and another over the regions. The
    cosines of words and contexts are joined by a log-sum-exp over the words.

    Args:
        regions: (B_images, R, D).
        words: (B_texts, L, D).
        padding_mask: (B_texts, L) bool, True = padded: takes no part.
        gamma1: sharpness of the attention to regions.
        gamma2: sharpness of the join over words.
        gamma3: factor of the result.

    Returns:
        (B_images, B_texts); 0 for a caption without words.
    """
    regions, words = full_precision(regions), full_precision(words)
    padded = ops.cast(padding_mask, "bool")
    scores = ops.einsum("ird,tld->irtl", regions, words)
    by_word = ops.softmax(ops.where(padded, MASKED_LOGIT, scores), axis=-1)
    # A softmax over the regions without its division: no cosine depends on the length
    # of a context. Subtracting a half keeps the exponentials within float32.
    attention = ops.exp(gamma1 * (by_word - 0.5))
    # The contexts themselves are not computed. Their inner products with words and with
    # themselves follow from inner products of regions, of which there are fewer.
    products = ops.einsum("ird,isd->irs", regions, regions)
    squares = ops.sum(
        attention * ops.einsum("irs,istl->irtl", products, attention), axis=1
    )
    cosines = (
        ops.sum(attention * scores, axis=1)
        * _inverse_length(squares)
        * _inverse_length(ops.sum(ops.square(words), axis=-1))
    )
    joined = ops.logsumexp(
        ops.where(padded[None], MASKED_LOGIT, gamma2 * cosines), axis=-1
    )
    return gamma3 * ops.where(ops.all(padded, axis=-1)[None], 0.0, joined)


def sentence_similarity(code, sentence, *, gamma3: float = 10.0):
    """Cosine of every image's code with every sentence, times gamma 3.

    Args:
        code: (B_images, D).
        sentence: (B_texts, D).
        gamma3: factor of the result.

    Returns:
        (B_images, B_texts).
    """
    code, sentence = full_precision(code), full_precision(sentence)
    return gamma3 * ops.matmul(_unit(code), ops.transpose(_unit(sentence)))


def matching_losses(similarity, class_ids=None):
    """Cross entropy of the true pairs, both ways.

    Args:
        similarity: (B, B), image i in row i, its caption in column i.
        class_ids: (B,) integers; other images of an image's class are no negatives.
            None: all others are.

    Returns:
        image to text and text to image, each (B,) nats.

    Raises:
        ValueError: the similarity is not square.
    """
    rows, columns = similarity.shape
    if None not in (rows, columns) and rows != columns:
        raise ValueError(f"similarity.shape={similarity.shape}; expected a square")
    index = ops.arange(ops.shape(similarity)[0])
    own = ops.equal(index[:, None], index[None, :])
    if class_ids is not None:
        same_class = ops.equal(class_ids[:, None], class_ids[None, :])
        similarity = ops.where(
            ops.logical_and(same_class, ops.logical_not(own)), MASKED_LOGIT, similarity
        )
    true_pairs = ops.sum(ops.where(own, similarity, 0.0), axis=1)
    # Subtract before the log-sum-exp: similarities are tens, and a small loss would be
    # lost to rounding.
    return (
        ops.logsumexp(similarity - true_pairs[:, None], axis=1),
        ops.logsumexp(similarity - true_pairs[None, :], axis=0),
    )


def damsm_losses(
    settings,
    *,
    regions,
    code,
    words,
    sentence,
    padding_mask,
    class_ids,
    mean,
    gather=lambda values: values,
):
    """The four DAMSM losses (AttnGAN, section 3.2).

    Every image of the global batch is matched with every caption of it. Each replica
    computes all pairs, and takes its share of their mean.

    Args:
        settings: with gamma1, gamma2 and gamma3.
        regions: (B, R, D) of the images.
        code: (B, D) of the images.
        words: (B, L, D) of the captions.
        sentence: (B, D) of the captions; or (B, k, D) of k captions per image, whose
            losses are averaged.
        padding_mask: (B, L) bool of the words, True = padded.
        class_ids: (B,) int32; other images of the same class are no negatives. None:
            all others are.
        mean: values to this replica's share of their mean.
        gather: (B, ...) of this replica to the global batch.

    Returns:
        Scalars by name, in nats.
    """
    # Unstack before gathering, which may lose the static shape.
    sentences = (
        [sentence]
        if len(sentence.shape) == 2
        else [sentence[:, i] for i in range(sentence.shape[1])]
    )
    # Collectives do not take booleans.
    padding_mask = gather(ops.cast(padding_mask, "int32"))
    regions, code, words = gather(regions), gather(code), gather(words)
    if class_ids is not None:
        class_ids = gather(class_ids)
    by_word = matching_losses(
        word_similarity(
            regions,
            words,
            padding_mask,
            gamma1=settings.gamma1,
            gamma2=settings.gamma2,
            gamma3=settings.gamma3,
        ),
        class_ids,
    )
    by_sentence = [
        matching_losses(
            sentence_similarity(code, gather(one), gamma3=settings.gamma3), class_ids
        )
        for one in sentences
    ]
    to_text, to_image = (
        sum(losses) / len(losses) for losses in zip(*by_sentence, strict=True)
    )
    return {
        "words_image_to_text": mean(by_word[0]),
        "words_text_to_image": mean(by_word[1]),
        "sentence_image_to_text": mean(to_text),
        "sentence_text_to_image": mean(to_image),
    }


def generator_losses(inputs):
    """Loss term: the sum of the DAMSM losses of the last image (AttnGAN)."""
    regions, code = inputs.image_embeddings(inputs.images[-1])
    losses = damsm_losses(
        inputs.settings,
        regions=regions,
        code=code,
        words=inputs.words,
        sentence=inputs.sentence,
        padding_mask=inputs.padding_mask,
        class_ids=inputs.class_ids,
        mean=inputs.mean,
        gather=inputs.gather,
    )
    return {"damsm": sum(losses.values())}


def _unit(vectors):
    """Scales vectors to length 1; zero vectors stay, and get no gradient."""
    squares = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    return vectors * _inverse_length(squares)


def _inverse_length(squares):
    """1 / length from the squared lengths of vectors; 0 for zero vectors."""
    scale = ops.rsqrt(ops.maximum(squares, _MIN_SQUARED_LENGTH))
    return ops.where(squares > _MIN_SQUARED_LENGTH, scale, 0.0)
