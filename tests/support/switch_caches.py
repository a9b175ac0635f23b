"""The caches of switches, as small clients with the same rules.

Sources: FreeSWITCH mod_http_cache.c (`find_extension`, also of older releases;
`url_cache_get`, `process_cache_control_header`); Asterisk res_http_media_cache.c
(`file_extension_from_string`, `bucket_http_wizard_is_stale`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

DEFAULT_MAX_AGE_S = 86_400
_NAME_MAX = 255

Fetch = Callable[[str, str, Mapping[str, str]], tuple[int, Mapping[str, str], bytes]]
"""Sends method, URL and headers; returns status, headers by lower-case name, and body."""


def freeswitch_extension(url: str) -> str:
    """Return the extension of a URL: scanned from its end, a query is skipped."""
    length = 0
    for index in range(len(url) - 1, 0, -1):
        if url[index] in "/\\":
            break
        if url[index] in "?#":
            length = 0
        elif url[index] == ".":
            return url[index + 1 : index + 1 + length]
        else:
            length += 1
    return ""


def old_freeswitch_extension(url: str) -> str:
    """Return the extension of a URL as older releases find it: all after the last dot."""
    last = re.split(r"[/\\]", url)[-1]
    return last.rpartition(".")[2] if "." in last else ""


def asterisk_extension(url: str) -> str:
    """Return what follows the last dot of a URL, if it names a format that Asterisk reads."""
    found = url.rpartition(".")[2]
    return found if found in {"wav", "mp3", "ogg", "sln", "ulaw", "alaw", "g722", "gsm"} else ""


@dataclass
class _Kept:
    file: str
    body: bytes
    etag: str
    cache_control: str
    fresh_until_s: float


class SwitchCache:
    """A cache of files whose key is the whole URL.

    Attributes:
        now_s: The time.
        requests: What was asked for: method and status.
    """

    def __init__(
        self, fetch: Fetch, extension: Callable[[str], str], *, revalidates: bool = False
    ) -> None:
        """Keep files.

        Args:
            extension: Finds the extension of the file in a URL.
            revalidates: Whether it asks with the entity tag before it fetches a stale file again,
                as Asterisk does. FreeSWITCH knows no entity tags.
        """
        self._fetch = fetch
        self._extension = extension
        self._revalidates = revalidates
        self._kept: dict[str, _Kept] = {}
        self.now_s = 0.0
        self.requests: list[tuple[str, int]] = []

    def get(self, url: str) -> tuple[str, bytes]:
        """Return the extension of the file and its bytes; fail as the switch does."""
        kept = self._kept.get(url)
        if kept is None or not self._is_usable(url, kept):
            kept = self._kept[url] = self._download(url)
        return kept.file.rpartition(".")[2], kept.body

    def _is_usable(self, url: str, kept: _Kept) -> bool:
        fresh = self.now_s < kept.fresh_until_s
        if not self._revalidates:
            return fresh
        if fresh and "no-cache" not in kept.cache_control:
            return True
        status, _, _ = self._send("HEAD", url, {"if-none-match": kept.etag})
        return status == 304

    def _download(self, url: str) -> _Kept:
        file = f"{'0' * 34}.{self._extension(url)}"
        assert len(file) <= _NAME_MAX, "File name too long"
        status, headers, body = self._send("GET", url, {})
        assert status < 400, f"HTTP error code {status}"
        control = headers.get("cache-control", "")
        found = re.search(r"max-age=(\d+)", control, re.IGNORECASE)
        max_age_s = int(found[1]) if found else DEFAULT_MAX_AGE_S
        return _Kept(file, body, headers.get("etag", ""), control, self.now_s + max_age_s)

    def _send(
        self, method: str, url: str, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        answer = self._fetch(method, url, headers)
        self.requests.append((method, answer[0]))
        return answer
