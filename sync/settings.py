"""The settings of `sync`, read from environment variables.

Only the environment is read, no `.env` file: what runs is what the process was started with.
An empty variable counts as not set. A value that cannot be used stops the start with one sentence
that names the variable; the value itself is never repeated, it may be a secret.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from sync.errors import ConfigurationError
from sync.model import ParticipantId
from sync.store.redis import NO_SENTINEL, SCHEMES

Provider = Literal["recommand", "e-invoice-be", "phoss-ap"]
Lookup = Literal["auto", "sml", "sml-test", "access-point"]

# Where each provider's production account is reached; phoss-ap is one's own host.
PROVIDER_URLS: dict[Provider, str] = {
    "recommand": "https://app.recommand.eu/api/v1",
    "e-invoice-be": "https://api.e-invoice.be",
}


def is_loopback_host(host: str) -> bool:
    """Whether a URL's host is this machine, so that plain http is safe."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def http_url(text: str) -> str:
    """A http(s) URL without credentials, query, fragment or slash at its end, else `ValueError`."""
    try:
        url = urlsplit(text.strip())
        host, _ = url.hostname, url.port
    except ValueError:
        host, url = None, urlsplit("")
    if url.scheme not in ("http", "https") or not host or not host.isascii():
        raise ValueError("must be a URL such as https://api.example.com/v1")
    if url.username or url.password or url.query or url.fragment:
        raise ValueError("must be a plain URL, without a user, a password, ? or #")
    return text.strip().rstrip("/")


def safe_url(text: str) -> str:
    """As `http_url`, and http only on this machine: a key travels with each request."""
    url = http_url(text)
    parts = urlsplit(url)
    if parts.scheme != "https" and not is_loopback_host(parts.hostname or ""):
        raise ValueError("must begin with https://")
    return url


def _store_url(secret: SecretStr) -> SecretStr:
    scheme = urlsplit(secret.get_secret_value()).scheme
    if "sentinel" in scheme:
        raise ValueError(NO_SENTINEL)
    if scheme not in SCHEMES:
        raise ValueError(
            "must begin with redis://, rediss://, unix://, redis+cluster:// or rediss+cluster://"
        )
    return secret


def _participant(value: Any) -> Any:
    return ParticipantId.parse(value) if isinstance(value, str) else value


def _tag(text: str) -> str:
    """A tag prefix; `-Peppol-Failed` and others are added to it."""
    name = text.strip()
    if not 1 <= len(name) <= 40 or not name.isprintable() or "," in name:
        raise ValueError("must have 1 to 40 characters, none of them a comma or a line break")
    return name


class EnvironmentSettings(BaseSettings):
    """Base: each field is read from the variable of its name in capitals."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True,
        env_file=None,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    @classmethod
    def load(cls, **given: Any) -> Self:
        """Read the environment; `given` values (field names) win over it.

        Raises `ConfigurationError` with one sentence for each variable that is wrong.
        """
        try:
            return cls(**given)
        except ValidationError as error:
            raise _configuration_error(error) from None

    @classmethod
    def variables(cls) -> dict[str, Any]:
        """Each environment variable that is read, with its default (None: none)."""
        return {
            str(field.validation_alias or name).upper(): field.get_default()
            for name, field in cls.model_fields.items()
        }


def _configuration_error(error: ValidationError) -> ConfigurationError:
    """Sentences for people; pydantic's own text can hold the value."""
    variables: list[str] = []
    sentences: list[str] = []
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        name = _variable(problem["loc"])
        text = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "missing":
            text = "is required but not set"
        variables += [name] if name else []
        sentences.append(f"{name} {text[0].lower()}{text[1:]}" if name else text)
    return ConfigurationError("; ".join(sentences), variable=", ".join(variables))


def _variable(location: tuple[int | str, ...]) -> str:
    """pydantic's place of an error is the alias, or the field's name; empty for the model."""
    return str(location[0]).upper() if location else ""


class Settings(EnvironmentSettings):
    """Everything `sync` can be told. The README's table has a line for each variable."""

    sevdesk_api_url: Annotated[str, AfterValidator(safe_url)] = "https://my.sevdesk.de/api/v1"
    sevdesk_rps: float = Field(default=4.0, gt=0, le=100, validation_alias="XTOOL_SEVDESK_RPS")

    peppol_provider: Provider = "recommand"
    peppol_api_url: Annotated[str, AfterValidator(http_url)] | None = None
    peppol_api_key: SecretStr | None = None
    peppol_api_secret: SecretStr | None = None
    peppol_company_id: str | None = Field(default=None, max_length=200)
    peppol_webhook_secret: SecretStr | None = None
    peppol_lookup: Lookup = "auto"
    peppol_sender_id: Annotated[ParticipantId, BeforeValidator(_participant), NoDecode] | None = (
        None
    )

    redis_url: Annotated[SecretStr, AfterValidator(_store_url)] | None = None
    data_dir: Path = Field(default=Path(".xtool"), validation_alias="XTOOL_DATA_DIR")
    encryption_keys: SecretStr | None = Field(
        default=None, validation_alias="XTOOL_ENCRYPTION_KEYS"
    )
    # How long the XML as fetched and as sent is kept after an import is final. sevDesk is the
    # archive that the law asks for; this covers disputes of the past financial year.
    keep_documents_days: int = Field(
        default=400, ge=1, le=4000, validation_alias="XTOOL_KEEP_DOCUMENTS_DAYS"
    )

    tag: Annotated[str, AfterValidator(_tag)] = Field(default="xTool", validation_alias="XTOOL_TAG")
    poll_seconds: int = Field(default=300, ge=1, le=86400, validation_alias="XTOOL_POLL_SECONDS")
    retry_seconds: float = Field(default=5.0, gt=0, le=3600, validation_alias="XTOOL_RETRY_SECONDS")

    @model_validator(mode="after")
    def _access_point_url(self) -> Self:
        if self.peppol_api_url is None:
            if self.peppol_provider not in PROVIDER_URLS:
                raise ValueError(
                    "PEPPOL_API_URL is required with PEPPOL_PROVIDER=phoss-ap: "
                    "the address of your own access point"
                )
        elif self.peppol_provider != "phoss-ap":  # one's own may stand in a private network
            try:
                safe_url(self.peppol_api_url)
            except ValueError as error:
                raise ValueError(f"PEPPOL_API_URL {error}") from None
        return self

    @property
    def access_point_url(self) -> str:
        """PEPPOL_API_URL, else the provider's production URL."""
        return self.peppol_api_url or PROVIDER_URLS[self.peppol_provider]

    @property
    def missing_credentials(self) -> tuple[str, ...]:
        """The variables without which the chosen access point cannot be used."""
        needed: dict[Provider, tuple[str, ...]] = {
            "recommand": ("peppol_api_key", "peppol_api_secret", "peppol_company_id"),
            "e-invoice-be": ("peppol_api_key",),
            "phoss-ap": ("peppol_api_key",),
        }
        names = needed[self.peppol_provider]
        return tuple(name.upper() for name in names if not getattr(self, name))
