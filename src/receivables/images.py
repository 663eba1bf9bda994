"""Pictures from strangers, such as a logo: PNG and JPEG, judged by their bytes and taken apart and put together anew.

What is kept holds the picture and nothing else: no metadata, no text, nothing behind its end. An SVG is a program in
a picture's clothes and is refused.
"""

import struct
import zlib
from typing import Final

from msgspec import Struct

MAX_BYTES: Final = 512 * 1024
MAX_SIDE: Final = 4_096  # pixels
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_KEPT: Final = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type (PNG specification, table 11.1)
_DEPTHS: Final = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_SOI, _EOI, _SOS, _APP0, _ADOBE, _COMMENT = 0xD8, 0xD9, 0xDA, 0xE0, 0xEE, 0xFE
_FRAMES: Final = {0xC0, 0xC1, 0xC2}  # baseline, extended and progressive: what every reader knows
_RESTARTS: Final = range(0xD0, 0xD8)


class Picture(Struct, frozen=True):
    """A picture as it is kept, its size in pixels."""

    media_type: str
    content: bytes
    width: int
    height: int


class NotAPicture(Exception):
    """The bytes are no PNG or JPEG that can be kept; the message says why."""


def read_picture(content: bytes) -> Picture:
    """Take a picture apart and put it together anew. Raises NotAPicture."""
    if len(content) > MAX_BYTES:
        raise NotAPicture(f"at most {MAX_BYTES} bytes")
    try:
        if content.startswith(_PNG):
            return _png(content)
        if content.startswith(b"\xff\xd8\xff"):
            return _jpeg(content)
    except (struct.error, zlib.error, IndexError, ValueError) as error:
        raise NotAPicture("the picture is damaged") from error
    raise NotAPicture("a PNG or a JPEG")


def _bounded(width: int, height: int) -> None:
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise NotAPicture(f"at most {MAX_SIDE} pixels to a side")


def _png(content: bytes) -> Picture:
    at, kept, data, header = len(_PNG), [_PNG], bytearray(), b""
    while True:
        size, kind = struct.unpack_from(">I4s", content, at)
        body = content[at + 8 : at + 8 + size]
        (check,) = struct.unpack_from(">I", content, at + 8 + size)
        if len(body) != size or zlib.crc32(kind + body) != check:
            raise NotAPicture("the picture is damaged")
        if not header and kind != b"IHDR":
            raise NotAPicture("the picture is damaged")
        if kind == b"IHDR":
            if header:
                raise NotAPicture("the picture is damaged")
            header = body
        elif kind == b"IDAT":
            data += body
        elif kind[0:1].isupper() and kind not in _KEPT:
            raise NotAPicture("the picture needs something that is not known")
        if kind in _KEPT:
            kept.append(content[at : at + 12 + size])
        at += 12 + size
        if kind == b"IEND":
            break
    width, height = _check_pixels(header, bytes(data))
    return Picture("image/png", b"".join(kept), width, height)


def _check_pixels(header: bytes, data: bytes) -> tuple[int, int]:
    """The size of a PNG whose pixels are exactly as many as it says: nothing unpacks to more."""
    width, height, depth, colour, compression, filtering, interlace = struct.unpack(">IIBBBBB", header)
    _bounded(width, height)
    if depth not in _DEPTHS.get(colour, ()) or compression or filtering or interlace:
        raise NotAPicture("a plain PNG, not interlaced")
    row = 1 + (width * depth * _CHANNELS[colour] + 7) // 8
    unpacker = zlib.decompressobj()
    pixels = unpacker.decompress(data, row * height + 1)
    if len(pixels) != row * height or any(pixels[start] > 4 for start in range(0, len(pixels), row)):  # noqa: PLR2004 - five filters
        raise NotAPicture("the picture is damaged")
    return width, height


def _jpeg(content: bytes) -> Picture:
    at, kept, size = 2, [b"\xff\xd8"], (0, 0)
    while True:
        if content[at] != 0xFF:  # noqa: PLR2004 - a marker begins with it
            raise NotAPicture("the picture is damaged")
        marker = content[at + 1]
        if marker == _EOI:
            kept.append(b"\xff\xd9")
            break
        (length,) = struct.unpack_from(">H", content, at + 2)
        segment = content[at : at + 2 + length]
        if len(segment) != 2 + length or length < 2 or marker in _RESTARTS or marker == _SOI:  # noqa: PLR2004 - its own length
            raise NotAPicture("the picture is damaged")
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:  # noqa: PLR2004 - the frames
            if marker not in _FRAMES or size != (0, 0):
                raise NotAPicture("a baseline or progressive JPEG")
            height, width = struct.unpack_from(">HH", segment, 5)
            _bounded(width, height)
            size = (width, height)
        at += 2 + length
        if not (_APP0 <= marker <= 0xEF and marker not in {_APP0, _ADOBE}) and marker != _COMMENT:  # noqa: PLR2004 - APP15
            kept.append(segment)
        if marker == _SOS:
            end = _end_of_scan(content, at)
            kept.append(content[at:end])
            at = end
    if size == (0, 0):
        raise NotAPicture("the picture is damaged")
    return Picture("image/jpeg", b"".join(kept), *size)


def _end_of_scan(content: bytes, at: int) -> int:
    """Where the next marker stands: within a scan 0xFF is followed by 0 or by a restart."""
    while True:
        at = content.index(b"\xff", at)
        if content[at + 1] != 0 and content[at + 1] not in _RESTARTS:
            return at
        at += 2
