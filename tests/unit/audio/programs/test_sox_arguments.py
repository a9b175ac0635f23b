from __future__ import annotations

import pytest

from kazoo_media.audio.programs.sox_arguments import executable_permitted, parse_arguments, spools


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        ("-r 8000", ("-r", "8000")),
        ("-r 8000 -c 1 -C 32.7", ("-r", "8000", "-c", "1", "-C", "32.7")),
        ("-r8k -c1", ("-r8k", "-c1")),
        ("--rate 16000 --channels=2", ("--rate", "16000", "--channels=2")),
        ("-e mu-law -b 8 -t raw", ("-e", "mu-law", "-b", "8", "-t", "raw")),
        ("-v 0.98", ("-v", "0.98")),
        ("-v -1", ("-v", "-1")),
        ("-C -4.2", ("-C", "-4.2")),
        ("--ignore-length -G -D -L", ("--ignore-length", "-G", "-D", "-L")),
        ("--norm --norm=-3", ("--norm", "--norm=-3")),
        ("'-r' \"8000\"", ("-r", "8000")),
    ],
)
def test_format_options_pass_as_they_are(text: str, words: tuple[str, ...]) -> None:
    assert parse_arguments(text) == words


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("/etc/passwd", "/etc/passwd"),
        ("-", "'-'"),
        ("|id", "|id"),
        ("-r 8000 | id", "'|'"),
        ("-r 8000; id", "8000;"),
        ("-r $(id)", "$(id)"),
        ("--effects-file /tmp/x", "--effects-file"),
        ("--effects-file=/tmp/x", "--effects-file=/tmp/x"),
        ("--plot gnuplot", "--plot"),
        ("--temp /tmp", "--temp"),
        ("--temp=/tmp", "--temp=/tmp"),
        ("--comment-file /etc/passwd", "--comment-file"),
        ("--combine mix", "--combine"),
        ("-n", "'-n'"),
        ("-p", "'-p'"),
        ("-d", "'-d'"),
        ("-M", "'-M'"),
        ("--i", "--i"),
        ("-LB", "-LB"),
        ("-t m3u", "m3u"),
        ("-t alsa", "alsa"),
        ("-tpls", "pls"),
        ("-r 1", "'1'"),
        ("-r 1k", "1k"),
        ("-r nan", "nan"),
        ("-r 1e4", "1e4"),
        ("-r", "-r"),
        ("-c 9", "'9'"),
        ("-c 0", "'0'"),
        ("-c 12", "'12'"),
        ("-b 7", "'7'"),
        ("-e base64", "base64"),
        ("-C inf", "inf"),
        ("-v 1000", "1000"),
        ("-r 8000 norm", "norm"),
        ("gain -l 6", "gain"),
        ("spectrogram -o /tmp/x", "spectrogram"),
        ("--norm=/tmp/x", "--norm=/tmp/x"),
    ],
)
def test_everything_else_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(ValueError, match="argument") as refusal:
        parse_arguments(text)

    assert named in str(refusal.value)


def test_unbalanced_quotes_are_refused() -> None:
    with pytest.raises(ValueError, match="No closing quotation"):
        parse_arguments("-r '8000")


def test_options_that_hold_everything_back_are_known() -> None:
    assert spools(("-G",))
    assert spools(("--norm=-3",))
    assert not spools(("-r", "8000"))


@pytest.mark.parametrize("value", ["sox", "/usr/bin/sox", "/opt/sox-14/bin/sox"])
def test_a_converter_is_permitted_by_its_file_name(value: str) -> None:
    assert executable_permitted(value, frozenset({"sox"}))


@pytest.mark.parametrize(
    "value",
    ["", "bash", "/bin/sh", "/usr/bin/sox/../sh", "sox -h", "../sox", "tmp/sox", "sox/", "/"],
)
def test_other_programs_are_not(value: str) -> None:
    assert not executable_permitted(value, frozenset({"sox"}))
