"""The interface of text encoders; `networks.TEXT_ENCODERS` lists them."""

import keras

__all__ = ["TextEncoder"]


class TextEncoder(keras.Model):
    """Captions to embeddings of their words and of the whole sentence.

    Subclasses are constructed as `Encoder(vocabulary_size, embedding_dim=...,
    words_dim=..., dropout=...)`. Their `call` takes what `text_inputs` returns, as
    keyword arguments, and `dropout_uniform`. It returns

    - words (B, L, D), 0 at padded positions;
    - sentence (B, D);
    - padding_mask (B, L) bool, True = padded.
    """

    @staticmethod
    def text_inputs(captions, caption_ids, caption_lengths) -> dict:
        """What the encoder takes of captions; runs in the data pipeline and in graphs.

        Args:
            captions: (B,) strings, for encoders with a tokenizer of their own.
            caption_ids: (B, L) int32, ids of the run's own vocabulary.
            caption_lengths: (B,) int32, words of each caption, 0 to L.

        Returns:
            Keyword arguments of `call`: tensors (B, ...).
        """
        del captions
        return {"ids": caption_ids, "lengths": caption_lengths}

    def dropout_shape(self, text: dict) -> tuple[int, ...]:
        """Shape of the random numbers that dropout takes in training.

        Args:
            text: what `text_inputs` returned.

        Returns:
            (B, ...): the shape of `dropout_uniform`, numbers in [0, 1).
        """
        raise NotImplementedError
