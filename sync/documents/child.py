"""The process that reads documents: `python -m sync.documents.child PARENT_PID SECONDS`.

It talks over its standard input and output and ends with its parent: its input closes, and on
Linux the kernel kills it. It has no secret in its environment. A document may use SECONDS of
processor time; then the kernel ends the process, even while a C library does not return. It is
processor time and not the clock, so that a busy machine does not make a good document a bad one.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import BinaryIO, Final

from sync.documents import frames, work
from sync.documents.frames import Frame
from sync.documents.work import Plan
from sync.errors import Reason, SyncError

_PR_SET_PDEATHSIG: Final = 1
_WARM_UP_SECONDS: Final = 60.0
"""Compiling the official rules may take longer than any document."""


def main(arguments: list[str]) -> None:
    """Serve until the input ends."""
    parent, seconds = int(arguments[0]), float(arguments[1])
    _die_with(parent)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold invoices
    source, sink = _channel()
    while (request := _receive(source)) is not None:
        is_warm_up = request.head.get("do") == "warm"
        signal.setitimer(signal.ITIMER_PROF, _WARM_UP_SECONDS if is_warm_up else seconds)
        answer = _answer(request)
        signal.setitimer(signal.ITIMER_PROF, 0)
        sink.write(frames.pack(answer))
        sink.flush()


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before the kernel was asked
        os._exit(0)


def _channel() -> tuple[BinaryIO, BinaryIO]:
    """Our own ends; whatever a library prints goes to the standard error, which is thrown away."""
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return os.fdopen(os.dup(0), "rb"), sink


def _receive(source: BinaryIO) -> Frame | None:
    sizes = source.read(frames.LENGTHS.size)
    if len(sizes) < frames.LENGTHS.size:
        return None
    head, blob = frames.lengths(sizes)
    return frames.unpack(source.read(head), source.read(blob))


def _answer(request: Frame) -> Frame:
    """What came of it. An unexpected error is the document's too: it must not stop the others."""
    try:
        return _DO[request.head["do"]](request)
    except SyncError as error:
        return Frame({"error": error.reason.model_dump(mode="json")})
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - a library failed on a hostile document
        reason = Reason(code="document.unexpected", params={"error": type(error).__name__})
        return Frame({"error": reason.model_dump(mode="json")})


def _read(request: Frame) -> Frame:
    return Frame({"ok": work.read(request.blob).model_dump(mode="json")})


def _make(request: Frame) -> Frame:
    made, xml = work.make(request.blob, Plan.model_validate(request.head["plan"]))
    return Frame({"ok": made.model_dump(mode="json")}, xml)


def _warm(_: Frame) -> Frame:
    return Frame({"ok": {"rules": work.warm_up()}})


_DO: Final[dict[str, Callable[[Frame], Frame]]] = {"read": _read, "make": _make, "warm": _warm}


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError):
        main(sys.argv[1:])
    # No destructors: Saxon's virtual machine takes seconds to take itself apart.
    os._exit(0)
