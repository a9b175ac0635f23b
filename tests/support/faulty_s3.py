"""A server that speaks just enough S3 for the check at the start, and does one thing wrong."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

_MISSING = b"<Error><Code>NoSuchKey</Code></Error>"
_BAD_RANGE = b"<Error><Code>InvalidRange</Code></Error>"
_FAILED = b"<Error><Code>NotImplemented</Code></Error>"
_BEGUN = b"<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"
_COMPLETED = (
    b"<CompleteMultipartUploadResult><Location>x</Location><Bucket>b</Bucket><Key>k</Key>"
    b'<ETag>"e"</ETag></CompleteMultipartUploadResult>'
)


@contextmanager
def faulty_s3(fault: str) -> Iterator[str]:  # noqa: C901 - one branch for each fault
    """Give the endpoint of a server.

    Args:
        fault: "": none; "ignores ranges", "answers any range", "has no parts", "swaps parts",
            "keeps aborted", "keeps deleted".
    """
    objects: dict[str, bytes] = {}
    parts: dict[str, dict[int, bytes]] = {}

    class Handler(_Handler):
        def do_GET(self) -> None:
            data = objects.get(self.key)
            if data is None:
                self.answer(404, _MISSING)
            elif (wanted := self.headers.get("range")) and fault != "ignores ranges":
                self.answer_range(data, wanted, answers_any=fault == "answers any range")
            else:
                self.answer(200, data)

        def do_PUT(self) -> None:
            data = self.rfile.read(int(self.headers["content-length"]))
            if "partNumber" in self.query:
                parts.setdefault(self.key, {})[int(self.query["partNumber"][0])] = data
            else:
                objects[self.key] = data
            self.answer(200, b"", {"etag": '"e"'})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"] or 0))
            if fault == "has no parts":
                self.answer(501, _FAILED)
            elif "uploads" in self.query:
                parts[self.key] = {}
                self.answer(200, _BEGUN)
            else:
                found = parts.pop(self.key)
                order = sorted(found, reverse=fault == "swaps parts")
                objects[self.key] = b"".join(found[number] for number in order)
                self.answer(200, _COMPLETED)

        def do_DELETE(self) -> None:
            if "uploadId" in self.query:
                left = parts.pop(self.key, {})
                if fault == "keeps aborted":
                    objects[self.key] = b"".join(left.values())
            elif fault != "keeps deleted":
                objects.pop(self.key, None)
            self.answer(204, b"")

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def key(self) -> str:
        return urlsplit(self.path).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query, keep_blank_values=True)

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        fixed = {
            "content-length": str(len(body)),
            "last-modified": "Mon, 30 Nov 2026 10:00:00 GMT",
            "etag": '"e"',
        }
        for name, value in {**fixed, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def answer_range(self, data: bytes, wanted: str, *, answers_any: bool) -> None:
        first, last = map(int, wanted.removeprefix("bytes=").split("-"))
        if first >= len(data) and answers_any:
            first = 0
        if first >= len(data):
            self.answer(416, _BAD_RANGE)
            return
        last = min(last, len(data) - 1)
        content_range = f"bytes {first}-{last}/{len(data)}"
        self.answer(206, data[first : last + 1], {"content-range": content_range})

    def log_message(self, *_: object) -> None:
        pass
