"""The names of everything that is stored.

All keys of one organisation hold `{org}`: on Redis Cluster they share a slot, so one script can
change them together, and erasing an organisation is deleting `xt:{org}:*`.
"""

from __future__ import annotations

from dataclasses import dataclass

from sync.model import InvoiceState

ORGS = "xt:orgs"  # set of organisations that were ever connected


def account_owner(account: str) -> str:
    """Which organisation uses a sevDesk account (string)."""
    return f"xt:account:{account}"


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one organisation."""

    org: str

    @property
    def prefix(self) -> str:
        """What every key of the organisation begins with."""
        return f"xt:{{{self.org}}}:"

    def record(self, invoice_id: str) -> str:
        """Hash: `v` version, `s` state, `r` run, `d` the record as JSON."""
        return f"{self.prefix}inv:{invoice_id}"

    @property
    def records(self) -> str:
        """Set of all invoice ids with a record."""
        return f"{self.prefix}invs"

    def state(self, state: InvoiceState) -> str:
        """Sorted set: invoice ids in a state by the time they entered it (seconds)."""
        return f"{self.prefix}state:{state.value}"

    @property
    def listed(self) -> str:
        """Set: invoice ids that the last poll found open at sevDesk. A hint, see `sync.reading`."""
        return f"{self.prefix}listed"

    @property
    def due(self) -> str:
        """Sorted set: invoice ids by the time something is due (seconds)."""
        return f"{self.prefix}due"

    @property
    def numbers(self) -> str:
        """Hash: invoice number, casefolded, to the invoice id."""
        return f"{self.prefix}numbers"

    @property
    def providers(self) -> str:
        """Hash: the access point's id to the invoice id, while it may have news of it."""
        return f"{self.prefix}providers"

    def called(self, invoice_id: str) -> str:
        """The access point called about the invoice a moment ago (string with expiry)."""
        return f"{self.prefix}called:{invoice_id}"

    @property
    def noticed(self) -> str:
        """Sorted set: what a person is to look at, whatever its state, by since when."""
        return f"{self.prefix}noticed"

    @property
    def events(self) -> str:
        """Stream of events that `bot` has yet to see."""
        return f"{self.prefix}events"

    @property
    def audit(self) -> str:
        """Stream, append-only."""
        return f"{self.prefix}audit"

    @property
    def connection(self) -> str:
        """Hash: `v` version, `d` the connection as JSON."""
        return f"{self.prefix}conn"

    @property
    def token(self) -> str:
        """The sevDesk token, encrypted (string)."""
        return f"{self.prefix}token"

    def run(self, run_id: str) -> str:
        """A sync run as JSON (string)."""
        return f"{self.prefix}run:{run_id}"

    def run_counts(self, run_id: str) -> str:
        """Hash: state to number of the run's invoices."""
        return f"{self.prefix}runc:{run_id}"

    def run_invoices(self, run_id: str) -> str:
        """Sorted set: the run's invoice ids by their time of import (seconds)."""
        return f"{self.prefix}runi:{run_id}"

    @property
    def last_run(self) -> str:
        """Id of the newest finished run that did something or failed (string)."""
        return f"{self.prefix}lastrun"

    @property
    def lease(self) -> str:
        """Who polls right now (string with expiry)."""
        return f"{self.prefix}polling"

    @property
    def unexportable(self) -> str:
        """Hash: invoice id to `Unexportable` as JSON."""
        return f"{self.prefix}unexportable"

    @property
    def contacts(self) -> str:
        """Hash: contact id to what is known of the contact, as JSON."""
        return f"{self.prefix}contacts"

    @property
    def receivers(self) -> str:
        """Hash: contact id to the Peppol id that a person chose."""
        return f"{self.prefix}receivers"

    @property
    def tag_names(self) -> str:
        """Hash: sevDesk tag id to tag name."""
        return f"{self.prefix}tagnames"

    @property
    def flags(self) -> str:
        """Hash of small facts about the sevDesk account."""
        return f"{self.prefix}flags"

    def cache(self, name: str) -> str:
        """A small table that can be read again from sevDesk, as JSON (string)."""
        return f"{self.prefix}cache:{name}"

    def document(self, sha256: str) -> str:
        """A document's bytes, compressed (string with expiry)."""
        return f"{self.prefix}doc:{sha256}"
