"""The declaration of a setting, and where its value comes from."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """The declaration of one setting.

    Attributes:
        built_in: The value if none is stored; it also gives the setting's type.
        description: One sentence for operators.
        check: Returns what is wrong with a value, or None.
        names_program: Whether the value names a program, which must then be a permitted one.
    """

    category: str
    key: str
    built_in: T
    description: str
    check: Callable[[T], str | None] = lambda _: None
    names_program: bool = False

    @property
    def name(self) -> tuple[str, str]:
        """Return the category and the key; together they are unique."""
        return self.category, self.key


class Origin(enum.Enum):
    """Where a setting's value comes from."""

    BUILT_IN = enum.auto()
    DEFAULT = enum.auto()
    NODE = enum.auto()
