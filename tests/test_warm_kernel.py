"""Kernels that are forked: they live, die and end as kernels do that start by themselves."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell
from small_book import alive, wait_for, write_chapter

from tools import warm_kernel
from tools.chapters import ROOT
from tools.execute import execute
from tools.warm_kernel import WORTH, warm_kernels

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs fork")
TORCH = new_code_cell("import sys\nprint('torch' in sys.modules)")


def printed(book, *cells):
    """What the last of the cells printed, in a kernel of their own."""
    execution = asyncio.run(execute(write_chapter(book, "theory", *cells)))
    assert execution.stop is None, execution.stop
    return "".join(output.text for output in execution.notebook.cells[-1].outputs)


@pytest.mark.usefixtures("warm_kernels")
def test_a_fork_has_imported_all_and_draws_anew(book, monkeypatch):
    monkeypatch.setenv("A_SETTING", "of the caller")
    draws = "import random, numpy\nrandom.random(), numpy.random.random()"
    shown = new_code_cell(f"{draws}\nimport os\nprint(os.environ['A_SETTING'], os.getcwd(), random.random())")
    first, second = printed(book, shown), printed(book, shown)
    assert first.startswith(f"of the caller {book / 'book'} ") and first != second
    assert printed(book, TORCH) == "True\n"


@pytest.mark.usefixtures("warm_kernels")
@pytest.mark.parametrize("end", ["os._exit(1)", "os.kill(os.getpid(), 9)"])
def test_a_fork_that_dies_is_named_with_its_cell_and_the_next_one_lives(book, end):
    path = write_chapter(book, "theory", new_code_cell("import os"), new_code_cell(end), new_code_cell("3"))
    stop = asyncio.run(execute(path)).stop
    assert "theory stopped in cell 3 of 4" in str(stop) and "kernel died" in str(stop)
    assert printed(book, new_code_cell("print(6 * 7)")) == "42\n"


def test_they_are_warm_where_it_is_worth_while_and_nothing_is_left(book, monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", "of the user")
    with warm_kernels(WORTH - 1, {}) as wait:
        wait()
        assert os.environ["JUPYTER_PATH"] == "of the user"
    with warm_kernels(WORTH, {}) as wait:
        assert os.environ["JUPYTER_PATH"] == "of the user"
        wait()
        folder, own = map(Path, os.environ["JUPYTER_PATH"].split(os.pathsep))
        assert own.name == "of the user"
        assert printed(book, TORCH) == "True\n"
    assert os.environ["JUPYTER_PATH"] == "of the user"
    assert not folder.exists()


def test_where_no_server_starts_kernels_are_cold(book, tmp_path, monkeypatch):
    monkeypatch.setattr(warm_kernel, "__file__", str(tmp_path / "gone.py"))
    with warm_kernels(WORTH, {}) as wait:
        wait()
        assert "JUPYTER_PATH" not in os.environ
        assert printed(book, TORCH) == "False\n"


PROGRAM = """
import asyncio, sys
from pathlib import Path
from tools.execute import execute
from tools.warm_kernel import WORTH, warm_kernels
with warm_kernels(WORTH, {}) as wait:
    wait()
    asyncio.run(execute(Path(sys.argv[1])))
"""


def test_kernel_and_server_end_with_a_process_that_is_killed(book):
    pids = book / "pids"
    busy = f"import os\nopen({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{os.getppid()}} .')\nwhile True: pass"
    command = [sys.executable, "-c", PROGRAM, str(write_chapter(book, "theory", new_code_cell(busy)))]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            wait_for(lambda: pids.is_file() and pids.read_text().endswith("."), 300)
            kernel, server = map(int, pids.read_text().split()[:2])
            assert alive(kernel) and alive(server)
        finally:
            process.kill()
    wait_for(lambda: not alive(server) and not alive(kernel))
