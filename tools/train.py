"""Train the paper's runs, as many side by side as there are cores."""

from tools import engine
from tools.chapters import BookError


def train_all() -> None:
    """Train what is not stored yet, each run in a process with one thread: no core then waits for another.

    Raises BookError where a run fails, when the others have ended; what it said is on standard error.
    """
    with engine.pool(engine.place("", ""), engine.Processes) as where:
        jobs = {name: engine.Job(_train, (name,)) for name in where.executor.submit(_names).result()}
        failed = [f"{name}: {fault.said}" for name, _, fault in engine.finished(where, jobs, _fault) if fault]
    if failed:
        raise BookError(f"training stopped: {'; '.join(sorted(failed))}")


def _names() -> list[str]:
    """Asked of a worker, which needs torch anyway."""
    from vaelib.paper import EXPERIMENTS

    return list(EXPERIMENTS)


def _train(name: str) -> int:
    from vaelib.cli import main

    return main(["train", name])


def _fault(status: int) -> engine.Fault | None:
    return engine.Fault("a message above says why") if status else None
