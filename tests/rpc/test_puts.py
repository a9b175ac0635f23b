"""UploadContent with a media in its header: document and audio in one moment, or neither."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from kazoo_media.v1.media_pb2 import Media
from kazoo_media.v1.media_service_pb2 import (
    DeleteMediaRequest,
    ListMediaRequest,
    UpdateMediaRequest,
    UploadContentRequest,
    UploadContentResponse,
)
from tests.contract.upload_promises import FIRST, SECOND
from tests.rpc.media_client import Client, until
from tests.rpc.service import Live, refused
from tests.support.whole_uploads import upload_whole


class Putting(Client):
    """A tenant's client that puts."""

    def put_messages(
        self, audio: bytes, media: Media | None, mask: Sequence[str] = (), **fields: Any
    ) -> list[UploadContentRequest]:
        messages = self.messages(audio)
        header = messages[0].header
        header.media_id = ""
        if media is not None:
            header.media.CopyFrom(media)
        header.update_mask.paths.extend(mask)
        for name, value in fields.items():
            setattr(header, name, value)
        return messages

    async def put(self, audio: bytes, media: Media, *mask: str) -> UploadContentResponse:
        return await self.answer(self.put_messages(audio, media, mask))

    async def answer(self, messages: Sequence[UploadContentRequest]) -> UploadContentResponse:
        return await upload_whole(self.live.address, messages, self.tenant.metadata)

    async def ids(self) -> list[str]:
        request = ListMediaRequest(account_id=self.tenant.account_id)
        page = await self.stub.ListMedia(request, metadata=self.tenant.metadata)
        return [each.id for each in page.media]

    async def blob_count(self) -> int:
        return len([blob async for blob in self.live.service.blobs.list()])


@pytest.fixture
def client(live: Live) -> Putting:
    return Putting(live)


NEW = Media(id="m", name="New", source_type="recorder")


async def test_a_new_media_appears_together_with_its_audio(client: Putting) -> None:
    answer = await client.put(FIRST, NEW)
    assert answer.created
    assert answer.media == await client.get()
    assert answer.media.revision.startswith("1-")
    assert (answer.media.name, answer.media.source_type) == ("New", "recorder")
    assert answer.media.create_time == answer.media.update_time
    assert (await client.fetch())[1] == FIRST


async def test_an_existing_media_gets_document_and_audio_in_one_revision(client: Putting) -> None:
    await client.create()
    before = await client.upload(FIRST)
    answer = await client.put(SECOND, NEW)
    assert not answer.created
    assert answer.media == await client.get()
    assert (before.revision[:2], answer.media.revision[:2]) == ("2-", "3-")
    assert answer.media.create_time == before.create_time
    assert (answer.media.name, answer.media.source_type) == ("New", "recorder")
    assert (await client.fetch())[1] == SECOND
    assert await client.blob_count() == 2  # the sweeper takes the first one later


async def test_a_mask_changes_its_fields_only(client: Putting) -> None:
    await client.put(FIRST, NEW)
    answer = await client.put(SECOND, Media(id="m", name="Other", description="Loud"), "name")
    assert (answer.media.name, answer.media.source_type) == ("Other", "recorder")
    assert not answer.media.description


async def test_without_an_id_the_service_makes_one(client: Putting) -> None:
    answer = await client.put(FIRST, Media(name="Anywhere"))
    assert len(answer.media.id) == 32
    assert await client.ids() == [answer.media.id]


async def test_a_prompt_has_its_own_id(client: Putting) -> None:
    prompt = Media(name="Hello", prompt_id="hello", language="FR-fr")
    assert (await client.put(FIRST, prompt)).created
    again = await client.put(SECOND, prompt)
    assert (again.created, again.media.id) == (False, "fr-fr/hello")


async def test_a_broken_put_creates_nothing(client: Putting) -> None:
    with refused("ABORTED", "INCOMPLETE_UPLOAD"):
        await client.answer(client.put_messages(FIRST, NEW)[:-1])
    assert await client.ids() == []
    assert await client.blob_count() == 0


async def test_a_broken_put_changes_nothing(client: Putting) -> None:
    before = (await client.put(FIRST, NEW)).media
    with refused("ABORTED", "INCOMPLETE_UPLOAD"):
        await client.answer(client.put_messages(SECOND, Media(id="m", name="Other"))[:-1])
    assert await client.get() == before
    assert (await client.fetch())[1] == FIRST


async def test_a_cancelled_put_creates_nothing(client: Putting) -> None:
    call = client.stub.UploadContent(metadata=client.tenant.metadata)
    for message in client.put_messages(FIRST, NEW)[:-1]:
        await call.write(message)
    await until(client.live.service.pending_uploads)
    call.cancel()
    await until(lambda: _none_pending(client))
    assert await client.ids() == []


async def test_only_create_leaves_what_exists_alone_and_asks_for_no_audio(client: Putting) -> None:
    before = await client.create()
    header = client.put_messages(FIRST, NEW, only_create=True)[0]
    call = client.stub.UploadContent(metadata=client.tenant.metadata)
    await call.write(header)
    with refused("ALREADY_EXISTS", "CONFLICT"):
        await call
    assert await client.get() == before


async def test_the_id_of_a_deleted_media_stays_taken(client: Putting) -> None:
    await client.create()
    request = DeleteMediaRequest(account_id=client.tenant.account_id, media_id="m")
    await client.stub.DeleteMedia(request, metadata=client.tenant.metadata)
    with refused("ALREADY_EXISTS", "CONFLICT"):
        await client.put(FIRST, NEW)
    assert await client.ids() == []
    assert await client.blob_count() == 0


async def test_of_two_at_once_one_creates_and_the_other_replaces(client: Putting) -> None:
    calls = [client.stub.UploadContent(metadata=client.tenant.metadata) for _ in range(2)]
    *unfinished, finish = client.put_messages(FIRST, NEW)
    for call in calls:
        for message in unfinished:
            await call.write(message)
    for call in calls:
        await call.write(finish)
        await call.done_writing()
    answers = await asyncio.gather(*calls)
    assert sorted(each.created for each in answers) == [False, True]
    assert (await client.get()).revision.startswith("2-")


async def test_what_others_change_meanwhile_is_kept(client: Putting) -> None:
    await client.put(FIRST, NEW)
    *unfinished, finish = client.put_messages(SECOND, Media(id="m", name="Other"), ["name"])
    call = client.stub.UploadContent(metadata=client.tenant.metadata)
    for message in unfinished:
        await call.write(message)
    await until(client.live.service.pending_uploads)
    request = UpdateMediaRequest(
        account_id=client.tenant.account_id, media=Media(id="m", description="Mine")
    )
    request.update_mask.paths.append("description")
    await client.stub.UpdateMedia(request, metadata=client.tenant.metadata)
    await call.write(finish)
    await call.done_writing()
    media = (await call).media
    assert (media.name, media.description) == ("Other", "Mine")


@pytest.mark.parametrize(
    ("media", "fields", "field"),
    [
        (NEW, {"media_id": "m"}, "header.media_id"),
        (None, {"media_id": "m", "only_create": True}, "header.only_create"),
        (Media(id="m"), {}, "name"),
        (Media(id="50%25", name="New"), {}, "id"),
    ],
)
async def test_a_header_that_makes_no_sense_is_refused(
    client: Putting, media: Media | None, fields: dict[str, Any], field: str
) -> None:
    with refused("INVALID_ARGUMENT", "VALIDATION") as refusal:
        await client.answer(client.put_messages(FIRST, media, **fields))
    assert refusal.fields == [field]
    assert await client.ids() == []


async def test_an_unknown_field_in_the_mask_is_refused(client: Putting) -> None:
    with refused("INVALID_ARGUMENT", "VALIDATION") as refusal:
        await client.put(FIRST, NEW, "loudness")
    assert refusal.fields == ["update_mask"]


async def _none_pending(client: Putting) -> bool:
    return not await client.live.service.pending_uploads()
