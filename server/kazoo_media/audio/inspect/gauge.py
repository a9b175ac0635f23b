"""What measures one stream of audio while it passes."""

from __future__ import annotations

from abc import ABC, abstractmethod

from kazoo_media.model import AudioFacts


class Gauge(ABC):
    """Counts the audio of one format. No method ever raises, whatever the bytes are."""

    @abstractmethod
    def feed(self, chunk: bytes) -> None:
        """Count one more chunk; its borders mean nothing."""

    @abstractmethod
    def facts(self) -> AudioFacts:
        """Return what is known so far."""

    def declared_ms(self) -> int | None:
        """Return the length that headers promise, None if they do not."""
        return None

    def hides_audio(self) -> bool:
        """Tell whether there is more audio than headers say."""
        return False

    def is_truncated(self) -> bool:
        """Tell whether the stream, if it ends here, ends too early."""
        return False

    def repaired_head(self) -> bytes | None:
        """Return the first bytes with the length that was counted; None: they are right, or have
        none.
        """
        return None
