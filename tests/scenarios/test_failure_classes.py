"""What happens when something goes wrong: every row of the documents' table, in the whole app.

Each row happens to one invoice beside others that nothing is wrong with. Looked at are the state
it ends in, its tag in sevDesk, what people read in Slack, whether it goes on by itself, and that
the others went on; then all is put right and each invoice is sent, exactly once.
"""

from __future__ import annotations

import pytest

from sync.delivery import Step
from sync.model import InvoiceState
from tests.scenarios.causes import CAUSES, SECRET_FILE_TEXT
from tests.scenarios.conftest import Stories
from tests.scenarios.story import NOTHING, SENT, Cause, Note, Scene, documented

pytestmark = [pytest.mark.timeout(400)]  # the first test of a provider plays its whole story


TABLE = documented()


def test_the_table_has_each_cause_and_no_other() -> None:
    assert set(TABLE) == {cause.what for cause in CAUSES}


@pytest.fixture(params=CAUSES, ids=lambda cause: cause.what)
def scene(request: pytest.FixtureRequest, stories: Stories) -> Scene:
    """What came of one cause."""
    cause: Cause = request.param
    return stories(cause.provider)[cause.what]


def told(scene: Scene) -> Note:
    assert scene.told is not None
    return scene.told


def test_it_ends_in_the_state_with_the_tag_and_the_words(scene: Scene) -> None:
    assert told(scene).lacks(TABLE[scene.cause.what]) == [], told(scene).text


def test_what_goes_on_by_itself_is_what_the_table_says(scene: Scene) -> None:
    note = told(scene)
    promised = TABLE[scene.cause.what].by_itself
    attempts = note.record.attempts if note.record else 0
    if promised == "yes":
        assert note.step in {Step.PREPARE, Step.SUBMIT, Step.TELL}
        assert note.record
        assert note.record.next_at
    elif promised == "goes on":
        assert (note.state, attempts, note.accepted) == (InvoiceState.SENT.value, 1, 1)
    elif promised == "asks":
        assert {"invoice_arrived", "invoice_send_again"} <= note.buttons
        assert (attempts, note.accepted) == (1, 0)
    else:
        assert note.step is None
        assert attempts <= 1
        assert ("invoice_retry" in note.buttons) == (note.record is not None)


def test_the_others_go_on(scene: Scene) -> None:
    assert scene.neighbour_state == InvoiceState.SENT.value


def test_put_right_it_is_sent_exactly_once_more(scene: Scene) -> None:
    assert scene.ended is not None
    assert (scene.ended.state, scene.ended.tag) == (InvoiceState.SENT.value, SENT)
    assert scene.ended.accepted == 1 + scene.cause.taken


def test_no_file_was_read_for_a_document(stories: Stories) -> None:
    for scene in stories("recommand").values():
        assert SECRET_FILE_TEXT not in told(scene).text
        assert all(SECRET_FILE_TEXT.encode() not in one.xml for one in scene.taken)


def test_the_document_type_falls_to_what_the_receiver_really_takes(stories: Stories) -> None:
    scenes = stories("recommand")
    for what, kind in (
        ("the receiver takes XRechnung", "xrechnung_3.0::D16B"),
        ("the receiver registered XRechnung, but its SMP does not know it", "billing:3.0::2.1"),
    ):
        assert [one.document_type.endswith(kind) for one in scenes[what].taken] == [True]


def test_an_invoice_that_is_no_e_invoice_is_not_talked_about(stories: Stories) -> None:
    note = told(stories("recommand")["the invoice is not an e-invoice"])
    assert (note.state, note.tag, note.text) == (NOTHING, NOTHING, "")
