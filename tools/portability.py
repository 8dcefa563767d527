"""Execute the chapters as other readers would: on lesser processors, from other seeds, at other latent sizes.

    python -m tools.portability [CHAPTERS=mnist,elbo] [PATHS=own,AVX2] [SEEDS=1,2] [SIZES=2,10] [THREADS=1] [DRY_RUN=1]

One machine can imitate lesser ones: `ONEDNN_MAX_CPU_ISA` and `ATEN_CPU_CAPABILITY` switch instructions off. Each path
has a store of trained runs of its own. Executed chapters are kept below `_build/portability`, and what was executed is
not executed again. Without words all paths run at three seeds, this machine's own also at other latent sizes; then the
table goes to `results/portability.csv`, one row for each execution, and its sums to a page of the book. With words,
every combination of what they name runs, such as SEEDS=4,5 THREADS=2, and the sums go to the terminal.
"""

import contextlib
import csv
import datetime
import io
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from tools.chapters import (
    ROOT,
    BookError,
    chapters,
    find_stop,
    parameters,
    read_notebook,
    run_with_papermill,
    write_whole,
)
from tools.executed import Executed
from tools.inputs import PORTABILITY, data_facts, environment_digest
from tools.notebooks import marked
from tools.outcomes import outcomes
from tools.processes import interruptible

PATHS: dict[str, dict[str, str]] = {
    "own": {},
    "AVX-512": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "ATEN_CPU_CAPABILITY": "avx512"},
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
}
TABLE, PAGE = ROOT / "results" / PORTABILITY, ROOT / "book" / "portability.md"
SEEDS, SIZES = (1, 2, 3), (1, 2, 3, 10)
SUMMED = ("stops", "findings", "unlike", "do not apply", "unfinished", "verdicts", "reversed", "numbers off")
FIELDS = ("chapter", "path", "threads", "seed", "latent_dim", "seconds", *SUMMED)


@dataclass(frozen=True)
class Execution:
    """One chapter under one processor path, with one seed, latent size and number of threads."""

    chapter: str
    path: str
    threads: int
    seed: int
    latent_dim: int | None  # None: the chapter's own

    @property
    def name(self) -> str:
        size = "" if self.latent_dim is None else f"-K{self.latent_dim}"
        return f"{self.chapter}-{self.path}-t{self.threads}-seed{self.seed}{size}"


def main(words: list[str]) -> int:
    """Run what is missing of the grid and sum it up; returns 1 where something is wrong."""
    interruptible()
    try:
        asked = dict(word.partition("=")[::2] for word in words)
        dry = asked.pop("DRY_RUN", "0") not in ("", "0")
        wanted = parse(asked) if asked else standard()
        kept = Kept(ROOT / "_build" / "portability")
        missing = [each for each in wanted if not kept.path(each).is_file()]
        print(f"{len(wanted)} executions, {len(wanted) - len(missing)} of them done", flush=True)
        if dry:
            print("\n".join(each.name for each in missing))
            return 0
        published = {chapter: kept.book(chapter) for chapter in dict.fromkeys(each.chapter for each in wanted)}
        _run_all(missing, kept)
        table = list(rows(published, {each: read_notebook(kept.path(each)) for each in wanted}))
        if asked:
            print(sums(table))
        else:
            _write(table)
        return int(any(row["stops"] or row["unfinished"] or row["reversed"] or row["numbers off"] for row in table))
    except BookError as error:
        print(f"portability: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted. What ran so far is kept.", file=sys.stderr)
        return 130


def standard() -> list[Execution]:
    """The grid of the book's table: every path with three seeds, and this machine's own at every latent size."""
    own = _own_sizes()
    settings = [
        *((path, 1, seed, None) for path in PATHS for seed in SEEDS),
        *(("own", 1, SEEDS[0], size) for size in SIZES),
    ]
    return [Execution(name, *each) for each in settings for name in own if each[-1] != own[name]]


def parse(asked: Mapping[str, str]) -> list[Execution]:
    """Every combination of what is asked for, each a string of values with commas between."""
    own = _own_sizes()
    choices = {"CHAPTERS": own, "PATHS": PATHS, "SEEDS": None, "SIZES": None, "THREADS": None}
    for name in asked:
        if name not in choices:
            raise BookError(f"there is no {name}; there are {', '.join(choices)} and DRY_RUN")

    def chosen(name: str, default: Iterable) -> list:
        values = [value.strip() for value in asked.get(name, "").split(",") if value.strip()]
        if choices[name] is None:
            try:
                return [int(value) for value in values] or list(default)
            except ValueError:
                raise BookError(f"{name}={asked[name]}: give whole numbers, separated by commas") from None
        for value in values:
            if value not in choices[name]:
                raise BookError(f"{name}: there is no {value!r}; there are {', '.join(choices[name])}")
        return values or list(default)

    grid = itertools.product(
        chosen("PATHS", PATHS), chosen("THREADS", (1,)), chosen("SEEDS", SEEDS), chosen("SIZES", (None,))
    )
    found = [
        Execution(chapter, path, threads, seed, None if size == own[chapter] else size)
        for path, threads, seed, size in grid
        for chapter in chosen("CHAPTERS", own)
    ]
    return list(dict.fromkeys(found))


def _own_sizes() -> dict[str, int]:
    """The latent size of each chapter; the ledger of claims has none, nor a run of its own."""
    known = {path.stem: parameters(path) for path in chapters(ROOT)}
    return {name: values["latent_dim"] for name, values in known.items() if values}


class Kept:
    """Executed chapters below `folder`, and those of the built book: each belongs to a chapter's code as it is now."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.built = Executed(ROOT / "_build" / "executed", environment_digest(ROOT, data_facts()))

    def book(self, chapter: str) -> dict:
        """The chapter as `make book` executed it. Raises BookError where it did not."""
        notebook = self.built.read(ROOT / "book" / f"{chapter}.ipynb")
        if notebook is None:
            raise BookError(f"{chapter} was not executed as it is now; run make book first")
        return notebook

    def path(self, each: Execution) -> Path:
        """Where an execution is or will be."""
        import nbformat

        notebook = nbformat.read(ROOT / "book" / f"{each.chapter}.ipynb", 4)
        return self.folder / self.built.path(each.chapter, notebook).stem / f"{each.name}.ipynb"


def _run_all(missing: list[Execution], kept: Kept) -> None:
    """Two single-threaded executions at a time, or one of more threads: others would wait for each other.

    Where one cannot be executed, or this process is interrupted, those under way are ended and no others begun.
    """
    began, done, under_way, over = time.perf_counter(), 0, set(), threading.Event()
    for threads in sorted({each.threads for each in missing}):
        todo = [each for each in missing if each.threads == threads]
        with ThreadPoolExecutor(2 if threads == 1 else 1) as pool:
            try:
                for future in as_completed([pool.submit(_run, each, kept, under_way, over) for each in todo]):
                    name, line = future.result()
                    done += 1
                    left = (time.perf_counter() - began) / done * (len(missing) - done)
                    print(f"  {done}/{len(missing)} {name}: {line}; about {left / 60:.0f} min left", flush=True)
            except BaseException:
                over.set()
                pool.shutdown(wait=False, cancel_futures=True)
                for process in list(under_way):
                    process.terminate()  # its kernel ends with it
                raise


def _run(each: Execution, kept: Kept, under_way: set[subprocess.Popen], over: threading.Event) -> tuple[str, str]:
    start, place = time.perf_counter(), kept.path(each)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.folder) as scratch:
        out = Path(scratch) / "out.ipynb"
        values = {"seed": each.seed} | ({} if each.latent_dim is None else {"latent_dim": each.latent_dim})
        environment = {
            **os.environ,
            **PATHS[each.path],
            "OMP_NUM_THREADS": str(each.threads),
            "VAELIB_RUNS": str(kept.folder / f"runs-{each.path}-t{each.threads}"),
        }
        # A session of its own: Ctrl-C reaches this process alone, which ends the others.
        with subprocess.Popen(
            _command(ROOT / "book" / f"{each.chapter}.ipynb", out, values),
            cwd=ROOT, env=environment, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as process:  # fmt: skip
            under_way.add(process)
            if over.is_set():  # begun just as the others were ended
                process.terminate()
            said, _ = process.communicate()
            under_way.discard(process)
        if process.returncode:
            raise BookError(f"{each.name} could not be executed: {said[-2000:]}")
        out.replace(place)
    stop = find_stop(each.chapter, read_notebook(place))
    return each.name, f"{'STOPPED' if stop else 'ran'}, {time.perf_counter() - start:.0f} s"


def _command(source: Path, out: Path, values: Mapping) -> list[str]:
    return [sys.executable, "-m", "tools.portability", "--one", json.dumps([str(source), str(out), values])]


def _one(request: str) -> int:
    """Execute one chapter in this process's environment."""
    from papermill import PapermillExecutionError

    source, out, values = json.loads(request)
    with contextlib.suppress(PapermillExecutionError):  # the notebook written so far says where
        run_with_papermill(Path(source), Path(out), values)
    return 0


def rows(published: Mapping[str, dict], executed: Mapping[Execution, dict]) -> Iterator[dict]:
    """One row of the table for each executed notebook, held against the page that the book publishes.

    Faults are named on stderr: where a chapter stopped, a sentence that lacks a number, a verdict that turned round and
    numbers other than those that `make verify` compares. At another latent size a claim is another claim, and what is
    compared another number: there the last two are not counted.
    """
    for each, notebook in executed.items():
        here, book = outcomes(notebook), outcomes(published[each.chapter])
        stop = find_stop(each.chapter, notebook)
        alike = each.latent_dim is None
        turned = [
            claim
            for claim, verdict in book.verdicts.items()
            if alike and {here.verdicts.get(claim), verdict} == {"held", "did not hold"}
        ]
        off = [text for text, other in _compared(published[each.chapter], notebook) if alike and text != other]
        for fault in [*filter(None, [stop]), *here.unfinished, *turned, *off]:
            print(f"\n{each.name}: {fault}", file=sys.stderr)
        yield {
            "chapter": each.chapter,
            "path": each.path,
            "threads": each.threads,
            "seed": each.seed,
            "latent_dim": "book's" if alike else each.latent_dim,
            "seconds": round(notebook["metadata"]["papermill"]["duration"] or 0, 1),
            "stops": int(bool(stop)),
            "findings": len(here.findings),
            "unlike": sum(here.findings.get(name) != found for name, found in book.findings.items()),
            "do not apply": sum(found is None for found in here.findings.values()),
            "unfinished": len(here.unfinished),
            "verdicts": sum(verdict is not None for verdict in here.verdicts.values()),
            "reversed": len(turned),
            "numbers off": len(off),
        }


def _compared(book: dict, here: dict) -> list[tuple[str, str]]:
    """What the compared cells print in two executions of a chapter."""
    pairs = []
    for notebook in (book, here):
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and marked(cell)]
        pairs.append(["".join(_text(output) for output in cell["outputs"]) for cell in cells])
    return list(itertools.zip_longest(*pairs, fillvalue=""))


def _text(output: dict) -> str:
    return "".join(output.get("text", output.get("data", {}).get("text/plain", "")))


HEAD = """\
(portability)=
# On other machines

Matrix products are rounded differently on different processors, and training magnifies the difference: the same seed
ends in other weights elsewhere. So the chapters were executed under the processors that one machine can imitate, from
several seeds and at several latent sizes: {n} executions, the last of them on {date}, on {machine}.
`make portability` does it again; this page is made from `results/portability.csv`.

Where a chapter ran to its end there is no *stop*. *Unlike* counts the findings whose outcome was another than on the
book's own page: had they been written down as plain text, these sentences would have been false there. A finding *does
not apply* where its page says so, for instance of a plane at K = 10. An *unfinished* sentence lacks a number. A verdict
is *reversed* if it held in one place and did not hold in the other, at the book's latent size; *numbers off* are those
that `make verify` compares, where they differ.

`AVX2` and `AVX-512` are this processor with newer instructions switched off; `AVX-512` is without bfloat16. Every path
was executed from three seeds with one thread; this machine's own path also at other latent sizes. Each path has trained
networks of its own. A chapter that the first table lacks is newer than the table, and what was added to a chapter
since that day, such as an exercise, is not in it.
"""


def page(table: Sequence[Mapping], date: str, machine: str) -> str:
    """The page of the book: sums by chapter and whatever else differs between executions."""
    return HEAD.format(n=len(table), date=date, machine=machine) + "\n" + sums(table)


def sums(table: Sequence[Mapping]) -> str:
    """Markdown tables of the rows' sums, by chapter and by each property that takes more than one value."""
    parts = []
    for title, key in (
        ("Chapter", "chapter"),
        ("Processor path", "path"),
        ("Threads", "threads"),
        ("K", "latent_dim"),
        ("Seed", "seed"),
    ):
        groups = {value: [row for row in table if row[key] == value] for value in dict.fromkeys(r[key] for r in table)}
        if len(groups) == 1 and key != "chapter":  # its sums are those of the first table
            continue
        lines = [[title, "runs", *SUMMED], ["---"] * (len(SUMMED) + 2)]
        for value, group in groups.items():
            lines.append([value, len(group), *(sum(int(row[name]) for row in group) for name in SUMMED)])
        parts.append("\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n")
    return "\n".join(parts)


def _write(table: list[dict]) -> None:
    from vaelib.machine import describe  # loads torch

    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    date, machine = datetime.date.today().isoformat(), describe().partition(",")[0]
    for path, content in ((TABLE, text.getvalue()), (PAGE, page(table, date, machine))):
        write_whole(path, content)
    print(f"{len(table)} executions; the table: {TABLE}")


if __name__ == "__main__":
    sys.exit(_one(sys.argv[2]) if sys.argv[1:2] == ["--one"] else main(sys.argv[1:]))
