"""A disk that can fail under a store, as the kernel shows it: from then on it is read-only."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


class FailingDisk:
    """A disk in a file, below the store's directory, that can fail: then it is read-only."""

    def __init__(self, directory: Path) -> None:
        """Not made yet; `directory` exists."""
        self._directory = directory
        self._image = directory.with_suffix(".img")

    def make(self) -> bool:
        """Whether it could be made: that takes Linux and its administrator."""
        if not shutil.which("mkfs.ext4"):
            return False
        self._image.write_bytes(b"\0" * (16 << 20))
        subprocess.run(["mkfs.ext4", "-q", "-F", str(self._image)], check=True)
        return self.mount()

    def mount(self) -> bool:
        """Mount it."""
        command = ["mount", "-o", "loop,errors=remount-ro", str(self._image), str(self._directory)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def unmount(self) -> None:
        """As an operator would: without waiting for whoever has a file of it open."""
        subprocess.run(["umount", "--lazy", str(self._directory)], check=True)

    def fail(self) -> None:
        """The kernel's own switch for what it does when a disk fails."""
        listed = subprocess.run(
            ["findmnt", "-n", "-o", "SOURCE", str(self._directory)],
            capture_output=True,
            text=True,
            check=True,
        )
        name = Path(listed.stdout.strip()).name
        Path(f"/sys/fs/ext4/{name}/trigger_fs_error").write_text("1")
