from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.jobs import Job, Report, Sound


def test_a_job_survives_its_way_to_the_process_that_does_it() -> None:
    job = Job(AudioFormat.OGG, AudioFormat.MP3, "telephony", "mulaw", ignore_length=True)
    assert Job.from_fields(_sent(job.to_fields())) == job


def test_a_report_survives_its_way_back() -> None:
    sound = Sound(-19.25, None, 3, 1000, 8000, 1, b"\x81\x7f\x00\xff")
    other = replace(sound, peaks=b"")
    for before, after in ((sound, None), (None, sound), (sound, other), (other, sound)):
        report = Report("it is broken", ("two", "warnings"), before, after)
        fields, peaks = report.to_fields()
        assert Report.from_fields(_sent(fields), peaks) == report


def test_a_report_with_peaks_cut_short_is_none() -> None:
    fields, peaks = Report(before=Sound(None, None, 0, 1, 8000, 1, b"\x81\x7f")).to_fields()
    with pytest.raises(ValueError, match="peaks"):
        Report.from_fields(fields, peaks[:-1])


def test_jobs_need_no_audio_library() -> None:
    script = (
        "import sys; sys.modules.update(dict.fromkeys(['numpy', 'soundfile', 'soxr', 'lameenc']));"
        "import kazoo_media.audio.jobs, kazoo_media.audio.presets"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def _sent(fields: dict[str, Any]) -> Any:
    return json.loads(json.dumps(fields))
