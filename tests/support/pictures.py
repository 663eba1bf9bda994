"""Small pictures, made byte by byte: whole ones, and what a stranger could send instead."""

import struct
import zlib


def chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))


def make_png(width: int, height: int, *, extra: bytes = b"", pixels: bytes | None = None, tail: bytes = b"") -> bytes:
    """A grey PNG; `extra` are more chunks, `pixels` other unpacked data than fits."""
    data = b"".join(b"\0" + b"\x80" * width for _ in range(height)) if pixels is None else pixels
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), extra, chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + tail


def segment(marker: int, body: bytes) -> bytes:
    """One segment of a JPEG."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def make_jpeg(width: int, height: int, *, extra: bytes = b"", tail: bytes = b"") -> bytes:
    """The frame of a JPEG, with segments that its readers look for; its scan says nothing."""
    frame = segment(0xC0, struct.pack(">BHHB", 8, height, width, 1) + bytes([1, 0x11, 0]))
    scan = segment(0xDA, bytes([1, 1, 0, 0, 63, 0])) + b"\x12\xff\x00\x34"
    return b"\xff\xd8" + segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0") + extra + frame + scan + b"\xff\xd9" + tail
