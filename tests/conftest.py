"""What holds in every test."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING

import grpc.aio
import httpx
import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.support.postgres import PostgresServer
    from tests.support.s3_server import S3Server

pytest.register_assert_rewrite("tests.contract")

# A busy machine fails no test, and every run has the same examples.
settings.register_profile(
    "deterministic",
    deadline=None,
    derandomize=True,
    max_examples=50,
    # Contract cases run in several classes, and what a fixture makes serves all examples.
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.function_scoped_fixture,
        HealthCheck.differing_executors,
    ],
)
settings.load_profile("deterministic")

# All functions and clients of httpx share a default of 5 s, which a busy machine may take.
_default = inspect.signature(httpx.get).parameters["timeout"].default
for _step in ("connect", "read", "write", "pool"):
    setattr(_default, _step, 30.0)


@pytest.fixture(scope="session", autouse=True)
def blocking_calls_fail() -> Iterator[BlockBuster]:
    """Fail a test in which the service's own code blocks an event loop.

    Only calls with a frame of kazoo_media below them count: tests and libraries may block. Once for
    all tests: for each it would take a millisecond.
    """
    with blockbuster_ctx("kazoo_media") as blocking:
        # Loggers, and coverage, share one lock; only tests have several event loops in a process.
        lock = blocking.functions["threading.Lock.acquire"]
        lock.can_block_in("structlog/_output.py", {"msg"})
        lock.can_block_in("coverage/collector.py", {"lock_data"})
        yield blocking


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """A real S3 server. Tests share it: each uses a prefix of its own."""
    from tests.support.s3_server import s3_server

    with s3_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Return a running PostgreSQL for all tests of this process."""
    from tests.support.postgres import running_postgres

    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def grpc_aio_stays() -> Iterator[None]:
    """Keep the thread of grpc.aio until all tests have run.

    It would end with the last channel, and whatever collects that as garbage waits for it: a
    later test, in the middle of the service's code.
    """
    asyncio.run(_start_grpc_aio())
    yield
    grpc.aio.shutdown_grpc_aio()


async def _start_grpc_aio() -> None:
    grpc.aio.init_grpc_aio()  # wants a running loop
