"""Runs a command that must not outlive who started it, even where that one is killed. Run as a script, on its own.

    python _leash.py COMMAND...

Its standard input is a pipe that the starter holds open. The pipe ends with the starter, however that ends, and then
the command and all that it started are ended too. Exits with the command's code.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading

GRACE_S = 10.0


def main() -> int:
    """Run the command until it ends, or until the starter does."""
    process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603

    def end(*_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)

    def watch() -> None:
        while sys.stdin.buffer.read(4096):
            pass
        end()
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    signal.signal(signal.SIGTERM, end)
    threading.Thread(target=watch, daemon=True).start()
    code = process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # what the command itself left behind
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
