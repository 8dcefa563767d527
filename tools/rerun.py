"""Run a chapter again with other parameters, into reruns/: a notebook and a page to read.

    python -m tools.rerun CHAPTER=mnist LATENT_DIM=10 [EPOCHS=...] [SEED=...] [DATASET=...] [SMOKE=1]

Any parameter of the chapter can be given, in capitals. `--check` only looks at the request; it needs nothing installed.
`--make` takes the request from the `make` that calls. `--with-parent` ends the rerun when the process that called is
gone. Many reruns: `tools.sweep`.
"""

import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from tools.chapters import ROOT, BookError, find_stop, parameters, run_with_papermill, why
from tools.processes import end_with_parent, interruptible

MINIMUM = {"latent_dim": 1, "epochs": 1, "seed": 0}
SEEDS = 2**32  # as many as `vaelib.TrainConfig` takes, which cannot be asked where nothing is installed
MAKES_OWN = {"PYTHON", "VAELIB_DATA", "VAELIB_RUNS"}
EXAMPLE = "make rerun CHAPTER=mnist LATENT_DIM=10"
STOPPED, DIED = 1, 3  # exit statuses: a cell raised an error, or its kernel died, as where memory runs out


def main(arguments: list[str]) -> int:
    """Check the request and, without `--check`, carry it out; returns the exit status."""
    interruptible()
    words = [word for word in arguments if word not in ("--check", "--make", "--with-parent")]
    if "--with-parent" in arguments:
        end_with_parent()
    try:
        if "--make" in arguments:
            words = words_of_make(os.environ.get("MAKEFLAGS", ""), command_line(os.getppid()))
        chapter, values = parse(words)
        return 0 if "--check" in arguments else rerun(chapter, values)
    except (BookError, OSError) as error:  # the latter where a disk is full, a folder is read-only or in a file's place
        print(f"rerun: {why(error, ROOT)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted. What was trained so far is kept.", file=sys.stderr)
        return 130


def words_of_make(flags: str, typed: list[str]) -> list[str]:
    """The `NAME=value` words that make was given, from its MAKEFLAGS and the words of its command line.

    In the former, blanks and backslashes are escaped, a dollar is doubled, and of a name that is given twice only the
    last value is left.
    """
    escaped = re.findall(r"(?:\\.|[^\s\\])+", flags.partition("-- ")[2])
    words = [re.sub(r"\\(.)", r"\1", word).replace("$$", "$") for word in escaped]
    lost = [word for word in typed if word.partition("=")[0] in {word.partition("=")[0] for word in words}]
    return lost if len(lost) > len(words) else words


def command_line(process: int) -> list[str]:
    """The words that a process was called with; none where the system does not tell."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text(encoding="utf-8").split("\0")
    except OSError:
        return []


def parse(words: list[str], root: Path = ROOT) -> tuple[str, dict[str, object]]:
    """The chapter and the parameters' values that `NAME=value` words ask for.

    Raises
    ------
    BookError
        If the chapter or a parameter does not exist or is named twice, or a value is not of its kind.
    """
    for name, times in Counter(word.partition("=")[0] for word in words).items():
        if times > 1:
            given = " and ".join(word for word in words if word.partition("=")[0] == name)
            raise BookError(f"{name} is given {times} times: {given}")
    asked = dict(word.partition("=")[::2] for word in words)
    asked = {name: value.strip() for name, value in asked.items() if name not in MAKES_OWN}
    known = {path.stem: names for path in sorted((root / "book").glob("*.ipynb")) if (names := parameters(path))}
    listed = f"chapters with parameters: {', '.join(known) or 'none'}"
    chapter = asked.pop("CHAPTER", "")
    if not chapter:
        raise BookError(f"no chapter is named; for example: {EXAMPLE} ({listed})")
    if chapter not in known:
        raise BookError(f"there is no chapter {chapter!r} to run again ({listed})")
    defaults, values = known[chapter], {}
    for word, text in asked.items():
        name = word.lower()
        if name not in defaults or word != word.upper():
            choice = ", ".join(f"{key.upper()}={default}" for key, default in defaults.items())
            raise BookError(f"{chapter} has no parameter {word!r}; it has {choice}")
        values[name] = _value(name, text, defaults[name])
    return chapter, {name: values[name] for name in defaults if name in values}  # whatever the order of the words


def _value(name: str, text: str, default: object) -> object:
    """`text` as the kind of value that the parameter takes."""
    shown = f"{name.upper()}={text}"
    if isinstance(default, bool):
        words = {"1": True, "true": True, "0": False, "false": False}
        if text.lower() not in words:
            raise BookError(f"{shown}: give 1 or 0")
        return words[text.lower()]
    if name in MINIMUM or isinstance(default, int):
        try:
            number = int(text)
        except ValueError:
            raise BookError(f"{shown}: give a whole number") from None
        if number < MINIMUM.get(name, number):
            raise BookError(f"{shown}: give a whole number of {MINIMUM[name]} or more")
        if name == "seed" and number >= SEEDS:
            raise BookError(f"{shown}: give a whole number below {SEEDS}")
        return number
    if isinstance(default, float):
        try:
            return float(text)
        except ValueError:
            raise BookError(f"{shown}: give a number") from None
    if not text:
        raise BookError(f"{shown}: the value is empty")
    if text.endswith(".npz"):
        if not Path(text).is_file():
            raise BookError(f"{shown}: there is no such file")
        return str(Path(text).resolve())
    return text


def file_name(chapter: str, values: dict[str, object]) -> str:
    """A name that says what was asked for, such as `mnist-K10-seed3`; with a digest of a file's place."""
    parts = [chapter]
    for name, value in values.items():
        if name == "latent_dim":
            parts.append(f"K{value}")
        elif isinstance(value, bool):
            parts += [name] if value else [f"no-{name}"]
        elif str(value).endswith(".npz"):
            parts += [Path(value).stem, hashlib.sha256(value.encode()).hexdigest()[:6]]
        elif isinstance(value, str):
            parts.append(Path(value).stem)
        else:
            parts.append(f"{name}{value}")
    return re.sub(r"[^\w.-]+", "_", "-".join(parts))


def rerun(chapter: str, values: dict[str, object], root: Path = ROOT) -> int:
    """Execute the chapter with papermill; its notebook and page appear only once it ran to its end.

    Last comes the record of what they were made from. Returns the exit status.
    """
    from tools import rerun_record

    start = time.perf_counter()
    reruns, name, died = root / "reruns", file_name(chapter, values), ""
    with ThreadPoolExecutor(1) as aside:
        # Before anything is read: what is edited or downloaded meanwhile is not in this rerun. Its process loads torch
        # while this one loads the following, late, since `--check` runs before anything is installed.
        digest = aside.submit(rerun_record.made_from, root, chapter, values)
        import nbformat
        from nbconvert.preprocessors.coalescestreams import CoalesceStreamsPreprocessor
        from papermill import PapermillExecutionError

        from tools import rerun_page
        from tools.processes import locked

        made_from = digest.result()
    with unfinished(reruns) as folder:
        out = folder / f"{name}.ipynb"
        try:
            run_with_papermill(root / "book" / f"{chapter}.ipynb", out, values, cwd=root, progress=sys.stderr.isatty())
        except PapermillExecutionError:
            pass  # the notebook written so far says where
        except RuntimeError as error:
            died = f"The kernel died. {error}"
        notebook = nbformat.read(out, 4)
        # papermill marks every cell as completed, also the one at which a kernel died; but only cells that were
        # reached have a time at which they began, and the last of those is where it died.
        reached = [i for i, cell in enumerate(notebook.cells) if cell.metadata.get("papermill", {}).get("start_time")]
        stop = find_stop(chapter, notebook, current=max(reached, default=0) if died else None, reason=died)
        if stop:
            print(f"\n{stop}", file=sys.stderr)
            return DIED if died else STOPPED
        # A kernel sends what was printed whenever a fifth of a second has passed: the same lines in other portions.
        CoalesceStreamsPreprocessor().preprocess(notebook, {})
        found = rerun_record.data_and_elbo(notebook)
        nbformat.write(rerun_record.without_times(notebook), out)
        html = rerun_page.typeset(root, folder, name, chapter, notebook, values)
        with locked(reruns / ".lock", "another rerun to be published"):
            rerun_record.forget(reruns, name)
            rerun_page.publish(html, reruns, name)
            out.replace(reruns / out.name)
            seconds = round(time.perf_counter() - start, 1)
            rerun_record.write(reruns, name, rerun_record.Record(chapter, values, made_from, seconds, *found))
    page = (reruns / f"{name}.html").as_uri()
    print(f"{name}: {time.perf_counter() - start:.0f} s. The notebook: reruns/{name}.ipynb\nRead it: {page}")
    return 0


@contextmanager
def unfinished(reruns: Path) -> Iterator[Path]:
    """A folder beside the finished reruns for this process alone; those of processes that were killed are removed."""
    from filelock import FileLock, Timeout

    from tools.processes import locked

    reruns.mkdir(exist_ok=True)
    with locked(reruns / ".lock", "another rerun to be published"):
        for left in reruns.glob(".unfinished-*"):
            with suppress(Timeout), FileLock(left / "lock", timeout=0):
                shutil.rmtree(left)
        folder = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=reruns))
        lock = FileLock(folder / "lock")
        lock.acquire()
    try:
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
