"""Products of training: which are rounded, where, and what it costs."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from vaelib import products
from vaelib.config import TrainConfig
from vaelib.machine import describe
from vaelib.models import VAE
from vaelib.products import LARGE, are_rounded, bfloat16_products, rounding
from vaelib.training import adam, fit, initial_model, train_step

FINER = 1 + 2**-10  # rounded to 1 by bfloat16, which has 8 bits
ONE = torch.ones(1)


@pytest.fixture
def by_autocast(monkeypatch):
    """As on a processor that multiplies bfloat16 faster where oneDNN does not round, whatever this one is."""
    monkeypatch.setattr(products, "_by_onednn", lambda: False)
    monkeypatch.setattr(products, "_only_autocast_rounds", lambda: True)


def is_autocast(*args):
    return isinstance(rounding(*args), torch.autocast)


@pytest.mark.usefixtures("by_autocast")
def test_only_large_products_of_float32_inside_the_context_are_rounded():
    assert not is_autocast(ONE, LARGE)
    with bfloat16_products():
        assert is_autocast(ONE, LARGE) and not is_autocast(ONE, LARGE - 1)
        assert not is_autocast(ONE.double(), LARGE)
        assert not is_autocast(ONE.to("meta"), LARGE)
    assert not is_autocast(ONE, LARGE)
    assert are_rounded(LARGE) and not are_rounded(LARGE - 1)
    assert "products in training bfloat16" in describe(largest=LARGE) and "training float32" in describe()


def test_a_processor_whose_onednn_rounds_is_left_to_it(monkeypatch):
    monkeypatch.setattr(products, "_by_onednn", lambda: True)
    products._only_autocast_rounds.cache_clear()
    try:
        with bfloat16_products():
            assert not is_autocast(ONE, LARGE)
        assert are_rounded(0)
    finally:
        products._only_autocast_rounds.cache_clear()


@pytest.mark.parametrize("limit", ["AVX2", "AVX512_CORE"])
def test_a_processor_that_must_do_without_bfloat16_rounds_nothing(limit):
    code = "from vaelib.products import LARGE, are_rounded; assert not are_rounded(LARGE)"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"ONEDNN_MAX_CPU_ISA": limit})


@pytest.mark.usefixtures("by_autocast")
def test_a_network_rounds_in_training_alone_and_gives_float32_again():
    """FINER · FINER, summed 512 times: rounded, each is 1. Ideal: all of it; null: nothing, for few or outside."""
    model = VAE(2, (400,), 512)
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.fill_(0.0)
        model.encoder[0].weight.fill_(FINER)
        model.encoder[2].weight.fill_(1.0)
    many, few = (torch.full((n, 512), FINER) for n in (129, 127))  # 129 · 512 · 400 is above LARGE
    exact, rounded = 400 * 512 * FINER**2, 400 * 512
    with bfloat16_products():
        mu, logvar = model.encode(many)
        assert mu.dtype == logvar.dtype == torch.float32 and mu[0].tolist() == pytest.approx([rounded] * 2, rel=1e-4)
        assert model.encode(few)[0][0].tolist() == pytest.approx([exact] * 2, rel=1e-4)
    assert model.encode(many)[0][0].tolist() == pytest.approx([exact] * 2, rel=1e-4)
    assert exact / rounded > 1.001


@pytest.mark.usefixtures("by_autocast")
def test_rounded_steps_see_the_weights_of_their_own_time(monkeypatch):
    """Autocast keeps rounded weights as long as it lasts: kept over steps, the gradients would be those of old ones."""
    monkeypatch.setattr(products, "LARGE", 0)
    config = TrainConfig("any", hidden=(32,), batch_size=50, learning_rate=0.05, schedule="constant")
    x = (torch.rand(50, 20, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    found = {}
    for name, context in (("rounded", bfloat16_products), ("exact", torch.enable_grad)):
        model, generator = initial_model(config, 20), torch.Generator().manual_seed(1)
        optimizer = adam(config, model)
        with context():
            found[name] = [train_step(model, optimizer, x, generator)[2].item() / 50 for _ in range(60)]
        assert all(p.dtype == torch.float32 for p in model.parameters())
    assert found["rounded"][-1] > found["rounded"][0] + 1  # it learns
    assert found["rounded"] == pytest.approx(found["exact"], abs=0.25) and found["rounded"] != found["exact"]


@pytest.mark.usefixtures("by_autocast")
def test_a_rounded_training_is_the_same_with_any_number_of_threads(make_dataset):
    config = TrainConfig("any", hidden=(400,), epochs=2, batch_size=256)
    data = make_dataset(torch.rand(700, 320, generator=torch.Generator().manual_seed(0)))
    before, weights = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            run = fit(replace(config, seed=3), data, heldout=data, progress=False, device="cpu")
            weights.append(torch.cat([p.detach().flatten() for p in run.model.parameters()]))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*weights)
    assert "products in training bfloat16" in run.machine
