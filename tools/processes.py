"""Processes that end with their parent, however it is ended, and that say what they wait for."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

PATIENCE = 10  # seconds until a process that was asked to end is killed


def interruptible() -> None:
    """Let SIGTERM and SIGHUP end this process as Ctrl-C does: by KeyboardInterrupt, so that it can clear up."""
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    # asyncio puts a handler of its own in the place of Python's while it runs; of a background job it is ignored.
    handler = signal.getsignal(signal.SIGINT)
    (handler if callable(handler) else signal.default_int_handler)(signal.SIGINT, frame)


def end_with_parent() -> None:
    """End this process, as SIGTERM does, once the one that started it is gone, however that ended."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def run(*arguments: str | Path, cwd: Path) -> int:
    """Run `python -m arguments`; returns its exit status. It ends when this process is interrupted.

    It has a session of its own, so that Ctrl-C reaches this process alone and one of the two says so.
    """
    command = [sys.executable, "-m", *map(str, arguments)]
    with subprocess.Popen(command, cwd=cwd, start_new_session=True) as process:
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
            raise


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold the lock at `path`; where another process has it, say that this one waits for `what`."""
    from filelock import FileLock, Timeout  # not part of the standard library: `make rerun --check` has no more

    lock = FileLock(path)
    try:
        lock.acquire(timeout=0.5)
    except Timeout:
        print(f"Waiting for {what} ...", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
