"""A separate program that spools stdin to a private file and then becomes another program.

That program has the file as its stdin and can seek in it. Run as `python -I -S spool.py PROGRAM
ARGUMENTS...`; it imports no other module of the package, to start fast.
"""

import os
import signal
import sys

_PIECE_BYTES = 1024 * 1024


def main() -> None:
    """Spool, then run the program of the command line. Never returns."""
    for number in (
        signal.SIGPIPE,
        signal.SIGXFSZ,
    ):  # Python ignores these signals, its successor must not
        signal.signal(number, signal.SIG_DFL)
    name = f"spool-{os.urandom(8).hex()}"  # not every file system supports unnamed files
    spool = os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    os.unlink(name)
    while os.splice(0, spool, _PIECE_BYTES):
        pass
    os.lseek(spool, 0, os.SEEK_SET)
    os.dup2(spool, 0)
    os.close(spool)
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - the arguments come from the service


if __name__ == "__main__":
    main()
