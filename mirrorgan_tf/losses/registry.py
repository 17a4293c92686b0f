"""The losses of stage glam, each with its weight."""

from mirrorgan_tf.losses import adversarial, caption, damsm, kl
from mirrorgan_tf.losses.terms import LossTerm

__all__ = ["DISCRIMINATOR_LOSS", "GENERATOR_LOSS"]

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

# The loss of each discriminator. The R1 penalty, which needs gradients with respect to
# images, is added in `training.adversarial`.
DISCRIMINATOR_LOSS = (LossTerm(adversarial.discriminator_losses, lambda settings: 1.0),)
