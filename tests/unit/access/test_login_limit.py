"""The limits on failed log-ins."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest

from kazoo_media.access.login_limit import (
    ADDRESS_BURST,
    ADDRESS_SECONDS_EACH,
    BURST,
    SECONDS_EACH,
    LoginLimit,
)
from kazoo_media.errors import (
    InvalidCredentialsError,
    StoreUnavailableError,
    TooManyRequestsError,
)
from tests.support.core_fixtures import make_login_limit


class _Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def login_limit(clock: _Clock) -> LoginLimit:
    return make_login_limit(clock)


def _fail(login_limit: LoginLimit, peer: str = "1.2.3.4", subject: str = "one") -> None:
    with pytest.raises(InvalidCredentialsError), login_limit.attempt(peer, subject):
        raise InvalidCredentialsError


def _retry_after_s(login_limit: LoginLimit, peer: str = "1.2.3.4", subject: str = "one") -> int:
    """Return the seconds that a refused log-in is to wait."""
    with pytest.raises(TooManyRequestsError) as refused:
        login_limit.check(peer, subject)
    with pytest.raises(TooManyRequestsError), login_limit.attempt(peer, subject):
        pytest.fail("a refused log-in runs")
    return int(refused.value.headers["retry-after"])


def test_after_too_many_failures_log_ins_are_refused_for_a_while(
    login_limit: LoginLimit, clock: _Clock
) -> None:
    for _ in range(BURST):
        _fail(login_limit)
    retry_after_s = _retry_after_s(login_limit)
    assert retry_after_s <= SECONDS_EACH
    clock.now_s += retry_after_s
    _fail(login_limit)
    _retry_after_s(login_limit)


def test_another_address_and_another_subject_are_not_refused(login_limit: LoginLimit) -> None:
    for _ in range(BURST):
        _fail(login_limit)
    _fail(login_limit, peer="5.6.7.8")
    _fail(login_limit, subject="two")


def test_an_address_that_fails_with_ever_new_subjects_is_refused_at_last(
    login_limit: LoginLimit, clock: _Clock
) -> None:
    for number in range(ADDRESS_BURST):
        _fail(login_limit, subject=f"subject {number}")
    retry_after_s = _retry_after_s(login_limit, subject="another")
    assert ADDRESS_SECONDS_EACH <= retry_after_s <= 1
    login_limit.check("5.6.7.8", "another")
    clock.now_s += retry_after_s
    login_limit.check("1.2.3.4", "another")


def test_all_who_have_the_file_open_count_together(tmp_path: Path) -> None:
    with (tmp_path / "attempts").open("w+b") as one, (tmp_path / "attempts").open("r+b") as other:
        workers = [LoginLimit(one.fileno(), _Clock()), LoginLimit(other.fileno(), _Clock())]
        for number in range(BURST):
            _fail(workers[number % 2])
        for worker in workers:
            _retry_after_s(worker)


def test_good_log_ins_cost_nothing(login_limit: LoginLimit) -> None:
    for _ in range(2 * ADDRESS_BURST):
        with login_limit.attempt("1.2.3.4", "one"):
            pass


def test_good_log_ins_that_run_at_once_hold_no_place(login_limit: LoginLimit) -> None:
    with ExitStack() as running:
        for _ in range(2 * BURST):
            running.enter_context(login_limit.attempt("1.2.3.4", "one"))


def test_leaving_before_the_answer_counts_as_a_failure(login_limit: LoginLimit) -> None:
    for _ in range(BURST):
        with pytest.raises(asyncio.CancelledError), login_limit.attempt("1.2.3.4", "one"):
            raise asyncio.CancelledError
    _retry_after_s(login_limit)


def test_other_errors_do_not_count(login_limit: LoginLimit) -> None:
    for _ in range(2 * BURST):
        with pytest.raises(StoreUnavailableError), login_limit.attempt("1.2.3.4", "one"):
            raise StoreUnavailableError
