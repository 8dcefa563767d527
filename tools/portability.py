"""Execute the chapters as other readers would: on lesser processors, from other seeds, at other latent sizes.

    python -m tools.portability [CHAPTERS=mnist,elbo] [PATHS=own,AVX2] [SEEDS=1,2] [SIZES=2,10] [THREADS=1] [DRY_RUN=1]

One machine can imitate lesser ones: `ONEDNN_MAX_CPU_ISA` and `ATEN_CPU_CAPABILITY` switch instructions off. Each path
has a store of trained runs of its own. What ran is kept below `_build/portability` and not run again. The table goes to
`results/portability.csv`, one row for each execution, and its sums to a page of the book.
"""

import contextlib
import csv
import io
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tools.chapters import (
    QUIET_KERNEL,
    ROOT,
    BookError,
    Stop,
    chapters,
    find_stop,
    parameters,
    read_notebook,
    write_whole,
)
from tools.executed import Executed
from tools.inputs import PORTABILITY, code_files, data_facts, environment_digest, tree_digest
from tools.outcomes import outcomes

PATHS: dict[str, dict[str, str]] = {
    "own": {},
    "AVX-512": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "ATEN_CPU_CAPABILITY": "avx512"},
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
}
TABLE, PAGE = ROOT / "results" / PORTABILITY, ROOT / "book" / "portability.md"
SEEDS, SIZES, THREADS = (1, 2, 3, 4, 5), (1, 2, 3, 10), (1, 2)
FIELDS = (
    "chapter", "path", "threads", "seed", "latent_dim", "seconds", "stopped", "findings", "unlike the book's",
    "do not apply", "unfinished", "verdicts", "reversed", "code",
)  # fmt: skip


SUMMED = ("stopped", "findings", "unlike the book's", "do not apply", "unfinished", "verdicts", "reversed")


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


def book_run(chapter: str) -> Execution:
    """The execution that the book publishes."""
    return Execution(chapter, "own", 1, 1, None)


def main(words: list[str]) -> int:
    """Run what is missing of the grid and write the table; returns 1 where something is wrong."""
    try:
        wanted, dry = parse(words)
        facts = data_facts()
        digest = tree_digest(ROOT, [*code_files(ROOT), *chapters(ROOT)], facts)[:16]
        folder = ROOT / "_build" / "portability" / digest
        missing = [each for each in wanted if not (folder / f"{each.name}.json").is_file()]
        print(f"{len(wanted)} executions, {len(wanted) - len(missing)} of them done", flush=True)
        if dry:
            print("\n".join(each.name for each in missing))
            return 0
        folder.mkdir(parents=True, exist_ok=True)
        built = Executed(ROOT / "_build" / "executed", environment_digest(ROOT, facts))
        _run_all([each for each in missing if not _taken_over(each, built, folder)], folder)
        return _report(wanted, folder, digest)
    except BookError as error:
        print(f"portability: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted. What ran so far is kept.", file=sys.stderr)
        return 130


def parse(words: Iterable[str]) -> tuple[list[Execution], bool]:
    """The executions that `NAME=value,value` words ask for; the whole grid without any. The book's own come first."""
    asked = dict(word.partition("=")[::2] for word in words)
    known = {path.stem: path for path in chapters(ROOT)}
    choices = {"CHAPTERS": known, "PATHS": PATHS, "SEEDS": None, "SIZES": None, "THREADS": None, "DRY_RUN": None}
    for name in asked:
        if name not in choices:
            raise BookError(f"there is no {name}; there are {', '.join(choices)}")

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

    own = {chapter: parameters(known[chapter])["latent_dim"] for chapter in chosen("CHAPTERS", known)}
    axes = [chosen("PATHS", PATHS), chosen("THREADS", THREADS), chosen("SEEDS", SEEDS), chosen("SIZES", SIZES)]
    grid = [
        Execution(chapter, path, threads, seed, None if size == own[chapter] else size)
        for path, threads, seed, size in itertools.product(*axes)
        for chapter in own
    ]
    return list(dict.fromkeys([*map(book_run, own), *grid])), asked.get("DRY_RUN", "0") not in ("", "0")


def _run_all(missing: list[Execution], folder: Path) -> None:
    """Two single-threaded executions at a time, or one of two threads: more would wait for each other."""
    began, done = time.perf_counter(), 0
    for threads in sorted({each.threads for each in missing}):
        with ThreadPoolExecutor(2 if threads == 1 else 1) as pool:
            for name, line in pool.map(partial(_run, folder=folder), [e for e in missing if e.threads == threads]):
                done += 1
                left = (time.perf_counter() - began) / done * (len(missing) - done)
                print(f"  {done}/{len(missing)} {name}: {line}; about {left / 60:.0f} min left", flush=True)


def _taken_over(each: Execution, built: Executed, folder: Path) -> bool:
    """Whether this is the book's own execution and `make book` has done it."""
    if each != book_run(each.chapter):
        return False
    notebook = built.read(ROOT / "book" / f"{each.chapter}.ipynb")
    if notebook is not None:
        _keep(each, notebook, 0.0, folder)
    return notebook is not None


def _run(each: Execution, folder: Path) -> tuple[str, str]:
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        out = Path(scratch) / "out.ipynb"
        values = {"seed": each.seed} | ({} if each.latent_dim is None else {"latent_dim": each.latent_dim})
        request = json.dumps([str(ROOT / "book" / f"{each.chapter}.ipynb"), str(out), values])
        environment = {
            **os.environ,
            **PATHS[each.path],
            "OMP_NUM_THREADS": str(each.threads),
            "VAELIB_RUNS": str(folder / f"runs-{each.path}-t{each.threads}"),
        }
        ran = subprocess.run(
            [sys.executable, "-m", "tools.portability", "--one", request],
            cwd=ROOT, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        if not out.is_file():
            raise BookError(f"{each.name} could not be executed: {ran.stderr[-2000:]}")
        stop = _keep(each, read_notebook(out), time.perf_counter() - start, folder)
    return each.name, f"{'STOPPED' if stop else 'ran'}, {time.perf_counter() - start:.0f} s"


def _keep(each: Execution, notebook: dict, seconds: float, folder: Path) -> Stop | None:
    """Write down what an executed chapter found; returns where it stopped, if it did."""
    stop, found = find_stop(each.chapter, notebook), outcomes(notebook)
    record = {
        "seconds": round(seconds, 1),
        "stopped": str(stop) if stop else "",
        "findings": found.findings,
        "verdicts": found.verdicts,
        "unfinished": found.unfinished,
    }
    write_whole(folder / f"{each.name}.json", json.dumps(record, indent=1))
    return stop


def _one(request: str) -> int:
    """Execute one chapter in this process's environment."""
    import papermill

    source, out, values = json.loads(request)
    known = parameters(Path(source))
    with contextlib.suppress(papermill.PapermillExecutionError):  # the notebook written so far says where
        papermill.execute_notebook(
            source, out, {name: value for name, value in values.items() if name in known},
            cwd=ROOT, progress_bar=False, extra_arguments=QUIET_KERNEL,
        )  # fmt: skip
    return 0


def rows(wanted: Iterable[Execution], records: Mapping[str, dict], digest: str) -> Iterator[dict]:
    """One row of the table for each execution, held against the same chapter's book run."""
    for each in wanted:
        record = records[each.name]
        book = records[book_run(each.chapter).name]
        findings, verdicts = record["findings"], record["verdicts"]
        pairs = [(verdicts.get(claim), held) for claim, held in book["verdicts"].items()]
        yield {
            "chapter": each.chapter, "path": each.path, "threads": each.threads, "seed": each.seed,
            "latent_dim": each.latent_dim if each.latent_dim is not None else "book's", "seconds": record["seconds"],
            "stopped": int(bool(record["stopped"])), "findings": len(findings),
            "unlike the book's": sum(findings.get(name) != outcome for name, outcome in book["findings"].items()),
            "do not apply": sum(outcome is None for outcome in findings.values()),
            "unfinished": len(record["unfinished"]), "verdicts": sum(v is not None for v in verdicts.values()),
            "reversed": sum({a, b} == {"held", "did not hold"} for a, b in pairs), "code": digest,
        }  # fmt: skip


def _report(wanted: list[Execution], folder: Path, digest: str) -> int:
    records = {each.name: json.loads((folder / f"{each.name}.json").read_text(encoding="utf-8")) for each in wanted}
    table = list(rows(wanted, records, digest))
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    TABLE.parent.mkdir(exist_ok=True)
    for path, content in ((TABLE, text.getvalue()), (PAGE, page(text.getvalue()))):
        write_whole(path, content)
    print(f"{len(table)} executions; the table: {TABLE}")
    for each in wanted:
        record = records[each.name]
        for fault in filter(None, [record["stopped"], *record["unfinished"]]):
            print(f"\n{each.name}: {fault}", file=sys.stderr)
    return int(any(row["stopped"] or row["unfinished"] or row["reversed"] for row in table))


HEAD = """\
(portability)=
# On other machines

Matrix products are rounded differently on different processors, and training magnifies the difference: the same seed
ends in other weights elsewhere. So chapters were executed under the processors that one machine can imitate, from
several seeds and at several latent sizes, {n} executions in all (`make portability` does it again; this page is made
from `results/portability.csv`).

*Unlike the book's* counts the findings whose outcome was another than on the book's own page: had they been written
down as plain text, these sentences would have been false there. A *stop* is a chapter that did not run to its end, an
*unfinished* sentence one with a number missing, and a verdict is *reversed* if it held here and did not hold there.

"""


def page(table: str) -> str:
    """The page of the book, from the text of the table: sums by chapter, by processor path and by latent size."""
    runs = list(csv.DictReader(io.StringIO(table)))
    parts = [HEAD.format(n=len(runs))]
    for title, key in (
        ("chapter", "chapter"),
        ("processor path", "path"),
        ("latent size", "latent_dim"),
        ("seed", "seed"),
    ):
        parts.append(
            f"## By {title}\n\n| {title} | executions | stops | findings | unlike the book's | do not apply | "
        )
        parts.append("unfinished | verdicts | reversed |\n" + "|---" * 9 + "|\n")
        for value in dict.fromkeys(run[key] for run in runs):
            group = [run for run in runs if run[key] == value]
            sums = [sum(int(run[name]) for run in group) for name in SUMMED]
            parts.append(f"| {value} | {len(group)} | " + " | ".join(map(str, sums)) + " |\n")
        parts.append("\n")
    return "".join(parts).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(_one(sys.argv[2]) if sys.argv[1:2] == ["--one"] else main(sys.argv[1:]))
