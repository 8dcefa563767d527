"""Jupyter kernels that start warm: forked from a process that has imported what every chapter imports.

A kernel takes a second to start and a chapter's imports take three or four, of every chapter anew. A server (`Warm`)
imports once; the kernel that Jupyter starts is then a small process (`connect`) that asks the server for a fork and
lives and dies with it. Forks also share what Python draws at its start, such as the order of sets: two executions that
are compared must not share a server.
"""

import importlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

IMPORTS = (
    "ipykernel.kernelapp",
    "matplotlib.pyplot",
    "seaborn",
    "skdim.id",
    "sklearn.datasets",
    "sklearn.decomposition",
    "sklearn.ensemble",
    "sklearn.manifold",
    "sklearn.neighbors",
    "torch._dynamo",  # the first optimizer of torch.optim imports it
    "vaelib.plotting",
    "vaelib.report",
)
# What is read while these are imported; everything else a kernel gets from the process that starts it.
ENVIRONMENT = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "OMP_NUM_THREADS": "1"}
WORTH = 4  # executions: below it, cold kernels are as quick as the server
READY = "ready\n"


class Warm:
    """A server of warm kernels that begins to import, below `folder`.

    Once it is `ready`, kernels called python3 are warm where JUPYTER_PATH is its `jupyter_path`.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] = ENVIRONMENT) -> None:
        self.jupyter_path = folder / "jupyter"
        address = folder / "socket"
        specification = {
            "argv": [sys.executable, "-S", __file__, "connect", str(address), "{connection_file}"],
            "display_name": "Python 3 (warm)",
            "language": "python",
        }
        spec = self.jupyter_path / "kernels" / "python3" / "kernel.json"
        spec.parent.mkdir(parents=True)
        spec.write_text(json.dumps(specification), encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, "-P", __file__, "serve", str(address)],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the process that began it, which then ends it
        )

    def ready(self) -> bool:
        """Wait until it has imported; whether it forks kernels: not where it did not start, and not with a GPU."""
        return self.process.stdout.readline() == READY

    def close(self) -> None:
        """End the server and all its kernels."""
        self.process.terminate()
        self.process.wait(timeout=20)
        self.process.stdout.close()


@contextmanager
def warm_kernels(executions: int, environment: Mapping[str, str]) -> Iterator[Callable[[], None]]:
    """Begin a server where so many executions make it worth while; gives the function that waits for it.

    From then on kernels of this process and of those it starts are warm. Where they cannot be, they are cold: then a
    chapter takes longer, and nothing else is different.
    """
    if executions < WORTH or sys.platform != "linux":  # elsewhere there is no fork, or libraries do not survive it
        yield lambda: None
        return
    before = os.environ.get("JUPYTER_PATH")
    with tempfile.TemporaryDirectory(prefix="vaelib-") as folder:  # short: a socket's name has 107 characters at most
        server = Warm(Path(folder), ENVIRONMENT | environment)

        def wait() -> None:
            if server.ready():
                os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, (str(server.jupyter_path), before)))

        try:
            yield wait
        finally:
            server.close()
            os.environ.pop("JUPYTER_PATH", None)
            os.environ |= {"JUPYTER_PATH": before} if before is not None else {}


def serve(address: str) -> None:
    """Import, then fork a kernel for every connection, until the process that began this one is gone."""
    parent = os.getppid()
    for name in IMPORTS:
        importlib.import_module(name)
    import torch

    if torch.cuda.is_available():
        sys.exit()  # CUDA does not survive a fork: chapters that use it start cold
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        server.settimeout(0.5)
        print(READY, end="", flush=True)
        kernels: list[int] = []
        while os.getppid() == parent:
            # Those that ended are waited for, so that their time is counted as this process's.
            kernels = [kernel for kernel in kernels if os.waitpid(kernel, os.WNOHANG) == (0, 0)]
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            if (kernel := os.fork()) == 0:
                server.close()
                _kernel(connection)
            kernels.append(kernel)
            connection.close()
    os._exit(0)  # at once: to take all modules apart takes seconds, and kernels end only after that


def _kernel(connection: socket.socket) -> None:
    """Be the kernel that the other end asks for, until that end is gone."""
    request = json.loads(connection.makefile().readline())
    parent = os.getppid()
    os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    # The kernel ends with its parent, which is the server.
    os.environ.update(request["environment"], JPY_PARENT_PID=str(parent))
    import numpy
    from ipykernel.kernelapp import IPKernelApp

    # A fresh interpreter draws these anew: so must a fork, or a chapter that forgets a seed would pass.
    random.seed()
    numpy.random.seed()  # noqa: NPY002
    connection.sendall(f"{os.getpid()}\n".encode())

    def end_with_the_connection() -> None:
        connection.recv(1)
        os._exit(0)

    threading.Thread(target=end_with_the_connection, daemon=True).start()
    try:
        IPKernelApp.launch_instance(argv=["-f", *request["arguments"]])
    except Exception:
        traceback.print_exc(file=sys.__stderr__)  # such as of a port that another process has taken
        sys.__stderr__.flush()
    finally:
        os._exit(0)


def connect(address: str, *arguments: str) -> None:
    """Stand for a forked kernel: pass signals on, end when it ends or who began this does.

    The `arguments` begin with Jupyter's connection file.
    """
    parent = os.getppid()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        request = {"cwd": os.getcwd(), "environment": dict(os.environ), "arguments": arguments}
        connection.sendall(json.dumps(request).encode() + b"\n")
        kernel = int(connection.makefile().readline())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: os.kill(kernel, number))
        connection.settimeout(0.5)
        while os.getppid() == parent:
            with suppress(TimeoutError):
                if not connection.recv(1):
                    break


if __name__ == "__main__":
    {"serve": serve, "connect": connect}[sys.argv[1]](*sys.argv[2:])
