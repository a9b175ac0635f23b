"""One command that works on many items: an item that fails does not stop the others."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import grpc
import typer

from kazoo_media.cli.output import print_json, print_table
from kazoo_media.cli.session import describe
from kazoo_media.client import MediaServiceError, Progress

_PAUSES_S = (0.5, 2.0)  # Kazoo also tries three times
_Item = TypeVar("_Item")
_T = TypeVar("_T")


class Result(enum.StrEnum):
    """How the work on an item ended."""

    IMPORTED = "imported"
    STORED = "stored"
    SPOKEN = "spoken"
    OVERWRITTEN = "overwritten"
    SKIPPED = "skipped"
    CONVERTED = "converted"
    CURRENT = "current"
    NO_AUDIO = "no_audio"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one item.

    Attributes:
        origin: A file name, line number or media id.
        size_bytes: Size of the stored audio; 0 if nothing was stored.
        problem: Why it failed or was skipped, on one line; "": no reason needs to be given.
    """

    origin: str | int
    result: Result
    size_bytes: int = 0
    problem: str = ""


async def run_batch(
    items: Sequence[_Item],
    work: Callable[[_Item], Awaitable[Outcome]],
    jobs: int,
    progress: Progress,
) -> list[Outcome]:
    """Work on items, `jobs` at a time, and return their outcomes in the order of the items.

    Raises:
        MediaServiceError: `work` raised it; the remaining items are not worked on.
    """
    outcomes: dict[int, Outcome] = {}
    waiting = iter(enumerate(items))

    async def take() -> None:
        for index, item in waiting:
            outcomes[index] = await work(item)
            progress(len(outcomes), len(items))

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(jobs):
                tasks.create_task(take())
    except ExceptionGroup as group:
        raise group.exceptions[0] from group
    return [outcomes[index] for index in range(len(items))]


def failure(origin: str | int, error: MediaServiceError) -> Outcome:
    """Return the outcome of an item that the service refused."""
    problem = "; ".join([describe(error), *getattr(error, "__notes__", ())])
    return Outcome(origin, Result.FAILED, problem=problem)


async def with_retries(call: Callable[[], Awaitable[_T]]) -> _T:
    """Return what a call returns; repeat it twice while the service is unavailable."""
    for pause_s in _PAUSES_S:
        try:
            return await call()
        except MediaServiceError as error:
            if error.code is not grpc.StatusCode.UNAVAILABLE:
                raise
            await asyncio.sleep(pause_s)
    return await call()


def report(
    outcomes: Sequence[Outcome],
    counted: Sequence[Result],
    origin: tuple[str, str],
    seconds: float,
    *,
    as_json: bool,
) -> None:
    """Print what failed or was skipped, and a summary; exit with code 1 if anything failed.

    Args:
        counted: The results that the summary counts.
        origin: The word for an item's origin, in the singular and plural.
    """
    singular, plural = origin
    summary = {
        **{str(result): sum(each.result is result for each in outcomes) for result in counted},
        "bytes": sum(each.size_bytes for each in outcomes),
        "seconds": round(seconds, 3),
        f"{plural}_per_s": round(len(outcomes) / max(seconds, 0.001), 1),
    }
    failed = [each for each in outcomes if each.result is Result.FAILED]
    skipped = [each for each in outcomes if each.result is Result.SKIPPED and each.problem]
    if as_json:
        listed = {
            name: [{singular: each.origin, "reason": each.problem} for each in found]
            for name, found in (("failed", failed), (f"skipped_{plural}", skipped))
            if found or name == "failed"
        }
        print_json(summary | listed)
    else:
        if told := failed + skipped:
            print_table((singular, "reason"), ((each.origin, each.problem) for each in told))
            typer.echo()
        print_table(tuple(summary), [tuple(summary.values())])
    if failed:
        raise typer.Exit(1)
