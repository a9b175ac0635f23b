"""What a converter does: one conversion at a time, until it is not wanted any more."""

from __future__ import annotations

import os
import resource
import socket
import traceback
from typing import Any

from kazoo_media.audio.inprocess.job import Job, Report
from kazoo_media.audio.inprocess.session import convert
from kazoo_media.audio.pool.messages import receive, send

_MOST_JOBS = 500
_MOST_GROWTH_BYTES = 64 * 1024 * 1024


def work(channel: socket.socket) -> None:
    """Convert what comes over the channel until it is closed."""
    peak_at_start = _peak_bytes()
    done = 0
    while True:
        request, descriptors = receive(channel)
        if request is None:
            return
        answer = _converted(Job.from_json(request["job"]), descriptors)
        done += 1
        grown = _peak_bytes() - peak_at_start
        answer["worn"] = done >= _MOST_JOBS or grown >= _MOST_GROWTH_BYTES
        send(channel, answer)


def _converted(job: Job, descriptors: list[int]) -> dict[str, Any]:
    source, sink, *spool = descriptors
    try:
        report = convert(job, source, sink, spool[0] if spool else -1)
        return {"report": report.to_json()}
    except BrokenPipeError:
        return {"report": Report(error="its output was closed").to_json()}
    except Exception:  # noqa: BLE001 - the border of this process: the service logs it
        return {"report": Report(error="it failed").to_json(), "trace": traceback.format_exc()}
    finally:
        for each in descriptors:
            os.close(each)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
