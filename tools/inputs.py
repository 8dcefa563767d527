"""What the book is made from, as digests: they name executed chapters and tell whether the site is up to date."""

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from tools import origin

DATASETS = ("MNIST", "FashionMNIST")
PORTABILITY = "portability.csv"


def data_facts(*more: str) -> dict[str, str]:
    """What outputs depend on besides files of the tree: the data found, `more` data sets too, and Python's version."""
    from vaelib.data import source_digest  # loads torch, which tests of the other functions need not wait for

    return {"python": platform.python_version(), **{name: source_digest(name) for name in (*DATASETS, *more)}}


def facts_apart(root: Path, *more: str) -> dict[str, str]:
    """`data_facts`, by a process of its own: Sphinx walks over every object in memory, and torch's warn of it."""
    command = [sys.executable, "-m", "tools.inputs", *more]
    return json.loads(subprocess.run(command, cwd=root, stdout=subprocess.PIPE, check=True).stdout)


def tree_digest(root: Path, files: Iterable[Path], facts: Mapping[str, str]) -> str:
    """Sha256 over the names and bytes of `files` and over `facts`."""
    digest = hashlib.sha256()
    for path in sorted(files):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode() + content)
    for name in sorted(facts):
        digest.update(f"{name}\0{facts[name]}\0".encode())
    return digest.hexdigest()


def code_files(root: Path) -> list[Path]:
    """The files besides the notebooks that outputs depend on. No chapter reads the table of executions elsewhere."""
    results = [path for path in (root / "results").rglob("*") if path.is_file() and path.name != PORTABILITY]
    code = [path for path in (root / "vaelib").rglob("*") if path.suffix in (".py", ".js", ".css", ".html")]
    return [*code, root / "requirements.txt", *results]


def environment_digest(root: Path, facts: Mapping[str, str]) -> str:
    """A digest of what all outputs depend on: code, locked versions, results, and the `facts` (data, Python)."""
    return tree_digest(root, code_files(root), facts)


def inputs_digest(root: Path, facts: dict[str, str]) -> str:
    """A digest of everything that the site is made from, and of what its pages say of the checkout."""
    book = [path for path in (root / "book").rglob("*") if path.is_file() and ".ipynb_checkpoints" not in path.parts]
    tools = [path for path in (root / "tools").iterdir() if path.suffix in (".py", ".html")]
    files = [*code_files(root), *book, root / "_config.yml", root / "_toc.yml", *tools]
    pages = sorted((root / "reruns").glob("*.html"))  # the site has them, too
    reruns = " ".join(f"{path.stem} {path.stat().st_mtime_ns}" for path in pages)
    checkout = origin.facts(root) | {"site": os.environ.get("VAELIB_SITE", "")}
    return tree_digest(root, files, facts | {"reruns": reruns} | checkout)


if __name__ == "__main__":
    print(json.dumps(data_facts(*sys.argv[1:])))
