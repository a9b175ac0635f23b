"""Processes that the code of a test has started."""

from __future__ import annotations

import os

import psutil

_ZYGOTE = "kazoo_media.audio.pool.zygote"


def programs() -> list[psutil.Process]:
    """Return the programs that run below this process.

    Products, gateways and stores that other tests of the session keep running are excluded.
    """
    kept = ("python", "envoy", "weed", "postgres")
    return [
        each
        for each in psutil.Process().children()
        if (name := _name(each)) and not name.startswith(kept)
    ]


def groups(parent: int) -> list[psutil.Process]:
    """Return the members of all process groups that children of a process lead."""
    leaders = {each.pid for each in psutil.Process(parent).children()}
    return [each for each in psutil.process_iter() if _group(each) in leaders]


def zygotes(ancestor: psutil.Process | None = None) -> list[psutil.Process]:
    """Return the zygotes below this process or another."""
    return [
        each
        for each in (ancestor or psutil.Process()).children(recursive=True)
        if _is_of_pool(each) and not _is_of_pool(_parent(each))
    ]


def converters(ancestor: psutil.Process | None = None) -> list[psutil.Process]:
    """Return the converters of all pools below this process or another."""
    return [child for each in zygotes(ancestor) for child in each.children()]


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:  # it ended after it was listed
        return ""


def _group(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return None


def _parent(process: psutil.Process) -> psutil.Process | None:
    try:
        return process.parent()
    except psutil.NoSuchProcess:
        return None


def _is_of_pool(process: psutil.Process | None) -> bool:
    try:
        return process is not None and _ZYGOTE in process.cmdline()
    except psutil.NoSuchProcess:
        return False
