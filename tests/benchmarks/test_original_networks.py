"""The networks and losses that are timed match the original's golden tensors."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="extra torch is not installed")

from benchmarks import original_networks, original_step  # noqa: E402
from tools.parity.golden import GoldenFile  # noqa: E402

TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-3


def load(network, golden, prefix=""):
    state = {
        name: torch.tensor(array) for name, array in golden.take_state(prefix).items()
    }
    missing, unexpected = network.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)
    return network.eval()


def assert_close(ours, theirs, tolerance=TOLERANCE):
    ours = np.asarray(ours.detach() if torch.is_tensor(ours) else ours)
    error = np.abs(ours - theirs).max() / np.abs(theirs).max()
    assert error < tolerance


@pytest.fixture(scope="module")
def golden(reference):
    return {
        name: GoldenFile(reference / f"{name}.npz")
        for name in ("glam", "adversarial", "stream_decoder")
    }


@pytest.fixture(scope="module")
def generator(golden):
    network = original_networks.Generator(4, sentence_dim=16, noise_dim=12)
    return load(network, golden["glam"])


@pytest.fixture(scope="module")
def discriminators(golden):
    return [
        load(
            original_networks.Discriminator(size, 4, sentence_dim=16),
            golden["adversarial"],
            f"D{i}/",
        )
        for i, size in enumerate((64, 128, 256))
    ]


@pytest.fixture(scope="module")
def inputs(golden):
    return [
        torch.tensor(golden["glam"].take(key))
        for key in ("z", "sentence", "words", "eps")
    ]


def test_images_match_the_golden_tensors(golden, generator, inputs):
    images, mu, log_var = generator(*inputs)
    theirs = golden["glam"]
    for i, image in enumerate(images):
        assert_close(image, theirs.take(f"eval/image{i}"))
    assert_close(mu, theirs.take("eval/mu"))
    assert_close(log_var, theirs.take("eval/logvar"))


def test_images_of_padded_captions_match_the_golden_tensors(golden, generator, inputs):
    theirs = golden["glam"]
    images, *_ = generator(
        *(tensor[:1] for tensor in inputs), torch.tensor(theirs.take("masked/mask"))
    )
    for i, image in enumerate(images):
        assert_close(image, theirs.take(f"masked/image{i}"))


def test_discriminator_losses_match_the_golden_tensors(golden, discriminators):
    theirs = golden["adversarial"]
    sentence = torch.tensor(theirs.take("sentence"))
    for i, discriminator in enumerate(discriminators):
        real = torch.tensor(theirs.take(f"real{i}"))
        fake = torch.tensor(golden["glam"].take(f"eval/image{i}"))
        assert_close(discriminator(real), theirs.take(f"eval/features{i}"))
        loss = original_step.errd(discriminator, real, fake, sentence)
        assert_close(loss, theirs.take(f"eval/errD{i}"))


def test_generator_losses_and_gradients_match_the_golden_tensors(
    golden, generator, discriminators, inputs
):
    theirs, captions = golden["adversarial"], golden["stream_decoder"]
    decoder = load(original_networks.Decoder(30, 12, 14), captions)
    lengths = torch.tensor(captions.take("lengths"))
    longest_first = torch.argsort(lengths, descending=True, stable=True)
    z, sentence, words, eps = (tensor[longest_first] for tensor in inputs)
    outputs = generator(z, sentence, words, eps)
    generator.zero_grad()
    losses = original_step.errg(
        discriminators,
        decoder,
        torch.tensor(theirs.take("caption_encoder_W")),
        outputs,
        torch.tensor(theirs.take("sentence"))[longest_first],
        torch.tensor(captions.take("captions"))[longest_first],
        lengths[longest_first],
    )
    for loss, name in zip(losses, ("adversarial", "caption", "kl"), strict=True):
        assert_close(loss, theirs.take(f"loss/{name}"))
    adversarial, redescription, kl = losses
    total = adversarial + 20 * redescription + kl
    assert_close(total, theirs.take("loss/errG_lambda20"))
    total.backward()
    norms = {name: p.grad.norm() for name, p in generator.named_parameters()}
    expected = {
        key.removeprefix("gradnorm/"): theirs.take(key)
        for key in theirs.keys("gradnorm/")
    }
    assert norms.keys() == expected.keys()
    for name, norm in norms.items():
        assert_close(norm, expected[name], GRADIENT_TOLERANCE)
