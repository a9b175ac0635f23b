"""Conversion of documents, renditions, accounts and settings to messages, and of media back.

Keys of a document that `Media` has fields for become those fields, keys that the service writes
become output-only fields or facts of renditions, and all others become keys of `extra`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from kazoo_media.documents.large import LARGE_BYTES, computed, in_thread
from kazoo_media.errors import ValidationError, Violation
from kazoo_media.media.links import Link
from kazoo_media.model import (
    Account,
    AudioFacts,
    Media,
    PlaybackKey,
    Rendition,
    RenditionKind,
    User,
    Version,
)
from kazoo_media.rpc.fields import enum_value
from kazoo_media.rpc.values import from_value, to_timestamp, to_value
from kazoo_media.settings import Origin, SeenSetting
from kazoo_media.v1 import account_service_pb2, media_pb2, media_service_pb2, settings_service_pb2

_SOURCE_NUMBERS: Mapping[str, media_pb2.MediaSource.ValueType] = {
    "recording": media_pb2.MEDIA_SOURCE_RECORDING,
    "upload": media_pb2.MEDIA_SOURCE_UPLOAD,
    "tts": media_pb2.MEDIA_SOURCE_TTS,
}
SOURCES: Mapping[int, str] = {number: word for word, number in _SOURCE_NUMBERS.items()}
"""The value of `media_source` in a document for each `MediaSource`."""

_OPTIONAL_FIELDS = ("description", "prompt_id", "source_id", "source_type", "streamable")
TYPED_KEYS = frozenset({"name", "language", "media_source", "tts", *_OPTIONAL_FIELDS})
"""Keys of a document that clients write through fields of `Media`."""

_WRITTEN_BY_SERVICE = ("content_type", "normalization_error", "normalization_warning")
_IN_RENDITIONS = (
    "content_length",
    "damaged",
    "normalization_preset",
    "renditions",
    *(each.name for each in fields(AudioFacts)),
)
OUTPUT_KEYS = frozenset({"id", *_WRITTEN_BY_SERVICE, *_IN_RENDITIONS})
"""Keys of a document that clients of the typed services cannot write."""

_KIND_NUMBERS = {
    RenditionKind.ORIGINAL: media_pb2.RENDITION_KIND_ORIGINAL,
    RenditionKind.NORMALIZED: media_pb2.RENDITION_KIND_NORMALIZED,
}
_ORIGIN_NUMBERS = {
    Origin.BUILT_IN: settings_service_pb2.Setting.ORIGIN_BUILT_IN,
    Origin.DEFAULT: settings_service_pb2.Setting.ORIGIN_DEFAULT,
    Origin.NODE: settings_service_pb2.Setting.ORIGIN_NODE,
}


def media_message(media: Media) -> media_pb2.Media:
    """Return a stored media as a message."""
    document = media.document
    message = media_pb2.Media(
        account_id=media.account_id,
        id=media.id,
        name=document["name"],
        media_source=_SOURCE_NUMBERS.get(
            document.get("media_source", ""), media_pb2.MEDIA_SOURCE_UNSPECIFIED
        ),
        revision=media.revision,
        create_time=to_timestamp(media.created_ms),
        update_time=to_timestamp(media.modified_ms),
        **{
            key: document[key]
            for key in ("language", *_OPTIONAL_FIELDS, *_WRITTEN_BY_SERVICE)
            if key in document
        },
    )
    tts = document.get("tts", {})
    message.tts.text, message.tts.voice = tts.get("text", ""), tts.get("voice", "")
    for key, value in document.items():
        if key not in TYPED_KEYS and key not in OUTPUT_KEYS:
            message.extra.fields[key].CopyFrom(to_value(value))
    if media.content is not None:
        message.content_length = media.content.served.size_bytes
        message.damaged = media.content.is_damaged
        message.renditions.extend(map(rendition_message, reversed(media.content.renditions)))
    return message


async def media_answer(media: Media) -> media_pb2.Media:
    """Return a stored media as a message, made off the event loop if it is large."""
    return await computed(lambda: media_message(media), media.document)


def rendition_message(rendition: Rendition) -> media_pb2.Rendition:
    """Return a rendition as a message."""
    facts = rendition.facts
    return media_pb2.Rendition(
        kind=_KIND_NUMBERS[rendition.kind],
        content_type=rendition.content_type,
        size_bytes=rendition.size_bytes,
        sha256=rendition.sha256,
        normalization=rendition.normalization,
        damaged=rendition.is_damaged,
        **{each.name: getattr(facts, each.name) for each in fields(facts)},
    )


def document_of(message: media_pb2.Media) -> dict[str, Any]:
    """Return the document that a client's message describes, not validated.

    Output-only fields are ignored. An absent field is an absent key; a language that is present but
    empty is None, which stands for no language.

    Raises:
        ValidationError: a key of `extra` is a field of `Media`, a number does not exist in JSON, or
            the source is unknown.
    """
    document: dict[str, Any] = _extra(message)
    if message.name:
        document["name"] = message.name
    if message.HasField("language"):
        document["language"] = message.language or None
    if message.media_source:
        document["media_source"] = enum_value("media_source", message.media_source, SOURCES)
    for key in _OPTIONAL_FIELDS:
        if message.HasField(key):  # type: ignore[arg-type] # the stub wants literals
            document[key] = getattr(message, key)
    if message.HasField("tts"):
        tts = {"text": message.tts.text, "voice": message.tts.voice}
        document["tts"] = {key: value for key, value in tts.items() if value}
    return document


async def sent_document(message: media_pb2.Media) -> dict[str, Any]:
    """Return `document_of(message)`, made off the event loop if the message is large."""
    if message.ByteSize() > LARGE_BYTES:
        return await in_thread(lambda: document_of(message))
    return document_of(message)


def account_message(account: Account) -> account_service_pb2.Account:
    """Return an account as a message."""
    return account_service_pb2.Account(
        id=account.id,
        name=account.name,
        ancestor_ids=account.ancestor_ids,
        realm=account.realm,
        language=account.language,
        superduper_admin=account.superduper_admin,
        create_time=to_timestamp(account.created_ms),
    )


def playback_key_message(key: PlaybackKey) -> account_service_pb2.PlaybackKey:
    """Return a playback key as a message."""
    return account_service_pb2.PlaybackKey(
        id=key.id,
        account_id=key.account_id,
        name=key.name,
        create_time=to_timestamp(key.created_ms),
    )


def user_message(user: User) -> account_service_pb2.User:
    """Return a user as a message."""
    return account_service_pb2.User(
        id=user.id,
        account_id=user.account_id,
        name=user.name,
        create_time=to_timestamp(user.created_ms),
    )


def link_message(link: Link) -> media_service_pb2.Link:
    """Return a link as a message."""
    message = media_service_pb2.Link(url=link.url, rendition=rendition_message(link.rendition))
    if link.expires_s is not None:
        message.expire_time.FromSeconds(link.expires_s)
    return message


def version_message(version: Version) -> media_service_pb2.MediaVersion:
    """Return an earlier content as a message."""
    return media_service_pb2.MediaVersion(
        version=version.number,
        replace_time=to_timestamp(version.replaced_ms),
        renditions=map(rendition_message, reversed(version.content.renditions)),
    )


def setting_message(seen: SeenSetting) -> settings_service_pb2.Setting:
    """Return a setting as a message."""
    return settings_service_pb2.Setting(
        category=seen.setting.category,
        key=seen.setting.key,
        value=to_value(seen.value),
        origin=_ORIGIN_NUMBERS[seen.origin],
        description=seen.setting.description,
    )


def _extra(message: media_pb2.Media) -> dict[str, Any]:
    fields = message.extra.fields
    misplaced = [
        Violation(f"extra.{key}", "invalid", "is a field of Media: set it there", {})
        for key in sorted(fields)
        if key in TYPED_KEYS or key in OUTPUT_KEYS
    ]
    if misplaced:
        raise ValidationError(misplaced)
    return {key: from_value(value, f"extra.{key}") for key, value in fields.items()}
