"""The losses of stage glam, each with its weight."""

from mirrorgan_tf.losses import adversarial, caption, damsm, kl, penalties
from mirrorgan_tf.losses.terms import LossTerm

__all__ = ["DISCRIMINATOR_LOSS", "DISCRIMINATOR_PENALTIES", "GENERATOR_LOSS"]

# errG. The authors' code has no ½ before the adversarial terms, the paper (eq. 6) has.
GENERATOR_LOSS = (
    LossTerm(adversarial.generator_image_losses, lambda settings: 1.0),
    LossTerm(
        adversarial.generator_feature_losses,
        lambda settings: settings.feature_discriminator_weight,
    ),
    LossTerm(kl.condition_losses, lambda settings: settings.kl_weight),
    LossTerm(
        caption.redescription_losses, lambda settings: settings.redescription_weight
    ),
    LossTerm(damsm.generator_losses, lambda settings: settings.damsm_weight),
)

# The loss of each discriminator.
DISCRIMINATOR_LOSS = (LossTerm(adversarial.discriminator_losses, lambda settings: 1.0),)

# Added to it every --r1_every steps, each by the name of its loss.
DISCRIMINATOR_PENALTIES = {
    "r1": LossTerm(penalties.r1_losses, lambda settings: settings.r1_weight),
}
