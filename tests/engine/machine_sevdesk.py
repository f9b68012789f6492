"""What happens in sevDesk: invoices, contacts, tags, and how its lists behave."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import consumes, initialize, multiple, rule

from sync.model import ConnectionState
from sync.peppol.access_point import Find
from tests.engine.access_point import Behaviour
from tests.engine.machine_base import DIE_AT, NTH, Base, invoices, one

TAG_NAMES = ["xTool-Uploaded", "xTool-Peppol-Failed", "xTool-Peppol-Sent"]


class InSevdesk(Base):
    """Rules about what people and time do in sevDesk."""

    @initialize(
        target=invoices,
        behaviours=st.lists(st.sampled_from(list(Behaviour)), min_size=2, max_size=5),
        then=st.sampled_from(["nothing", "poll", "run", "run", "die"]),
        die_at=DIE_AT,
        find=st.sampled_from(list(Find)),
        tells=st.booleans(),
        ask=st.sampled_from([False, False, False, True]),
        lag=st.sampled_from([0, 0, 10, 25]),
        seed=st.integers(0, 2**16),
    )
    def begin(
        self,
        behaviours: list[Behaviour],
        then: str,
        die_at: int,
        find: Find,
        tells: bool,
        ask: bool,
        lag: int,
        seed: int,
    ) -> object:
        """Hypothesis leaves whole rules out of an example, so some invoices begin outside."""
        self.ground.clients.turns.seed(seed)
        self.world.provider.find, self.world.provider.tells = find, tells
        self.world.sevdesk.lag = timedelta(seconds=lag)
        self._configure(ask=ask)
        numbers = [self._add("c1", b"ok", b, "nothing", 1) for b in behaviours[1:]]
        return multiple(*numbers, self._add("c1", b"ok", behaviours[0], then, die_at))

    @rule(
        target=invoices,
        contact=st.sampled_from(["c1", "c1", "c1", "p1", "c2"]),
        word=st.sampled_from([b"ok"] * 6 + [b"blocked", b"broken", b"down", None]),
        behaviour=st.sampled_from([Behaviour.DELIVERED, *Behaviour]),
        then=st.sampled_from(["nothing", "poll", "run", "run", "die"]),
        die_at=DIE_AT,
    )
    def add_invoice(
        self, contact: str, word: bytes | None, behaviour: Behaviour, then: str, die_at: int
    ) -> str:
        known = len(self.stored.records)
        added = self._add(contact, word, behaviour, then, die_at)
        self.look()
        self.did("add invoice", True)
        self.did("add invoice, and it is imported", len(self.stored.records) > known)
        return added

    def _add(
        self, contact: str, word: bytes | None, behaviour: Behaviour, then: str, die_at: int
    ) -> str:
        self.number += 1
        self.world.sevdesk.add_invoice(str(self.number), contact, xml=word)
        self.world.provider.script.append(behaviour)
        if then == "poll":
            self.do(self.engine.poll())
        elif then == "run":
            self._run(6)
        elif then == "die":
            self.do(self._die(die_at, two=False))
        return str(self.number)

    @rule(invoice=invoices, word=st.sampled_from([b"ok", b"ok", b"blocked"]))
    def edit_invoice(self, invoice: str, word: bytes) -> None:
        self.world.sevdesk.edit(invoice, xml=word)
        self.did("edit invoice", True)

    @rule(invoice=invoices, status=st.sampled_from(["1000", "200", "200", "750"]))
    def pay_invoice(self, invoice: str, status: str) -> None:
        """In full, in part, or the money goes back."""
        self._status("pay invoice", invoice, status)

    @rule(invoice=consumes(invoices))
    def cancel_invoice(self, invoice: str) -> None:
        """It shows as paid, and so does its cancellation (facts: sevDesk status values)."""
        self._status("cancel invoice", invoice, "1000")
        self.number += 1
        number = f"SR-{invoice}"
        account = self.world.sevdesk
        account.add_invoice(str(self.number), status="1000", invoice_type="SR", number=number)

    @rule(invoice=invoices)
    def draft_invoice(self, invoice: str) -> None:
        self._status("make it a draft", invoice, "100")

    def _status(self, name: str, invoice: str, status: str) -> None:
        self.did(name, self.world.sevdesk.invoices[invoice].row.status != status)
        self.world.sevdesk.set_status(invoice, status)

    @rule(invoice=consumes(invoices))
    def delete_invoice(self, invoice: str) -> None:
        self.world.sevdesk.delete(invoice)
        self.did("delete invoice", invoice in self.stored.records)

    @rule(minutes=st.integers(0, 6))
    def untag_the_contact_for_a_while(self, minutes: int) -> None:
        self.world.sevdesk.untag("Contact", "c1", "xTool")
        self._run(minutes)
        self.world.sevdesk.tag("Contact", "c1", "xTool")
        self.did("untag contact", minutes)

    @rule()
    def tag_another_contact(self) -> None:
        """Or take the tag off again."""
        on = any(r.object_id == "c2" for r in self.world.sevdesk.relations.values())
        act = self.world.sevdesk.untag if on else self.world.sevdesk.tag
        act("Contact", "c2", "xTool")
        self.did("tag contact", True)

    @rule(nth=NTH, minutes=st.sampled_from([0, 0, 6]))
    def remove_tags(self, nth: int, minutes: int) -> None:
        account = self.world.sevdesk
        lost = self.touch_tags(lambda: account.untag("Invoice", self._tagged(nth)))
        self._run(minutes)
        self.did("remove tags by hand", lost)

    @rule(invoice=invoices, name=st.sampled_from(TAG_NAMES))
    def add_tag(self, invoice: str, name: str) -> None:
        self.world.sevdesk.tag("Invoice", invoice, name)
        self.did("add tag by hand", True)

    @rule(nth=NTH, which=NTH)
    def remove_one_tag(self, nth: int, which: int) -> None:
        account = self.world.sevdesk
        invoice = self._tagged(nth)
        names = [account.tags.get(r.tag_id, "") for r in account.on_invoice(invoice)]
        name = next(one(which, names), "none")
        lost = self.touch_tags(lambda: account.untag("Invoice", invoice, name))
        self.did("remove one tag by hand", lost)

    def _tagged(self, nth: int) -> str:
        """An invoice with tags, or nothing."""
        account = self.world.sevdesk
        return next(one(nth, (i for i in account.invoices if account.on_invoice(i))), "")

    @rule(nth=NTH, minutes=st.sampled_from([0, 0, 6]))
    def rename_a_tag(self, nth: int, minutes: int) -> None:
        name = self._used(nth)
        tagged = [i for i in self.world.sevdesk.invoices if self.world.sevdesk.kinds(i)]
        self.world.sevdesk.rename_tag(name, f"old {name}")
        self._lost_by_renaming(tagged)
        self._run(minutes)
        self.did("rename tag", name)

    def _lost_by_renaming(self, tagged: list[str]) -> None:
        """Whose tag by xTool was taken off before, and which kept one by hand until now.

        Nothing is left that xTool knows, so it is the second half of a removal by hand. Where
        the renamed tag is the one that xTool wrote, it is no removal at all.
        """
        for invoice in tagged:
            known = self.stored.records.get(invoice)
            on = {relation.id for relation in self.world.sevdesk.on_invoice(invoice)}
            if not self.world.sevdesk.kinds(invoice) and known and known.tag_relation not in on:
                self.wanted_again(invoice)

    @rule(nth=NTH, minutes=st.sampled_from([0, 6, 6]))
    def delete_a_tag(self, nth: int, minutes: int) -> None:
        """Of few invoices it looks like their removal."""
        name = self._used(nth)
        self.touch_tags(lambda: self.world.sevdesk.delete_tag(name))
        self._run(minutes)
        self.did("delete tag", name)
        self.did("delete tag, and a person is asked", self._state() is ConnectionState.HELD)

    def _used(self, nth: int) -> str:
        """One of xTool's tags that is on an invoice, or nothing."""
        account = self.world.sevdesk
        on = {account.tags.get(r.tag_id, "") for r in account.relations.values()}
        return next(one(nth, sorted(on & set(TAG_NAMES))), "")

    @rule(removes=st.booleans(), names=st.booleans(), lag=st.sampled_from([0, 10, 25]))
    def change_habits(self, removes: bool, names: bool, lag: int) -> None:
        self.world.sevdesk.removes = removes
        self.world.sevdesk.embed_names = names
        self.world.sevdesk.lag = timedelta(seconds=lag)
        self.world.clock.forward(timedelta(seconds=30))  # no list shows less than one before it
        self.did("change sevDesk's habits", True)

    def touch_tags(self, act: Callable[[], object]) -> int:
        """Whatever loses its last tag by `act`, a renamed one included, is wanted again."""
        sevdesk = self.world.sevdesk
        before = {i: len(sevdesk.on_invoice(i)) for i in sevdesk.invoices}
        act()
        lost = [i for i, n in before.items() if len(sevdesk.on_invoice(i)) < n]
        self.wanted_again(*(i for i in lost if not sevdesk.kinds(i)))
        if sevdesk.lag:
            # A repair by a list from before may take off what was left; it is put back, and that
            # is no wish to send again.
            self.hurried.update(lost)
        return len(lost)
