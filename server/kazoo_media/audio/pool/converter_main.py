"""The main loop of a converter process: one conversion or measurement at a time."""

from __future__ import annotations

import os
import resource
import socket
import traceback
from collections.abc import Mapping
from typing import Any

from kazoo_media.audio.inprocess.session import convert, measure
from kazoo_media.audio.jobs import Job, Measurement, Report
from kazoo_media.audio.pool.messages import receive, send

_MOST_JOBS = 500
_MOST_GROWTH_BYTES = 64 * 1024 * 1024


def converter_main(channel: socket.socket) -> None:
    """Run the jobs that arrive on the channel until it is closed."""
    peak_at_start = _peak_bytes()
    done = 0
    while True:
        request, descriptors = receive(channel)
        if request is None:
            return
        report, trace = _done(request, descriptors)
        done += 1
        grown = _peak_bytes() - peak_at_start
        worn = done >= _MOST_JOBS or grown >= _MOST_GROWTH_BYTES
        fields, peaks = report.to_fields()
        send(channel, {"report": fields, "trace": trace, "worn": worn}, raw=peaks)


def _done(request: Mapping[str, Any], descriptors: list[int]) -> tuple[Report, str | None]:
    """Return the report and, for an unexpected failure, the traceback."""
    source, *others = descriptors
    try:
        if "measurement" in request:
            return measure(Measurement.from_fields(request["measurement"]), source), None
        sink, *spool = others
        job = Job.from_fields(request["job"])
        return convert(job, source, sink, spool[0] if spool else -1), None
    except BrokenPipeError:
        return Report(error="its output was closed"), None
    except Exception:  # noqa: BLE001 - the boundary of this process: the service logs the traceback
        return Report(error="it failed"), traceback.format_exc()
    finally:
        for each in descriptors:
            os.close(each)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
