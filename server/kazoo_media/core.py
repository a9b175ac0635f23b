"""The objects of the core and their wiring. Workers and tests share it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import rsa

from kazoo_media.access.accounts import Accounts
from kazoo_media.access.log_ins import LogIns
from kazoo_media.access.login_limit import LoginLimit
from kazoo_media.access.playback_keys import PlaybackKeys
from kazoo_media.access.tokens import Tokens
from kazoo_media.access.users import Users
from kazoo_media.audio.convert.converters import Converters
from kazoo_media.blobs.store import BlobStore
from kazoo_media.content.damage import Damage
from kazoo_media.content.normalization import Normalizer
from kazoo_media.content.renditions import Renditions
from kazoo_media.content.speech import Speech
from kazoo_media.media.downloads import Downloads
from kazoo_media.media.library import Library
from kazoo_media.media.links import Links
from kazoo_media.media.measuring import Measuring
from kazoo_media.media.prompts import Prompts
from kazoo_media.media.renormalization import Renormalization
from kazoo_media.media.resolution import Resolver
from kazoo_media.media.uploads import Uploads
from kazoo_media.media.versions import Versions
from kazoo_media.media.waveforms import Waveforms
from kazoo_media.metadata.store import MetadataStore
from kazoo_media.metrics import NO_METRICS, Metrics
from kazoo_media.recordings.archive import Archive
from kazoo_media.recordings.files import RecordingFiles
from kazoo_media.recordings.recordings import Process, Recordings
from kazoo_media.recordings.stored import StoredRecordings
from kazoo_media.settings import Settings


@dataclass(frozen=True, slots=True)
class Core:
    """The objects that a surface may call."""

    accounts: Accounts
    users: Users
    playback_keys: PlaybackKeys
    log_ins: LogIns
    settings: Settings
    speech: Speech
    library: Library
    prompts: Prompts
    uploads: Uploads
    downloads: Downloads
    links: Links
    resolver: Resolver
    versions: Versions
    renormalization: Renormalization
    measuring: Measuring
    waveforms: Waveforms
    recordings: Recordings
    stored_recordings: StoredRecordings
    recording_files: RecordingFiles


@dataclass(frozen=True, slots=True)
class Node:
    """The configuration that belongs to one node.

    Attributes:
        name: The scope of the node's own settings.
        private_key: Signs the node's tokens.
        trusted_keys: See `Tokens`.
        converters: File names of the programs that settings may name.
    """

    name: str
    private_key: rsa.RSAPrivateKey
    trusted_keys: Mapping[str, str]
    converters: frozenset[str]


async def build_core(
    node: Node,
    metadata: MetadataStore,
    blobs: BlobStore,
    converters: Converters,
    login_limit: LoginLimit,
    metrics: Metrics = NO_METRICS,
) -> Core:
    """Return a core on these stores; the node's public key is in the metadata store."""
    tokens = Tokens(metadata, node.private_key, node.trusted_keys)
    await tokens.publish()
    settings = Settings(metadata, node.name, node.converters)
    renditions = Renditions(metadata, blobs, Damage(metadata, metrics))
    normalizer = Normalizer(settings, converters, metrics)
    speech = Speech(renditions, settings, normalizer, converters.confinement, metrics)
    measuring = Measuring(metadata, renditions, settings, converters, metrics)
    library = Library(metadata, settings, speech, measuring)
    uploads = Uploads(metadata, renditions, library, settings, normalizer, measuring)
    renormalization = Renormalization(metadata, renditions, library, normalizer, measuring)
    process = Process(node.name, metrics)
    archive = Archive(metadata, metadata, renormalization, measuring, settings)
    accounts = Accounts(metadata, tokens)
    users = Users(metadata, accounts)
    playback_keys = PlaybackKeys(metadata, metadata, accounts)
    return Core(
        accounts=accounts,
        users=users,
        playback_keys=playback_keys,
        log_ins=LogIns(accounts, users, playback_keys, login_limit, metrics),
        settings=settings,
        speech=speech,
        library=library,
        prompts=Prompts(metadata),
        uploads=uploads,
        downloads=Downloads(renditions, metrics),
        links=Links(metadata, metadata, settings),
        resolver=Resolver(metadata, settings),
        versions=Versions(metadata, library, settings, measuring),
        renormalization=renormalization,
        measuring=measuring,
        waveforms=Waveforms(measuring),
        recordings=Recordings(metadata, renditions, uploads, library, archive, process),
        stored_recordings=StoredRecordings(metadata),
        recording_files=RecordingFiles(metadata, uploads, library, archive),
    )
