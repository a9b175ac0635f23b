"""Log-ins under load: good ones are served, guessing is bounded."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Awaitable

import pytest

from kazoo_media.access.log_ins import LogIns
from kazoo_media.access.login_limit import ADDRESS_BURST, BURST, LoginLimit
from kazoo_media.errors import InvalidCredentialsError, TooManyRequestsError
from kazoo_media.metrics import NO_METRICS, Metrics
from tests.support.core_fixtures import CoreUnderTest, make_core, make_login_limit
from tests.support.counted import Counted
from tests.support.hashes import count_hashes

_PEER = "192.0.2.1"
_GOOD = hashlib.md5(b"ann:secret word").hexdigest()
_AT_ONCE = 2


@pytest.fixture
async def tested() -> CoreUnderTest:
    """Return a core whose master account has the user ann."""
    tested = await make_core()
    await tested.core.users.put(tested.admin, "", "ann", "secret word")
    return tested


@pytest.fixture
def log_ins(tested: CoreUnderTest) -> LogIns:
    """Return log-ins for which time stands still."""
    return _log_ins(tested, make_login_limit(lambda: 1.0))


def _log_ins(tested: CoreUnderTest, limit: LoginLimit, metrics: Metrics = NO_METRICS) -> LogIns:
    core = tested.core
    return LogIns(core.accounts, core.users, core.playback_keys, limit, metrics)


async def _outcomes(*attempts: Awaitable[object]) -> list[type]:
    results = await asyncio.gather(*attempts, return_exceptions=True)
    return [type(each) for each in results]


async def test_many_good_log_ins_at_once_all_succeed(
    log_ins: LogIns, tested: CoreUnderTest
) -> None:
    users = [log_ins.as_user(_PEER, _GOOD, "master") for _ in range(BURST + 2)]
    keys = [log_ins.with_key(_PEER, tested.api_key) for _ in range(BURST + 2)]
    found = await asyncio.gather(*users, *keys)
    assert len(found) == 2 * (BURST + 2)


async def test_of_many_guesses_at_once_no_more_than_the_limit_and_those_running_are_tried(
    log_ins: LogIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = count_hashes(monkeypatch)
    guesses = [log_ins.as_user(_PEER, f"{n:032}", "master") for n in range(10 * BURST)]
    outcomes = await _outcomes(*guesses)
    tried = outcomes.count(InvalidCredentialsError)
    assert BURST <= tried < BURST + _AT_ONCE
    assert len(hashes) == tried
    assert outcomes.count(TooManyRequestsError) == len(guesses) - tried


async def test_of_many_wrong_keys_at_once_no_more_than_the_limit_are_tried(
    log_ins: LogIns,
) -> None:
    outcomes = await _outcomes(*(log_ins.with_key(_PEER, "0" * 64) for _ in range(10 * BURST)))
    assert outcomes.count(InvalidCredentialsError) == BURST


async def test_wrong_keys_refuse_neither_other_keys_nor_users_of_the_address(
    log_ins: LogIns, tested: CoreUnderTest
) -> None:
    key = tested.api_key
    wrong = ("1" if key[0] == "0" else "0") * 64
    await _outcomes(*(log_ins.with_key(_PEER, wrong) for _ in range(2 * BURST)))
    assert (await log_ins.with_key(_PEER, key)).account == tested.admin.account
    await log_ins.as_user(_PEER, _GOOD, "master")
    with pytest.raises(TooManyRequestsError):
        await log_ins.with_key(_PEER, wrong[:8] + key[8:])
    with pytest.raises(InvalidCredentialsError):
        await log_ins.with_key("192.0.2.2", wrong)


async def test_an_address_that_tries_ever_new_keys_is_refused_at_last(log_ins: LogIns) -> None:
    guesses = (log_ins.with_key(_PEER, f"{n:08}" * 8) for n in range(ADDRESS_BURST + BURST))
    outcomes = await _outcomes(*guesses)
    assert outcomes.count(InvalidCredentialsError) == ADDRESS_BURST


async def test_an_account_counts_as_one_however_it_is_spelt(log_ins: LogIns) -> None:
    for spelt in ("master", "MASTER!"):
        await _outcomes(*(log_ins.as_user(_PEER, f"{n}", spelt) for n in range(BURST // 2)))
    with pytest.raises(TooManyRequestsError):
        await log_ins.as_user(_PEER, _GOOD, "Mas-ter")


async def test_clients_that_leave_start_no_more_hashes_than_run_at_once(
    log_ins: LogIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, go_on = threading.Semaphore(0), threading.Event()
    running = 0

    def scrypt(*_: object, **__: object) -> bytes:
        nonlocal running
        running += 1
        started.release()
        go_on.wait(10)
        return b"digest"

    monkeypatch.setattr("kazoo_media.access.users.hashlib.scrypt", scrypt)
    guesses = [asyncio.ensure_future(log_ins.as_user(_PEER, _GOOD, "nobody")) for _ in range(BURST)]
    for _ in range(_AT_ONCE):
        await asyncio.to_thread(started.acquire)
    for each in guesses[:_AT_ONCE]:
        each.cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    assert running == _AT_ONCE
    go_on.set()
    outcomes = await _outcomes(*guesses)
    assert outcomes.count(asyncio.CancelledError) == _AT_ONCE
    assert running == BURST


async def test_refused_log_ins_are_counted_by_way_and_reason(tested: CoreUnderTest) -> None:
    metrics = Counted()
    limit = make_login_limit(lambda: 1.0)
    log_ins = _log_ins(tested, limit, metrics)
    await _outcomes(*(log_ins.with_key(_PEER, "0" * 64) for _ in range(BURST + 3)))
    await _outcomes(log_ins.as_user(_PEER, "0" * 32, "master"))
    await log_ins.as_user(_PEER, _GOOD, "master")
    for way, reason, count in (
        ("key", "INVALID_CREDENTIALS", BURST),
        ("key", "TOO_MANY_REQUESTS", 3),
        ("user", "INVALID_CREDENTIALS", 1),
    ):
        assert metrics.value("log_ins_refused_total", way=way, reason=reason) == count
