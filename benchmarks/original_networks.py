"""The original's networks in PyTorch, to time beside ours and to check the timing.

Written from what the original computes, with its parameters' names, so that its weights
can be loaded. Images are (B, C, h, w), as there. Needs PyTorch alone.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Decoder", "Discriminator", "Generator"]


class _Glu(nn.Module):
    def forward(self, x):
        return functional.glu(x, dim=1)


def _conv(inputs, channels, size=3):
    return nn.Conv2d(inputs, channels, size, padding=size // 2, bias=False)


def _up_block(inputs, channels):
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"),
        _conv(inputs, 2 * channels),
        nn.BatchNorm2d(2 * channels),
        _Glu(),
    )


class _Condition(nn.Module):
    """Conditioning augmentation: `ca_net`."""

    def __init__(self, sentence_dim, dim):
        super().__init__()
        self.fc = nn.Linear(sentence_dim, 4 * dim)

    def forward(self, sentence, noise):
        mu, log_var = functional.glu(self.fc(sentence)).chunk(2, dim=1)
        return mu + torch.exp(0.5 * log_var) * noise, mu, log_var


class _FirstStage(nn.Module):
    """F0: `h_net1`."""

    def __init__(self, inputs, width):
        super().__init__()
        self._channels = 16 * width
        units = 2 * 16 * self._channels
        self.fc = nn.Sequential(
            nn.Linear(inputs, units, bias=False), nn.BatchNorm1d(units), _Glu()
        )
        self.upsample1 = _up_block(16 * width, 8 * width)
        self.upsample2 = _up_block(8 * width, 4 * width)
        self.upsample3 = _up_block(4 * width, 2 * width)
        self.upsample4 = _up_block(2 * width, width)

    def forward(self, x):
        x = self.fc(x).view(-1, self._channels, 4, 4)
        return self.upsample4(self.upsample3(self.upsample2(self.upsample1(x))))


class _Attention(nn.Module):
    """Of words and of the sentence: `att`."""

    def __init__(self, width, words_dim, condition_dim):
        super().__init__()
        self.conv_context = _conv(words_dim, width, 1)
        self.conv_sentence_vis = _conv(width, width, 1)
        self.linear = nn.Linear(condition_dim, width)

    def forward(self, x, words, s_ca, padded):
        batch, channels, height, width = x.shape
        words = self.conv_context(words.unsqueeze(3)).squeeze(3)
        scores = torch.bmm(x.view(batch, channels, -1).transpose(1, 2), words)
        if padded is not None:
            scores = scores.masked_fill(padded[:, None], -torch.inf)
        attention = scores.softmax(dim=2).transpose(1, 2).contiguous()
        context = torch.bmm(words, attention).view(batch, channels, height, width)
        value = self.linear(s_ca)[:, :, None, None].repeat(1, 1, height, width)
        sentence_context = value * self.conv_sentence_vis(x * value).softmax(dim=1)
        return context, sentence_context


class _Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.block = nn.Sequential(
            _conv(channels, 2 * channels),
            nn.BatchNorm2d(2 * channels),
            _Glu(),
            _conv(channels, channels),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x):
        return x + self.block(x)


class _LaterStage(nn.Module):
    """F1 and F2: `h_net2`, `h_net3`."""

    def __init__(self, width, words_dim, condition_dim, blocks):
        super().__init__()
        self.att = _Attention(width, words_dim, condition_dim)
        self.residual = nn.Sequential(*(_Residual(2 * width) for _ in range(blocks)))
        self.upsample = _up_block(2 * width, width)
        self.conv = _conv(3 * width, 2 * width, 1)

    def forward(self, x, words, s_ca, padded):
        contexts = self.att(x, words, s_ca, padded)
        return self.upsample(self.residual(self.conv(torch.cat([x, *contexts], 1))))


class _ImageHead(nn.Module):
    """G0 to G2: `img_net1` and on."""

    def __init__(self, width):
        super().__init__()
        self.img = nn.Sequential(_conv(width, 3), nn.Tanh())

    def forward(self, x):
        return self.img(x)


class Generator(nn.Module):
    """STEM's conditioning and GLAM: images of 64, 128 and 256 px."""

    def __init__(
        self,
        width: int = 32,
        sentence_dim: int = 256,
        condition_dim: int = 100,
        noise_dim: int = 100,
        blocks: int = 2,
    ):
        super().__init__()
        self.ca_net = _Condition(sentence_dim, condition_dim)
        self.h_net1 = _FirstStage(condition_dim + noise_dim, width)
        later = (width, sentence_dim, condition_dim, blocks)
        self.h_net2 = _LaterStage(*later)
        self.h_net3 = _LaterStage(*later)
        self.img_net1 = _ImageHead(width)
        self.img_net2 = _ImageHead(width)
        self.img_net3 = _ImageHead(width)

    def forward(
        self,
        noise: Tensor,
        sentence: Tensor,
        words: Tensor,
        condition_noise: Tensor,
        padded: Tensor | None = None,
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        """Makes images.

        Args:
            noise: (B, noise_dim).
            sentence: (B, D).
            words: (B, D, L).
            condition_noise: (B, condition_dim).
            padded: (B, L), True past a caption's end.

        Returns:
            images, each (B, 3, s, s) in [-1, 1]; mu and log sigma² (B, condition_dim).
        """
        s_ca, mu, log_var = self.ca_net(sentence, condition_noise)
        features = [self.h_net1(torch.cat([s_ca, noise], 1))]
        for stage in (self.h_net2, self.h_net3):
            features.append(stage(features[-1], words, s_ca, padded))
        heads = (self.img_net1, self.img_net2, self.img_net3)
        images = [head(x) for head, x in zip(heads, features, strict=True)]
        return images, mu, log_var


def _norm_and_relu(channels):
    return [nn.BatchNorm2d(channels), nn.LeakyReLU(0.2, inplace=True)]


def _down(inputs, channels):
    return [nn.Conv2d(inputs, channels, 4, 2, 1, bias=False), *_norm_and_relu(channels)]


def _keeping_size(inputs, channels):
    return nn.Sequential(_conv(inputs, channels), *_norm_and_relu(channels))


class _Head(nn.Module):
    """Probability of "real", of the image alone or with a sentence."""

    def __init__(self, width, sentence_dim=0):
        super().__init__()
        if sentence_dim:
            self.jointConv = _keeping_size(8 * width + sentence_dim, 8 * width)
        self.outlogits = nn.Sequential(nn.Conv2d(8 * width, 1, 4, 4), nn.Sigmoid())

    def forward(self, features, sentence=None):
        if sentence is not None:
            everywhere = sentence[:, :, None, None].repeat(1, 1, 4, 4)
            features = self.jointConv(torch.cat([features, everywhere], 1))
        return self.outlogits(features).view(-1)


class Discriminator(nn.Module):
    """Of images of one size: 64, 128 or 256 px."""

    def __init__(self, size: int, width: int = 64, sentence_dim: int = 256):
        super().__init__()
        first = [nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        downs = [_down(width * 2**i, width * 2 ** (i + 1)) for i in range(3)]
        self.img_code_s16 = nn.Sequential(*first, *sum(downs, []))
        # By the original's names: a trunk for each size, then back to 8 · width.
        self._further = []
        if size > 64:
            self._add("s32", nn.Sequential(*_down(8 * width, 16 * width)))
        if size == 128:
            self._add("s32_1", _keeping_size(16 * width, 8 * width))
        if size == 256:
            self._add("s64", nn.Sequential(*_down(16 * width, 32 * width)))
            self._add("s64_1", _keeping_size(32 * width, 16 * width))
            self._add("s64_2", _keeping_size(16 * width, 8 * width))
        self.UNCOND_DNET = _Head(width)
        self.COND_DNET = _Head(width, sentence_dim)

    def _add(self, name, module):
        self.add_module(f"img_code_{name}", module)
        self._further.append(f"img_code_{name}")

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, size, size) to features (B, 8 · width, 4, 4)."""
        x = self.img_code_s16(images)
        for name in self._further:
            x = getattr(self, name)(x)
        return x


class Decoder(nn.Module):
    """STREAM's LSTM: the cross entropy of captions, mean over their words."""

    def __init__(self, vocabulary_size: int, embedding_dim: int, hidden_dim: int):
        super().__init__()
        self.embed = nn.Embedding(vocabulary_size, embedding_dim)
        self.lstm = nn.LSTM(embedding_dim, hidden_dim, batch_first=True)
        self.linear = nn.Linear(hidden_dim, vocabulary_size)

    def forward(self, features: Tensor, captions: Tensor, lengths: Tensor) -> Tensor:
        """Features (B, embedding_dim), ids (B, L), lengths (B,), longest first."""
        inputs = torch.cat([features[:, None], self.embed(captions)], 1)
        packed = nn.utils.rnn.pack_padded_sequence(inputs, lengths, batch_first=True)
        logits = self.linear(self.lstm(packed)[0].data)
        words = nn.utils.rnn.pack_padded_sequence(captions, lengths, batch_first=True)
        return functional.cross_entropy(logits, words.data)
