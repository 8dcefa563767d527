"""How many threads a training takes: as many as are fastest just now, of the numbers that change no bit of it.

Threads that share the work of an operation wait for each other after it. Where another process keeps one of their cores
busy, all of them wait, and fewer threads, down to one, are faster.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import torch

Step = TypeVar("Step")

BLOCK = 0.1  # seconds over which steps are timed: a few slices of the scheduler's
SHARE = 32_768  # elements: torch's grain; of tensors up to this size, one thread does all
# Elements that torch computes at once; what is left over at the end of a share is computed one by one, by other
# functions for exponentials and logarithms. As many floats as two vectors of the widest processors hold, and once more.
VECTORS = 64
STEPS = 4  # at the least, in a block
SLOWER = 1.25  # a block that takes so many times what the one before took: something else has begun to run
FASTER = 0.95  # what another number of threads must bring, in seconds of a step, to be taken
PATIENCE = (1, 32)  # blocks until the next trial: at first, and after many that brought nothing


def numbers() -> list[int]:
    """The threads that torch has now, and half as many, down to one."""
    found = [torch.get_num_threads()]
    while found[-1] > 1:
        found.append(found[-1] // 2)
    return found


def interchangeable(results: Callable[[], bytes], sizes: Iterable[int]) -> list[int]:
    """Those of `numbers` with which a training has the same bits as with all threads.

    `results` are those of one step, as bytes: an order of sums that follows the threads shows in them at once. A share
    of an elementwise operation that ends amid a block does not, since only some values come out otherwise there: so all
    shares of tensors of these `sizes`, in elements, have to be whole blocks.
    """
    found = numbers()
    whole = [n for n in found if all(_in_blocks(size, found[0]) and _in_blocks(size, n) for size in sizes)]
    if len(whole) < 2:
        return found[:1]
    try:
        wanted = results()
        return [found[0], *(n for n in whole if n < found[0] and _with_threads(n, results) == wanted)]
    finally:
        torch.set_num_threads(found[0])


def _in_blocks(size: int, threads: int) -> bool:
    """Whether the shares into which torch divides `size` elements among threads are whole blocks."""
    shares = min(threads, math.ceil(size / SHARE))
    return shares == 1 or size % (shares * VECTORS) == 0


def _with_threads(n: int, results: Callable[[], bytes]) -> bytes:
    torch.set_num_threads(n)
    return results()


class Pacer:
    """Hands out steps and sets, between them, the number of threads: one of `numbers`, most first.

    Steps are timed in blocks. Now and then a block is given to the next lower or higher number, which is kept where it
    is faster; the longer nothing is gained, the rarer. `paced` leaves torch with the most threads.
    """

    def __init__(
        self,
        numbers: Sequence[int],
        *,
        clock: Callable[[], float] = time.perf_counter,
        set_threads: Callable[[int], None] = torch.set_num_threads,
    ) -> None:
        self.numbers, self.clock, self.set_threads = list(numbers), clock, set_threads
        self.now = 0  # index of the number in use
        self.direction, self.patience, self.waited = 1, PATIENCE[0], 0
        self.usual: float | None = None  # seconds of a step with the number in use, in its last block
        self.trial: int | None = None  # index of the number on trial

    def paced(self, steps: Iterable[Step]) -> Iterator[Step]:
        """The `steps` themselves, one by one."""
        if len(self.numbers) == 1:
            yield from steps
            return
        try:
            self.set_threads(self.numbers[self.now])
            start, taken = self.clock(), 0
            for step in steps:
                yield step
                taken += 1
                passed = self.clock() - start
                if taken >= STEPS and passed >= BLOCK:
                    self._learn(passed / taken)
                    start, taken = self.clock(), 0
        finally:
            self.set_threads(self.numbers[0])

    def _learn(self, seconds: float) -> None:
        """What a block tells, whose steps took `seconds` each."""
        if self.trial is None:
            self.waited += 1
            slower = self.usual is not None and seconds > SLOWER * self.usual
            self.usual = seconds
            if slower or self.waited >= self.patience:
                self.trial = self._next()
        else:
            if seconds < FASTER * self.usual:
                self.now, self.usual, self.patience = self.trial, seconds, PATIENCE[0]
            else:
                self.direction *= -1
                self.patience = min(2 * self.patience, PATIENCE[1])
            self.trial, self.waited = None, 0
        self.set_threads(self.numbers[self.now if self.trial is None else self.trial])

    def _next(self) -> int:
        """The neighbor to be tried: the one in the direction of the last gain, or the only one there is."""
        wanted = self.now + self.direction
        if not 0 <= wanted < len(self.numbers):
            self.direction *= -1
        return self.now + self.direction
