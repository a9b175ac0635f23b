"""The interface of a gauge, which measures the length of one stream of audio."""

from __future__ import annotations

from abc import ABC, abstractmethod

from kazoo_media.model import AudioFacts


class Gauge(ABC):
    """Counts the audio of one format. No method ever raises, even for hostile bytes."""

    @abstractmethod
    def feed(self, chunk: bytes) -> None:
        """Count the next chunk; chunks may begin and end anywhere."""

    @abstractmethod
    def facts(self) -> AudioFacts:
        """Return the facts that are known so far."""

    def declared_ms(self) -> int | None:
        """Return the length that headers declare, or None."""
        return None

    def changes_format(self) -> bool:
        """Return whether the sample rate or the number of channels has changed."""
        return False

    def padding_ms(self) -> int:
        """Return how much of the counted silence at both ends decoders may leave out."""
        return 0

    def hides_audio(self) -> bool:
        """Return whether there is more audio than headers declare."""
        return False

    def warnings(self) -> tuple[str, ...]:
        """Return remarks for a person about what headers say wrongly."""
        return ()

    def is_truncated(self) -> bool:
        """Return whether the stream would be truncated if it ended here."""
        return False

    def repaired_head(self) -> bytes | None:
        """Return the first bytes with the counted length; None: no change is needed."""
        return None
