"""Break each implemented equation on purpose: at least one of its unit tests and its chapter must notice.

    python -m tools.mutants                      all of them
    python -m tools.mutants 19 "Algorithm 1"     those of some equations

A mutant is one mistake in a copy of the package. In that copy the unit tests of the equation run, and then, in smoke
mode on the embedded digits, the chapter that holds the equation. A mutant is killed when a test fails and an assertion
of the chapter fails. One that only makes the chapter crash counts as alive: nothing there has checked its numbers.
"""

import argparse
import ast
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from tools.chapters import ROOT, BookError, parameters
from tools.equations import ALGORITHM, IMPORTANCE_WEIGHTED, Target, anchors, tests

AT_ONCE = 2
CELL_LIMIT = 300  # seconds: a mutant that never ends must not hold up the others


@dataclass(frozen=True)
class Mutant:
    """`source`, which stands exactly once in vaelib/`module`.py, becomes `replacement`."""

    target: Target
    mistake: str
    module: str
    source: str
    replacement: str


ELBO = "ElboTerms(log_likelihood, kl, log_likelihood - kl)"
DRAWS = "log_likelihood = model.log_likelihood(x, z).mean(0)"
BERNOULLI = "(x * logits - F.softplus(logits)).sum(-1)"
LOSS = "loss = -terms.elbo.mean()"

MUTANTS = (
    Mutant(13, "KL added", "bounds", ELBO, "ElboTerms(log_likelihood, kl, log_likelihood + kl)"),
    Mutant(13, "KL forgotten", "bounds", ELBO, "ElboTerms(log_likelihood, kl, log_likelihood)"),
    Mutant(13, "KL halved", "bounds", ELBO, "ElboTerms(log_likelihood, kl, log_likelihood - kl / 2)"),
    Mutant(
        13,
        "no expectation: z at the mean",
        "bounds",
        "z = reparameterise(mu.expand(n_samples, *mu.shape), logvar, generator=generator)",
        "z = mu.expand(n_samples, *mu.shape)",
    ),
    Mutant(14, "draws summed", "bounds", DRAWS, "log_likelihood = model.log_likelihood(x, z).sum(0)"),
    Mutant(
        14,
        "likelihoods averaged before the logarithm",
        "bounds",
        DRAWS,
        "log_likelihood = model.log_likelihood(x, z).logsumexp(0) - math.log(n_samples)",
    ),
    Mutant(15, "wrong sign", "densities", BERNOULLI, "(x * logits + F.softplus(logits)).sum(-1)"),
    Mutant(15, "mean over pixels", "densities", BERNOULLI, "(x * logits - F.softplus(logits)).mean(-1)"),
    Mutant(15, "1 - x forgotten", "densities", BERNOULLI, "(x * F.logsigmoid(logits)).sum(-1)"),
    Mutant(16, "2π forgotten", "densities", "math.log(2 * math.pi) + logvar", "logvar"),
    Mutant(16, "σ for σ² in the distance", "densities", "torch.exp(-logvar)", "torch.exp(-0.5 * logvar)"),
    Mutant(16, "σ for σ² in the determinant", "densities", "+ logvar + squared", "+ 0.5 * logvar + squared"),
    Mutant(16, "½ dropped", "densities", "return -0.5 * (math", "return -(math"),
    Mutant(18, "sign of log σ²", "densities", "torch.expm1(logvar) - logvar", "torch.expm1(logvar) + logvar"),
    Mutant(18, "½ dropped", "densities", "return 0.5 * (mu.square()", "return (mu.square()"),
    Mutant(18, "1 forgotten", "densities", "+ torch.expm1(logvar)", "+ torch.exp(logvar)"),
    Mutant(18, "σ for σ²", "densities", "+ torch.expm1(logvar)", "+ torch.expm1(0.5 * logvar)"),
    Mutant(19, "σ² for σ", "densities", "torch.exp(0.5 * logvar) * eps", "torch.exp(logvar) * eps"),
    Mutant(19, "μ forgotten", "densities", "return mu + torch.exp", "return torch.exp"),
    Mutant(
        19, "no gradient to σ", "densities", "torch.exp(0.5 * logvar) * eps", "torch.exp(0.5 * logvar.detach()) * eps"
    ),
    Mutant(19, "uniform noise", "densities", "torch.randn(shape", "torch.rand(shape"),
    Mutant(20, "another f", "models", "nn.ReLU()", "nn.Tanh()"),
    Mutant(20, "no f", "models", "nn.ReLU()", "nn.Identity()"),
    Mutant(20, "f at the heads", "models", "MLP(*layers[:-1])", "MLP(*layers)"),
    Mutant(ALGORITHM, "descent", "training", LOSS, "loss = terms.elbo.mean()"),
    Mutant(ALGORITHM, "1/M forgotten", "training", LOSS, "loss = -terms.elbo.sum()"),
    Mutant(ALGORITHM, "KL forgotten", "training", LOSS, "loss = -terms.log_likelihood.mean()"),
    Mutant(ALGORITHM, "gradients pile up", "training", "    optimiser.zero_grad()\n", ""),
    Mutant(
        IMPORTANCE_WEIGHTED,
        "prior forgotten",
        "bounds",
        "model.log_likelihood(x, z) + log_prior",
        "model.log_likelihood(x, z)",
    ),
    Mutant(IMPORTANCE_WEIGHTED, "proposal added", "bounds", "log_prior - gaussian", "log_prior + gaussian"),
    Mutant(IMPORTANCE_WEIGHTED, "1/S forgotten", "bounds", "return total - math.log(n_samples)", "return total"),
    Mutant(
        IMPORTANCE_WEIGHTED,
        "logarithms averaged",
        "bounds",
        "log_weight.logsumexp(0)",
        "log_weight.mean(0) + math.log(len(log_weight))",
    ),
)


class Outcome(NamedTuple):
    """What came of tests or of a chapter: passed, failed a check, or neither (`crashed`), and where."""

    word: str
    where: str = ""


PASSED, FAILED, CRASHED = "passed", "failed", "crashed"


def chapter_of(target: Target) -> str:
    """The chapter that checks an equation: the one with its anchor; that of (12) for the importance-weighted bound."""
    places = anchors().get(12 if target == IMPORTANCE_WEIGHTED else target, [])
    if len(places) != 1:
        raise BookError(f"{target}: expected its anchor in one chapter, found it in {len(places)}")
    return places[0].file.stem


def tests_of(target: Target) -> list[str]:
    """The equation's unit tests, as arguments for pytest."""
    found = [f"{place.file.as_posix()}::{place.name}" for place in tests().get(target, [])]
    if not found:
        raise BookError(f"{target}: no unit test is marked with it")
    return found


def mutated(mutant: Mutant, text: str) -> str:
    """The module's text with the mistake in it.

    Raises
    ------
    BookError
        If the snippet is not there exactly once: the code has moved on, and the mutant must follow it.
    """
    if text.count(mutant.source) != 1:
        raise BookError(
            f"mutant of {mutant.target}, {mutant.mistake}: what it replaces stands {text.count(mutant.source)} times, "
            f"not once, in vaelib/{mutant.module}.py; make it follow the code: {mutant.source!r}"
        )
    broken = text.replace(mutant.source, mutant.replacement)
    ast.parse(broken)
    return broken


def workspace(folder: Path, mutant: Mutant | None) -> Path:
    """A copy of package, tests and chapters in `folder`, with the mutant's mistake in it."""
    for name in ("vaelib", "tests", "book"):
        ignored = shutil.ignore_patterns("__pycache__", ".*", "static")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("pyproject.toml", "_toc.yml"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "vaelib_origin.py").write_text(
        "import vaelib\n\n\ndef pytest_report_header():\n    return f'vaelib: {vaelib.__file__}'\n", encoding="utf-8"
    )
    if mutant:
        module = folder / "vaelib" / f"{mutant.module}.py"
        module.write_text(mutated(mutant, module.read_text(encoding="utf-8")), encoding="utf-8")
    return folder


def environment(folder: Path) -> dict[str, str]:
    """The package from `folder` and nothing stored: no runs, no data but what is embedded."""
    return os.environ | {
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "VAELIB_RUNS": str(folder / "runs"),
        "VAELIB_DATA": str(folder / "no-data"),
        "OMP_NUM_THREADS": "1",
    }


async def run_tests(folder: Path, names: Iterable[str]) -> Outcome:
    """Run tests in a workspace until one fails."""
    command = [sys.executable, "-m", "pytest", "-x", "--tb=no", "-p", "no:cacheprovider", "-p", "vaelib_origin", *names]
    process = await asyncio.create_subprocess_exec(
        *command,
        "-o",
        "addopts=",
        cwd=folder,
        env=environment(folder),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = (await process.communicate())[0].decode()
    if f"vaelib: {folder / 'vaelib' / '__init__.py'}" not in output:
        return Outcome(CRASHED, f"exit {process.returncode}, package not imported from its copy: {output[-2000:]}")
    failures = [line.split("::", 1)[1].split(" ")[0] for line in output.splitlines() if line.startswith("FAILED ")]
    if process.returncode == 0:
        return Outcome(PASSED)
    if process.returncode == 1 and failures:
        return Outcome(FAILED, failures[0])
    return Outcome(CRASHED, output[-2000:])


async def run_chapter(folder: Path, chapter: str) -> Outcome:
    """Execute a chapter of a workspace in smoke mode, on the embedded digits where it asks for a data set."""
    path = folder / "book" / f"{chapter}.ipynb"
    notebook = nbformat.read(path, 4)
    changes = [
        f"{name} = {value!r}"
        for name, value in {"smoke": True, "dataset": "digits"}.items()
        if name in parameters(path)
    ]
    after = next(i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])) + 1
    notebook.cells.insert(after, nbformat.v4.new_code_cell("\n".join(changes)))
    notebook.cells.insert(0, nbformat.v4.new_code_cell("import vaelib\nprint(vaelib.__file__)"))
    client = NotebookClient(
        notebook, timeout=CELL_LIMIT, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    )
    try:
        await client.async_execute(env=environment(folder), stderr=subprocess.DEVNULL)
        outcome = Outcome(PASSED)
    except CellExecutionError as error:
        cell = next(c for c in notebook.cells if any(o.output_type == "error" for o in c.get("outputs", [])))
        word = FAILED if error.ename == "AssertionError" else CRASHED
        outcome = Outcome(word, f"{cell.id}" if word == FAILED else f"{cell.id}: {error.ename}: {error.evalue}")
    except (DeadKernelError, TimeoutError) as error:
        outcome = Outcome(CRASHED, repr(error))
    origin = "".join(output.get("text", "") for output in notebook.cells[0].outputs).strip()
    if origin != str(folder / "vaelib" / "__init__.py"):
        return Outcome(CRASHED, f"package imported from {origin or 'nowhere'}, not from its copy: {outcome.where}")
    return outcome


async def sound(folder: Path, targets: Iterable[Target]) -> list[str]:
    """What fails before anything is broken: a check that always fails would kill every mutant."""
    gate, copy = asyncio.Semaphore(AT_ONCE), workspace(folder / "unbroken", None)

    async def one(name: str, run) -> str | None:
        async with gate:
            outcome = await run
        print(f"  unbroken {name}: {outcome.word}", flush=True)
        return None if outcome.word == PASSED else f"{name} {outcome.word} without a mutant: {outcome.where}"

    names = dict.fromkeys(name for target in targets for name in tests_of(target))
    jobs = [one("tests", run_tests(copy, names))]
    jobs += [one(f"chapter {c}", run_chapter(copy, c)) for c in sorted({chapter_of(t) for t in targets})]
    return [problem for problem in await asyncio.gather(*jobs) if problem]


async def trial(folder: Path, mutants: Iterable[Mutant]) -> list[tuple[Mutant, Outcome, Outcome]]:
    """Tests and chapter of every mutant, two mutants at a time, in their order."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, mutant: Mutant) -> tuple[Mutant, Outcome, Outcome]:
        async with gate:
            copy = workspace(folder / f"mutant-{number}", mutant)
            in_tests = await run_tests(copy, tests_of(mutant.target))
            in_chapter = await run_chapter(copy, chapter_of(mutant.target))
            shutil.rmtree(copy)
        print(line(mutant, in_tests, in_chapter), flush=True)
        return mutant, in_tests, in_chapter

    return await asyncio.gather(*(one(number, mutant) for number, mutant in enumerate(mutants)))


def killed(in_tests: Outcome, in_chapter: Outcome) -> bool:
    return in_tests.word == in_chapter.word == FAILED


def line(mutant: Mutant, in_tests: Outcome, in_chapter: Outcome) -> str:
    """One row of the table: what was broken, and what noticed."""
    name = f"({mutant.target})" if isinstance(mutant.target, int) else mutant.target
    verdict = "killed" if killed(in_tests, in_chapter) else "ALIVE"
    chapter = f"{chapter_of(mutant.target)} {in_chapter.word} {in_chapter.where}"
    return f"  {verdict:6} {name:25} {mutant.mistake:42} tests {in_tests.word} {in_tests.where} · {chapter}"


def main(arguments: list[str] | None = None) -> int:
    """Try the mutants; returns 1 where one survives or something fails unbroken."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=__doc__.splitlines()[0])
    every = [str(target) for target in dict.fromkeys(mutant.target for mutant in MUTANTS)]
    parser.add_argument("targets", nargs="*", metavar="equation", help=f"of {', '.join(every)}; default: all")
    wanted = parser.parse_args(arguments).targets or every
    if unknown := sorted(set(wanted) - set(every)):
        parser.error(f"no mutants of {', '.join(unknown)}; there are some of {', '.join(every)}")
    mutants = [mutant for mutant in MUTANTS if str(mutant.target) in wanted]
    start = time.perf_counter()
    try:
        for mutant in mutants:  # before any work: does every snippet still stand in the source?
            mutated(mutant, (ROOT / "vaelib" / f"{mutant.module}.py").read_text(encoding="utf-8"))
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name).resolve()
            if broken := asyncio.run(sound(folder, dict.fromkeys(mutant.target for mutant in mutants))):
                raise BookError("\n".join(broken))
            results = asyncio.run(trial(folder, mutants))
    except BookError as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 1
    alive = [result for result in results if not killed(*result[1:])]
    print(f"{len(results) - len(alive)} of {len(results)} mutants killed by a test and by a chapter", end=" ")
    print(f"({time.perf_counter() - start:.0f} s)")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
