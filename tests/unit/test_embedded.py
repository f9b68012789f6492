from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from sync import embedded
from sync.embedded import EmbeddedStore, find_server, private_directory, socket_path
from sync.errors import ConfigurationError, StoreError
from sync.store.redis import Clients


def test_without_any_server_the_sentence_names_redis_url(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedded, "_bundled_server", lambda: None)
    monkeypatch.setattr(embedded, "_on_path", lambda name: None)
    with pytest.raises(ConfigurationError, match="REDIS_URL"):
        find_server()


def test_a_server_on_path_is_used_where_none_is_bundled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = tmp_path / "redis-server"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setattr(embedded, "_bundled_server", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server() == own


def test_a_long_directory_gets_a_short_socket(tmp_path: Path) -> None:
    path = socket_path(tmp_path / ("x" * 120))
    assert len(os.fsencode(path)) <= embedded.MAX_SOCKET_PATH
    assert path.parent.name.startswith(f"xtool-{os.getuid()}-")


def test_two_long_directories_do_not_share_a_socket(tmp_path: Path) -> None:
    assert socket_path(tmp_path / ("x" * 120)) != socket_path(tmp_path / ("y" * 120))


async def test_the_store_runs_in_a_long_directory_with_spaces(tmp_path: Path) -> None:
    directory = tmp_path / "a b'c" / ("x" * 120)
    async with EmbeddedStore(directory, watch=False) as url:
        clients = Clients(url)
        assert await clients.exact.set("k", "v")
        await clients.aclose()
    assert (directory / "appendonlydir").is_dir()


def test_a_new_directory_is_closed_to_others(tmp_path: Path) -> None:
    directory = private_directory(tmp_path / "a" / "b")
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_an_open_directory_is_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert stat.S_IMODE(private_directory(tmp_path).stat().st_mode) == 0o700


def test_a_directory_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(ConfigurationError, match="another user"):
        private_directory(tmp_path)


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="XTOOL_DATA_DIR"):
        private_directory(tmp_path / "file")


async def test_a_server_that_ends_at_once_is_reported_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "valkey-server"
    broken.write_text('#!/bin/sh\necho "out of luck" > data/valkey.log\nexit 3\n')
    broken.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(embedded, "find_server", lambda: broken)
    with pytest.raises(StoreError, match="ended with 3: out of luck"):
        await EmbeddedStore(tmp_path / "data").start()


async def test_the_server_has_no_tcp_port_and_a_private_socket(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, watch=False)
    async with store as url:
        clients = Clients(url)
        assert await clients.exact.config_get("port") == {"port": "0"}
        assert stat.S_IMODE(store.socket.stat().st_mode) == 0o700
        await clients.aclose()


async def test_the_server_gets_no_secret_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = tmp_path / "valkey-server"
    spy.write_text('#!/bin/sh\n{ /usr/bin/env; echo "$@"; } > "$(dirname "$0")/seen"\nexit 1\n')
    spy.chmod(0o755)
    monkeypatch.setattr(embedded, "find_server", lambda: spy)
    monkeypatch.setenv("XTOOL_ENCRYPTION_KEYS", "c4nary")
    with pytest.raises(StoreError):
        await EmbeddedStore(tmp_path / "data").start()
    seen = (tmp_path / "seen").read_text()
    assert "--appendonly yes" in seen
    assert "c4nary" not in seen


async def test_a_read_only_disk_is_told_with_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(StoreError) as caught:
        await EmbeddedStore(tmp_path).start()
    assert "Read-only file system" in str(caught.value)
    assert str(tmp_path) in str(caught.value)
