"""What a program does with a client that openapi-python-client generated; prints what it saw.

Run by test_generated_clients.py in an environment that has the generator and nothing of ours:

    python generated_tour.py URL API_KEY AUDIO_FILE

The client is the package `kazoo_rest` on the path.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from pathlib import Path
from typing import Any

import kazoo_rest  # type: ignore[import-not-found]
from kazoo_rest import AuthenticatedClient, Client, models
from kazoo_rest.api.access import log_in  # type: ignore[import-not-found]
from kazoo_rest.api.audio import download_audio, upload_audio  # type: ignore[import-not-found]
from kazoo_rest.api.media import (  # type: ignore[import-not-found]
    create_media,
    delete_media,
    get_media,
    list_media,
    patch_media,
)
from kazoo_rest.api.system import list_system_media  # type: ignore[import-not-found]
from kazoo_rest.types import File  # type: ignore[import-not-found]


def tour(url: str, api_key: str, audio: Path) -> dict[str, Any]:
    """Return what each step gave."""
    seen: dict[str, Any] = {}
    credentials = models.CredentialsEnvelope(data=models.Credentials(api_key=api_key))
    login = log_in.sync(client=Client(f"{url}/v2"), body=credentials)
    account_id = login.data.account_id
    client = AuthenticatedClient(
        f"{url}/v2",
        token=login.auth_token,
        prefix="",
        auth_header_name="X-Auth-Token",
        raise_on_unexpected_status=True,
    )
    new = models.NewMedia(name="Greeting", prompt_id="vm-generated", language="fr-fr")
    new["ui_metadata"] = {"ui": "generated"}
    body = models.NewMediaEnvelope(data=new)
    created = create_media.sync(account_id, client=client, body=body).data
    seen["created"] = [created.id, created["ui_metadata"]]
    changes = models.MediaChangesEnvelope(data=models.MediaChanges(description="Spoken"))
    patched = patch_media.sync(account_id, created.id, client=client, body=changes).data
    seen["patched"] = [patched.name, patched.description, patched.language]
    with audio.open("rb") as file:
        body = File(payload=file)
        uploaded = upload_audio.sync(account_id, created.id, client=client, body=body).data
    seen["uploaded"] = [uploaded.content_type, uploaded.content_length]
    downloaded = download_audio.sync(account_id, created.id, client=client)
    seen["same"] = downloaded.payload.read() == audio.read_bytes()
    part = download_audio.sync_detailed(account_id, created.id, client=client, range_="bytes=0-3")
    seen["part"] = [part.status_code, part.parsed.payload.read().decode()]
    filters = models.ListMediaFilters()
    filters["filter_prompt_id"] = "vm-generated"
    listed = list_media.sync(account_id, client=client, filters=filters, paginate=False).data
    seen["listed"] = [[row.id, row.is_prompt] for row in listed]
    seen["system"] = list_system_media.sync(client=client).status
    missing = get_media.sync(account_id, "missing", client=client)
    seen["missing"] = [type(missing).__name__, missing.message, missing.error]
    deleted = delete_media.sync(account_id, created.id, client=client).data
    seen["deleted"] = deleted.id
    return seen


if __name__ == "__main__":
    for module in pkgutil.walk_packages(kazoo_rest.__path__, "kazoo_rest."):
        importlib.import_module(module.name)
    _, url, api_key, audio = sys.argv
    print(json.dumps(tour(url, api_key, Path(audio))))
