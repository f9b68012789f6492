"""Secrets at rest: AES-256-GCM, bound to the organisation and the field they belong to.

A ciphertext is `v1.<key id>.<base64url of nonce and ciphertext>`. Its associated data is
`v1|<organisation>|<field>`, so one that is moved to another organisation or field does not
decrypt. Keys stand newest first: the first encrypts, all decrypt, and `refreshed` re-encrypts
what was written with an older one.

    SyncError
    ├── VaultError
    │       vault.key_missing   encrypted with a key that is not in the ring (params: key)
    │       vault.damaged       moved, cut or altered
    └── ConfigurationError      no key, no real key, or not the one of this store
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sync.embedded import private_directory
from sync.errors import ConfigurationError, Kind, SyncError
from sync.settings import Settings
from sync.store.redis import Clients

KEY_BYTES = 32  # AES-256
NONCE_BYTES = 12  # NIST SP 800-38D: 96 bits, random; safe for 2^32 messages under one key
MARK_DIGITS = 16  # hexadecimal: one in 2^64 is taken for another
CHECK_KEY = "xt:vault"
HOW_TO = "make one with: openssl rand -base64 32"

_log = structlog.get_logger(__name__)


class VaultError(SyncError):
    """A secret cannot be read. It never says what was read."""

    code = "vault.damaged"
    kind = Kind.PRECONDITION


class Vault:
    """Encrypts and decrypts; knows nothing of where secrets are stored."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys`: 32 bytes each, newest first, at least one."""
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"at least one key of {KEY_BYTES} bytes is needed")
        self._ciphers = {key_id(key): AESGCM(key) for key in keys}
        self._newest = key_id(keys[0])
        self._markers = tuple(_marker(key) for key in keys)
        self.checks = tuple(_check(key) for key in keys)

    def encrypt(self, org: str, field: str, secret: str) -> str:
        """The ciphertext of `secret`, which only decrypts for the same `org` and `field`."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        cipher = self._ciphers[self._newest]
        sealed = nonce + cipher.encrypt(nonce, secret.encode(), _associated(org, field))
        return f"v1.{self._newest}.{base64.urlsafe_b64encode(sealed).decode()}"

    def decrypt(self, org: str, field: str, ciphertext: str) -> str:
        """The secret. Raises `VaultError`."""
        key, sealed = _parse(ciphertext)
        cipher = self._ciphers.get(key)
        if cipher is None:
            raise VaultError(f"no key {key} in the ring", code="vault.key_missing", key=key)
        try:
            plain = cipher.decrypt(
                sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _associated(org, field)
            )
            return plain.decode()
        except (InvalidTag, UnicodeDecodeError):
            raise VaultError(f"the secret {field} does not decrypt") from None

    def marks(self, secret: str) -> tuple[str, ...]:
        """What tells `secret` from another one, under each key of the ring, newest first.

        A mark is kept where the secret is not to be: HMAC-SHA256 under a key that is derived from
        the vault's, cut to 64 bits. Whoever reads the store does not have that key and can try no
        guess, not even at a short secret; whoever has it reads the environment, where the secret
        itself stands. A mark of an older key is still known as long as that key is in the ring.
        """
        return tuple(
            hmac.new(marker, secret.encode(), hashlib.sha256).hexdigest()[:MARK_DIGITS]
            for marker in self._markers
        )

    def refreshed(self, org: str, field: str, ciphertext: str) -> str | None:
        """The same secret under the newest key; None if it is already. Raises `VaultError`."""
        if _parse(ciphertext)[0] == self._newest:
            return None
        return self.encrypt(org, field, self.decrypt(org, field, ciphertext))


def key_id(key: bytes) -> str:
    """A key's public name, eight hexadecimal digits."""
    return hashlib.sha256(b"xtool-key-id|" + key).hexdigest()[:8]


def _check(key: bytes) -> str:
    """What the store remembers of a key: tells another key apart and reveals nothing of it."""
    return hmac.new(key, b"xtool-key-check", hashlib.sha256).hexdigest()


def _marker(key: bytes) -> bytes:
    """A key for nothing but marks."""
    return hmac.new(key, b"xtool-mark-key", hashlib.sha256).digest()


def _associated(org: str, field: str) -> bytes:
    if "|" in field:  # `field` is ours and `org` is not: the last | must end the organisation
        raise ValueError("the name of a field holds no |")
    return f"v1|{org}|{field}".encode()


def _parse(ciphertext: str) -> tuple[str, bytes]:
    version, _, rest = ciphertext.partition(".")
    key, _, body = rest.partition(".")
    try:
        sealed = base64.b64decode(body, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        sealed = b""
    if version != "v1" or len(sealed) < NONCE_BYTES:
        raise VaultError("not a ciphertext of this vault")
    return key, sealed


def parse_keys(text: str) -> list[bytes]:
    """Keys from XTOOL_ENCRYPTION_KEYS: base64 or base64url of 32 bytes, comma-separated.

    Raises `ConfigurationError`, which never repeats a key.
    """
    keys = [_parse_key(part) for part in text.replace("\n", ",").split(",") if part.strip()]
    if not keys or None in keys:
        raise ConfigurationError(
            f"XTOOL_ENCRYPTION_KEYS must hold keys of {KEY_BYTES} bytes in base64, separated by "
            f"commas, newest first; {HOW_TO}",
            variable="XTOOL_ENCRYPTION_KEYS",
        )
    return [key for key in keys if key is not None]


def _parse_key(text: str) -> bytes | None:
    plain = text.strip().replace("+", "-").replace("/", "_").rstrip("=")
    try:
        key = base64.b64decode(plain + "=" * (-len(plain) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == KEY_BYTES else None


def load_keys(settings: Settings) -> list[bytes]:
    """The keys of this process, newest first.

    From the environment; else, with the embedded store only, from a file in the data directory
    that is made at the first start. Several hosts share one `REDIS_URL`, so there each would make
    a key of its own: a missing one raises `ConfigurationError`.
    """
    if settings.encryption_keys is not None:
        return parse_keys(settings.encryption_keys.get_secret_value())
    if settings.redis_url is not None:
        raise ConfigurationError(
            "XTOOL_ENCRYPTION_KEYS is required with REDIS_URL, the same on every host; " + HOW_TO,
            variable="XTOOL_ENCRYPTION_KEYS",
        )
    return _key_file(private_directory(settings.data_dir) / "secret.key")


def _key_file(path: Path) -> list[bytes]:
    try:
        if not path.exists():
            _generate(path)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            _log.warning("key_file_was_open_to_others", path=str(path))
            path.chmod(0o600)
        return parse_keys(path.read_text("ascii"))
    except (OSError, UnicodeDecodeError, ConfigurationError) as error:
        raise ConfigurationError(
            f"The key file {path} cannot be used ({type(error).__name__}): restore it from your "
            "copy, or set XTOOL_ENCRYPTION_KEYS",
            variable="XTOOL_ENCRYPTION_KEYS",
        ) from None


def _generate(path: Path) -> None:
    """Make the key file as a whole or not at all, also with several processes at once.

    `link` fails where the file exists, so all of them use the key of the first.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
            _log.warning("key_generated", path=str(path), advice="keep a copy, not beside the data")
        _sync_directory(path.parent)
    finally:
        draft.unlink()


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# Remembers our newest key unless the store was last written with one that we do not have.
# KEYS: the hash. ARGV: our checks, newest first. Returns 1, or 0 for a wrong key.
_REMEMBER = """
local current = redis.call('HGET', KEYS[1], 'current')
if current then
  local ours = false
  for _, check in ipairs(ARGV) do ours = ours or check == current end
  if not ours then return 0 end
end
redis.call('HSET', KEYS[1], 'current', ARGV[1], ARGV[1], 'seen')
return 1
"""


async def open_vault(settings: Settings, clients: Clients) -> Vault:
    """The vault of this process, checked against the store.

    Raises `ConfigurationError` for a missing or a wrong key, and `StoreError`.
    """
    vault = Vault(load_keys(settings))
    if await remember(clients, vault):
        return vault
    raise ConfigurationError(
        "The encryption key is not the one that this store was written with: put that key into "
        "XTOOL_ENCRYPTION_KEYS, after a newer one if you have one",
        variable="XTOOL_ENCRYPTION_KEYS",
    )


async def remember(clients: Clients, vault: Vault) -> bool:
    """Compare with the store's check value and leave ours; False for a wrong key."""
    answer = await clients.exact.execute_command("EVAL", _REMEMBER, 1, CHECK_KEY, *vault.checks)
    return bool(answer)


async def unreadable_keys(clients: Clients, vault: Vault) -> int:
    """How many keys this store was written with at some time that are not in the ring now."""
    known = set(await clients.redis.execute_command("HKEYS", CHECK_KEY)) - {"current"}
    return len(known - set(vault.checks))
