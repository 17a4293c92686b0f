import pytest

from mirrorgan_tf.config import Config
from mirrorgan_tf.errors import UserError
from mirrorgan_tf.models.backbones import BACKBONES
from mirrorgan_tf.networks import build_image_encoder, build_stream, check_encoders


@pytest.mark.parametrize("flag", ["image_encoder", "stream_encoder"])
def test_unknown_backbone_is_refused_in_one_line_with_the_choices(flag):
    for name in BACKBONES:
        check_encoders(Config.from_flags(**{flag: name}))
    with pytest.raises(UserError, match=f"--{flag}=vgg: unknown.*small, inception"):
        check_encoders(Config.from_flags(**{flag: "vgg"}))


def test_weights_that_cannot_be_loaded_name_the_flag(tiny_config, tmp_path):
    path = str(tmp_path / "weights.h5")
    config = tiny_config.replace(image_encoder_weights=path)
    with pytest.raises(UserError, match=f"--image_encoder_weights={path}.*no such"):
        build_image_encoder(config)
    (tmp_path / "weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    config = tiny_config.replace(stream_encoder_weights=path)
    with pytest.raises(UserError, match=f"--stream_encoder_weights={path}.*small"):
        build_stream(config, 5)
