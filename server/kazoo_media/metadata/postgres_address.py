"""The address of a PostgreSQL database, and the first connection to it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Self

import psycopg
import structlog
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.string import TextBinaryLoader, TextLoader

from kazoo_media.metadata.engine import METADATA_URL
from kazoo_media.start_error import StartError

_SHAPE = "postgresql://USER:PASSWORD@HOST[:PORT][,HOST...]/DATABASE, special characters as %XX"
_OLDEST_SERVER = 140000
_START_S = 60.0
_TRY_EACH_S = 1.0

# A server that has gone away is noticed in seconds, not in the minutes of the system's defaults.
_DEFAULTS = {
    "application_name": "kazoo-media",
    "target_session_attrs": "read-write",
    "connect_timeout": "3",
    "tcp_user_timeout": "10000",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    # Whoever waits for a statement or a lock gets an answer, and what a lost process began ends.
    "options": "-c statement_timeout=15s -c lock_timeout=10s"
    " -c idle_in_transaction_session_timeout=5s",
}

# What a server that starts, stops or is crowded says: another try may succeed.
_PASSING = ("starting up", "shutting down", "recovery", "not yet accepting", "not accepting",
            "too many", "connection slots")  # fmt: skip

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """Where the database is.

    Attributes:
        conninfo: For libpq; has the password.
        shown: Hosts and database, for messages.
    """

    conninfo: str
    shown: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Return the address in a URL.

        Raises:
            StartError: it is no such URL. The text has nothing of it, as it may have a password.
        """
        try:
            given = {key: str(value) for key, value in conninfo_to_dict(url).items()}
        except psycopg.Error:
            # The cause would show a part of the URL.
            raise StartError.about(METADATA_URL, "libpq cannot read it", f"use {_SHAPE}") from None
        if not given.get("dbname"):
            raise StartError.about(METADATA_URL, "it names no database", f"use {_SHAPE}")
        host = given.get("host", "")
        shown = f"{host or 'the local socket'}/{given['dbname']}"
        if "@" in shown or "/" in given["dbname"]:  # and what is shown could be a part of it
            problem = "its password or another part has special characters"
            raise StartError.about(METADATA_URL, problem, f"use {_SHAPE}")
        return cls(make_conninfo("", **{**_DEFAULTS, **given}), shown)

    def connect(self) -> psycopg.Connection:
        """Return a connection that commits each statement; blocks.

        Raises:
            psycopg.Error: no host can be used.
        """
        connection = psycopg.connect(self.conninfo, autocommit=True)
        # Documents are parsed by orjson, and not all of them are.
        connection.adapters.register_loader("json", TextLoader)
        connection.adapters.register_loader("json", TextBinaryLoader)
        return connection

    def connect_first(self) -> psycopg.Connection:
        """Return the first connection of a process; tries for a minute where waiting can help.

        Raises:
            StartError: there is none, or the server cannot be used.
        """
        deadline_s = time.monotonic() + _START_S
        is_told = False
        while True:
            try:
                connection = self.connect()
            except psycopg.Error as error:
                reason = " ".join(str(error).split())
                if not _may_pass(reason) or time.monotonic() > deadline_s:
                    problem = f"{self.shown}: {reason}"
                    remedy = "check the URL and the server"
                    raise StartError.about(METADATA_URL, problem, remedy) from None
            else:
                self._check(connection)
                return connection
            if not is_told:
                is_told = True
                _log.warning("waiting for the database", database=self.shown, reason=reason)
            time.sleep(_TRY_EACH_S)

    def _check(self, connection: psycopg.Connection) -> None:
        problem = remedy = ""
        if connection.info.server_version < _OLDEST_SERVER:
            problem = f"PostgreSQL {connection.info.server_version // 10000} is too old"
            remedy = "use PostgreSQL 14 or later"
        elif (encoding := connection.info.parameter_status("server_encoding")) != "UTF8":
            problem, remedy = f"its encoding is {encoding}", "create it with encoding 'UTF8'"
        if problem:
            connection.close()
            raise StartError.about(METADATA_URL, f"{self.shown}: {problem}", remedy)


def _may_pass(reason: str) -> bool:
    """Return whether a connection may succeed later; FATAL is the word of a server that refuses."""
    return "FATAL:" not in reason or any(each in reason for each in _PASSING)
