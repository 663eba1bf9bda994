"""Logos from strangers: what is kept is the picture and nothing else."""

import struct

import pytest

from receivables.images import MAX_BYTES, MAX_SIDE, NotAPicture, read_picture
from support.pictures import chunk, make_jpeg, make_png, segment


def test_a_png_loses_everything_but_the_picture() -> None:
    secret = chunk(b"tEXt", b"Author\0Claire") + chunk(b"eXIf", b"GPS")
    picture = read_picture(make_png(3, 2, extra=secret, tail=b"<script>"))
    assert (picture.media_type, picture.width, picture.height) == ("image/png", 3, 2)
    assert picture.content == make_png(3, 2)
    assert read_picture(picture.content) == picture


def test_a_jpeg_loses_everything_but_the_picture() -> None:
    secret = segment(0xE1, b"Exif\0\0GPS") + segment(0xFE, b"Claire")
    picture = read_picture(make_jpeg(30, 20, extra=secret, tail=b"PK\3\4"))
    assert (picture.media_type, picture.width, picture.height) == ("image/jpeg", 30, 20)
    assert picture.content == make_jpeg(30, 20)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GIF89a",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='x()'/>",
        make_png(2, 2)[:-20],
        make_png(2, 2).replace(b"IDAT", b"IDAX"),
        make_png(2, 2, pixels=b"\0" * 50_000_000),  # unpacks to more than it says
        make_png(2, 2, pixels=b"\0"),
        make_png(2, 2, pixels=b"\7\0\0\0\0\0"),  # no such filter
        make_png(2, 2, extra=chunk(b"XXXX", b"?")),
        make_png(MAX_SIDE + 1, 1),
        make_png(1, 1).replace(struct.pack(">II", 1, 1), struct.pack(">II", 0, 1)),
        make_jpeg(MAX_SIDE + 1, 1),
        make_jpeg(2, 2)[:-2],
        make_jpeg(2, 2)[:30],
        b"\xff\xd8\xff\xd9",
        make_png(1, 1) + b"\0" * MAX_BYTES,
    ],
)
def test_what_is_no_picture_is_refused(content: bytes) -> None:
    with pytest.raises(NotAPicture):
        read_picture(content)
