"""A program of its own: spools stdin to a file that nobody else sees, and becomes another program,
which has the file as its stdin and can seek in it.

Run as `python -I -S spool.py PROGRAM ARGUMENTS...`; it must import nothing of ours, to start fast.
"""

import os
import signal
import sys

_PIECE_BYTES = 1024 * 1024


def main() -> None:
    """Spool, then run the program of the command line. Never returns."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, its successor must not
        signal.signal(number, signal.SIG_DFL)
    name = f"spool-{os.urandom(8).hex()}"  # not every file system knows files without a name
    spool = os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    os.unlink(name)
    while os.splice(0, spool, _PIECE_BYTES):
        pass
    os.lseek(spool, 0, os.SEEK_SET)
    os.dup2(spool, 0)
    os.close(spool)
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - the service made the arguments


if __name__ == "__main__":
    main()
