"""Connecting an organisation to its sevDesk account, and letting go of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from sync.book import Book
from sync.errors import Kind, StaleRecordError, SyncError
from sync.model import Connection, ConnectionState
from sync.ports import Ports, Sevdesk
from sync.sevdesk.errors import SevdeskError
from sync.sevdesk.models import Account
from sync.source import NotConnectedError, PeppolIds
from sync.store.organisation import ERASE
from sync.vault import Vault

TOKEN_FIELD = "sevdesk_token"  # noqa: S105 - the field's name in the vault, not a token
TRIES = 8


class AccountTakenError(SyncError):
    """Another organisation uses this sevDesk account."""

    code = "connection.account_taken"
    kind = Kind.PRECONDITION


class Connecting:
    """Writes connections."""

    def __init__(self, ports: Ports, vault: Vault, client: Callable[[str, str], Sevdesk]) -> None:
        """`client` makes a sevDesk client from an organisation's key and a token."""
        self._ports = ports
        self._vault = vault
        self._client = client

    async def check(self, org: str, token: str) -> Account:
        """Whose token it is. Raises `SevdeskError`, `AccountTakenError`; saves nothing."""
        client = self._client(org, token)
        await client.bookkeeping_version()
        account = await client.account()
        owner = await self._ports.organisation(org).account_owner(account.id)
        if owner not in ("", org) and await self._is_used(owner, account.id):
            raise AccountTakenError("account of another organisation")
        return account

    async def _is_used(self, owner: str, account: str) -> bool:
        other = await self._ports.organisation(owner).connection()
        if other is None:
            return False
        return other.account == account and other.state is not ConnectionState.DISCONNECTED

    async def connect(self, org: str, token: str, actor: str) -> Connection:
        """Check, then save. Raises as `check` does."""
        account = await self.check(org, token)
        store = self._ports.organisation(org)
        former = await self._take(org, account.id)
        before = await store.connection()
        connection = await self._save(org, token, account, actor)
        if before is not None and before.account != account.id:
            await store.forget_contacts()
            await store.release_account(before.account)
        await self._make_sure(org, account.id, former, actor)
        await self._learn_fields(org)
        return connection

    async def _take(self, org: str, account: str) -> str:
        """Claim the account; the organisation that had it and does not use it, or empty."""
        store = self._ports.organisation(org)
        former = owner = await store.claim_account(account)
        if owner == org:
            return ""
        if not await self._is_used(owner, account):
            await self._ports.organisation(owner).release_account(account)
            owner = await store.claim_account(account)
        if owner != org:
            raise AccountTakenError("account of another organisation")
        return former

    async def _make_sure(self, org: str, account: str, former: str, actor: str) -> None:
        """Two organisations that connect one account at the same moment: one of them lets go."""
        store = self._ports.organisation(org)
        ours = await store.account_owner(account) == org
        if ours and not (former and await self._is_used(former, account)):
            return
        await self.disconnect(org, actor)
        if former:
            await self._ports.organisation(former).claim_account(account)
        raise AccountTakenError("account of another organisation")

    async def _save(self, org: str, token: str, account: Account, actor: str) -> Connection:
        secret = self._vault.encrypt(org, TOKEN_FIELD, token.strip())
        for _ in range(TRIES):
            before = await self._ports.organisation(org).connection()
            try:
                return await Book(self._ports, org).write_connection(
                    _renewed(before, org, account, actor, self._ports),
                    token=secret,
                    action="connected",
                    actor=actor,
                )
            except StaleRecordError:
                await asyncio.sleep(0)
        raise StaleRecordError("the connection keeps changing")

    async def _learn_fields(self, org: str) -> None:
        """Whether contacts have a Peppol id; not worth failing for."""
        try:
            await PeppolIds(self._ports, Book(self._ports, org)).refresh()
        except SevdeskError:
            return

    async def change(
        self, org: str, actor: str, action: str, changes: Mapping[str, object]
    ) -> Connection:
        """Change some fields of a live connection. Raises `NotConnectedError`."""
        for _ in range(TRIES):
            before = await self._ports.organisation(org).connection()
            if before is None or before.state is ConnectionState.DISCONNECTED:
                raise NotConnectedError("no connection")
            try:
                return await Book(self._ports, org).write_connection(
                    before.model_copy(update=dict(changes)), action=action, actor=actor
                )
            except StaleRecordError:
                await asyncio.sleep(0)
        raise StaleRecordError("the connection keeps changing")

    async def disconnect(self, org: str, actor: str) -> bool:
        """Erase the token and give the account back."""
        store = self._ports.organisation(org)
        for _ in range(TRIES):
            before = await store.connection()
            if before is None or before.state is ConnectionState.DISCONNECTED:
                return False
            after = before.model_copy(
                update={"state": ConnectionState.DISCONNECTED, "reason": None, "next_sync": None}
                | {"pause": None}
            )
            try:
                await Book(self._ports, org).write_connection(
                    after, token=ERASE, action="disconnected", actor=actor
                )
            except StaleRecordError:
                continue
            await store.release_account(before.account)
            return True
        raise StaleRecordError("the connection keeps changing")

    async def open(self, org: str) -> Sevdesk:
        """A client with the organisation's token. Raises `NotConnectedError`, `VaultError`."""
        store = self._ports.organisation(org)
        secret = await store.token()
        if secret is None:
            raise NotConnectedError("no token")
        return self._client(org, self._vault.decrypt(org, TOKEN_FIELD, secret))


def _renewed(
    before: Connection | None, org: str, account: Account, actor: str, ports: Ports
) -> Connection:
    """The connection after a connect: settings stay, and so do records of the same account.

    Another account is another firm, or looks like one: its invoices must not go out under the
    Peppol id, or from the company at the access point, of the firm before.
    """
    now = ports.now()
    if before is None:
        return Connection(
            org=org,
            account=account.id,
            account_name=account.name,
            connected_by=actor,
            connected_at=now,
        )
    # After a disconnect a heap may have gathered: the first sync asks again before it is sent.
    known = before.account == account.id
    same = known and before.state is not ConnectionState.DISCONNECTED
    return before.model_copy(
        update={
            "account": account.id,
            "account_name": account.name,
            "state": ConnectionState.ACTIVE,
            "reason": None,
            "connected_by": actor,
            "connected_at": now,
            "last_sync": before.last_sync if same else None,
            "next_sync": None,
            "last_error": None,
            "held_invoices": (),
            "trial": False,
            "pause": None,
            "sender": before.sender if known else None,
            "company": before.company if known else "",
        }
    )
