"""Build the book: train the paper's runs, execute the chapters, typeset the pages, publish them.

    python -m tools.build

The site is replaced only by a whole new one. Nothing is done where nothing changed since the site was published.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from filelock import FileLock, Timeout

from tools.chapters import ROOT, BookError, chapters
from tools.inputs import cache_folder, data_facts, inputs_digest

RECORD = "build.json"


def main() -> int:
    """Build what changed; returns the exit status."""
    (ROOT / "_build").mkdir(exist_ok=True)
    try:
        with FileLock(ROOT / "_build" / "lock", timeout=0):
            return build(ROOT)
    except Timeout:
        print("Another build of this book is running; wait for it to end.", file=sys.stderr)
    except BookError as error:
        print(f"\nThe book was not built: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nInterrupted. What was trained and executed so far is kept.", file=sys.stderr)
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

    stage = _Stages()
    stage("training the paper's runs")
    if subprocess.run([sys.executable, "-m", "vaelib", "train"], cwd=root).returncode:
        raise BookError("training stopped; the message above says why")
    facts = data_facts()  # training downloads what was missing

    # Imported late: a build with nothing to do need not wait for jupyter-cache.
    from tools.execute import execute_missing, open_cache

    stage("executing the chapters")
    folder = cache_folder(root, facts)
    listed = chapters(root)
    executed, stops = execute_missing(open_cache(folder), listed)
    print(f"  {len(executed)} of {len(listed)} chapters executed, the others are as they were")
    if stops:
        print("\n" + "\n\n".join(map(str, stops)), file=sys.stderr)
        raise BookError(f"{len(stops)} of {len(listed)} chapters stopped, see above")

    stage("typesetting the pages")
    # A process of its own: Sphinx walks over every object in memory, and torch's warn when they are looked at.
    if subprocess.run([sys.executable, "-m", "tools.typeset", str(folder), str(root)], cwd=root).returncode:
        raise BookError("the pages could not be typeset; the message above says why")
    absent = [name for name, digest in facts.items() if digest == "missing"]
    publish(root, root / "_build" / "work" / "html", {"inputs": inputs_digest(root, facts), "stand_ins_for": absent})
    stage.end()
    return _say_where(root)


def up_to_date(root: Path, inputs: str) -> bool:
    """Whether the published site was made from these inputs and is whole."""
    site = root / "_build" / "html"
    try:
        record = json.loads((site / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return record["inputs"] == inputs and record["files"] == _file_sizes(site)


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
