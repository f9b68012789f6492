"""How the worker and its process talk: one JSON head and one blob, both with their lengths.

JSON and not pickle: the process parses hostile documents, and what it answers is data, never
code. The document itself goes as a blob, so that no event loop has to read 14 MB of base64.
"""

from __future__ import annotations

import json
import struct
from typing import Any, Final, NamedTuple

LENGTHS: Final = struct.Struct(">II")
MAX_HEAD: Final = 4 * 1024 * 1024
MAX_BLOB: Final = 64 * 1024 * 1024
"""A converted document can be larger than its source, but not six times."""


class Frame(NamedTuple):
    """One message."""

    head: dict[str, Any]
    blob: bytes = b""


def pack(frame: Frame) -> bytes:
    """The bytes of a message."""
    head = json.dumps(frame.head, separators=(",", ":")).encode()
    return LENGTHS.pack(len(head), len(frame.blob)) + head + frame.blob


def lengths(data: bytes) -> tuple[int, int]:
    """The lengths of head and blob. Raises `ValueError` if they cannot be right."""
    head, blob = LENGTHS.unpack(data)
    if head > MAX_HEAD or blob > MAX_BLOB:
        raise ValueError("a message that is too long")
    return head, blob


def unpack(head: bytes, blob: bytes) -> Frame:
    """The message. Raises `ValueError` if the head is not a JSON object."""
    data = json.loads(head)
    if not isinstance(data, dict):
        raise ValueError("a message without a head")  # noqa: TRY004 - what came, not what was passed
    return Frame(data, blob)
