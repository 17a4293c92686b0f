"""Compares decoded images of every kind with Pillow's pixels."""

import io

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import tensorflow as tf
from PIL.PngImagePlugin import PngInfo

from mirrorgan_tf.data import boxes
from mirrorgan_tf.data.decoding import (
    BadImageError,
    decode_bytes,
    decode_image,
    decode_view,
)
from mirrorgan_tf.data.views import View, box_window, resized_shape

SIDE = 48


@pytest.fixture(scope="module")
def photo():
    """Smooth, with some grain; wider than high."""
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (7, 9, 3), np.uint8)
    big = PIL.Image.fromarray(small).resize((157, 119), PIL.Image.Resampling.BICUBIC)
    grain = random.normal(0, 6, (119, 157, 1))
    return PIL.Image.fromarray((np.asarray(big) + grain).clip(0, 255).astype(np.uint8))


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def rotated_by(orientation, order):
    exif = PIL.Image.Exif()
    exif.endian = order
    exif[0x10F] = "A camera"
    exif[0x112] = orientation
    return {"exif": exif.tobytes()}


def with_alpha(photo):
    image = photo.copy()
    image.putalpha(photo.convert("L"))
    return image


def with_segments(jpeg, *segments):
    """A JPEG with (marker, content) segments between its start and the rest."""
    added = b"".join(
        bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content
        for marker, content in segments
    )
    return jpeg[:2] + added + jpeg[2:]


def rotated_by_unusual_metadata(photo):
    """Images that are rotated, but not by EXIF in the first few kilobytes."""
    jpeg = encoded(photo, "JPEG", **rotated_by(6, "<"))
    other = (0xEF, bytes(30_000))
    long_exif = PIL.Image.Exif()
    long_exif.endian = "<"
    long_exif[0x112] = 8
    long = long_exif.tobytes().replace(b"\x12\x01\x03\x00", b"\x12\x01\x04\x00")
    xmp = '<x:xmpmeta xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    element = "<rdf:Description><tiff:Orientation>3</tiff:Orientation>"
    adobe = b"http://ns.adobe.com/xap/1.0/\0"
    upright = encoded(photo, "JPEG")
    profile = rotated_by(6, ">")["exif"]
    raw = f"\nexif\n{len(profile):8d}\n{profile.hex()}\n"
    text, packed_text, packed_xmp, plain_xmp = (PngInfo() for _ in range(4))
    text.add_text("Raw profile type exif", raw)
    packed_text.add_text("Raw profile type exif", raw, zip=True)
    packed_xmp.add_itxt("XML:com.adobe.xmp", xmp, zip=True)
    plain_xmp.add_itxt("XML:com.adobe.xmp", xmp)
    return {
        "EXIF after 16 KiB": with_segments(jpeg, other, other),
        "long EXIF": encoded(photo, "JPEG", exif=long),
        "XMP": with_segments(upright, (0xE1, adobe + xmp.encode())),
        "XMP element": with_segments(upright, (0xE1, adobe + element.encode())),
        "raw profile": encoded(photo, "PNG", pnginfo=text),
        "compressed raw profile": encoded(photo, "PNG", pnginfo=packed_text),
        "XMP in a PNG": encoded(photo, "PNG", pnginfo=plain_xmp),
        "compressed XMP in a PNG": encoded(photo, "PNG", pnginfo=packed_xmp),
    }


def pictures(photo):
    grey = photo.convert("L")
    palette = photo.quantize(64)
    other = photo.rotate(90).quantize(16)
    kinds = {
        "plain": (photo, "JPEG", {}),
        "progressive": (photo, "JPEG", {"progressive": True}),
        "4:4:4": (photo, "JPEG", {"subsampling": 0}),
        "4:2:2": (photo, "JPEG", {"subsampling": 1}),
        "restarts": (photo, "JPEG", {"restart_marker_blocks": 3}),
        "grey JPEG": (grey, "JPEG", {}),
        "CMYK": (photo.convert("CMYK"), "JPEG", {}),
        "RGB kept": (photo, "JPEG", {"keep_rgb": True}),
        "upright EXIF": (photo, "JPEG", rotated_by(1, "<")),
        "PNG": (photo, "PNG", {}),
        "palette": (palette, "PNG", {}),
        "palette with a clear colour": (palette, "PNG", {"transparency": 3}),
        "two colours": (photo.convert("1"), "PNG", {}),
        "grey PNG": (grey, "PNG", {}),
        "grey with alpha": (with_alpha(photo).convert("LA"), "PNG", {}),
        "alpha": (with_alpha(photo), "PNG", {}),
        "rotated PNG": (photo, "PNG", rotated_by(6, "<")),
        "GIF": (palette, "GIF", {}),
        "animation": (palette, "GIF", {"save_all": True, "append_images": [other]}),
        "BMP": (photo, "BMP", {}),
        "WebP": (photo, "WEBP", {}),
        "TIFF": (photo, "TIFF", {}),
    }
    for orientation in range(2, 9):
        exif = rotated_by(orientation, order="<>"[orientation % 2])
        kinds[f"rotated {orientation}"] = (photo, "JPEG", exif)
    plain = {name: encoded(*kind[:2], **kind[2]) for name, kind in kinds.items()}
    return plain | rotated_by_unusual_metadata(photo)


def center(shape, shorter_px=60, size=SIDE, flip=False):
    """The view of the centre, as in evaluation."""
    resized = resized_shape(shape, shorter_px)
    window = tf.concat([[0, 0], shape], 0)
    corner = (resized - size) // 2
    view = View.of_crop(window, resized, corner, (size, size), flip)
    return view, tf.reduce_min(shape)


@pytest.fixture(scope="module")
def decoders():
    """`decode_image` and `decode_view` as functions that are traced once."""
    spec = [tf.TensorSpec([], tf.string)]
    return (
        tf.function(decode_image, input_signature=spec),
        tf.function(
            lambda content: decode_view(content, center, 60), input_signature=spec
        ),
    )


def decode_by_pillow(content):
    image = PIL.Image.open(io.BytesIO(content))
    return PIL.ImageOps.exif_transpose(image).convert("RGB")


def center_by_pillow(image, size=SIDE):
    scale = 60 / min(image.size)
    width, height = (round(side * scale) for side in image.size)
    image = image.resize((width, height), PIL.Image.Resampling.BILINEAR)
    left, top = (width - size) // 2, (height - size) // 2
    return np.asarray(image.crop((left, top, left + size, top + size)))


def test_pixels_of_all_formats_equal_pillows(photo, decoders):
    whole, part = decoders
    for name, content in pictures(photo).items():
        expected = decode_by_pillow(content)
        np.testing.assert_array_equal(whole(content), expected, err_msg=name)
        # Pillow rounds after each axis, so that the last bit may differ.
        error = np.abs(part(content).numpy().astype(int) - center_by_pillow(expected))
        assert error.max() <= 1 and error.mean() < 0.25, name


def test_the_images_with_unusual_metadata_are_rotated_according_to_pillow(photo):
    for name, content in rotated_by_unusual_metadata(photo).items():
        upright = np.asarray(PIL.Image.open(io.BytesIO(content)).convert("RGB"))
        assert not np.array_equal(np.asarray(decode_by_pillow(content)), upright), name
        assert boxes.orientation(PIL.Image.open(io.BytesIO(content))) > 1, name


def test_sixteen_bit_images_keep_their_upper_eight_bits(photo, decoders):
    values = np.asarray(photo.convert("L")).astype(np.uint16) * 251 + 77
    for kind in ("PNG", "TIFF"):
        decoded = decoders[0](encoded(PIL.Image.fromarray(values), kind)).numpy()
        np.testing.assert_array_equal(decoded[..., 0], values >> 8)
        np.testing.assert_array_equal(decoded[..., 2], values >> 8)


def test_truncated_files_and_other_formats_raise_an_error(photo, decoders):
    jpeg, png = encoded(photo, "JPEG"), encoded(photo, "PNG")
    cut = [jpeg[: len(jpeg) * part // 8] for part in (1, 4, 7)]
    for content in [*cut, jpeg[:-2], png[: len(png) // 2], b"", b"text", jpeg[2:]]:
        for decode in decoders:
            with pytest.raises(tf.errors.OpError):
                decode(content)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF"])
def test_images_above_pillows_pixel_limit_are_refused(photo, monkeypatch, kind):
    content = encoded(photo, kind)
    # Pillow refuses images of more than twice as many pixels.
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 157 * 119 // 2)
    with pytest.raises(BadImageError, match="has more than 18,682 pixels, too many"):
        decode_bytes(content)
    if kind == "JPEG":
        part = tf.function(lambda content: decode_view(content, center, 60))
        with pytest.raises(tf.errors.OpError, match="more than 18,682 pixels"):
            part(tf.constant(content))
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 157 * 119 // 2 + 1)
    assert decode_bytes(content).shape == (119, 157, 3)


def test_any_error_of_pillow_becomes_one_line(photo, monkeypatch):
    content = encoded(photo, "GIF")
    for error in (StopIteration(), SyntaxError("two\nlines"), MemoryError("all")):

        def fail(*_, error=error):
            raise error

        monkeypatch.setattr(PIL.ImageOps, "exif_transpose", fail)
        with pytest.raises(BadImageError) as raised:
            decode_bytes(content)
        reason = " ".join(str(error).split()) or type(error).__name__
        assert str(raised.value) == f"is damaged, or GIF P is not read ({reason})"
    for content, reason in (
        (b"", "is empty"),
        (b"text", "is not an image"),
        (b"version https://git-lfs.github.com/spec/v1", "is a Git LFS pointer"),
    ):
        with pytest.raises(BadImageError, match=f"^{reason}"):
            decode_bytes(content)


def test_bytes_after_the_end_of_a_jpeg_are_ignored(photo, decoders):
    jpeg = encoded(photo, "JPEG")
    for decode in decoders:
        np.testing.assert_array_equal(decode(jpeg + b"more\0\0"), decode(jpeg))


def test_crops_equal_crops_of_the_whole_resized_image(photo):
    """The pixels at the crop's edges do not depend on the part that is decoded."""
    content = encoded(photo, "JPEG", quality=95)
    resized = np.asarray(
        decode_by_pillow(content).resize((79, 60), PIL.Image.Resampling.BILINEAR)
    ).astype(int)

    @tf.function(
        input_signature=[tf.TensorSpec([2], tf.int32), tf.TensorSpec([], bool)]
    )
    def crop(corner, flip):
        def find_view(shape):
            window = tf.concat([[0, 0], shape], 0)
            target = resized_shape(shape, 60)
            view = View.of_crop(window, target, corner, (19, 33), flip)
            return view, tf.reduce_min(shape)

        return decode_view(content, find_view, 60)

    corners = [(0, 0), (41, 46), (0, 46), (41, 0)]
    random = np.random.default_rng(1)
    corners += [(random.integers(42), random.integers(47)) for _ in range(30)]
    for number, (top, left) in enumerate(corners):
        image = crop((top, left), number % 2 == 1).numpy().astype(int)
        expected = resized[top : top + 19, left : left + 33]
        expected = expected[:, ::-1] if number % 2 else expected
        assert np.abs(image - expected).max() <= 1


def test_large_jpegs_decoded_at_reduced_size_stay_close_to_full_decoding(photo):
    """The error is smaller than that of JPEG with quality 90."""
    for factor in (3, 7, 17):
        big = photo.resize((157 * factor, 119 * factor), PIL.Image.Resampling.BICUBIC)
        content = encoded(big, "JPEG", quality=90)
        part = decode_view(content, center, 60).numpy().astype(int)
        error = np.abs(part - center_by_pillow(decode_by_pillow(content)))
        assert error.mean() < 1.5, factor


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        # Half of the side is 0.75 · 40 = 30, the centre is (60, 50).
        ((40, 35, 40, 30), (30, 20, 90, 80)),
        # Cut off at the left and above; the centre and half of the side are rounded.
        ((3, 5, 21, 10), (0, 0, 28, 25)),
        # Cut off at the right and below.
        ((140, 100, 17, 19), (134, 95, 157, 119)),
        # Outside the image.
        ((400, 10, 20, 20), (0, 0, 157, 119)),
    ],
)
def test_box_window_is_the_square_of_the_original_loader(photo, box, expected):
    top, left, height, width = box_window((119, 157), tf.constant(box, tf.float32))
    corners = (int(left), int(top), int(left + width), int(top + height))
    assert corners == expected


def test_images_are_cropped_to_the_box_before_resizing(photo):
    content, size = encoded(photo, "JPEG"), 16

    def find_view(shape):
        window = box_window(shape, tf.constant([40.0, 35.0, 40.0, 30.0]))
        resized = resized_shape(window[2:], 20)
        view = View.of_crop(window, resized, (1, 3), (size, size))
        return view, tf.reduce_min(window[2:])

    cropped = decode_by_pillow(content).crop((30, 20, 90, 80))
    expected = cropped.resize((20, 20), PIL.Image.Resampling.BILINEAR)
    expected = np.asarray(expected.crop((3, 1, 19, 17))).astype(int)
    # The JPEG is decoded at 1/2, which is large enough.
    reduced = decode_view(content, find_view, 20).numpy().astype(int)
    assert np.abs(reduced - expected).mean() < 2
    exact = decode_view(encoded(photo, "PNG"), find_view, 20).numpy().astype(int)
    expected = photo.crop((30, 20, 90, 80)).resize(
        (20, 20), PIL.Image.Resampling.BILINEAR
    )
    assert np.abs(exact - np.asarray(expected.crop((3, 1, 19, 17)))).max() <= 1
