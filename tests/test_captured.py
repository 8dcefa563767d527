"""CUDA graphs. Without a GPU a tape stands in for one: it notes operations and does them again on the same memory."""

import dataclasses
from contextlib import contextmanager, nullcontext
from functools import partial

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vaelib import priors, training
from vaelib.bounds import elbo_terms
from vaelib.captured import Captured
from vaelib.config import TrainConfig
from vaelib.models import VAE
from vaelib.priors import DIVERGENCES
from vaelib.products import bfloat16_products
from vaelib.training import adam, fit, initial_model, learning_rates, one_epoch

N, D, BATCH, EPOCHS = 70, 12, 16, 4  # the last batch is a smaller one
CONFIG = TrainConfig("noise", latent_dim=2, epochs=EPOCHS, hidden=(8, 6), batch_size=BATCH, learning_rate=0.02)
STEPS = -(-N // BATCH)


def tensors(tree):
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


class Tape(TorchDispatchMode):
    """What `torch.cuda.CUDAGraph` does, on a CPU: numbers that Python holds are frozen, tensors are addresses."""

    def __init__(self):
        super().__init__()
        self.notes, self.before, self.own, self.generators = [], {}, set(), {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        assert func is not torch.ops.aten._local_scalar_dense.default, "a value is read off the device"
        if (generator := kwargs.get("generator")) is not None:
            self.generators.setdefault(generator._cdata, (generator, generator.get_state()))
        for tensor in tensors((args, kwargs)):
            memory = tensor.untyped_storage()
            if memory.data_ptr() not in self.own:
                self.before.setdefault(memory.data_ptr(), (memory, memory.clone()))
        out = func(*args, **kwargs)
        writes = any(argument.alias_info and argument.alias_info.is_write for argument in func._schema.arguments)
        if not (writes or func.is_view):
            self.own |= {tensor.untyped_storage().data_ptr() for tensor in tensors(out)}
        self.notes.append((func, args, kwargs, out, writes))
        return out

    def undo(self):
        """A capture computes nothing."""
        for memory, content in self.before.values():
            memory.copy_(content)
        for generator, state in self.generators.values():
            generator.set_state(state)

    @torch.no_grad()
    def replay(self):
        for func, args, kwargs, out, writes in self.notes:
            if func.is_view:
                continue
            again = func(*args, **kwargs)
            if not writes:
                for place, value in zip(tensors(out), tensors(again), strict=True):
                    place.copy_(value)


class Stream:
    def wait_stream(self, other):
        assert isinstance(other, Stream) and other is not self


@pytest.fixture
def tapes(monkeypatch):
    """`torch.cuda` with tapes for graphs; returns those that were made."""
    made, main = [], Stream()

    def new():
        made.append(Tape())
        return made[-1]

    @contextmanager
    def capture(tape, stream):
        assert isinstance(stream, Stream) and stream is not main  # the default stream cannot be captured
        with tape:
            yield
        tape.undo()

    monkeypatch.setattr(torch.cuda, "CUDAGraph", new)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: main)
    monkeypatch.setattr(torch.cuda, "stream", nullcontext)
    monkeypatch.setattr(torch.cuda, "device", nullcontext)
    return made


def trained(config, wrap, device="cpu"):
    """All epochs of `config` on noise: the sums of each, and the weights."""
    model, generator = initial_model(config, D).to(device), torch.Generator(device).manual_seed(config.seed)
    images = torch.rand(N, D, generator=torch.Generator().manual_seed(0)).to(device)
    run_epoch = wrap(partial(one_epoch, config, model, adam(config, model), images, generator))
    rates = torch.tensor(learning_rates(config, EPOCHS * STEPS), device=device)
    sums = []
    for its_rates in rates.split(STEPS):
        with bfloat16_products():
            sums.append(run_epoch(torch.randperm(N, generator=generator, device=device), its_rates))
    return sums, list(model.parameters())


def untouched(function):
    return function


KINDS = {
    "the ELBO": {},
    "a constant rate": {"schedule": "constant"},
    "a linear rate": {"schedule": "linear"},
    "Gaussian pixels": {"likelihood": "gaussian"},
    "an autoencoder": {"model": "autoencoder"},
    "beta": {"beta": 4.0},
    "clusters and mmd": {"prior": "clustered", "divergence": "mmd", "divergence_weight": 10.0},
    "sparse and inclusive-kl": {"prior": "sparse", "divergence": "inclusive-kl", "divergence_weight": 10.0},
}


@pytest.mark.parametrize("kind", KINDS)
def test_one_launch_is_the_epoch_that_it_was_captured_from(tapes, kind):
    """Every kind of step, at rates that change, with a short last batch: the same sums and weights, bit for bit."""
    config = dataclasses.replace(CONFIG, **KINDS[kind])
    sums, weights = trained(config, untouched)
    again, graphed = trained(config, Captured)
    assert len(tapes) == 1 and len(tapes[0].notes) > 20 * STEPS
    for ours, theirs in zip([*again, *graphed], [*sums, *weights], strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(sums[1], sums[2])


def test_what_python_holds_is_frozen_in_a_graph(tapes):
    """The tape would show a mistake: a number that Python changes between calls stays what it was when captured."""
    calls = []

    def function(x):
        calls.append(1)
        return x + len(calls)

    captured = Captured(function)
    assert [captured(torch.tensor(float(x))).item() for x in (10, 20, 30, 40)] == [11, 22, 32, 42]
    with pytest.raises(AssertionError, match="read off"):
        reading = Captured(lambda x: x * x.item())
        reading(torch.ones(()))
        reading(torch.ones(()))


def test_what_a_call_returned_stays_as_it_is(tapes):
    double = Captured(lambda x: 2 * x)
    results = [double(torch.tensor(float(x))) for x in range(5)]
    assert [result.item() for result in results] == [0, 2, 4, 6, 8]


class HostCopies(TorchDispatchMode):
    """Counts copies from the host to a GPU, which a graph cannot hold."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default):
            given = {tensor.device.type for tensor in tensors((args, kwargs))}
            self.count += "cpu" in given and out.device.type == "cuda"
        return out


@pytest.fixture
def forgotten():
    """What priors keep of tensors without content is not kept for other tests."""
    yield
    priors._rows.cache_clear()


@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize("prior", priors.PRIORS)
@pytest.mark.parametrize("divergence", [None, *DIVERGENCES])
def test_the_objective_copies_nothing_to_a_gpu(prior, divergence):
    """On tensors with a shape and a device, which may be a GPU that is not there, and no content to read off.

    Of backward passes and Adam, which need a real GPU, the tape above has seen that they take tensors only.
    """
    prior = priors.make_prior(prior, 2)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.device("cuda"):
        model, x = VAE(2, (8, 6), D, prior=prior), torch.rand(BATCH, D)
        counts = []
        for _ in range(2):
            with HostCopies() as copies:
                code = model.encode(x)
                elbo_terms(model, x, code=code)
                if divergence is not None:
                    DIVERGENCES[divergence](prior, *code)
            counts.append(copies.count)
    assert counts[1] == 0


# The real thing, where there is one.

needs_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@needs_a_gpu
@pytest.mark.parametrize("kind", KINDS)
def test_on_a_gpu_one_launch_is_the_epoch_that_it_was_captured_from(kind):
    config = dataclasses.replace(CONFIG, **KINDS[kind])
    sums, weights = trained(config, untouched, "cuda")
    again, graphed = trained(config, Captured, "cuda")
    for ours, theirs in zip([*again, *graphed], [*sums, *weights], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


@needs_a_gpu
def test_on_a_gpu_a_run_is_as_good_as_on_the_processor(tiny_digits, monkeypatch):
    """Another device's noise is another seed's, and seeds differ by 0.3 nats here."""
    config = dataclasses.replace(tiny_digits, limit=None, epochs=30)
    captured = fit(config, device="cuda", progress=False)
    monkeypatch.setattr(training, "Captured", untouched)
    single = fit(config, device="cuda", progress=False)
    assert [row.elbo for row in captured.history] == pytest.approx([row.elbo for row in single.history], rel=1e-2)
    assert [row.learning_rate for row in captured.history] == [row.learning_rate for row in single.history]
    on_cpu = fit(config, device="cpu", progress=False)
    assert captured.heldout.elbo == pytest.approx(on_cpu.heldout.elbo, abs=0.6)
