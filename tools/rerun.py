"""Run a chapter again with other parameters, into reruns/: a notebook and a page to read.

    python -m tools.rerun CHAPTER=mnist LATENT_DIM=10 [EPOCHS=...] [SEED=...] [DATASET=...] [SMOKE=1]

Any parameter of the chapter can be given, in capitals. `--check` only looks at the request; it needs nothing installed.
"""

import os
import sys
import time
from pathlib import Path

from tools.chapters import QUIET_KERNEL, ROOT, BookError, find_stop, parameters, read_notebook

MINIMUM = {"latent_dim": 1, "epochs": 1, "seed": 0}
MAKES_OWN = {"PYTHON", "VAELIB_DATA", "VAELIB_RUNS"}
EXAMPLE = "make rerun CHAPTER=mnist LATENT_DIM=10"


def main(arguments: list[str]) -> int:
    """Check the request and, without `--check`, carry it out; returns the exit status."""
    only_check = arguments[:1] == ["--check"]
    try:
        chapter, values = parse(arguments[only_check:])
        return 0 if only_check else rerun(chapter, values)
    except BookError as error:
        print(f"rerun: {error}", file=sys.stderr)
        return 2


def parse(words: list[str], root: Path = ROOT) -> tuple[str, dict[str, object]]:
    """The chapter and the parameters' values that `NAME=value` words ask for.

    Raises
    ------
    BookError
        If the chapter or a parameter does not exist, or a value is not of its kind.
    """
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
    return chapter, values


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
    """A name that says what was asked for, such as `mnist-K10-seed3`."""
    parts = [chapter]
    for name, value in values.items():
        if name == "latent_dim":
            parts.append(f"K{value}")
        elif isinstance(value, bool):
            parts += [name] if value else [f"no-{name}"]
        elif isinstance(value, str):
            parts.append(Path(value).stem)
        else:
            parts.append(f"{name}{value}")
    return "-".join(parts)


def rerun(chapter: str, values: dict[str, object], root: Path = ROOT) -> int:
    """Execute the chapter with papermill; its notebook and page appear only once it ran to its end."""
    # Loaded late: `--check` runs before anything is installed.
    import papermill
    from nbclient.exceptions import DeadKernelError

    from tools.page import page

    start = time.perf_counter()
    folder = root / "reruns"
    folder.mkdir(exist_ok=True)
    name = file_name(chapter, values)
    unfinished = folder / f".{name}.{os.getpid()}.ipynb"
    died = ""
    try:
        papermill.execute_notebook(
            root / "book" / f"{chapter}.ipynb", unfinished, values, cwd=root, extra_arguments=QUIET_KERNEL
        )
    except papermill.PapermillExecutionError:
        pass  # the notebook written so far says where
    except DeadKernelError as error:
        died = f"The kernel died. {error}"
    try:
        notebook = read_notebook(unfinished)
        # papermill marks every cell as completed, also the one at which a kernel died; but only cells that were
        # reached have a time at which they began, and the last of those is where it died.
        reached = [
            i for i, cell in enumerate(notebook["cells"]) if cell["metadata"].get("papermill", {}).get("start_time")
        ]
        stop = find_stop(chapter, notebook, current=max(reached, default=0) if died else None, reason=died)
        if stop:
            print(f"\n{stop}", file=sys.stderr)
            return 1
        html = folder / f"{name}.html"
        html.write_text(page(unfinished, title=name), encoding="utf-8")
        unfinished.replace(folder / f"{name}.ipynb")
    finally:
        unfinished.unlink(missing_ok=True)
    print(f"{name}: {time.perf_counter() - start:.0f} s. The notebook: reruns/{name}.ipynb\nRead it: {html.as_uri()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
