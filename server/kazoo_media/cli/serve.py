"""The commands that run the service: `serve` with the gateway, `worker` without."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from kazoo_media.cli.server_packages import server_packages
from kazoo_media.config import Config, ConfigError
from kazoo_media.service.bootstrap import Bootstrap
from kazoo_media.start_error import StartError

_Debug = Annotated[
    bool, typer.Option("--debug", help="Show all log lines and a trace of a start that fails.")
]


def serve(*, debug: _Debug = False) -> None:
    """Run the service: the gateway and its workers. KAZOO_MEDIA_* variables configure it."""
    with server_packages("serve", "server,gateway"):
        from kazoo_media.service.logs import configure_logging  # noqa: PLC0415

    configure_logging("supervisor")
    with _failures_reported("serve", debug=debug):
        config = Config.from_environ()
        with server_packages("serve", "server,gateway"):
            from kazoo_media.service.supervisor import Supervisor  # noqa: PLC0415

        Supervisor(config, lambda live: _announce(config, live), debug=debug).run()


def worker(
    listen: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on: HOST:PORT or unix:PATH.")
    ],
    *,
    crossbar: Annotated[
        bool,
        typer.Option(
            "--crossbar",
            help="Also serve the calls of a REST transcoder. Nothing else may reach the address.",
        ),
    ] = False,
    debug: _Debug = False,
) -> None:
    """Run one worker without the gateway: gRPC over HTTP/2, for service meshes and other proxies.

    KAZOO_MEDIA_TLS_CERT, KAZOO_MEDIA_TLS_KEY and KAZOO_MEDIA_TLS_CLIENT_CA set
    up TLS. See docs/service-mesh.md.
    """
    with server_packages("worker", "server"):
        from kazoo_media.service import memory, start  # noqa: PLC0415 - after the logs
        from kazoo_media.service.logs import configure_logging  # noqa: PLC0415

    configure_logging("worker")
    memory.prepare_allocator()
    with _failures_reported("worker", debug=debug):
        config = Config.from_environ()
        start.permit_many_files()
        with start.locked(config.data_dir):
            with server_packages("worker", "server"):
                import uvloop  # noqa: PLC0415

                from kazoo_media.service.worker import run_standalone_worker  # noqa: PLC0415

            serving = run_standalone_worker(config, listen, _announce_worker, crossbar=crossbar)
            uvloop.run(serving)


@contextmanager
def _failures_reported(command: str, *, debug: bool) -> Iterator[None]:
    """Report a start that fails as one line on stderr, with exit code 1."""
    try:
        yield
    except (ConfigError, StartError, OSError) as error:
        if debug:
            traceback.print_exc()
        text = StartError.of(error) if isinstance(error, OSError) else error
        typer.echo(f"kazoo-media {command}: {text}", err=True)
        raise typer.Exit(1) from None


def _announce_worker(address: str) -> None:
    typer.echo(f"ready {address}")


def _announce(config: Config, live: Bootstrap) -> None:
    typer.echo(f"REST     {live.rest_url}/v2")
    typer.echo(f"gRPC     {live.grpc_target}")
    typer.echo(f"data     {config.data_dir}")
    if live.account_id:
        typer.echo(f"account  {live.account_id}")
        typer.echo(f"API key  in {Bootstrap.path(config.data_dir)}")
    typer.echo(f"ready {live.rest_url} {live.grpc_target}")
