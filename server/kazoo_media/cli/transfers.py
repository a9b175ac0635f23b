"""`kazoo-media upload` and `download`: one media's audio."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from kazoo_media.cli.output import print_table, transfer_bar
from kazoo_media.cli.session import Session, calls_service
from kazoo_media.client import Media, Rendition, RenditionKind, UploadContentRequest

_Account = Annotated[
    str,
    typer.Option(metavar="ID", show_default="the API key's", help="Account, or system."),
]
_MediaId = Annotated[str, typer.Argument(help="For example en-us/vm-enter_pass.")]
_SUFFIXES = {
    "audio/mpeg": ".mp3",
    "audio/mp3": ".mp3",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/ogg": ".ogg",
    "audio/flac": ".flac",
}


class Wanted(enum.StrEnum):
    """Which rendition is wanted."""

    ORIGINAL = "original"
    NORMALIZED = "normalized"


_KINDS = {
    None: RenditionKind.RENDITION_KIND_UNSPECIFIED,
    Wanted.ORIGINAL: RenditionKind.RENDITION_KIND_ORIGINAL,
    Wanted.NORMALIZED: RenditionKind.RENDITION_KIND_NORMALIZED,
}


@calls_service
async def upload(  # noqa: PLR0913 - an argument for each option
    session: Session,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The audio.")],
    media_id: _MediaId,
    *,
    account: _Account = "",
    content_type: Annotated[
        str,
        typer.Option(metavar="TYPE", show_default="by its content", help="For example audio/mpeg."),
    ] = "",
    preset: Annotated[
        str,
        typer.Option(metavar="NAME", show_default="the settings", help="How it is normalized."),
    ] = "",
    create: Annotated[
        str, typer.Option(metavar="NAME", help="Create the media, with this name.")
    ] = "",
) -> None:
    """Upload a file as the audio of a media; what it had before is replaced."""
    client = session.client
    owner = account or await client.account_id()
    header = UploadContentRequest.Header(account_id=owner, content_type=content_type, preset=preset)
    if create:
        header.media.MergeFrom(Media(id=media_id, name=create))
        header.only_create = True
    else:
        header.media_id = media_id
    with transfer_bar(file.name) as progress:
        media = (await client.put(header, file, progress)).media
    if media.normalization_error:
        typer.echo(f"kazoo-media: stored, not normalized: {media.normalization_error}", err=True)
    _print(media.renditions)


@calls_service
async def download(
    session: Session,
    media_id: _MediaId,
    file: Annotated[
        Path | None,
        typer.Argument(show_default="the id's last part", help="Where to; or a folder."),
    ] = None,
    *,
    account: _Account = "",
    rendition: Annotated[
        Wanted | None, typer.Option(show_default="normalized, else original", help="Which form.")
    ] = None,
) -> None:
    """Download the audio of a media; the file appears when it is complete."""
    client = session.client
    owner = account or await client.account_id()
    kind = _KINDS[rendition]
    target = file or Path()
    if await asyncio.to_thread(target.is_dir):
        target /= _file_name(await client.get_media(owner, media_id), kind)
    with transfer_bar(target.name) as progress:
        got = await client.download(owner, media_id, target, kind, progress)
    typer.echo(target)
    _print([got])


def _file_name(media: Media, kind: int) -> str:
    """Return the last part of the id, with the suffix of its type."""
    name = media.id.rstrip("/").rpartition("/")[2] or "media"
    types = [each.content_type for each in media.renditions if each.kind == kind]
    suffix = _SUFFIXES.get(types[0] if types else media.content_type, "")
    return name if name.endswith(suffix) else name + suffix


def _print(renditions: Iterable[Rendition]) -> None:
    print_table(
        ("rendition", "content_type", "bytes", "sha256"),
        (
            (
                RenditionKind.Name(each.kind).rpartition("_")[2].lower(),
                each.content_type,
                each.size_bytes,
                each.sha256,
            )
            for each in renditions
        ),
    )
