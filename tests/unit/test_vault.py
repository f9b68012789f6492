from __future__ import annotations

import base64
import hashlib
import hmac
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from sync import vault
from sync.errors import ConfigurationError
from sync.settings import Settings
from sync.store.redis import Clients
from sync.vault import (
    Vault,
    VaultError,
    load_keys,
    open_vault,
    parse_keys,
    remember,
    unreadable_keys,
)

OLD, NEW, OTHER = bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32
SECRET = "c4nary-s3cret"


def written(*keys: bytes) -> str:
    return ",".join(base64.b64encode(key).decode() for key in keys)


def settings(tmp_path: Path, **given: object) -> Settings:
    nothing = {"redis_url": None, "encryption_keys": None}
    return Settings.load(**{"data_dir": tmp_path, **nothing, **given})


@given(org=st.text(), field=st.text().filter(lambda text: "|" not in text), secret=st.text())
def test_what_was_encrypted_decrypts(org: str, field: str, secret: str) -> None:
    box = Vault([NEW])
    assert box.decrypt(org, field, box.encrypt(org, field, secret)) == secret


def test_the_same_secret_never_looks_the_same() -> None:
    box = Vault([NEW])
    assert box.encrypt("T1", "token", SECRET) != box.encrypt("T1", "token", SECRET)


@pytest.mark.parametrize(("org", "field"), [("T2", "token"), ("T1", "bot"), ("T1|token", "")])
def test_a_moved_ciphertext_does_not_decrypt(org: str, field: str) -> None:
    box = Vault([NEW])
    ciphertext = box.encrypt("T1", "token", SECRET)
    with pytest.raises(VaultError) as caught:
        box.decrypt(org, field, ciphertext)
    assert caught.value.reason_code == "vault.damaged"


def test_a_field_cannot_reach_into_the_organisation() -> None:
    with pytest.raises(ValueError, match=r"no \|"):
        Vault([NEW]).encrypt("T1", "T2|token", SECRET)


def test_every_altered_byte_is_noticed() -> None:
    box = Vault([NEW])
    ciphertext = box.encrypt("T1", "token", SECRET)
    head, body = ciphertext.rsplit(".", 1)
    sealed = bytearray(base64.urlsafe_b64decode(body))
    for place in range(len(sealed)):
        sealed[place] ^= 1
        with pytest.raises(VaultError):
            box.decrypt("T1", "token", f"{head}.{base64.urlsafe_b64encode(sealed).decode()}")
        sealed[place] ^= 1


@pytest.mark.parametrize("text", ["", "v1", "v1.", "v1.x.", "v2.aa.bb", "v1.aa.!!", "xoxb-1", "ü"])
def test_what_is_no_ciphertext_is_refused(text: str) -> None:
    with pytest.raises(VaultError):
        Vault([NEW]).decrypt("T1", "token", text)


def test_an_older_key_still_decrypts_and_is_replaced() -> None:
    ciphertext = Vault([OLD]).encrypt("T1", "token", SECRET)
    box = Vault([NEW, OLD])
    fresh = box.refreshed("T1", "token", ciphertext)
    assert fresh is not None
    assert Vault([NEW]).decrypt("T1", "token", fresh) == SECRET
    assert box.refreshed("T1", "token", fresh) is None


def test_a_key_that_was_taken_away_is_named_by_its_id() -> None:
    ciphertext = Vault([OLD]).encrypt("T1", "token", SECRET)
    with pytest.raises(VaultError) as caught:
        Vault([NEW]).decrypt("T1", "token", ciphertext)
    assert caught.value.reason_code == "vault.key_missing"
    assert caught.value.params == {"key": ciphertext.split(".")[1]}


def test_a_mark_tells_secrets_apart_and_is_the_same_in_every_process() -> None:
    (mark,) = Vault([OLD]).marks(SECRET)
    assert Vault([OLD]).marks(SECRET) == (mark,)
    assert Vault([OLD]).marks(SECRET + "2") != (mark,)
    assert len(mark) == vault.MARK_DIGITS


def test_a_mark_of_an_older_key_is_known_as_long_as_the_key_is_in_the_ring() -> None:
    (mark,) = Vault([OLD]).marks(SECRET)
    assert Vault([NEW, OLD]).marks(SECRET) == (*Vault([NEW]).marks(SECRET), mark)
    assert mark not in Vault([NEW]).marks(SECRET)


def test_a_mark_is_no_use_without_the_vault_s_key() -> None:
    """Neither the bare secret nor what the store knows of the key makes the mark."""
    made = Vault([OLD])
    (mark,) = made.marks(SECRET)
    known = (b"", vault.key_id(OLD).encode(), *(check.encode() for check in made.checks))
    guesses = {hmac.new(key, SECRET.encode(), hashlib.sha256).hexdigest() for key in known}
    guesses |= {hashlib.sha256(SECRET.encode()).hexdigest()}
    assert not any(guess.startswith(mark) for guess in guesses)
    assert not hmac.new(OLD, SECRET.encode(), hashlib.sha256).hexdigest().startswith(mark)


def test_keys_are_read_in_both_alphabets() -> None:
    key = bytes([0xFB, 0xFF] * 16)
    text = f"{base64.b64encode(key).decode()} , {base64.urlsafe_b64encode(key).decode()[:-1]}"
    assert parse_keys(text) == [key, key]


@pytest.mark.parametrize("text", ["", ",", "c4nary", written(b"short"), f"{written(NEW)},c4nary"])
def test_a_key_that_is_none_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigurationError, match="XTOOL_ENCRYPTION_KEYS") as caught:
        parse_keys(text)
    assert "c4nary" not in str(caught.value)


def test_a_key_is_generated_for_the_embedded_store(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    keys = load_keys(settings(directory))
    assert load_keys(settings(directory)) == keys
    assert stat.S_IMODE((directory / "secret.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert [path.name for path in directory.iterdir()] == ["secret.key"]


def test_no_key_is_generated_with_redis_url(tmp_path: Path) -> None:
    shared = settings(tmp_path, redis_url=SecretStr("redis://localhost"))
    with pytest.raises(ConfigurationError, match="openssl rand -base64 32"):
        load_keys(shared)
    assert list(tmp_path.iterdir()) == []


def test_a_key_from_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    load_keys(settings(tmp_path))
    given = settings(tmp_path, encryption_keys=SecretStr(written(NEW, OLD)))
    assert load_keys(given) == [NEW, OLD]


def test_a_key_file_open_to_others_is_closed(tmp_path: Path) -> None:
    load_keys(settings(tmp_path))
    (tmp_path / "secret.key").chmod(0o644)
    load_keys(settings(tmp_path))
    assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600


def test_a_broken_key_file_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_text("c4nary")
    with pytest.raises(ConfigurationError, match=r"secret\.key") as caught:
        load_keys(settings(tmp_path))
    assert "c4nary" not in str(caught.value)
    assert (tmp_path / "secret.key").read_text() == "c4nary"


def test_a_key_that_somebody_made_first_stays(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.write_text("first")
    vault._generate(path)
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_processes_that_generate_at_once_get_the_same_key(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from sync.vault import load_keys, key_id;"
        "from sync.settings import Settings; sys.stdin.read(1);"
        "s = Settings.load(data_dir=Path(sys.argv[1]), redis_url=None, encryption_keys=None);"
        "print(key_id(load_keys(s)[0]))"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("x")
        process.stdin.flush()
    answers = [process.communicate()[0].splitlines()[-1] for process in started]
    assert len(set(answers)) == 1
    assert len(answers[0]) == 8


async def test_the_first_key_is_remembered(clients: Clients, tmp_path: Path) -> None:
    given = settings(tmp_path, encryption_keys=SecretStr(written(NEW)))
    await open_vault(given, clients)
    assert await remember(clients, Vault([NEW]))


async def test_a_wrong_key_stops_the_start(clients: Clients, tmp_path: Path) -> None:
    await remember(clients, Vault([OLD]))
    with pytest.raises(ConfigurationError, match="not the one"):
        await open_vault(settings(tmp_path, encryption_keys=SecretStr(written(NEW))), clients)


async def test_a_wrong_key_leaves_the_stores_memory_alone(clients: Clients) -> None:
    await remember(clients, Vault([OLD]))
    assert not await remember(clients, Vault([NEW]))
    assert await remember(clients, Vault([OLD]))


async def test_a_rotated_key_is_accepted_and_the_old_one_alone_no_more(clients: Clients) -> None:
    await remember(clients, Vault([OLD]))
    assert await remember(clients, Vault([NEW, OLD]))
    assert not await remember(clients, Vault([OLD]))


async def test_a_key_taken_out_of_the_ring_is_counted(clients: Clients) -> None:
    await remember(clients, Vault([OLD]))
    await remember(clients, Vault([NEW, OLD]))
    assert await unreadable_keys(clients, Vault([NEW, OLD])) == 0
    assert await unreadable_keys(clients, Vault([NEW])) == 1


async def test_the_check_value_is_not_the_key(clients: Clients) -> None:
    await remember(clients, Vault([OTHER]))
    kept = str(await clients.redis.execute_command("HGETALL", "xt:vault"))
    assert OTHER.hex() not in kept
    assert base64.b64encode(OTHER).decode() not in kept
