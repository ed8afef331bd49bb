"""A photo is a photo, or the line is refused before anything is recorded."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from node.printing.render import check_photo
from node.printing.render.photo import PHOTO_BYTES_MAX, framed
from sepe.errors import InvalidInputError


def picture(kind: str = "JPEG", size: tuple[int, int] = (300, 400), mode: str = "RGB", **options: object) -> bytes:
    out = io.BytesIO()
    Image.effect_noise(size, 40).convert(mode).save(out, kind, **options)
    return out.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    """A tiny PNG whose header claims enormous dimensions."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 100_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_ordinary_pictures_pass(kind: str, mode: str) -> None:
    check_photo(picture(kind, mode=mode))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"not a picture", id="text"),
        pytest.param(b"\xff\xd8\xff\xe0" + b"\0" * 500, id="only a JPEG's first bytes"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + b"\0" * 500, id="only a PNG's first bytes"),
        pytest.param(b"%PDF-1.4 " * 99, id="a PDF"),
        pytest.param(picture("GIF", mode="P"), id="a GIF"),
        pytest.param(picture("BMP"), id="a BMP"),
        pytest.param(picture()[:-4000], id="half a JPEG"),
        pytest.param(picture("PNG")[:-4000], id="half a PNG"),
        pytest.param(picture(size=(20, 20)), id="too small"),
        pytest.param(png_that_claims(60_000, 60_000), id="a decompression bomb"),
        pytest.param(png_that_claims(6_000, 6_000), id="over 25 million pixels"),
        pytest.param(b"\xff\xd8" * (PHOTO_BYTES_MAX // 2 + 1), id="too many bytes"),
    ],
)
def test_everything_else_is_refused_with_the_rule(data: bytes) -> None:
    with pytest.raises(InvalidInputError) as caught:
        check_photo(data)
    assert caught.value.field == "photo" and caught.value.rule and caught.value.hint


def test_a_framed_photo_has_the_frames_shape_at_300_dpi() -> None:
    jpeg = framed(picture(size=(1200, 900)), width_mm=18.6, height_mm=24.8)
    with Image.open(io.BytesIO(jpeg.data)) as cut:
        assert cut.size == (jpeg.width, jpeg.height) == (220, 293)
        assert cut.mode == "RGB"


def test_a_sideways_photo_is_turned_and_its_metadata_left_behind() -> None:
    source = Image.new("RGB", (400, 300), "red")
    source.paste("blue", (0, 0, 200, 300))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise to see it upright
    exif[0x010E] = "taken at home"
    out = io.BytesIO()
    source.save(out, "JPEG", exif=exif)
    jpeg = framed(out.getvalue(), width_mm=20, height_mm=26)
    with Image.open(io.BytesIO(jpeg.data)) as cut:
        top, bottom = cut.getpixel((cut.width // 2, 10)), cut.getpixel((cut.width // 2, cut.height - 10))
        assert top[2] > 200 > bottom[2] and bottom[0] > 200
        assert not cut.getexif()
    assert b"taken at home" not in jpeg.data


def test_transparency_becomes_white_paper() -> None:
    out = io.BytesIO()
    Image.new("RGBA", (300, 400), (0, 0, 0, 0)).save(out, "PNG")
    jpeg = framed(out.getvalue(), width_mm=20, height_mm=26)
    with Image.open(io.BytesIO(jpeg.data)) as cut:
        assert cut.getpixel((50, 50)) == (255, 255, 255)


def test_a_photo_whose_pixels_are_damaged_is_refused_when_framed() -> None:
    good = bytearray(picture("PNG"))
    at = good.index(b"IDAT") + 40
    good[at : at + 200] = b"\0" * 200
    with pytest.raises(InvalidInputError):
        framed(bytes(good), width_mm=20, height_mm=26)
