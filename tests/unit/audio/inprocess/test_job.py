from __future__ import annotations

import subprocess
import sys

from kazoo_media.audio.formats import AudioFormat
from kazoo_media.audio.inprocess.job import Job, Report, Sound


def test_a_job_survives_its_way_to_the_process_that_does_it() -> None:
    job = Job(AudioFormat.OGG, AudioFormat.MP3, "telephony", "mulaw", ignore_length=True)
    assert Job.from_json(job.to_json()) == job


def test_a_report_survives_its_way_back() -> None:
    sound = Sound(-19.25, None, 3, 1000, 8000, 1, b"\x81\x7f\x00\xff")
    report = Report("it is broken", ("two", "warnings"), sound, None)
    assert Report.from_json(report.to_json()) == report


def test_jobs_need_no_audio_library() -> None:
    script = (
        "import sys; sys.modules.update(dict.fromkeys(['numpy', 'soundfile', 'soxr', 'lameenc']));"
        "import kazoo_media.audio.inprocess.job, kazoo_media.audio.presets"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
