"""The answers of the operations in the OpenAPI description."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kazoo_media.audio.formats import UNTYPED
from kazoo_media.crossbar.answers import JSON
from kazoo_media.crossbar.openapi.examples import example_of, refusal
from kazoo_media.crossbar.openapi.operations import Facts
from kazoo_media.crossbar.openapi.schemas import BINARY, Schema, reference
from kazoo_media.documents.violations import required
from kazoo_media.errors import (
    ConflictError,
    ForbiddenError,
    InternalError,
    InvalidCredentialsError,
    MediaError,
    MediaNotFoundError,
    MethodNotAllowedError,
    NameTakenError,
    NormalizationFailedError,
    NormalizationOffError,
    NotAcceptableError,
    PlaybackKeyNotFoundError,
    PreconditionFailedError,
    QueueFullError,
    RangeNotSatisfiableError,
    SpeechFailedError,
    StorageFullError,
    TooLargeError,
    TooManyRequestsError,
    UnsupportedMediaTypeError,
    ValidationError,
)

_STRING: Schema = {"type": "string"}
_SECONDS: Schema = {"type": "integer", "minimum": 0}
_ABOUT = {
    201: "Created",
    204: "Done",
    206: "A part of the audio",
    302: "A redirect to a link, or to the bucket that has the audio",
    304: "Not modified",
}
_GATEWAY_ERRORS: Mapping[int, tuple[str, str]] = {
    408: ("request_timeout", "the request did not arrive in time"),
    431: ("headers_too_large", "the request has more than 100 headers or 60 KiB of them"),
    504: ("gateway_timeout", "no answer in time"),
}
"""Errors that only the gateway answers: word and message. Source: gateway/envoy.yaml."""
_GRPC_ERRORS = (
    NameTakenError,
    NormalizationFailedError,
    NormalizationOffError,
    PlaybackKeyNotFoundError,
)
"""Errors of what only gRPC can do."""
_SAMPLES: Mapping[int, MediaError] = {
    error.http_status: error
    for error in (
        ValidationError([required("name")]),
        InvalidCredentialsError(),
        ForbiddenError(),
        MediaNotFoundError("hold"),
        MethodNotAllowedError(["OPTIONS", "GET", "HEAD"]),
        NotAcceptableError("no rendition has an accepted type", ["audio/x-wav"]),
        ConflictError("hold"),
        PreconditionFailedError(expected=f"1-{32 * '0'}", actual=f"2-{32 * '1'}"),
        TooLargeError(524_288_000),
        UnsupportedMediaTypeError("content type 'text/csv' is not audio", ["audio/x-wav"]),
        RangeNotSatisfiableError(size_bytes=96_044),
        TooManyRequestsError(),
        InternalError(),
        QueueFullError(),
        StorageFullError(),
    )
}
"""An error of each status, for its example."""
_REFUSAL_HEADERS: Mapping[int, Mapping[str, Schema]] = {
    405: {"Allow": {"schema": _STRING, "required": True}},
    416: {"Content-Range": {"schema": {"type": "string", "pattern": r"^bytes \*/\d+$"}}},
    429: {"Retry-After": {"schema": _SECONDS, "required": True}},
    503: {"Retry-After": {"schema": _SECONDS, "required": True}},
}


def error_answers() -> dict[str, Schema]:
    """Return the error answer of each HTTP status; the error classes describe it."""
    words: dict[int, dict[str, str]] = {
        status: {word: f"{message[0].upper()}{message[1:]}."}
        for status, (word, message) in _GATEWAY_ERRORS.items()
    }
    for error in (each for each in _leaves(MediaError) if each not in _GRPC_ERRORS):
        word = "" if error is SpeechFailedError else error.kazoo_message
        about = (error.__doc__ or "").partition("\n")[0]
        known = words.setdefault(error.http_status, {})
        known[word] = f"{known[word]} {about}" if word in known else about
    return {str(status): _error_answer(status, known) for status, known in sorted(words.items())}


def answers_of(facts: Facts, refusals: Mapping[str, Schema]) -> Schema:
    """Return all answers of an operation.

    Errors of operations that answer with audio have no type: many generated clients would ask for
    JSON instead of audio.

    Args:
        refusals: What `error_answers` returned.
    """
    answers = {str(status): _success(status, name) for status, name in facts.successes}
    sends_audio = "audio" in {name for _, name in facts.successes}
    for status in map(str, facts.all_refusals):
        untyped = {key: value for key, value in refusals[status].items() if key != "content"}
        answers[status] = untyped if sends_audio else reference("responses", status)
    return answers


def _leaves(error: type[MediaError]) -> Iterator[type[MediaError]]:
    below = [
        each
        for each in error.__subclasses__()
        if not each.__name__.startswith("_") or each.__subclasses__()
    ]
    if not below:
        yield error
    for each in below:
        yield from _leaves(each)


def _error_answer(status: int, words: Mapping[str, str]) -> Schema:
    lines = [f"- `{word}`: {about}" if word else f"- {about}" for word, about in words.items()]
    content: Schema = {"schema": reference("schemas", "ErrorEnvelope")}
    if status in _GATEWAY_ERRORS:
        word, message = _GATEWAY_ERRORS[status]
        content["example"] = refusal(status, word, {"message": message})
    elif status in _SAMPLES:
        error = _SAMPLES[status]
        content["example"] = refusal(status, error.kazoo_message, error.kazoo_data)
    answer: Schema = {"description": "\n".join(lines), "content": {JSON: content}}
    headers = _REFUSAL_HEADERS.get(status)
    return answer | ({"headers": dict(headers)} if headers else {})


def _success(status: int, name: str) -> Schema:
    answer: Schema = {"description": _ABOUT.get(status, "Success")}
    if name:
        answer["content"] = _content(name, status)
    if status == 302:
        answer["headers"] = {"Location": {"schema": _STRING, "required": True}}
    if status == 201 and name == "DocumentEnvelope":
        answer["headers"] = {"Location": {"schema": _STRING, "required": True}}
    if status == 206:
        answer["headers"] = {"Content-Range": {"schema": _STRING, "required": True}}
    return answer


def _content(name: str, status: int) -> Schema:
    if name == "audio":
        # Clients that send the first type as Accept get any audio.
        return {each: {"schema": BINARY} for each in (UNTYPED[0], "audio/*", "video/*")}
    if name == "description":
        return {JSON: {"schema": {"type": "object", "additionalProperties": True}}}
    body: Schema = {"schema": reference("schemas", name)}
    example = example_of(name, status)
    if example is not None:
        body["example"] = example
    return {JSON: body}
