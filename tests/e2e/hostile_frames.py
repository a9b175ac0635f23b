"""Hostile HTTP/2 connections to the gRPC port: frames that lie, flood, stop or break rules."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

_PATHS = [
    *(
        f"/kazoo_media.v1.{name}"
        for name in (
            "AccountService/GetAccount",
            "AccountService/CreateAccount",
            "MediaService/GetMedia",
            "MediaService/ListMedia",
            "MediaService/CreateMedia",
            "MediaService/UploadContent",
            "MediaService/DownloadContent",
            "PromptService/ListPrompts",
            "SettingsService/GetSetting",
            "SpeechService/ListVoices",
        )
    ),
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/kazoo_media.crossbar.v2.CrossbarService/GetMedia",
    "/kazoo_media.v1.MediaService/Nothing",
    "/",
    "/%00/..",
]
_TYPES = ["application/grpc"] * 6 + ["application/grpc-web", "application/json", "text/plain", ""]


@dataclass(frozen=True)
class World:
    """What hostile calls may name: tokens, good and bad."""

    tokens: Sequence[str]


class HostileConnection:
    """One connection with some hostile calls, the same for the same seed and number."""

    def __init__(self, world: World, seed: int, number: int) -> None:
        self._world = world
        self._random = random.Random(seed * 1_000_003 + number)
        self._encoder = Encoder()
        self._next_stream = 1
        self._calls: list[Callable[[], list[Frame]]] = [
            *[self._call] * 6,
            self._half_message,
            self._lying_length,
            self._reset,
            self._gzip,
        ]
        self._floods: list[Callable[[], list[Frame]]] = [
            self._many_resets,
            self._empty_data,
            self._continuations,
            self._many_headers,
            self._pings,
            self._settings,
            self._windows,
            self._priorities,
        ]

    def made(self, calls: int) -> list[bytes]:
        """Return the bytes of the connection: its preface, then a piece for each call.

        The last call is an honest one, `last_stream`. Every fourth connection floods the service,
        which may close it.
        """
        settings = {}
        if self._is(0.2):
            settings[SettingsFrame.INITIAL_WINDOW_SIZE] = self._random.choice([0, 1, 2**31 - 1])
        if self._is(0.1):
            settings[SettingsFrame.MAX_FRAME_SIZE] = self._random.choice([16384, 2**24 - 1])
        pieces = [PREFACE + SettingsFrame(settings=settings).serialize()]
        kinds = self._calls if self._is(0.75) else self._calls + self._floods
        for _ in range(calls):
            frames = self._random.choice(kinds)()
            pieces.append(b"".join(each.serialize() for each in frames))
        if kinds is not self._calls and self._is(0.5):
            pieces.append(self._broken())
        pieces.append(b"".join(each.serialize() for each in self._honest()))
        return pieces

    @property
    def last_stream(self) -> int:
        """Return the stream of the last call."""
        return self._next_stream - 2

    def _honest(self) -> list[Frame]:
        head = HeadersFrame(
            self._next_stream,
            self._encoder.encode(
                [
                    (":method", "POST"),
                    (":scheme", "http"),
                    (":path", "/grpc.health.v1.Health/Check"),
                    (":authority", "service"),
                    ("content-type", "application/grpc"),
                    ("te", "trailers"),
                ]
            ),
        )
        head.flags.add("END_HEADERS")
        self._next_stream += 2
        # Earlier calls may have left no window for its answer.
        window = SettingsFrame(settings={SettingsFrame.INITIAL_WINDOW_SIZE: 65_535})
        call: list[Frame] = [head, self._data(head.stream_id, bytes(5), end=True)]
        return [window, WindowUpdateFrame(0, 1 << 29), *call]

    def _is(self, probability: float) -> bool:
        return self._random.random() < probability

    def _begin(self, *, end: bool = False, more: Sequence[tuple[str, str]] = ()) -> HeadersFrame:
        random = self._random
        head = [
            (":method", "POST" if self._is(0.95) else random.choice(["GET", "CONNECT", "PRI"])),
            (":scheme", "http"),
            (":path", random.choice(_PATHS)),
            (":authority", "service"),
            ("content-type", random.choice(_TYPES)),
            ("te", "trailers"),
            ("x-auth-token", random.choice(self._world.tokens)),
            *more,
        ]
        if self._is(0.2):
            timeout = random.choice(["1n", "5m", "99999999H", "-1S", "x", "1S"])
            head.append(("grpc-timeout", timeout))
        if self._is(0.1):
            name = random.choice(["x-rest-uri", "x-envoy-original-path", "grpc-tags-bin", "x_y"])
            head.append((name, random.choice(["/v2/media", "\u00fc", "a" * 5000])))
        frame = HeadersFrame(self._next_stream, self._encoder.encode(head))
        frame.flags.add("END_HEADERS")
        if end:
            frame.flags.add("END_STREAM")
        self._next_stream += 2
        return frame

    def _data(self, stream: int, data: bytes, *, end: bool = False) -> DataFrame:
        frame = DataFrame(stream, data)
        if end:
            frame.flags.add("END_STREAM")
        return frame

    def _message(self) -> bytes:
        message = self._random.randbytes(self._random.choice([0, 1, 3, 20, 200, 4000]))
        if self._is(0.3):  # a string field with an account id
            message = b"\n\x20" + b"%032x" % self._random.getrandbits(128)
        return b"\0" + struct.pack(">I", len(message)) + message

    def _call(self) -> list[Frame]:
        head = self._begin()
        messages = b"".join(self._message() for _ in range(self._random.choice([0, 1, 1, 1, 5])))
        return [head, self._data(head.stream_id, messages[:16000], end=self._is(0.9))]

    def _half_message(self) -> list[Frame]:
        head = self._begin()
        message = self._message()
        cut = self._random.randrange(len(message))
        return [head, self._data(head.stream_id, message[:cut], end=self._is(0.5))]

    def _lying_length(self) -> list[Frame]:
        head = self._begin()
        length = self._random.choice([1, 65_536, 65_537, 4 << 20, (4 << 20) + 1, 2**32 - 1])
        data = bytes([self._random.choice([0, 1, 255])]) + struct.pack(">I", length)
        data += self._random.randbytes(self._random.choice([0, 1, 8000]))
        return [head, self._data(head.stream_id, data, end=self._is(0.5))]

    def _reset(self) -> list[Frame]:
        code = self._random.choice([0, 1, 2, 5, 8, 0xFFFF])
        frames = self._call()
        return [*frames, RstStreamFrame(frames[0].stream_id, error_code=code)]

    def _many_resets(self) -> list[Frame]:
        return [frame for _ in range(self._random.choice([5, 60])) for frame in self._reset()]

    def _empty_data(self) -> list[Frame]:
        head = self._begin()
        count = self._random.choice([10, 500, 12_000])
        return [head, *[self._data(head.stream_id, b"")] * count]

    def _continuations(self) -> list[Frame]:
        head = self._begin()
        head.flags.discard("END_HEADERS")
        count = self._random.choice([1, 100, 2000])
        piece = self._encoder.encode([("x-a", "b" * 20)])
        frames: list[Frame] = [head]
        frames += [ContinuationFrame(head.stream_id, piece) for _ in range(count)]
        if self._is(0.5):
            frames[-1].flags.add("END_HEADERS")
        return frames

    def _many_headers(self) -> list[Frame]:
        count = self._random.choice([99, 101, 1000])
        return [self._begin(more=[(f"x-{index}", "v") for index in range(count)], end=True)]

    def _pings(self) -> list[Frame]:
        return [PingFrame(0, self._random.randbytes(8))] * self._random.choice([1, 100, 11_000])

    def _settings(self) -> list[Frame]:
        size = self._random.choice([0, 1, 65_535, 2**31 - 1])
        frame = SettingsFrame(settings={SettingsFrame.INITIAL_WINDOW_SIZE: size})
        return [frame] * self._random.choice([1, 50, 1500])

    def _windows(self) -> list[Frame]:
        stream = self._random.choice([0, max(self._next_stream - 2, 1)])
        size = self._random.choice([1, 2**31 - 1])
        return [WindowUpdateFrame(stream, size)] * self._random.choice([1, 2, 3000])

    def _priorities(self) -> list[Frame]:
        frame = PriorityFrame(self._next_stream, depends_on=self._next_stream + 2)
        return [frame] * self._random.choice([1, 2000])

    def _gzip(self) -> list[Frame]:
        head = self._begin(more=[("grpc-encoding", self._random.choice(["gzip", "zstd", "\t"]))])
        data = b"\1" + struct.pack(">I", 64) + self._random.randbytes(64)
        return [head, self._data(head.stream_id, data, end=True)]

    def _broken(self) -> bytes:
        """Return bytes that break the rules of frames."""
        stream = self._random.choice([0, 1, 2, self._next_stream + 100, 2**31 - 1])
        kind, size = self._random.randrange(12), self._random.choice([0, 4, 9, 20_000, 2**24 - 1])
        head = struct.pack(">I", size)[1:] + bytes([kind, self._random.randrange(256)])
        return head + struct.pack(">I", stream) + self._random.randbytes(min(size, 30_000))
