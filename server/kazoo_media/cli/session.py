"""The connection of a command to the service, and how its errors are reported."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import grpc
import typer

from kazoo_media.cli.failures import CommandError, failures_reported
from kazoo_media.client import Client, MediaServiceError, TlsFiles
from kazoo_media.config import Config
from kazoo_media.service.bootstrap import Bootstrap


@dataclass(frozen=True, slots=True)
class Session:
    """A command's connection to the service.

    Attributes:
        bootstrap: The content of bootstrap.json if the API key comes from it, else None.
        data_dir: The folder of bootstrap.json.
    """

    client: Client
    bootstrap: Bootstrap | None
    data_dir: Path

    def address_of(self, link: str) -> str:
        """Return the URL of a link, also of one that begins with its path, if that is known."""
        known = self.bootstrap.rest_url if self.bootstrap and link.startswith("/") else ""
        return f"{known}{link}"


@dataclass(frozen=True, slots=True)
class _Options:
    target: str
    api_key: str
    tls_ca: Path | None
    tls_cert: Path | None
    tls_key: Path | None


_Target = Annotated[
    str,
    typer.Option(
        metavar="HOST:PORT",
        show_default="KAZOO_MEDIA_TARGET, else bootstrap.json",
        help="Address of the service's gRPC port.",
    ),
]
_ApiKey = Annotated[
    str,
    typer.Option(
        metavar="KEY",
        show_default="KAZOO_MEDIA_API_KEY, else bootstrap.json",
        help="API key of the account to act for.",
    ),
]
_TlsCa = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="CA certificates (PEM); connect with TLS and trust only these."
    ),
]
_TlsCert = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Client certificate (PEM); identifies the caller if there is no API key.",
    ),
]
_TlsKey = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Private key (PEM) of the client certificate.")
]


def _options(
    *,
    target: _Target = "",
    api_key: _ApiKey = "",
    tls_ca: _TlsCa = None,
    tls_cert: _TlsCert = None,
    tls_key: _TlsKey = None,
) -> _Options:
    return _Options(target, api_key, tls_ca, tls_cert, tls_key)


_SHARED = tuple(inspect.signature(_options, eval_str=True).parameters.values())


def calls_service(command: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Return a typer command that runs a coroutine function whose first argument is a Session.

    The command has the options of the function and those for the connection. Errors that a user can
    act on are printed as one line on stderr; the exit code is 1.
    """
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

    @functools.wraps(command)
    def run(**values: Any) -> None:  # noqa: ANN401 - of the types of the options
        with failures_reported():
            options = _options(**{each.name: values.pop(each.name) for each in _SHARED})
            asyncio.run(_with_session(options, lambda session: command(session, **values)))

    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*own, *_SHARED)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


async def _with_session(
    options: _Options, command: Callable[[Session], Coroutine[Any, Any, None]]
) -> None:
    config = Config.from_environ()
    found = Bootstrap.read(config.data_dir)
    target = options.target or config.target or (found.grpc_target if found else "")
    api_key = options.api_key or config.api_key
    bootstrap = None if api_key else found
    api_key = api_key or (found.api_key if found else "")
    if not target or not (api_key or options.tls_cert):
        missing = "address (--target, KAZOO_MEDIA_TARGET)" if not target else ""
        missing = missing or "API key (--api-key, KAZOO_MEDIA_API_KEY) or certificate (--tls-cert)"
        raise CommandError(
            f"no {missing} is given and there is no {Bootstrap.path(config.data_dir)}: start the "
            "service with `kazoo-media serve`, or set KAZOO_MEDIA_DATA_DIR to its data folder"
        )
    try:
        async with Client(target, api_key, tls=_tls(options, config, found)) as client:
            await command(Session(client, bootstrap, config.data_dir))
    except MediaServiceError as error:
        raise CommandError(describe(error, target)) from error


def describe(error: MediaServiceError, target: str = "") -> str:
    """Return what went wrong and what to do about it, on one line."""
    if error.code is grpc.StatusCode.UNAVAILABLE and not error.reason:
        at = f" at {target}" if target else ""
        return (
            f"the service is not reachable{at}: start it with `kazoo-media serve`, or pass its "
            "address with --target"
        )
    if error.code is grpc.StatusCode.UNAUTHENTICATED and "client_names" not in error.metadata:
        return "the API key is not valid: pass a valid one with --api-key or KAZOO_MEDIA_API_KEY"
    if error.code is grpc.StatusCode.PERMISSION_DENIED:
        return (
            "the account of this API key has no permission for that: use the API key of a "
            "superduper admin"
        )
    message = " ".join(error.message.split())
    if error.code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN) and error.request_id:
        return f"{message}: look for request id {error.request_id} in the service's log"
    return message


def _tls(options: _Options, config: Config, found: Bootstrap | None) -> TlsFiles | None:
    if (options.tls_cert is None) != (options.tls_key is None):
        raise CommandError("--tls-cert and --tls-key must be given together")
    named = options.tls_ca or options.tls_cert
    secure = config.tls_cert is not None
    local = found is not None and (secure or found.rest_url.startswith("https:"))
    if not named and not (local and not (options.target or config.target)):
        return None
    return TlsFiles(options.tls_ca or config.tls_cert, options.tls_cert, options.tls_key)
