"""Small PNGs: one byte for each pixel, and a palette."""

from __future__ import annotations

import re
import struct
import zlib


def with_palette(
    width: int, height: int, colours: bytes, pixels: bytes, *, source: str = ""
) -> bytes:
    """A PNG of `pixels`, each the place of its colour in `colours` (three bytes each, RGB).

    `source`, sixteen hexadecimal digits, is kept in the file; `source_of` reads it.

    Raises `ValueError` when the pixels do not fill the picture.
    """
    if len(pixels) != width * height:
        raise ValueError(f"{len(pixels)} pixels for a picture of {width} by {height}")
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)  # 8 bits, palette
    rows = (b"\0" + pixels[at : at + width] for at in range(0, len(pixels), width))
    packed = zlib.compress(b"".join(rows), 9)
    text = b"Source\0" + source.encode("latin-1")
    parts = [
        (b"IHDR", header),
        (b"tEXt", text),
        (b"PLTE", colours),
        (b"IDAT", packed),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in parts)


def source_of(png: bytes) -> str:
    """The sixteen hexadecimal digits that `with_palette` was given; empty where there are none."""
    found = re.search(rb"tEXtSource\0([0-9a-f]{16})", png)
    return found.group(1).decode() if found else ""


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)
