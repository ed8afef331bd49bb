"""A portrait: checked when it is recorded, cut to the card's frame when it is printed."""

from __future__ import annotations

import io
import warnings

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from node.printing.render.pdf import Jpeg
from sepe.errors import InvalidInputError

PHOTO_BYTES_MAX = 3 * 1024 * 1024
# A 50-megapixel camera picture is 150 MB decoded; an office laptop has better uses for it.
PIXELS_MAX = 25_000_000
SIDE_PIXELS_MIN = 64
DOTS_PER_MM = 300 / 25.4
JPEG_QUALITY = 88
FORMATS = ("JPEG", "PNG")


def check_photo(data: bytes) -> None:
    """Look at the header and the structure, not at the pixels.

    Raises:
        InvalidInputError: over 3 MB, not a JPEG or PNG, damaged, under 64 pixels a side, or a picture that
            would take over 25 million pixels once unpacked.
    """
    if len(data) > PHOTO_BYTES_MAX:
        raise _wrong("a photo has at most 3 MB", f"{len(data)} bytes")
    try:
        with _opened(data) as picture:
            width, height = picture.size
            _check_size(width, height)
            picture.verify()
        _check_whole(data)
    except InvalidInputError:
        raise
    except Exception as exc:  # Pillow's decoders raise whatever a hostile file makes them stumble over.
        raise _wrong("a photo is a JPEG or PNG picture", f"{len(data)} bytes of something else") from exc


def framed(data: bytes, *, width_mm: float, height_mm: float) -> Jpeg:
    """The photo upright, cut to the frame's shape around its upper middle, at 300 dots an inch.

    What the camera wrote beside the picture (place, time, device) is left behind.

    Raises:
        InvalidInputError: not a photo that ``check_photo`` lets pass.
    """
    check_photo(data)
    size = (round(width_mm * DOTS_PER_MM), round(height_mm * DOTS_PER_MM))
    try:
        with _opened(data) as picture:
            # A JPEG can be unpacked at 1/2, 1/4 or 1/8; no more is unpacked than the frame can show. Of one that
            # lies on its side the long side counts both ways.
            picture.draft("RGB", (max(size), max(size)) if _lies(picture) else size)
            upright = ImageOps.exif_transpose(picture) if _lies(picture) else picture
            flat = _on_white(upright)
            # Faces sit above the middle of a portrait.
            cut = ImageOps.fit(flat, size, method=Image.Resampling.BICUBIC, centering=(0.5, 0.35))
    except (OSError, ValueError, SyntaxError) as exc:
        raise _wrong("a photo is a JPEG or PNG picture", "a damaged file") from exc
    out = io.BytesIO()
    cut.save(out, "JPEG", quality=JPEG_QUALITY)
    return Jpeg(out.getvalue(), *size)


def _lies(picture: Image.Image) -> bool:
    """Whether the camera was not held upright."""
    return bool(picture.getexif().get(ExifTags.Base.Orientation, 1) != 1)


def _opened(data: bytes) -> Image.Image:
    with warnings.catch_warnings():
        # Our own limit is below the one at which Pillow warns.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            return Image.open(io.BytesIO(data), formats=FORMATS)
        except (UnidentifiedImageError, Image.DecompressionBombError) as exc:
            raise _wrong("a photo is a JPEG or PNG picture of ordinary size", f"{len(data)} bytes") from exc


def _check_size(width: int, height: int) -> None:
    if width * height > PIXELS_MAX:
        raise _wrong("a photo has at most 25 million pixels", f"{width} x {height}")
    if min(width, height) < SIDE_PIXELS_MIN:
        raise _wrong("a photo has at least 64 pixels a side", f"{width} x {height}")


def _check_whole(data: bytes) -> None:
    # Pillow's verify() reads a PNG's checksums but only a JPEG's header; half a JPEG lacks the end mark.
    if data.startswith(b"\xff\xd8") and b"\xff\xd9" not in data[-64 * 1024 :]:
        raise _wrong("a photo is a whole file", "a JPEG without its end")


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        ground = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(ground, layer).convert("RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _wrong(rule: str, value: str) -> InvalidInputError:
    return InvalidInputError(rule, field="photo", value=value, hint="Take or scan the photo again")
