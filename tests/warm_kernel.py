"""Jupyter kernels that start warm: forked from a process that has imported what every chapter imports.

The chapters' smoke runs take a second or two each, their imports five. A server (`Warm`) imports once; the kernel that
Jupyter starts is a small process (`connect`) that asks the server for a fork and lives and dies with it. Two executions
that are compared must not share a server: forks also share what Python draws at its start, such as the order of sets.
"""

import importlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

IMPORTS = (
    "ipykernel.kernelapp",
    "matplotlib.pyplot",
    "seaborn",
    "sklearn.datasets",
    "sklearn.decomposition",
    "sklearn.neighbors",
    "vaelib.plotting",
    "vaelib.report",
)


class Warm:
    """A server of warm kernels and the kernel specification `name` that leads to it, below `folder`."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str]) -> None:
        self.name, self.jupyter_path = name, folder / "jupyter"
        address = folder / f"{name}.socket"
        specification = {
            "argv": [sys.executable, "-S", __file__, "connect", str(address), "{connection_file}"],
            "display_name": name,
            "language": "python",
        }
        spec = self.jupyter_path / "kernels" / name / "kernel.json"
        spec.parent.mkdir(parents=True)
        spec.write_text(json.dumps(specification), encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, __file__, "serve", str(address)],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError("the server of warm kernels did not start; its message is above")

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)
        self.process.stdout.close()


def serve(address: str) -> None:
    """Import, then fork a kernel for every connection."""
    for name in IMPORTS:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel of a fork that ends is not waited for
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        print("ready", flush=True)
        while True:
            connection, _ = server.accept()
            if os.fork() == 0:
                server.close()
                _kernel(connection)
            connection.close()


def _kernel(connection: socket.socket) -> None:
    """Be the kernel that the other end asks for, until that end is gone."""
    request = json.loads(connection.makefile().readline())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
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
        IPKernelApp.launch_instance(argv=["-f", request["connection_file"], "--IPKernelApp.log_level=40"])
    finally:
        os._exit(0)


def connect(address: str, connection_file: str) -> None:
    """Stand for a forked kernel: pass signals on, end when it ends."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        request = {"cwd": os.getcwd(), "environment": dict(os.environ), "connection_file": connection_file}
        connection.sendall(json.dumps(request).encode() + b"\n")
        kernel = int(connection.makefile().readline())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: os.kill(kernel, number))
        while connection.recv(1):
            pass


if __name__ == "__main__":
    {"serve": serve, "connect": connect}[sys.argv[1]](*sys.argv[2:])
