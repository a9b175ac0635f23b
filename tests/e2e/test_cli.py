"""The commands against the built product, as a user types them."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from blockbuster import BlockBuster

from tests.e2e.shell import QuickShell, Shell
from tests.e2e.stalling_proxy import StallingProxy
from tests.support.audio_samples import measure, noise, tone
from tests.support.product import Product, free_port

pytestmark = pytest.mark.e2e

LARGE = noise(200, rate=16000)  # 6 MB


@pytest.fixture
def shell(product: Product, tmp_path: Path, blocking_calls_fail: BlockBuster) -> Shell:
    return QuickShell(product.data_dir, tmp_path, blocking_calls_fail)


@pytest.fixture
def large(shell: Shell) -> str:
    """Return the id of a media of 6 MB."""
    media_id = f"large-{uuid4().hex}"
    (shell.folder / "large.wav").write_bytes(LARGE)
    shell.ok("upload", "large.wav", media_id, "--create", "Large")
    return media_id


def test_an_account_is_created_listed_and_works_with_its_key(shell: Shell) -> None:
    made = shell.account("--realm", "acme.example")
    assert made["realm"] == "acme.example"
    listed = json.loads(shell.ok("accounts", "list", "--json"))
    assert made["id"] in [each["id"] for each in listed]
    own = json.loads(shell.ok("accounts", "get", "--json", KAZOO_MEDIA_API_KEY=made["api_key"]))
    assert own["id"] == made["id"]
    child = shell.account("--parent", made["id"])
    below = json.loads(shell.ok("accounts", "list", "--ancestor", made["id"], "--json"))
    assert [each["id"] for each in below] == [child["id"]]


def test_a_rotated_key_ends_the_old_one(shell: Shell) -> None:
    made = shell.account()
    new = shell.ok("accounts", "rotate-key", made["id"]).strip()
    shell.ok("accounts", "get", "--api-key", new)
    assert "the API key is not valid" in shell.fails(
        "accounts", "get", "--api-key", made["api_key"]
    )


def test_a_playback_key_plays_until_it_is_removed(
    shell: Shell, product: Product, large: str
) -> None:
    scope = ("--scope", "playback", "--name", "pbx", "--json")
    made = json.loads(shell.ok("accounts", "add-key", *scope))
    url = f"{product.rest_url}/v2/accounts/{made['account_id']}/media/{large}/raw/large.wav"
    auth = (made["account_id"], made["key"])
    assert httpx.get(url, auth=auth).status_code == 200
    assert httpx.get(url, params={"key": made["key"]}).status_code == 200
    listed = shell.ok("accounts", "keys")
    assert "pbx" in listed
    assert made["id"] in listed
    assert made["key"] not in listed
    shell.ok("accounts", "remove-key", made["id"])
    assert httpx.get(url, auth=auth).status_code == 401
    assert "does not exist" in shell.fails("accounts", "remove-key", made["id"])


def test_rotating_the_key_of_bootstrap_json_keeps_the_commands_working(
    shell: Shell, product: Product
) -> None:
    new = shell.ok("accounts", "rotate-key").strip()
    assert product.api_key == new
    shell.ok("accounts", "get")


def test_a_user_is_added_with_a_password_that_is_typed_unseen(
    shell: Shell, product: Product
) -> None:
    made = shell.account()
    master, slave = pty.openpty()
    # getpass reads from the controlling terminal: setsid makes this the one.
    command = ["setsid", "--ctty", "--wait", sys.executable, "-m", "kazoo_media"]
    command += ["accounts", "add-user", "ann", "--account", made["id"]]
    with subprocess.Popen(
        command, env=shell.environment, stdin=slave, stdout=slave, stderr=slave
    ) as process:
        os.close(slave)
        shown = _read_until(master, "Password: ")
        os.write(master, b"secret word\n")
        shown += _read_until(master, "Repeat for confirmation: ")
        os.write(master, b"secret word\n")
        shown += _read_until(master, None)
        assert process.wait(30) == 0, shown
    os.close(master)
    assert "ann" in shown
    assert "secret word" not in shown
    assert "secret word" not in product.log()


def _read_until(terminal: int, wanted: str | None) -> str:
    """Return what a terminal shows until the text, None: until the program ends."""
    shown = ""
    while wanted is None or wanted not in shown:
        try:
            read = os.read(terminal, 4096)
        except OSError:  # how a terminal without a program reads
            break
        shown += read.decode()
    return shown


def test_a_purge_frees_the_id_of_a_deleted_media(shell: Shell) -> None:
    (shell.folder / "tone.wav").write_bytes(tone(0.2))
    key = shell.account()["api_key"]
    own = {"KAZOO_MEDIA_API_KEY": key}
    shell.ok("upload", "tone.wav", "x", "--create", "First", **own)
    shell.ok("media", "delete", "x", **own)
    shell.fails("upload", "tone.wav", "x", "--create", "Second", **own)
    assert shell.ok("media", "purge", "--older-than-days", "1", **own).startswith("0 ")
    assert shell.ok("media", "purge", **own).startswith("1 ")
    shell.ok("upload", "tone.wav", "x", "--create", "Second", **own)


def test_the_token_is_all_that_is_printed(shell: Shell) -> None:
    token = shell.ok("accounts", "token")
    assert token.count(".") == 2
    assert len(token.split()) == 1


def test_settings_are_set_shown_and_unset(shell: Shell) -> None:
    name = ("crossbar.media", "normalization_format")
    assert shell.ok("config", "get", *name) == "mp3\n"
    shell.ok("config", "set-default", *name, "ogg")
    shell.ok("config", "set", *name, "wav")
    assert shell.ok("config", "get", *name) == "wav\n"
    [found] = json.loads(shell.ok("config", "get", *name, "--json"))
    assert (found["value"], found["origin"]) == ("wav", "node")
    assert shell.ok("config", "get", *name, "--node", "another") == "ogg\n"
    shell.ok("config", "unset", *name)
    assert shell.ok("config", "get", *name) == "ogg\n"
    shell.ok("config", "unset", *name, "--default")
    shell.ok("config", "flush")
    assert shell.ok("config", "get", *name) == "mp3\n"
    assert shell.ok("config", "get", "crossbar.media", "normalize_media") == "false\n"
    assert shell.ok("config", "get", "crossbar", "max_upload_size") == "536870912\n"


def test_a_setting_that_can_not_be_is_refused_by_name(shell: Shell) -> None:
    error = shell.fails("config", "set", "crossbar.media", "normalization_format", "exe")
    assert "normalization_format" in error
    assert "'exe'" in error


def test_the_voices_of_the_provider_are_listed(shell: Shell) -> None:
    table = shell.ok("voices").splitlines()
    assert table[0] == "provider: espeak (setting speech.tts_provider)"
    assert table[2].split() == ["name", "locale", "gender", "engine_voice"]
    assert table[3].split() == ["female/en-US", "en-US", "female", "en-us+f3"]
    listed = json.loads(
        shell.ok("voices", "--json", KAZOO_MEDIA_API_KEY=shell.account()["api_key"])
    )
    assert listed["provider"] == "espeak"
    assert len(listed["voices"]) == len(table) - 3 == 56


def test_prompts_are_imported_overwritten_and_counted(shell: Shell) -> None:
    folder = shell.folder / "prompts"
    folder.mkdir()
    for number in range(12):
        (folder / f"cli-{number}.wav").write_bytes(tone(0.1, frequency_hertz=200 + number))
    (folder / "cli-bad.WAV").write_text("%PDF-1.7 is not audio\n" * 50)
    language = f"x-{uuid4().hex[:8]}"
    code, out, _ = shell.run("prompts", "import", "prompts", language, "--json")
    summary = json.loads(out)
    assert code == 1
    assert (summary["imported"], summary["overwritten"]) == (12, 0)
    assert summary["bytes"] == 12 * len(tone(0.1))
    [failed] = summary["failed"]
    assert failed["file"] == "cli-bad.WAV"
    assert "not audio" in failed["reason"]

    (folder / "cli-bad.WAV").unlink()
    (folder / "cli-3.wav").write_bytes(tone(0.4))
    table = shell.ok("prompts", "import", "prompts", language)
    assert table.splitlines()[0].split()[:4] == ["imported", "overwritten", "failed", "skipped"]
    assert table.splitlines()[1].split()[:4] == ["0", "12", "0", "0"]
    shell.ok("download", f"{language}/cli-3", "got.wav", "--account", "system")
    assert (shell.folder / "got.wav").read_bytes() == tone(0.4)
    assert f"{language}" in shell.ok("languages", "list")
    listed = {each["prompt_id"] for each in json.loads(shell.ok("prompts", "list", "--json"))}
    assert {f"cli-{number}" for number in range(12)} <= listed
    assert "cli-bad" not in listed


def test_hidden_files_of_a_folder_are_skipped_and_named(shell: Shell) -> None:
    folder = shell.folder / "hidden"
    folder.mkdir()
    for name in ("seen.wav", ".away.wav", "._seen.wav"):
        (folder / name).write_bytes(tone(0.1))
    language = f"x-{uuid4().hex[:8]}"
    summary = json.loads(shell.ok("prompts", "import", "hidden", language, "--json"))
    assert (summary["imported"], summary["skipped"], summary["failed"]) == (1, 2, [])
    assert summary["skipped_files"] == [
        {"file": "._seen.wav", "reason": "a hidden file"},
        {"file": ".away.wav", "reason": "a hidden file"},
    ]
    table = shell.ok("prompts", "import", "hidden", language)
    assert "._seen.wav" in table
    assert ".away.wav" in table
    assert "hidden" in table


def test_a_text_file_is_spoken_as_a_whole_language(shell: Shell) -> None:
    made = shell.account()
    own = ("--account", made["id"], "--api-key", made["api_key"])
    file = shell.folder / "prompts.txt"
    file.write_text("# numbers\none: un\ntwo: deux\n\nnonsense\ndots: ...\n")
    speak = ("prompts", "speak", "prompts.txt", "fr-FR", "--voice", "female/fr-FR")
    code, out, _ = shell.run(*speak, *own, "--json")
    summary = json.loads(out)
    assert code == 1
    assert (summary["spoken"], summary["skipped"]) == (2, 0)
    assert summary["bytes"] > 10_000
    assert [each["line"] for each in summary["failed"]] == [5, 6]
    assert "no colon" in summary["failed"][0]["reason"]
    assert "nothing to say" in summary["failed"][1]["reason"]

    file.write_text("one: un\ntwo: deux\nthree: trois\n")
    table = shell.ok(*speak, *own).splitlines()
    assert table[0].split()[:4] == ["spoken", "overwritten", "skipped", "failed"]
    assert table[1].split()[:4] == ["1", "0", "2", "0"]
    table = shell.ok(*speak, *own, "--overwrite").splitlines()
    assert table[1].split()[:4] == ["0", "3", "0", "0"]
    shell.ok("download", "fr-fr/three", "three.wav", *own)
    assert measure((shell.folder / "three.wav").read_bytes()).duration_s > 0.3
    listed = shell.ok("prompts", "list", "--account", made["id"])
    assert {"one", "two", "three"} <= set(listed.split())


def test_what_can_not_be_spoken_at_all_is_said_once(shell: Shell) -> None:
    file = shell.folder / "prompts.txt"
    file.write_text("one: un\n")
    speak = ("prompts", "speak", "prompts.txt", "fr-fr")
    error = shell.fails(*speak, "--voice", "female/xx-XX")
    assert "espeak has no voice 'female/xx-XX'" in error
    assert "kazoo-media voices" in error
    shell.fails(*speak, code=2)
    shell.fails("prompts", "speak", "nowhere.txt", "fr-fr", "--voice", "female/fr-FR", code=2)
    file.write_text("# nothing yet\n\n")
    assert "has no prompts" in shell.fails(*speak, "--voice", "female/fr-FR")


def test_prompts_of_an_account_are_its_own(shell: Shell) -> None:
    made = shell.account()
    folder = shell.folder / "own"
    folder.mkdir()
    (folder / "own-hello.wav").write_bytes(tone(0.1))
    # No language given, and no permission to read the setting: the usual one.
    shell.ok(
        *("prompts", "import", "own", "--account", made["id"]), *("--api-key", made["api_key"])
    )
    own = shell.ok("media", "list", "--account", made["id"])
    assert "en-us/own-hello" in own
    assert "own-hello" not in shell.ok("prompts", "list")
    error = shell.run("prompts", "import", "own", "--api-key", made["api_key"])[1]
    assert "no permission" in error


def test_a_folder_without_prompts_is_an_error(shell: Shell) -> None:
    assert "no *.wav or *.mp3" in shell.fails("prompts", "import", ".")


def test_audio_comes_back_as_it_was_sent(shell: Shell, large: str) -> None:
    printed = shell.ok("download", large)
    assert printed.splitlines()[0] == f"{large}.wav"
    assert (shell.folder / f"{large}.wav").read_bytes() == LARGE
    shell.ok("download", large, "other.bin", "--rendition", "original")
    assert (shell.folder / "other.bin").read_bytes() == LARGE
    assert "normalized" in shell.fails("download", large, "--rendition", "normalized")
    shell.ok("media", "delete", large, "--hard")
    assert "does not exist" in shell.fails("media", "get", large)


def test_a_refused_upload_creates_no_media(shell: Shell) -> None:
    (shell.folder / "empty.wav").touch()
    shell.fails("upload", "empty.wav", "cli-empty", "--create", "Empty")
    assert "does not exist" in shell.fails("media", "get", "cli-empty")


def test_an_upload_may_name_its_preset(shell: Shell) -> None:
    media_id = f"preset-{uuid4().hex}"
    (shell.folder / "tone.wav").write_bytes(tone(1.0))
    shell.ok("upload", "tone.wav", media_id, "--create", "Tone", "--preset", "wideband")
    shell.ok("download", media_id, "got.mp3")
    assert measure((shell.folder / "got.mp3").read_bytes(), "mp3").sample_rate_hertz == 16_000
    assert "preset" in shell.fails("upload", "tone.wav", media_id, "--preset", "louder")


def test_a_killed_download_leaves_nothing_that_looks_complete(
    shell: Shell, product: Product, large: str
) -> None:
    with StallingProxy(product.grpc_target, 2_000_000) as proxy:
        process = shell.start("download", large, "got.wav", "--target", proxy.target)
        assert proxy.stalled.wait(20)
        process.kill()
        process.communicate(timeout=20)
    assert not (shell.folder / "got.wav").exists()


@pytest.mark.parametrize("end", ["cut", "interrupt"])
def test_a_download_that_breaks_leaves_the_folder_as_it_was(
    shell: Shell, product: Product, large: str, end: str
) -> None:
    (shell.folder / "got.wav").write_bytes(b"old")
    before = sorted(os.listdir(shell.folder))
    with StallingProxy(product.grpc_target, 2_000_000) as proxy:
        process = shell.start("download", large, "got.wav", "--target", proxy.target)
        assert proxy.stalled.wait(20)
        if end == "cut":
            proxy.cut()
        else:
            process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode != 0
    assert "Traceback" not in err
    assert (shell.folder / "got.wav").read_bytes() == b"old"
    assert sorted(os.listdir(shell.folder)) == before


def test_a_service_that_is_not_there_is_named_with_what_to_do(shell: Shell) -> None:
    target = f"127.0.0.1:{free_port()}"
    error = shell.fails("accounts", "list", "--target", target)
    assert target in error
    assert "kazoo-media serve" in error


def test_without_a_service_the_commands_say_what_they_look_for(
    tmp_path: Path, blocking_calls_fail: BlockBuster
) -> None:
    shell = QuickShell(tmp_path / "nothing", tmp_path, blocking_calls_fail)
    error = shell.fails("accounts", "list")
    assert "bootstrap.json" in error
    assert "kazoo-media serve" in error


def test_a_wrong_command_line_has_its_own_exit_code(shell: Shell) -> None:
    shell.fails("upload", "nowhere.wav", "x", code=2)
    shell.fails("prompts", "import", "nowhere", code=2)
    shell.fails("config", "set", "crossbar.media", code=2)


def test_fsck_finds_what_is_lost(tmp_path: Path, blocking_calls_fail: BlockBuster) -> None:
    (tmp_path / "hold.wav").write_bytes(LARGE)
    shell = QuickShell(tmp_path / "data", tmp_path, blocking_calls_fail)
    with Product(tmp_path):
        shell.ok("upload", "hold.wav", "hold", "--create", "Hold")
        code, _, err = shell.run("fsck", "--digests")
        assert code == 0
        assert "service is running" in err
    shell.ok("fsck", "--digests")
    [blob] = [path for path in (tmp_path / "data" / "blobs").rglob("*") if path.is_file()]
    orphan = blob.with_name(blob.name[:2] + "0" * 30)
    orphan.write_bytes(b"belongs to nothing")
    assert "file without a row" in shell.ok("fsck")
    assert "1 without a row stay" in shell.ok("fsck", "--remove-orphans")
    os.utime(orphan, (0, 0))
    assert "stay" not in shell.ok("fsck", "--remove-orphans")
    assert "file without a row" not in shell.ok("fsck")
    damaged = blob.read_bytes()[:-1] + b"\xff"
    blob.chmod(0o600)
    blob.write_bytes(damaged)
    shell.ok("fsck")
    code, out, _ = shell.run("fsck", "--digests")
    assert code == 1
    assert "wrong digest" in out
    blob.unlink()
    code, out, _ = shell.run("fsck")
    assert code == 1
    assert "missing" in out


def test_fsck_of_another_folder_is_refused(tmp_path: Path) -> None:
    assert "KAZOO_MEDIA_DATA_DIR" in Shell(tmp_path, tmp_path).fails("fsck")
