"""Settings of a run, their flags, and the flagfiles that hold them."""

from mirrorgan_tf.config.settings import SETTINGS, STAGES, Config, Setting

__all__ = ["SETTINGS", "STAGES", "Config", "Setting"]
