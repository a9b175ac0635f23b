"""What counts as lost when recordings are tortured."""

from __future__ import annotations

from tests.torture.ledger import Ledger


def test_an_answer_that_is_late_is_not_a_loss() -> None:
    ledger = Ledger()
    ledger.place("call", "older", 100)
    ledger.acknowledge("call", "newer", 300)
    ledger.place("call", "older", 200)
    ledger.acknowledge("call", "older", 150)
    assert (ledger.lost_bytes, ledger.problems, ledger.counts["resumes"]) == (0, [], 1)
    assert ledger.acknowledged("call") == 300


def test_a_recorder_that_is_sent_back_is_a_loss() -> None:
    ledger = Ledger()
    ledger.place("call", "recorder", 0)
    ledger.acknowledge("call", "recorder", 300)
    ledger.place("call", "recorder", 200)
    assert ledger.lost_bytes == 100
    assert ledger.problems == ["call has 200 bytes, 300 were acknowledged"]
