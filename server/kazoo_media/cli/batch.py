"""Many items of one command: what becomes of each, while one that fails stops no other."""

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

_PAUSES_S = (0.5, 2.0)  # Kazoo tries three times, too
_Item = TypeVar("_Item")
_T = TypeVar("_T")


class Result(enum.StrEnum):
    """What became of an item."""

    IMPORTED = "imported"
    SPOKEN = "spoken"
    OVERWRITTEN = "overwritten"
    SKIPPED = "skipped"
    CONVERTED = "converted"
    CURRENT = "current"
    NO_AUDIO = "no_audio"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an item.

    Attributes:
        origin: Where it came from: the name of a file, the number of a line, the id of a media.
        size_bytes: How much audio it has now; 0 where nothing was done.
        problem: Why it failed, on one line.
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
    """Work on items, so many at a time, and return what became of each, in their order.

    Raises:
        MediaServiceError: work raised it: it is the failure of every item, and ended all work.
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
    """Return the outcome of what the service refused."""
    problem = "; ".join([describe(error), *getattr(error, "__notes__", ())])
    return Outcome(origin, Result.FAILED, problem=problem)


async def tried(call: Callable[[], Awaitable[_T]]) -> _T:
    """Return what a call returns; one that finds the service unavailable is made again."""
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
    """Print what failed and a summary; end with exit code 1 if anything did.

    Args:
        origin: What the origin of an outcome is: one, and many.
    """
    one, many = origin
    summary = {
        **{str(result): sum(each.result is result for each in outcomes) for result in counted},
        "bytes": sum(each.size_bytes for each in outcomes),
        "seconds": round(seconds, 3),
        f"{many}_per_s": round(len(outcomes) / max(seconds, 0.001), 1),
    }
    failed = [each for each in outcomes if each.result is Result.FAILED]
    if as_json:
        listed = [{one: each.origin, "reason": each.problem} for each in failed]
        print_json(summary | {"failed": listed})
    else:
        if failed:
            print_table((one, "reason"), ((each.origin, each.problem) for each in failed))
            typer.echo()
        print_table(tuple(summary), [tuple(summary.values())])
    if failed:
        raise typer.Exit(1)
