import keras
import numpy as np

from mirrorgan_tf import networks
from mirrorgan_tf.training.transfer import transfer_weights

WORDS = ["a", "red", "bird"]
OTHER_WORDS = ["bird", "blue", "a", "sky"]


def _pair(build, config, source_config, *vocabulary_sizes):
    keras.utils.set_random_seed(0)
    return build(config, *vocabulary_sizes[:1]), build(
        source_config, *vocabulary_sizes[1:]
    )


def test_embeddings_are_taken_by_word_and_other_weights_by_name(tiny_config):
    # Layers that are built before change Keras' names, not the result.
    networks.build_text_encoder(tiny_config, 3)
    network, source = _pair(networks.build_text_encoder, tiny_config, tiny_config, 4, 5)
    before = network.embedding.embeddings.numpy()
    taken = transfer_weights(network, source, words=WORDS, source_words=OTHER_WORDS)
    assert taken == (len(network.weights), len(network.weights))
    source_rows = source.embedding.embeddings.numpy()
    # Of padding, "a", "red" (unknown to the source) and "bird".
    expected = np.stack([source_rows[0], source_rows[3], before[2], source_rows[1]])
    np.testing.assert_array_equal(network.embedding.embeddings, expected)
    for weight, source_weight in zip(
        network.weights[1:], source.weights[1:], strict=True
    ):
        np.testing.assert_array_equal(weight, source_weight)


def test_output_layer_of_stream_is_taken_by_word(tiny_config):
    network, source = _pair(networks.build_stream, tiny_config, tiny_config, 4, 5)
    transfer_weights(network, source, words=WORDS, source_words=OTHER_WORDS)
    projection, other = network.decoder.projection, source.decoder.projection
    np.testing.assert_array_equal(projection.kernel[:, 3], other.kernel[:, 1])
    np.testing.assert_array_equal(projection.bias[1], other.bias[3])


def test_vocabularies_of_equal_size_are_still_matched_by_word(tiny_config):
    network, source = _pair(networks.build_text_encoder, tiny_config, tiny_config, 4, 4)
    transfer_weights(network, source, words=WORDS, source_words=["red", "a", "bird"])
    np.testing.assert_array_equal(
        network.embedding.embeddings[1], source.embedding.embeddings[2]
    )


def test_weights_of_another_shape_are_left_alone(tiny_config):
    network, source = _pair(
        networks.build_glam, tiny_config, tiny_config.replace(generator_width=6)
    )
    before = network.get_weights()
    taken, total = transfer_weights(network, source)
    assert total == len(before) and 0 < taken < total
    changed = sum(
        not np.array_equal(a, b)
        for a, b in zip(before, network.get_weights(), strict=True)
    )
    assert 0 < changed <= taken
