"""Putting `sync` together for one process: store, clients, vault, access point, documents, jobs."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import structlog
from docket import Docket
from pydantic import SecretStr

from sync.clock import StoreClock, open_clock
from sync.connecting import Connecting
from sync.delivery import Policy
from sync.documents import rules
from sync.documents.pipeline import DocumentPreparer
from sync.documents.worker import DocumentWorker
from sync.embedded import EmbeddedStore
from sync.jobs import DocketJobs, open_docket
from sync.log import register_secrets
from sync.peppol import registry
from sync.peppol.access_point import AccessPoint
from sync.peppol.smp import smp_client
from sync.ports import Ports, Sevdesk
from sync.service import Service
from sync.settings import Settings
from sync.sevdesk.client import SevdeskClient
from sync.sevdesk.transport import build_http
from sync.store.redis import Clients
from sync.upstream import Care, careful
from sync.vault import Vault, open_vault

log = structlog.get_logger(__name__)

SUBMIT_SECONDS = 30.0  # for one submission in all; an attempt is settled after twice this


class Stopping:
    """Whether the process is to end; long work looks at it between two steps."""

    def __init__(self) -> None:
        """Not yet."""
        self._asked = False

    def ask(self) -> None:
        """From now on."""
        self._asked = True

    def __call__(self) -> bool:
        """Whether it was asked for."""
        return self._asked


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a process has in hand."""

    settings: Settings
    clients: Clients
    vault: Vault
    http: httpx.AsyncClient
    docket: Docket
    ports: Ports
    service: Service
    documents: DocumentWorker
    stopping: Stopping


@asynccontextmanager
async def open_runtime(settings: Settings) -> AsyncIterator[Runtime]:
    """Everything, connected; closed in the reverse order at the end.

    Must be entered in the main thread, where an embedded store is started. Raises
    `ConfigurationError` and `StoreError`.
    """
    register_secrets(
        settings.peppol_api_key,
        settings.peppol_api_secret,
        settings.peppol_webhook_secret,
        settings.encryption_keys,
        settings.redis_url,
    )
    async with AsyncExitStack() as stack:
        url, files = await _store(settings, stack)
        clients = Clients(url, files=files)
        stack.push_async_callback(clients.aclose)
        await _name_risks(clients)
        vault = await open_vault(settings, clients)
        http = await stack.enter_async_context(build_http())
        attempt = policy(settings).attempt_deadline
        clock = await stack.enter_async_context(open_clock(clients, attempt))
        docket = await stack.enter_async_context(open_docket(url, clock))
        smp = await stack.enter_async_context(smp_client())
        rules.use(settings.data_dir / "rules")
        documents = DocumentWorker()
        stack.push_async_callback(documents.close)
        yield _compose(
            settings=settings,
            clients=clients,
            vault=vault,
            http=http,
            smp=smp,
            docket=docket,
            clock=clock,
            documents=documents,
        )


async def _store(settings: Settings, stack: AsyncExitStack) -> tuple[str, Path | None]:
    """Its URL, and the directory of an embedded one."""
    if settings.redis_url is not None:
        return settings.redis_url.get_secret_value(), None
    store = EmbeddedStore(settings.data_dir)
    return await stack.enter_async_context(store), store.data_dir


async def _name_risks(clients: Clients) -> None:
    """What the store does not promise, once, at the start."""
    durability = await clients.durability()
    for risk in durability.risks:
        log.warning("store risk", risk=risk, server=durability.server, see="xtool doctor")


def _compose(
    *,
    settings: Settings,
    clients: Clients,
    vault: Vault,
    http: httpx.AsyncClient,
    smp: httpx.AsyncClient,
    docket: Docket,
    clock: StoreClock,
    documents: DocumentWorker,
) -> Runtime:
    stopping = Stopping()
    account = account_of(settings)
    access_point = registry.access_point(http, account)
    lookups = registry.lookups(settings.peppol_lookup, access_point, smp)
    cares: dict[str, Care] = {}

    def client(org: str, token: str) -> Sevdesk:
        if org not in cares:
            cares[org] = Care(clients, org, settings.sevdesk_rps)
        care = cares[org]
        made = SevdeskClient(http, settings.sevdesk_api_url, token, care.pace, hold=care.hold)
        return careful(made, care)

    async def sevdesk(org: str) -> Sevdesk:
        return await connecting.open(org)

    ports = Ports(
        clients=clients,
        jobs=DocketJobs(docket, clock),
        access_point=access_point,
        look=lookups.lookup,
        now=clock,
        doubt=clock.doubt,
        account=lambda company: vault.marks(account.identity(company)),
        preparer=DocumentPreparer(
            documents, lookups.lookup, access_point.capabilities, forget=lookups.forget
        ),
        sevdesk=sevdesk,
        policy=policy(settings),
        prefix=settings.tag,
        poll=timedelta(seconds=settings.poll_seconds),
        keep_documents=timedelta(days=settings.keep_documents_days),
        sender=settings.peppol_sender_id,
        jitter=random.random,
        stopping=stopping,
    )
    connecting = Connecting(ports, vault, client)
    service = Service(ports, connecting, web_url(settings.sevdesk_api_url))
    return Runtime(settings, clients, vault, http, docket, ports, service, documents, stopping)


def policy(settings: Settings) -> Policy:
    """The operator's numbers."""
    return Policy(
        retry=timedelta(seconds=settings.retry_seconds),
        request_timeout=timedelta(seconds=SUBMIT_SECONDS),
    )


def web_url(api_url: str) -> str:
    """sevDesk's web application is on the host of its API."""
    parts = urlsplit(api_url)
    return f"{parts.scheme}://{parts.netloc}"


def make_access_point(settings: Settings, http: httpx.AsyncClient) -> AccessPoint:
    """The access point of the settings. Raises `ConfigurationError`."""
    return registry.access_point(http, account_of(settings))


def account_of(settings: Settings) -> registry.Account:
    """The access point account of the settings."""
    return registry.Account(
        provider=settings.peppol_provider,
        url=settings.access_point_url,
        key=_plain(settings.peppol_api_key),
        secret=_plain(settings.peppol_api_secret),
        company=settings.peppol_company_id or "",
        submit_seconds=SUBMIT_SECONDS * 0.9,  # its own word about a timeout comes first
    )


def _plain(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""
