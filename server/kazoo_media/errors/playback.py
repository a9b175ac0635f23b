"""Errors of links, of the resolution of prompts, and of versions."""

from __future__ import annotations

from collections.abc import Sequence

from kazoo_media.errors.base import Code, MediaError


class LinkNotFoundError(MediaError):
    """The link is wrong, has ended, or its audio was replaced or deleted."""

    code, reason = Code.NOT_FOUND, "LINK_NOT_FOUND"
    http_status, kazoo_message = 404, "not_found"
    text = "there is no such link: it is wrong, has ended, or its audio was replaced or deleted"


class PromptNotFoundError(MediaError):
    """No translation of a prompt has audio that can be used."""

    code, reason = Code.NOT_FOUND, "PROMPT_NOT_FOUND"
    http_status, kazoo_message = 404, "bad_identifier"

    def __init__(self, prompt_id: str, passed_over: Sequence[tuple[str, str, str]]) -> None:
        """Report a prompt.

        Args:
            passed_over: Account, media and reason of each translation that was looked at.
        """
        looked_at = ", ".join(
            f"{media_id} of {account_id} ({reason})" for account_id, media_id, reason in passed_over
        )
        super().__init__(
            f"no translation of prompt {prompt_id!r} can be used: {looked_at}", prompt_id=prompt_id
        )

    @property
    def kazoo_data(self) -> object:
        """Return Kazoo's text, the id, and what was looked at."""
        cause = self.facts["prompt_id"]
        return {"message": "bad identifier", "cause": cause, "detail": self.message}


class VersionNotFoundError(MediaError):
    """The media has no earlier content with this number."""

    code, reason = Code.NOT_FOUND, "VERSION_NOT_FOUND"
    http_status, kazoo_message = 404, "bad_identifier"
    text = "media {media_id!r} has no version {version}: list its versions"

    def __init__(self, media_id: str, version: int) -> None:
        super().__init__(media_id=media_id, version=version)

    @property
    def kazoo_data(self) -> object:
        """Return Kazoo's text and the number."""
        return {"message": "bad identifier", "cause": self.facts["version"]}
