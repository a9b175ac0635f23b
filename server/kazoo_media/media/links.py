"""Links: URLs of audio that need no token.

A signature proves that the service has made a link. It covers the account, the media, the
extension, the digest of the audio and the end of the link: no link serves other audio than that for
which it was made. The same audio has the same link: switches use it as the key of their caches.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass
from urllib.parse import quote

from kazoo_media.access.accounts import WriteScope
from kazoo_media.audio.formats import extension_of
from kazoo_media.documents.violations import too_high, too_low
from kazoo_media.errors import LinkNotFoundError, ValidationError
from kazoo_media.metadata.link_secret_store import LinkSecretStore
from kazoo_media.metadata.store import MediaStore
from kazoo_media.model import Media, Rendition
from kazoo_media.settings import LINK_BASE_URL, Settings

MOST_LIFETIME_S = 10 * 366 * 86_400

_SECRET_BYTES = 32
_SIGNATURE_DIGITS = 32
_SIGNATURE = re.compile(r"(?:([0-9]{1,12})-)?([0-9a-f]{32})\.([0-9A-Za-z]{1,16})", re.ASCII)
_UNKNOWN_EXTENSION = "bin"


@dataclass(frozen=True, slots=True)
class Link:
    """A URL of audio.

    Attributes:
        url: Begins with the setting media.link_base_url, or with its path if that is empty.
        expires_s: Unix time in seconds at which it ends; None: it does not end by time.
    """

    url: str
    rendition: Rendition
    expires_s: int | None


@dataclass(frozen=True, slots=True)
class Linked:
    """The audio that a link serves.

    Attributes:
        expires_s: As in `Link`.
    """

    media: Media
    rendition: Rendition
    expires_s: int | None


class Links:
    """Makes links, and finds the audio of a link."""

    def __init__(
        self, store: MediaStore, secret_store: LinkSecretStore, settings: Settings
    ) -> None:
        self._store = store
        self._secrets = secret_store
        self._settings = settings

    async def create(
        self, media: Media, rendition: Rendition, lifetime_s: int | None = None
    ) -> Link:
        """Return the link to a rendition of a media that the caller may read.

        Args:
            lifetime_s: Seconds until the link ends; None: it ends with its audio.

        Raises:
            ValidationError: the lifetime is less than a second or more than ten years.
        """
        if lifetime_s is not None and lifetime_s < 1:
            raise ValidationError([too_low("lifetime_s", 1, lifetime_s)])
        if lifetime_s is not None and lifetime_s > MOST_LIFETIME_S:
            raise ValidationError([too_high("lifetime_s", MOST_LIFETIME_S, lifetime_s)])
        secret = await self._secrets.get_link_secret(media.account_id)
        if secret is None:
            new = secrets.token_hex(_SECRET_BYTES)
            secret = await self._secrets.add_link_secret(media.account_id, new)
        expires_s = None if lifetime_s is None else int(time.time()) + lifetime_s
        extension = _extension(rendition)
        signature = _signature(secret, media, rendition, extension, expires_s)
        end = "" if expires_s is None else f"{expires_s}-"
        base = (await self._settings.get(LINK_BASE_URL)).rstrip("/")
        # The extension is at the end of the path and of the whole URL, and there is one parameter
        # only: switches look for the extension in both, and take "&" for the end of a file name.
        url = (
            f"{base}/media/{media.account_id}/{quote(media.id, safe='')}.{extension}"
            f"?sig={end}{signature}.{extension}"
        )
        return Link(url, rendition, expires_s)

    async def open(self, account_id: str, media_id: str, extension: str, signature: str) -> Linked:
        """Return the audio of a link.

        Args:
            signature: The parameter `sig` of the link.

        Raises:
            LinkNotFoundError: the service has not made the link, or it has ended, or its audio was
                replaced or deleted; the error does not tell which.
        """
        account_id = account_id.lower()
        parts = _SIGNATURE.fullmatch(signature)
        secret = await self._secrets.get_link_secret(account_id)
        media = await self._store.get_media(account_id, media_id)
        if parts is None or secret is None or media is None or media.content is None:
            raise LinkNotFoundError
        if parts[3] != extension:
            raise LinkNotFoundError
        expires_s = None if parts[1] is None else int(parts[1])
        for each in media.content.renditions:
            wanted = _signature(secret, media, each, extension, expires_s)
            if hmac.compare_digest(wanted, parts[2]) and _extension(each) == extension:
                if expires_s is not None and expires_s <= time.time():
                    break
                return Linked(media, each, expires_s)
        raise LinkNotFoundError

    async def rotate(self, scope: WriteScope) -> None:
        """End all links of an account."""
        await self._secrets.replace_link_secret(scope.account_id, secrets.token_hex(_SECRET_BYTES))


def _extension(rendition: Rendition) -> str:
    return extension_of(rendition.content_type) or _UNKNOWN_EXTENSION


def _signature(
    secret: str, media: Media, rendition: Rendition, extension: str, expires_s: int | None
) -> str:
    """Return the signature. Ids contain no NUL, so no two links have the same text."""
    end = "" if expires_s is None else str(expires_s)
    text = "\0".join((media.account_id, media.id, extension, rendition.sha256, end))
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()[:_SIGNATURE_DIGITS]
