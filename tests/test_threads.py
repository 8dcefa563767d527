"""The number of threads follows what is fastest, and no bit of a training follows it."""

import dataclasses
import itertools

import pytest
import torch

from vaelib import threads, training
from vaelib.config import TrainConfig
from vaelib.threads import PATIENCE, Pacer, interchangeable, numbers
from vaelib.training import fit


@pytest.fixture
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


class World:
    """Time passes only while a step is taken: as long as `seconds` says of the threads in use and the step's number."""

    def __init__(self, seconds):
        self.seconds, self.time, self.threads, self.used = seconds, 0.0, None, []

    def set_threads(self, n):
        self.threads = n

    def run(self, pacer, n_steps):
        for step in pacer.paced(range(n_steps)):
            self.used.append(self.threads)
            self.time += self.seconds(self.threads, step)

    def pacer(self, counts):
        return Pacer(counts, clock=lambda: self.time, set_threads=self.set_threads)


def test_the_numbers_are_all_threads_and_halves(four_threads):
    assert numbers() == [4, 2, 1]
    torch.set_num_threads(1)
    assert numbers() == [1]


def test_a_quiet_machine_keeps_all_its_threads():
    world = World(lambda n, step: 0.02 / n)
    world.run(world.pacer([4, 2, 1]), 20_000)
    assert world.used.count(4) / len(world.used) > 0.95
    assert set(world.used) == {4, 2}  # one threads' worth is never tried: half was slower
    assert world.threads == 4


def test_threads_that_wait_for_a_busy_core_give_way_and_come_back():
    def seconds(n, step):
        alone = 0.02 / n
        return 5 * alone if n > 1 and 1_000 <= step < 3_000 else alone

    world = World(seconds)
    pacer = world.pacer([2, 1])
    world.run(pacer, 6_000)
    before, during, after = world.used[:1_000], world.used[1_100:3_000], world.used[3_500:]
    assert before.count(2) > 900 and during.count(1) > 0.85 * len(during) and after.count(2) > 0.9 * len(after)


def test_the_fastest_of_several_is_found_whatever_lies_between():
    world = World(lambda n, step: {8: 0.04, 4: 0.03, 2: 0.02, 1: 0.01}[n])
    world.run(world.pacer([8, 4, 2, 1]), 2_000)
    assert world.used[-1_000:].count(1) > 900


def test_trials_become_rarer_where_they_bring_nothing():
    world = World(lambda n, step: 0.05 if n == 2 else 0.2)
    world.run(world.pacer([2, 1]), 2_000)
    starts = [i for i, (a, b) in enumerate(itertools.pairwise(world.used)) if (a, b) == (2, 1)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert gaps == sorted(gaps) and gaps[-1] > 8 * gaps[0]
    assert gaps[-1] <= (PATIENCE[1] + 1) * threads.STEPS


@pytest.mark.parametrize("ended", ["whole", "broken"])
def test_torch_has_its_threads_again_afterwards(four_threads, ended):
    paced = Pacer([4, 1], clock=itertools.count().__next__).paced(range(50))
    for _ in paced if ended == "whole" else itertools.islice(paced, 6):
        pass
    paced.close()
    assert torch.get_num_threads() == 4


def test_only_numbers_that_give_the_same_bits_are_used(four_threads):
    found = interchangeable(lambda: b"odd" if torch.get_num_threads() == 2 else b"same", [256 * 784])
    assert found == [4, 1]
    assert torch.get_num_threads() == 4


@pytest.mark.parametrize(("size", "found"), [(256 * 784, [4, 2, 1]), (50 * 784, [4]), (30 * 784, [4, 2, 1])])
def test_shares_that_end_amid_a_block_are_not_used(four_threads, size, found):
    assert interchangeable(lambda: b"same", [64, size]) == found


@pytest.mark.parametrize("size", [256 * 784, 96 * 784, 64 * 784, 50 * 784, 40_001])
def test_the_rule_of_blocks_is_the_processors(four_threads, size):
    """Where the rule lets another number of threads stand in, no value of softplus differs, of millions."""
    generator = torch.Generator().manual_seed(0)
    allowed, differ = interchangeable(lambda: b"", [size]), set()
    for _ in range(20):
        x = 5 * torch.randn(size, generator=generator)
        wanted = torch.nn.functional.softplus(x)
        for n in (2, 1):
            torch.set_num_threads(n)
            if not torch.equal(torch.nn.functional.softplus(x), wanted):
                differ.add(n)
        torch.set_num_threads(4)
    assert not differ & set(allowed)


def test_one_thread_is_not_compared_with_itself():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert interchangeable(lambda: pytest.fail("a step was taken"), [256 * 784]) == [1]
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"batch_size": 64},
        {"latent_dim": 20, "likelihood": "gaussian"},
        {"model": "autoencoder"},
        {"divergence": "mmd", "divergence_weight": 10.0, "batch_size": 50},
        {"batch_size": 2048, "limit": 3000},
    ],
    ids=str,
)
def test_a_training_whose_threads_change_all_the_time_gives_the_same_bits(four_threads, monkeypatch, changes):
    """Whatever the steps' sizes: where a number of threads gives other bits, it is not used."""
    config = dataclasses.replace(TrainConfig("synthetic-boots", epochs=1, limit=330, seed=3), **changes)
    alone = fit(config, device="cpu", progress=False)
    chosen = []

    class Restless(Pacer):
        def __init__(self, counts):
            chosen.append(counts)
            super().__init__(counts)

        def paced(self, steps):
            for step, n in zip(steps, itertools.cycle(self.numbers)):
                torch.set_num_threads(n)
                yield step

    monkeypatch.setattr(training, "Pacer", Restless)
    restless = fit(config, device="cpu", progress=False)
    assert chosen[0][0] == 4
    weights = (run.model.state_dict().values() for run in (alone, restless))
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))
    assert alone.heldout == restless.heldout
