"""The original's training step in PyTorch: `python -m benchmarks.original_step`.

The step of `benchmarks.train_step` as the original computes it: real, fake and wrong
pairs one after the other, and the generator's update computes the discriminators'
gradients too. Random data and weights of CUB's sizes, no caption CNN. Needs the extra
torch.
"""

import argparse

import torch
from torch.nn import functional

from benchmarks.original_networks import Decoder, Discriminator, Generator
from benchmarks.rates import (
    CONV,
    CONV_OPERATIONS,
    MATMUL_OPERATIONS,
    SIDE,
    best_seconds,
    rate,
    rates_table,
)
from mirrorgan_tf.training.memory import peak_gib

__all__ = ["errd", "errg"]

_WORDS, _VOCABULARY_SIZE = 18, 5450
_SIZES = (64, 128, 256)


def errd(discriminator, real, fake, sentence):
    """A discriminator's loss, errD.

    Args:
        discriminator: of one scale.
        real: (B, 3, s, s) in [-1, 1].
        fake: the same.
        sentence: (B, D).
    """
    real, fake = discriminator(real), discriminator(fake.detach())
    conditional, unconditional = discriminator.COND_DNET, discriminator.UNCOND_DNET
    wrong = conditional(real[:-1], sentence[1:])
    real_loss = _cost(unconditional(real), 1) + _cost(conditional(real, sentence), 1)
    fake_loss = _cost(unconditional(fake), 0) + _cost(conditional(fake, sentence), 0)
    return real_loss / 2 + (fake_loss + _cost(wrong, 0)) / 3


def _cost(probability, target):
    return functional.binary_cross_entropy(
        probability, torch.full_like(probability, target)
    )


def errg(discriminators, decoder, projection, outputs, sentence, captions, lengths):
    """Adversarial (of all scales), redescription's and KL's terms of errG.

    Args:
        discriminators: one a scale.
        decoder: STREAM's.
        projection: (48, embedding) of 4×4 mean colours, in place of STREAM's CNN.
        outputs: of `Generator`.
        sentence: (B, D).
        captions: (B, L) ids.
        lengths: (B,), longest first.
    """
    images, mu, log_var = outputs
    adversarial = 0.0
    for discriminator, image in zip(discriminators, images, strict=True):
        image_features = discriminator(image)
        adversarial += _cost(discriminator.COND_DNET(image_features, sentence), 1)
        adversarial += _cost(discriminator.UNCOND_DNET(image_features), 1)
    features = functional.adaptive_avg_pool2d(images[-1], 4).flatten(1) @ projection
    kl = -0.5 * torch.mean(1 + log_var - mu**2 - log_var.exp())
    return adversarial, decoder(features, captions, lengths), kl


class _Training:
    def __init__(self, batch, *, frozen):
        torch.manual_seed(1)
        self._frozen = frozen
        self._generator = Generator()
        self._averages = [p.detach().clone() for p in self._generator.parameters()]
        self._discriminators = [Discriminator(size) for size in _SIZES]
        self._decoder = Decoder(_VOCABULARY_SIZE, 256, 512).requires_grad_(False)
        self._projection = torch.randn(48, 256)
        self._optimizers = [
            torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.999))
            for network in [self._generator, *self._discriminators]
        ]
        self._real = [torch.rand(batch, 3, size, size) * 2 - 1 for size in _SIZES]
        self._sentence = torch.randn(batch, 256)
        self._words = torch.randn(batch, 256, _WORDS)
        self._padded = torch.zeros(batch, _WORDS, dtype=torch.bool)
        self._captions = torch.randint(1, _VOCABULARY_SIZE, (batch, _WORDS))
        self._lengths = torch.full((batch,), _WORDS)

    def step(self):
        """Discriminators, each on its own, then the generator against them."""
        batch = len(self._sentence)
        outputs = self._generator(
            torch.randn(batch, 100),
            self._sentence,
            self._words,
            torch.randn(batch, 100),
            self._padded,
        )
        generator_optimizer, *discriminator_optimizers = self._optimizers
        for network, optimizer, real, fake in zip(
            self._discriminators,
            discriminator_optimizers,
            self._real,
            outputs[0],
            strict=True,
        ):
            network.requires_grad_(True)
            network.zero_grad()
            errd(network, real, fake, self._sentence).backward()
            optimizer.step()
            network.requires_grad_(not self._frozen)
        self._generator.zero_grad()
        adversarial, redescription, kl = errg(
            self._discriminators,
            self._decoder,
            self._projection,
            outputs,
            self._sentence,
            self._captions,
            self._lengths,
        )
        (adversarial + 20 * redescription + kl).backward()
        generator_optimizer.step()
        with torch.no_grad():
            for average, value in zip(
                self._averages, self._generator.parameters(), strict=True
            ):
                average.mul_(0.999).add_(value, alpha=0.001)


def _rates():
    square = torch.randn(SIDE, SIDE)
    batch, side, channels, filters = CONV
    image = torch.randn(batch, channels, side, side)
    convolve = torch.nn.Conv2d(channels, filters, 3, padding=1, bias=False)
    convolve.requires_grad_(False)
    return {
        "matmul float32": rate(MATMUL_OPERATIONS, torch.matmul, square, square),
        "convolution float32": rate(CONV_OPERATIONS, convolve, image),
    }


def main() -> None:
    """Measures in this process and prints Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=5, help="number of timed steps")
    parser.add_argument(
        "--frozen",
        action="store_true",
        help="freeze the discriminators in the generator's update",
    )
    options = parser.parse_args()
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads\n")
    print(rates_table(_rates()))
    training = _Training(options.batch, frozen=options.frozen)
    seconds = best_seconds(training.step, tries=options.steps)
    print(
        f"a step of {options.batch} images: {seconds:.2f} s, peak {peak_gib():.2f} GiB"
    )


if __name__ == "__main__":
    main()
