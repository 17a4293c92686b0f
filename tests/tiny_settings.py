"""Settings of networks as small as they get, by flag; the tools use them too."""

TINY = {
    "max_words": 6,
    "base_size": 16,
    "scales": 2,
    "generator_width": 4,
    "residual_blocks": 1,
    "discriminator_width": 2,
    "noise_dim": 8,
    "condition_dim": 8,
    "embedding_dim": 8,
    "words_dim": 8,
    "image_encoder": "small",
    "image_encoder_weights": "none",
    "stream_encoder": "small",
    "stream_encoder_weights": "none",
    "small_width": 4,
    "stream_embedding_dim": 8,
    "stream_hidden_dim": 8,
}
