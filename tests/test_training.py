"""Algorithm 1 against a loop that follows it line by line, and how `fit` behaves."""

import copy
import dataclasses
import math
import re
import subprocess
import sys
from itertools import pairwise

import pytest
import torch
from torch.distributions import Normal, kl_divergence
from torch.nn import Linear

from vaelib import runs, training
from vaelib.adam import Adam
from vaelib.config import TrainConfig
from vaelib.models import VAE
from vaelib.training import TrainingError, fit, heldout_elbo, initial_model, learning_rates, train_step


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def layers(network):
    return [layer for layer in network if isinstance(layer, Linear)]


def forward(network, x):
    *hidden, last = layers(network)
    for layer in hidden:
        x = torch.clamp(layer.weight @ x + layer.bias, min=0)
    return last.weight @ x + last.bias


def algorithm_1(model, batch, noise):
    """The body of Algorithm 1 for one batch, with the 1/M of eq. 14: the ELBO and its sums over the batch."""
    latent_dim = model.latent_dim
    elbo, sums = 0.0, [0.0, 0.0, 0.0]
    for x, epsilon in zip(batch, noise, strict=True):
        heads = forward(model.encoder, x)
        mu, sigma = heads[:latent_dim], torch.sqrt(torch.exp(heads[latent_dim:]))
        z = mu + sigma * epsilon
        p = 1 / (1 + torch.exp(-forward(model.decoder, z)))
        l_kl = sum(0.5 * (1 + torch.log(s**2) - m**2 - s**2) for m, s in zip(mu, sigma, strict=True))
        l_r = sum(x_j * torch.log(p_j) + (1 - x_j) * torch.log(1 - p_j) for x_j, p_j in zip(x, p, strict=True))
        elbo = elbo + (l_kl + l_r)
        for place, value in enumerate((l_r, -l_kl, l_kl + l_r)):
            sums[place] += value.item()
    return elbo / len(batch), sums


def one_cycle(step, total_steps, peak):
    """Up from a 25th of the peak over three tenths of the steps, down to a 250,000th, both along half a cosine."""
    top = 0.3 * total_steps - 1
    if step <= top:
        return peak / 25 + (peak - peak / 25) * (1 - math.cos(math.pi * step / top)) / 2
    down = (step - top) / (total_steps - 1 - top)
    return peak / 250_000 + (peak - peak / 250_000) * (1 + math.cos(math.pi * down)) / 2


@pytest.fixture
def images():
    return torch.rand(5, 6, generator=seeded(0))


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(4)
        return VAE(2, (5, 4), 6)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 10, 33, 34, 100, 3290])
def test_rates_are_those_of_pytorchs_one_cycle(steps):
    unused = torch.optim.SGD([torch.zeros(())], 5e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(unused, 5e-3, total_steps=steps, cycle_momentum=False)
    unused.step()  # a schedule that moves before its optimizer warns
    theirs = []
    for _ in range(steps):
        theirs.append(schedule.get_last_lr()[0])
        schedule.step()
    assert learning_rates(TrainConfig("any"), steps) == theirs


@pytest.mark.parametrize("steps", [1, 2, 9, 10, 11, 33, 2350])
def test_linear_rates_rise_over_a_tenth_and_fall_straight_to_zero(steps):
    rates = learning_rates(TrainConfig("any", schedule="linear", learning_rate=2.0), steps)
    assert len(rates) == steps and min(rates) > 0 and max(rates) <= 2
    up, changes = 0.1 * steps, [later - earlier for earlier, later in pairwise(rates)]
    rising = [change for step, change in enumerate(changes) if step + 2 <= up]
    falling = [change for step, change in enumerate(changes) if step >= up]
    assert rising == pytest.approx([2 / up] * len(rising))
    assert falling == pytest.approx([-2 / (steps - up)] * len(falling))
    assert rates[-1] == pytest.approx(min(2, 2 / (steps - up)))  # one step more would be at zero


# The step


@pytest.mark.equation(14)
@pytest.mark.equation(15)
@pytest.mark.equation(18)
@pytest.mark.equation(19)
@pytest.mark.equation(20)
def test_two_steps_of_ascent_are_two_rounds_of_algorithm_1(model, images):
    model, images, rate = model.double(), images.double(), 0.1
    by_hand = copy.deepcopy(model)
    optimiser = torch.optim.SGD(model.parameters(), lr=rate)
    ours, theirs = seeded(7), seeded(7)
    for batch in (images[:3], images[3:]):
        totals = train_step(model, optimiser, batch, ours)
        elbo, sums = algorithm_1(by_hand, batch, torch.randn(len(batch), 2, generator=theirs, dtype=torch.float64))
        gradients = torch.autograd.grad(elbo, list(by_hand.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(by_hand.parameters(), gradients, strict=True):
                parameter += rate * gradient
        assert totals.tolist() == pytest.approx(sums, rel=1e-12)
        for parameter, expected in zip(model.parameters(), by_hand.parameters(), strict=True):
            torch.testing.assert_close(parameter, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("beta1", "beta2", "bias_factor"), [(0.9, 0.98, 1.0), (0.9, 0.999, 1.0), (0.8, 0.95, 10.0)])
def test_adam_is_pytorchs_bit_for_bit_and_leaves_what_has_no_gradient(model, beta1, beta2, bias_factor):
    other, idle = copy.deepcopy(model), torch.ones(3, requires_grad=True)
    ours = Adam([*model.parameters(), idle], 0.01, beta1=beta1, beta2=beta2, bias_factor=bias_factor)
    groups = [
        {"params": [p for name, p in other.named_parameters() if name.endswith(kind)]} for kind in ("weight", "bias")
    ]
    theirs = torch.optim.Adam(groups, 0.01, (beta1, beta2), fused=True)
    for step in range(5):
        images = torch.rand(5, 6, generator=seeded(step))
        rate = 0.01 / (step + 1)
        ours.param_groups[0]["lr"] = theirs.param_groups[0]["lr"] = rate
        theirs.param_groups[1]["lr"] = bias_factor * rate
        train_step(model, ours, images, seeded(step))
        train_step(other, theirs, images, seeded(step))
    for mine, expected in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, expected)
    assert torch.equal(idle, torch.ones(3))


def test_training_does_not_import_the_compiler():
    code = "import sys; from vaelib.config import TrainConfig; from vaelib.training import fit; "
    code += (
        "fit(TrainConfig('digits', epochs=1), device='cpu', progress=False); assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_step_goes_uphill(model, images):
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3)
    first = train_step(model, optimiser, images, seeded(1))[2]
    assert train_step(model, optimiser, images, seeded(1))[2] > first  # the same noise: a fair comparison


def test_a_step_reports_without_keeping_the_graph(model, images):
    totals = train_step(model, torch.optim.Adam(model.parameters()), images, seeded(0))
    assert totals.shape == (3,)
    assert not totals.requires_grad


def test_fit_is_algorithm_1_with_adam_and_one_cycle(make_dataset):
    """The whole loop again: order, noise, Adam's two moments and the rate, each written out."""
    moving = {"learning_rate": 0.02, "beta1": 0.8, "beta2": 0.95, "bias_factor": 3.0}
    config = TrainConfig("by hand", epochs=3, hidden=(5,), batch_size=4, seed=6, **moving)
    data = make_dataset(torch.rand(14, 6, generator=seeded(0)))
    run = fit(config, data, heldout=data, device="cpu", progress=False)

    model, generator = initial_model(config, 6).double(), seeded(6)
    parameters = list(model.parameters())
    first, second = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    total_steps, step, sums_by_epoch, rates = 3 * 4, 0, [], []
    for _ in range(config.epochs):
        sums = [0.0] * 3
        order = torch.randperm(14, generator=generator)
        for batch in (order[:4], order[4:8], order[8:12], order[12:]):
            rates.append(one_cycle(step, total_steps, 0.02))
            noise = torch.randn(len(batch), 2, generator=generator)
            elbo, parts = algorithm_1(model, data.images[batch].double(), noise.double())
            sums = [a + b for a, b in zip(sums, parts, strict=True)]
            gradients = torch.autograd.grad(-elbo, parameters)
            step += 1
            with torch.no_grad():
                for p, g, m, v in zip(parameters, gradients, first, second, strict=True):
                    m.mul_(0.8).add_(0.2 * g)
                    v.mul_(0.95).add_(0.05 * g**2)
                    rate = rates[-1] * (3 if p.ndim == 1 else 1)
                    p -= rate * (m / (1 - 0.8**step)) / ((v / (1 - 0.95**step)).sqrt() + 1e-8)
        sums_by_epoch.append([total / 14 for total in sums])

    for parameter, expected in zip(run.model.parameters(), parameters, strict=True):
        torch.testing.assert_close(parameter.double(), expected, rtol=1e-3, atol=1e-4)
    for row, expected in zip(run.history, sums_by_epoch, strict=True):
        assert row[1:4] == pytest.approx(expected, rel=1e-4)
    assert [row.learning_rate for row in run.history] == pytest.approx(rates[::4])


# The loop


def test_every_epoch_shows_every_image_once_in_a_new_order(make_dataset, monkeypatch):
    seen, rates = [], []

    def recorded(model, optimiser, x, generator):
        seen.append(x[:, 0].tolist())
        rates.append(optimiser.param_groups[0]["lr"])
        return train_step(model, optimiser, x, generator)

    monkeypatch.setattr(training, "train_step", recorded)
    data = make_dataset(torch.linspace(0, 1, 10)[:, None].expand(10, 3))
    config = TrainConfig("ten", epochs=3, hidden=(), batch_size=4, learning_rate=0.01, schedule="constant")
    fit(config, data, heldout=data, progress=False, device="cpu")
    assert [len(batch) for batch in seen] == [4, 4, 2] * 3
    epochs = [seen[start] + seen[start + 1] + seen[start + 2] for start in (0, 3, 6)]
    for order in epochs:
        assert sorted(order) == data.images[:, 0].tolist()
    assert epochs[0] != epochs[1] != epochs[2]
    assert rates == [0.01] * 9


def test_the_rate_follows_one_cycle(make_dataset, monkeypatch):
    rates = []

    def recorded(model, optimiser, x, generator):
        rates.append(optimiser.param_groups[0]["lr"])
        return train_step(model, optimiser, x, generator)

    monkeypatch.setattr(training, "train_step", recorded)
    data = make_dataset(torch.rand(10, 3, generator=seeded(0)))
    config = TrainConfig("ten", epochs=10, hidden=(), batch_size=1, learning_rate=0.01)
    run = fit(config, data, heldout=data, progress=False, device="cpu")
    assert rates == pytest.approx([one_cycle(step, 100, 0.01) for step in range(100)], rel=1e-6)
    assert [row.learning_rate for row in run.history] == pytest.approx(rates[::10])
    assert rates.index(max(rates)) == 29
    assert max(rates) == pytest.approx(0.01)
    assert all(later > earlier for earlier, later in pairwise(rates[:30]))
    assert all(later < earlier for earlier, later in pairwise(rates[29:]))


def test_history_holds_means_over_the_images_in_nats(make_dataset):
    """With a rate that changes nothing, the history must be the ELBO of the untrained model."""
    data = make_dataset(torch.rand(1500, 8, generator=seeded(0)))
    config = TrainConfig("still", epochs=2, hidden=(4,), batch_size=128, learning_rate=1e-12)
    run = fit(config, data, heldout=data, progress=False, device="cpu")
    model = initial_model(config, 8).double()
    x = data.images.double()
    mu, logvar = model.encode(x)
    kl = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)).sum(-1).mean().item()
    logits = model.decode(mu + (logvar / 2).exp() * torch.randn(100, 1500, 2, generator=seeded(3), dtype=torch.float64))
    log_likelihood = (x * logits - torch.log1p(logits.exp())).sum(-1).mean().item()
    for row in run.history:
        assert row.kl == pytest.approx(kl, rel=1e-4)
        assert row.log_likelihood == pytest.approx(log_likelihood, rel=5e-3)
        assert row.elbo == pytest.approx(row.log_likelihood - row.kl, rel=1e-5)
        assert row.seconds > 0
    assert [row.epoch for row in run.history] == [1, 2]
    assert run.heldout.kl == pytest.approx(kl, rel=1e-5)
    assert run.heldout.log_likelihood == pytest.approx(log_likelihood, rel=5e-3)


def test_heldout_elbo_is_the_evidence_at_the_true_posterior(linear_gaussian):
    """Ideal: the evidence, up to sampling. Broken: an encoder that is off by a known KL falls short by it."""
    lg = linear_gaussian
    x = lg.x.repeat(6, 1)  # more than one batch of a thousand, and the last one smaller
    ideal = heldout_elbo(lg.model, x, n_samples=100)
    evidence = lg.log_evidence(lg.x).mean().item()
    assert ideal.elbo == pytest.approx(evidence, abs=0.02)
    assert ideal.elbo == pytest.approx(ideal.log_likelihood - ideal.kl)
    assert isinstance(ideal.elbo, float)
    with torch.no_grad():
        lg.model.encoder[0].bias[:2] += 1.0
    off = (0.5 / lg.posterior_variance).sum().item()
    assert evidence - heldout_elbo(lg.model, x, n_samples=100).elbo == pytest.approx(off, abs=0.05)
    assert heldout_elbo(lg.model, x) == heldout_elbo(lg.model, x)
    assert heldout_elbo(lg.model, x) != heldout_elbo(lg.model, x, seed=1)


def test_training_beats_the_pixel_means_and_only_where_pixels_belong_together(make_dataset):
    """Null: independent pixels at their mean. Broken control: the same images with every pixel shuffled by itself."""
    rng = seeded(0)
    z = torch.randn(1200, 1, generator=rng)
    pixels = (torch.sigmoid(4 * z * torch.tensor([1.0, -1.0]).repeat(6)) > torch.rand(1200, 12, generator=rng)).float()
    shuffled = torch.stack([column[torch.randperm(1200, generator=rng)] for column in pixels.T], 1)
    config = TrainConfig("planted", latent_dim=1, epochs=30, hidden=(16,), batch_size=50, learning_rate=1e-2)
    gains = []
    for images in (pixels, shuffled):
        data, heldout = make_dataset(images[:1000]), make_dataset(images[1000:])
        run = fit(config, data, heldout=heldout, progress=False, device="cpu")
        p = data.images.mean(0)
        null = (heldout.images * p.log() + (1 - heldout.images) * (1 - p).log()).sum(-1).mean().item()
        assert run.history[-1].elbo > run.history[0].elbo
        assert run.heldout.elbo == pytest.approx(run.history[-1].elbo, abs=0.6)
        gains.append(run.heldout.elbo - null)
    assert gains[0] > 2
    assert abs(gains[1]) < 0.2


def test_the_same_config_gives_the_same_weights_bit_for_bit(tiny_digits):
    first, again = (fit(tiny_digits, progress=False, device="cpu") for _ in range(2))
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name])
    assert [row[:5] for row in first.history] == [row[:5] for row in again.history]
    assert first.heldout == again.heldout
    other = fit(dataclasses.replace(tiny_digits, seed=2), progress=False, device="cpu")
    assert not torch.equal(other.model.latent_weight, first.model.latent_weight)


def test_fit_says_what_it_did(tiny_boots):
    run = fit(tiny_boots, progress=False, device="cpu")
    assert run.config == tiny_boots
    assert "thread" in run.machine
    assert run.model.data_dim == 784
    assert len(run.data_digest) == 64
    assert len(run.history) == 1
    assert run.heldout.elbo < 0


@pytest.mark.parametrize("progress", [True, False])
def test_fit_leaves_the_global_generator_alone_and_is_silent_off_a_terminal(tiny_npz, progress, capsys):
    torch.manual_seed(123)
    before = torch.get_rng_state()
    first = fit(tiny_npz, progress=progress, device="cpu").model.latent_weight
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(321)
    assert torch.equal(fit(tiny_npz, progress=progress, device="cpu").model.latent_weight, first)
    assert capsys.readouterr() == ("", "")


def test_initial_weights_follow_the_seed_and_reseed_no_gpu(monkeypatch, tiny_npz):
    def reseeded(seed):
        raise AssertionError("a caller's GPU generator was reseeded")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", reseeded)
    first, again = initial_model(tiny_npz, 16), initial_model(tiny_npz, 16)
    assert torch.equal(first.latent_weight, again.latent_weight)
    for change in ({"seed": 2}, {"initial": "he"}):
        other = initial_model(dataclasses.replace(tiny_npz, **change), 16)
        assert not torch.equal(first.latent_weight, other.latent_weight)
        assert torch.equal(first.decoder[0].bias, other.decoder[0].bias) == ("initial" in change)


@pytest.mark.parametrize("latent_dim", [1, 3, 10])
@pytest.mark.parametrize("hidden", [(), (5,)])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_every_size_trains(tiny_npz, latent_dim, hidden, likelihood):
    config = dataclasses.replace(tiny_npz, latent_dim=latent_dim, hidden=hidden, likelihood=likelihood)
    run = fit(config, progress=False, device="cpu")
    assert math.isfinite(run.heldout.elbo)
    assert run.model.latent_weight.shape[1] == latent_dim


def test_denormal_numbers_are_flushed_to_zero_in_every_thread():
    """Else the epochs of a long training grow slower and slower (`benchmarks/README.md`)."""
    script = """
import vaelib, torch
torch.set_num_threads(2)
small = torch.full((1_000_000,), 1e-30)
assert (small * 1e-10 == 0).all()
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_products_are_rounded_in_training_and_not_in_measuring(tiny_npz, monkeypatch):
    seen = {}

    def noted(name):
        function = getattr(training, name)

        def wrapped(*args, **kwargs):
            seen[name] = torch.get_float32_matmul_precision()
            return function(*args, **kwargs)

        monkeypatch.setattr(training, name, wrapped)

    noted("train_step")
    noted("heldout_elbo")
    fit(tiny_npz, progress=False)
    assert seen == {"train_step": "medium", "heldout_elbo": "highest"}
    monkeypatch.setattr(training, "train_step", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fit(tiny_npz, progress=False)
    assert torch.get_float32_matmul_precision() == "highest"


# What goes wrong


def without_numbers(error):
    """The message without numbers that training made, which are others on another processor."""
    return re.sub(r"-?\d[\d,]*\.\d+(e[+-]\d+)?", "…", str(error))


@pytest.mark.fault("Training diverges, to finite numbers ({model}, {batch_size} images a batch)", kept="nothing of it")
@pytest.mark.parametrize("model", ["vae", "autoencoder"])
@pytest.mark.parametrize("batch_size", [64, 200])
def test_a_run_that_diverged_to_finite_numbers_is_an_error(tiny_digits, model, batch_size, sees):
    """With a single step the history, taken before it, shows nothing; with more, all is lost early."""
    rate = 1e6 if batch_size == 200 else 10
    config = dataclasses.replace(tiny_digits, epochs=1, batch_size=batch_size, learning_rate=rate, model=model)
    with pytest.raises(TrainingError, match=r"training diverged: .* try a learning_rate below ") as caught:
        runs.get_or_train(config, progress=False, device="cpu")
    assert "\n" not in str(caught.value)
    assert not [path for path in runs.store().iterdir() if path.is_dir()]
    sees(without_numbers(caught.value))


def test_worse_than_the_mean_image_is_a_warning_that_stays(make_dataset):
    """Ideal: a trained run. Null: an untrained one, and one that knows few images by heart. No error, whatever K."""
    z = torch.randn(1200, 1, generator=seeded(0))
    pixels = torch.sigmoid(4 * z * torch.tensor([1.0, -1.0]).repeat(6)) > torch.rand(1200, 12, generator=seeded(1))
    pixels = torch.cat([pixels.float(), torch.zeros(1200, 12)], 1)
    data, heldout = make_dataset(pixels[:1000]), make_dataset(pixels[1000:])
    few, others = (make_dataset((torch.rand(12, 24, generator=seeded(s)) < 0.5).float()) for s in (2, 3))
    config = TrainConfig("planted", latent_dim=1, epochs=30, hidden=(16,), batch_size=50, learning_rate=1e-2)
    assert fit(config, data, heldout=heldout, progress=False, device="cpu").warning == ""
    untrained = dataclasses.replace(config, epochs=1, learning_rate=1e-9)
    wide = dataclasses.replace(untrained, latent_dim=10)
    by_heart = dataclasses.replace(config, latent_dim=10, epochs=1000)
    for wanted, shown, unseen in ((untrained, data, heldout), (wide, data, heldout), (by_heart, few, others)):
        run = fit(wanted, shown, heldout=unseen, progress=False, device="cpu")
        mean = shown.images.mean(0).clamp(1e-6, 1 - 1e-6)
        null = (unseen.images * mean.log() + (1 - unseen.images) * (1 - mean).log()).sum(-1).mean().item()
        assert run.heldout.elbo < 1.1 * null - 1
        assert f"the held-out ELBO, {run.heldout.elbo:.1f} nats per image, is worse than" in run.warning
        assert f"the mean training image alone, {null:.1f}: " in run.warning


def test_variants_are_judged_by_what_they_are_after(tiny_digits):
    """Without a KL in the objective the ELBO may be as low as it likes."""
    config = dataclasses.replace(tiny_digits, limit=None, epochs=30, beta=0.0, learning_rate=2e-2)
    run = fit(config, progress=False, device="cpu")
    assert run.heldout.elbo < -40 < -27 < run.heldout.log_likelihood
    assert run.warning == ""
    short = fit(dataclasses.replace(config, epochs=1, learning_rate=1e-9), progress=False, device="cpu")
    assert "the held-out log-likelihood" in short.warning


@pytest.mark.parametrize("prior", ["standard-normal", "clustered", "sparse"])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_what_is_merely_untrained_is_no_error(make_dataset, prior, likelihood):
    """On the fewest pixels and in many dimensions, where the KL of an untrained code is most of the ELBO."""
    data = make_dataset(torch.rand(20, 2, generator=seeded(0)))
    config = TrainConfig("tiny", 20, 1, likelihood=likelihood, prior=prior, learning_rate=1e-9)
    fit(config, data, heldout=data, progress=False, device="cpu")


IN_TIME = "the time: nothing is trained"


@pytest.fixture
def no_training(monkeypatch):
    def step(*args):
        raise AssertionError("work was started before the input was checked")

    monkeypatch.setattr(training, "train_step", step)


@pytest.mark.fault("{which} images have pixels from {low} to {high}, under a Bernoulli likelihood", kept=IN_TIME)
@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(("where", "which"), [("data", "Training"), ("heldout", "Held-out")])
@pytest.mark.parametrize(("low", "high"), [(0.0, 255.0), (-0.1, 1.0)])
def test_bernoulli_refuses_pixels_outside_0_1_before_training(make_dataset, where, which, low, high, sees):
    good, bad = make_dataset(torch.rand(8, 4)), make_dataset(torch.linspace(low, high, 32).reshape(8, 4))
    sets = {"data": good, "heldout": good} | {where: bad}
    with pytest.raises(ValueError, match=rf"\[0, 1\].*from {low:.3g} to {high:.3g}.*gaussian") as caught:
        fit(TrainConfig("loud"), sets["data"], heldout=sets["heldout"], progress=False)
    sees(str(caught.value))


LOUD = {
    "from 0 to 255": (
        torch.linspace(0, 255, 32).reshape(8, 4),
        r"N\(0, 1\).*from 0 to 255, 1\d\d in the root mean square.*by 255",
    ),
    "that are NaN": (torch.full((8, 4), math.nan), "finite"),
    "that are infinite": (torch.full((8, 4), math.inf), "finite"),
}


@pytest.mark.fault("{which} images have pixels {kind}, under a Gaussian likelihood", kept=IN_TIME)
@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(("where", "which"), [("data", "Training"), ("heldout", "Held-out")])
@pytest.mark.parametrize("kind", LOUD)
def test_gaussian_refuses_bytes_and_what_is_no_number_before_training(make_dataset, where, which, kind, sees):
    bad, message = LOUD[kind]
    good = make_dataset(torch.rand(8, 4))
    sets = {"data": good, "heldout": good} | {where: make_dataset(bad)}
    with pytest.raises(ValueError, match=message) as caught:
        fit(TrainConfig("loud", likelihood="gaussian"), sets["data"], heldout=sets["heldout"], progress=False)
    sees(str(caught.value))


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("where", ["data", "heldout"])
@pytest.mark.parametrize("images", [torch.rand(0, 4), torch.rand(8, 0), torch.rand(8, 2, 2), torch.rand(8, 4).double()])
def test_images_of_another_kind_are_refused_before_training(make_dataset, where, images):
    good = make_dataset(torch.rand(8, 4))
    sets = {"data": good, "heldout": good} | {where: dataclasses.replace(good, images=images)}
    with pytest.raises(ValueError, match=r"images must be float32 \(N, D\)"):
        fit(TrainConfig("odd"), sets["data"], heldout=sets["heldout"], progress=False)


@pytest.mark.fault("Batches are compared, and of {n} images in batches of {batch_size} the last is alone", kept=IN_TIME)
@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(("n", "batch_size"), [(65, 32), (8, 1), (1, 32)])
def test_a_last_batch_of_one_is_refused_where_batches_are_compared(make_dataset, n, batch_size, sees):
    config = TrainConfig("alone", batch_size=batch_size, divergence="mmd", divergence_weight=1.0)
    data = make_dataset(torch.rand(n, 4))
    message = rf"of {n} images in batches of {batch_size} the last is alone: .*batch_size"
    with pytest.raises(ValueError, match=message) as caught:
        fit(config, data, heldout=data, progress=False)
    sees(str(caught.value))


@pytest.mark.parametrize(("n", "batch_size"), [(66, 32), (64, 32), (2, 32)])
def test_other_last_batches_train(make_dataset, n, batch_size):
    config = TrainConfig("pairs", epochs=1, hidden=(4,), batch_size=batch_size, divergence="mmd", divergence_weight=1.0)
    data = make_dataset(torch.rand(n, 4))
    assert math.isfinite(fit(config, data, heldout=data, progress=False, device="cpu").heldout.elbo)


@pytest.mark.parametrize("images", [torch.rand(0, 16), torch.rand(4, 16) * 255, torch.rand(4, 15)])
def test_the_held_out_elbo_of_unfit_images_is_an_error(tiny_npz, images):
    with pytest.raises(ValueError, match=r"no images|\[0, 1\]|shape \(B, 16\)"):
        heldout_elbo(initial_model(tiny_npz, 16), images)


@pytest.mark.usefixtures("no_training")
def test_held_out_images_of_another_size_are_refused_before_training(make_dataset):
    with pytest.raises(ValueError, match=r"held-out images have 5 pixels and the training images 4"):
        fit(
            TrainConfig("sizes"), make_dataset(torch.rand(8, 4)), heldout=make_dataset(torch.rand(8, 5)), progress=False
        )


@pytest.mark.equation(16)
def test_gaussian_learns_data_outside_0_1(make_dataset):
    """Noise from N(3, 2²) alone: nothing beats its own density, and a VAE that ignores z can do as well."""
    images = 3 + 2 * torch.randn(2000, 4, generator=seeded(0))
    config = TrainConfig(
        "loud", latent_dim=1, likelihood="gaussian", epochs=15, hidden=(8,), batch_size=50, learning_rate=5e-2
    )
    run = fit(config, make_dataset(images[:1500]), heldout=make_dataset(images[1500:]), progress=False, device="cpu")
    best = Normal(3.0, 2.0).log_prob(images[1500:]).sum(-1).mean().item()
    null = Normal(0.0, 1.0).log_prob(images[1500:]).sum(-1).mean().item()
    assert run.heldout.elbo == pytest.approx(best, abs=0.1)
    assert null < best - 10


@pytest.mark.fault("The loss becomes NaN", kept="no run that is none; training ends there")
def test_divergence_is_an_error_that_names_the_rate(make_dataset, sees):
    data = make_dataset(torch.randn(64, 4, generator=seeded(0)))
    config = TrainConfig("wild", likelihood="gaussian", epochs=5, hidden=(8,), batch_size=8, learning_rate=1e4)
    with pytest.raises(TrainingError, match="learning_rate below 10000") as caught:
        fit(config, data, heldout=data, progress=False, device="cpu")
    sees(without_numbers(caught.value))


def test_divergence_in_the_very_last_step_is_noticed(make_dataset):
    """One batch: its ELBO is taken before the step that spoils the weights, and only held-out images show it."""
    data = make_dataset(torch.randn(64, 4, generator=seeded(0)))
    config = TrainConfig("wild", likelihood="gaussian", epochs=1, hidden=(8,), batch_size=64, learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"held-out.*learning_rate"):
        fit(config, data, heldout=data, progress=False, device="cpu")
