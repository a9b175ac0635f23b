"""The core's objects, as the composition root wires them and both surfaces use them."""

from __future__ import annotations

from dataclasses import dataclass

from kazoo_media.access.accounts import Accounts
from kazoo_media.access.login_limit import Attempts
from kazoo_media.access.users import Users
from kazoo_media.content.speech import Speech
from kazoo_media.media.downloads import Downloads
from kazoo_media.media.library import Library
from kazoo_media.media.prompts import Prompts
from kazoo_media.media.renormalization import Renormalization
from kazoo_media.media.uploads import Uploads
from kazoo_media.media.waveforms import Waveforms
from kazoo_media.settings import Settings


@dataclass(frozen=True, slots=True)
class Core:
    """All that a surface may call."""

    accounts: Accounts
    users: Users
    attempts: Attempts
    settings: Settings
    speech: Speech
    library: Library
    prompts: Prompts
    uploads: Uploads
    downloads: Downloads
    renormalization: Renormalization
    waveforms: Waveforms
