"""How a command reaches the service, and how its failures end."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import grpc
import typer
import uvloop

from kazoo_media.cli.output import fail
from kazoo_media.client import Client, MediaServiceError, TlsFiles
from kazoo_media.config import Config, ConfigError
from kazoo_media.service.bootstrap import Bootstrap


class CommandError(Exception):
    """A command can not do what it was told to; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Session:
    """A command's connection to the service.

    Attributes:
        bootstrap: Where the API key came from, when that is bootstrap.json.
        data_dir: Where bootstrap.json is.
    """

    client: Client
    bootstrap: Bootstrap | None
    data_dir: Path


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
        help="Where the service listens for gRPC.",
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
    Path | None, typer.Option(help="Speak TLS; trust the certificates in this PEM file.")
]
_TlsCert = Annotated[
    Path | None,
    typer.Option(help="PEM certificate of this client; without an API key it says who is calling."),
]
_TlsKey = Annotated[Path | None, typer.Option(help="PEM key of that certificate.")]


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

    It has the options of the function and those that say where the service is. Errors that a user
    can act on become one line on stderr and exit code 1.
    """
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

    @functools.wraps(command)
    def run(**values: Any) -> None:  # noqa: ANN401 - of the types of the options
        with failures_reported():
            options = _options(**{each.name: values.pop(each.name) for each in _SHARED})
            uvloop.run(_with_session(options, lambda session: command(session, **values)))

    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*own, *_SHARED)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


@contextmanager
def failures_reported() -> Iterator[None]:
    """Make one line on stderr and exit code 1 of what a user can act on."""
    try:
        yield
    except (CommandError, ConfigError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))


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
        missing = missing or "API key (--api-key, KAZOO_MEDIA_API_KEY) or --tls-cert"
        raise CommandError(
            f"no {missing}, and no {Bootstrap.path(config.data_dir)}: start the service with "
            "`kazoo-media serve`, or set KAZOO_MEDIA_DATA_DIR to its data folder"
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
        return f"service not reachable{at}: start it with `kazoo-media serve`, or name a --target"
    if error.code is grpc.StatusCode.UNAUTHENTICATED and "client_names" not in error.metadata:
        return "the API key is not valid: pass another with --api-key or KAZOO_MEDIA_API_KEY"
    if error.code is grpc.StatusCode.PERMISSION_DENIED:
        return "the account of this API key may not do that: use one of a superduper admin"
    message = " ".join(error.message.split())
    if error.code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN) and error.request_id:
        return f"{message}: the service's log has more, request id {error.request_id}"
    return message


def _tls(options: _Options, config: Config, found: Bootstrap | None) -> TlsFiles | None:
    if (options.tls_cert is None) != (options.tls_key is None):
        raise CommandError("--tls-cert and --tls-key: give both or none")
    named = options.tls_ca or options.tls_cert
    secure = config.tls_cert is not None
    local = found is not None and (secure or found.rest_url.startswith("https:"))
    if not named and not (local and not (options.target or config.target)):
        return None
    return TlsFiles(options.tls_ca or config.tls_cert, options.tls_cert, options.tls_key)
