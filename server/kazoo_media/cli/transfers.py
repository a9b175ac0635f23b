"""`kazoo-media upload`, `download` and `link`: the audio of one media."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from kazoo_media.audio.formats import extension_of, raw_type_of_name
from kazoo_media.cli.output import print_table, transfer_bar
from kazoo_media.cli.session import Session, calls_service
from kazoo_media.client import Media, Rendition, RenditionKind, UploadContentRequest

_Account = Annotated[
    str,
    typer.Option(
        metavar="ID",
        show_default="the API key's account",
        help="Account id, or system for the shared media.",
    ),
]
_MediaId = Annotated[str, typer.Argument(help="Id of the media, for example en-us/vm-enter_pass.")]


class RenditionName(enum.StrEnum):
    """The names of the renditions on the command line."""

    ORIGINAL = "original"
    NORMALIZED = "normalized"


_KINDS = {
    None: RenditionKind.RENDITION_KIND_UNSPECIFIED,
    RenditionName.ORIGINAL: RenditionKind.RENDITION_KIND_ORIGINAL,
    RenditionName.NORMALIZED: RenditionKind.RENDITION_KIND_NORMALIZED,
}

_Rendition = Annotated[
    RenditionName | None,
    typer.Option(
        show_default="normalized if there is one, else original",
        help="The audio as uploaded, or as converted.",
    ),
]


@calls_service
async def upload(  # noqa: PLR0913 - an argument for each option
    session: Session,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The audio file.")],
    media_id: _MediaId,
    *,
    account: _Account = "",
    content_type: Annotated[
        str,
        typer.Option(
            metavar="TYPE",
            show_default="detected from the content and the file name",
            help="Media type of the file, for example audio/mpeg.",
        ),
    ] = "",
    preset: Annotated[
        str,
        typer.Option(
            metavar="NAME", show_default="as the settings say", help="Normalization preset."
        ),
    ] = "",
    create: Annotated[
        str, typer.Option(metavar="NAME", help="Create the media with this name.")
    ] = "",
) -> None:
    """Upload a file as the audio of a media, replacing its previous audio."""
    client = session.client
    owner = account or await client.account_id()
    kind = content_type or raw_type_of_name(file.name)
    header = UploadContentRequest.Header(account_id=owner, content_type=kind, preset=preset)
    if create:
        header.media.MergeFrom(Media(id=media_id, name=create))
        header.only_create = True
    else:
        header.media_id = media_id
    with transfer_bar(file.name) as progress:
        media = (await client.put(header, file, progress)).media
    if media.normalization_error:
        typer.echo(
            f"kazoo-media: stored, but not normalized: {media.normalization_error}", err=True
        )
    _print(media.renditions)


@calls_service
async def download(
    session: Session,
    media_id: _MediaId,
    file: Annotated[
        Path | None,
        typer.Argument(
            show_default="the last part of the media id", help="File or folder to write to."
        ),
    ] = None,
    *,
    account: _Account = "",
    rendition: _Rendition = None,
    version: Annotated[
        int,
        typer.Option(
            min=0,
            show_default="the present content",
            help="An earlier content, by its number in `media versions`.",
        ),
    ] = 0,
) -> None:
    """Download the audio of a media. The file appears only when it is complete."""
    client = session.client
    owner = account or await client.account_id()
    kind = _KINDS[rendition]
    target = file or Path()
    if await asyncio.to_thread(target.is_dir):
        target /= _file_name(await client.get_media(owner, media_id), kind)
    with transfer_bar(target.name) as progress:
        got = await client.download(owner, media_id, target, kind, progress, version)
    typer.echo(target)
    _print([got])


@calls_service
async def link(
    session: Session,
    media_id: _MediaId,
    *,
    account: _Account = "",
    rendition: _Rendition = None,
    lifetime_s: Annotated[
        int | None,
        typer.Option(
            min=1, show_default="until its audio changes", help="Seconds until the link ends."
        ),
    ] = None,
) -> None:
    """Print a link to the audio of a media: a URL that needs no token.

    The link ends when its audio is replaced or deleted. It begins with the setting
    media.link_base_url, or else with the address of the service on this machine.
    """
    client = session.client
    owner = account or await client.account_id()
    made = await client.create_link(owner, media_id, _KINDS[rendition], lifetime_s)
    typer.echo(session.address_of(made.url))


def _file_name(media: Media, kind: int) -> str:
    """Return the last part of the media id with the suffix of the rendition's type."""
    name = media.id.rstrip("/").rpartition("/")[2] or "media"
    types = [each.content_type for each in media.renditions if each.kind == kind]
    extension = extension_of(types[0] if types else media.content_type)
    suffix = f".{extension}" if extension else ""
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
