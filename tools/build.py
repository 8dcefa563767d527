"""Build the book: train the paper's runs, execute the chapters, typeset the pages, publish them.

    python -m tools.build

The site is replaced only by a new one. Nothing is done where nothing changed since the site was published. A chapter
that stops ends its own page and no other; the next build executes it again.
"""

import json
import os
import shutil
import sys
import time
from pathlib import Path

from filelock import FileLock, Timeout

from tools.chapters import ROOT, BookError, chapters, why
from tools.inputs import data_facts, environment_digest, inputs_digest
from tools.processes import interruptible, run
from tools.train import train_all

RECORD = "build.json"


def main() -> int:
    """Build what changed; returns the exit status."""
    interruptible()
    try:
        (ROOT / "_build").mkdir(exist_ok=True)
        with FileLock(ROOT / "_build" / "lock", timeout=0):
            return build(ROOT)
    except Timeout:
        print("Another build of this book is running; wait for it to end.", file=sys.stderr)
    except (BookError, OSError) as error:  # the latter where a disk is full, a folder is read-only or in a file's place
        print(f"\nThe book was not built: {why(error, ROOT)}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nInterrupted. What was trained and executed so far is kept.", file=sys.stderr)
        return 130
    return 1


def build(root: Path) -> int:
    """All stages, each with the time it took; returns the exit status."""
    start = time.perf_counter()
    restore(root)
    facts = data_facts()
    # Absent data may be found or downloaded this time, so only a book made from the real data can be up to date.
    if "missing" not in facts.values() and up_to_date(root, inputs_digest(root, facts)):
        print(f"Nothing changed since the book was built ({time.perf_counter() - start:.1f} s).")
        return _say_where(root)

    # Imported late: a build with nothing to do need not wait for them.
    import nbformat

    from tools import rerun_page, rerun_record, staging
    from tools.execute import THREADS, execute_all
    from tools.executed import Executed
    from tools.warm_kernel import warm_kernels

    stage = _Stages()
    stage("training the paper's runs")
    folder = root / "_build" / "executed"
    before = Executed(folder, environment_digest(root, facts))
    absent = [path for path in chapters(root) if not before.holds(path)]
    with warm_kernels(len(absent), THREADS | os.environ) as wait:  # they import while the runs are trained
        train_all()
        facts = data_facts()  # training downloads what was missing
        stage("executing the chapters")
        inputs = inputs_digest(root, facts)  # before any page is read: what is changed from now on is not in this site
        kept = Executed(folder, environment_digest(root, facts))
        notebooks = {path: kept.read(path) for path in chapters(root)}
        wait()
        executed = execute_all(kept, [path for path, notebook in notebooks.items() if notebook is None])
    print(f"  {len(executed)} of {len(notebooks)} chapters executed, the others are as they were")
    kept.prune()
    stops = {path: execution.stop for path, execution in executed.items() if execution.stop}
    for stop in stops.values():
        print(f"\n{stop}\n", file=sys.stderr)

    stage("typesetting the pages")
    notebooks |= {path: execution.notebook for path, execution in executed.items()}
    reruns = rerun_record.listed(rerun_record.titles(root / "reruns"), "../reruns/")
    pages = {path: staging.page(notebook, stops.get(path), reruns=reruns) for path, notebook in notebooks.items()}
    contents = staging.texts(root) | {path.relative_to(root).as_posix(): page for path, page in pages.items()}
    staging.stage(root / "_build" / "work" / "source", contents)
    # A process of its own: Sphinx walks over every object in memory, and torch's warn when they are looked at.
    if run("tools.typeset", root, *(["--with-stops"] if stops else []), cwd=root):
        raise BookError("the pages could not be typeset; the message above says why")
    html = root / "_build" / "work" / "html"
    for path, notebook in notebooks.items():  # to be downloaded: as it was executed, not as it was staged for Sphinx
        place = html / "_sources" / path.relative_to(root)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(nbformat.writes(notebook), encoding="utf-8")
    rerun_page.copy(root / "reruns", html / "reruns")
    record = {
        "inputs": inputs,
        "stand_ins_for": [name for name, digest in facts.items() if digest == "missing"],
        "stopped": [path.stem for path in stops],
    }
    publish(root, html, record)
    stage.end()
    _say_where(root)
    if stops:
        print(f"{len(stops)} of {len(notebooks)} chapters stopped, see above; their pages end there.", file=sys.stderr)
    return 1 if stops else 0


def up_to_date(root: Path, inputs: str) -> bool:
    """Whether the published site was made from these inputs, with no chapter stopped, and is whole."""
    site = root / "_build" / "html"
    try:
        record = json.loads((site / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    whole = not record.get("stopped") and record["files"] == _file_sizes(site)
    return record["inputs"] == inputs and whole


def restore(root: Path) -> None:
    """Bring the last site back where `publish` was stopped halfway."""
    site, last = root / "_build" / "html", root / "_build" / "html.last"
    if last.exists() and not site.exists():
        last.rename(site)


def publish(root: Path, html: Path, record: dict) -> None:
    """Put a finished site, with a record of what it was made from, in the place of the last one."""
    site, last = root / "_build" / "html", root / "_build" / "html.last"
    (html / RECORD).write_text(json.dumps({**record, "files": _file_sizes(html)}, indent=1), encoding="utf-8")
    shutil.rmtree(last, ignore_errors=True)
    if site.exists():
        site.rename(last)
    html.rename(site)
    shutil.rmtree(last, ignore_errors=True)


def _file_sizes(site: Path) -> dict[str, int]:
    files = (path for path in sorted(site.rglob("*")) if path.is_file() and path.name != RECORD)
    return {path.relative_to(site).as_posix(): path.stat().st_size for path in files}


def _say_where(root: Path) -> int:
    print(f"Open it in a browser: {(root / '_build' / 'html' / 'index.html').as_uri()}")
    return 0


class _Stages:
    """Prints each stage as it begins and how long the one before it took."""

    def __init__(self) -> None:
        self.start = self.began = time.perf_counter()
        self.name = ""

    def __call__(self, name: str) -> None:
        self._close()
        self.name, self.began = name, time.perf_counter()
        print(f"{name} ...", flush=True)

    def _close(self) -> None:
        if self.name:
            print(f"{self.name}: {time.perf_counter() - self.began:.1f} s", flush=True)

    def end(self) -> None:
        self._close()
        print(f"The book is built ({time.perf_counter() - self.start:.0f} s).", flush=True)


if __name__ == "__main__":
    sys.exit(main())
