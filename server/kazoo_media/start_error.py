"""The error that ends a start."""

from __future__ import annotations


class StartError(Exception):
    """The service, or a command that opens its files, cannot start. The text is one line."""

    @classmethod
    def about(cls, subject: object, problem: object, remedy: str) -> StartError:
        """Return the error for a file or variable: what is wrong with it, and what to do."""
        return cls(f"{subject}: {' '.join(str(problem).split())}: {remedy}")

    @classmethod
    def of(cls, error: OSError) -> StartError:
        """Return the error for a file that the operating system refused."""
        remedy = "make it usable, or move it away"
        if isinstance(error, PermissionError):
            remedy = "let the user that runs the service read and write it"
        return cls.about(error.filename or "system", error.strerror or error, remedy)
