"""Eq. 20 and the shapes of §4.1, against matrix products written out."""

import math
from itertools import pairwise

import pytest
import torch
from torch.distributions import Bernoulli, Normal
from torch.nn import Linear

from vaelib.models import VAE, Autoencoder, draw_he

WIDTHS = (784, 400, 256, 128)


def seeded(model_class, *args, **kwargs):
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return model_class(*args, **kwargs)


def by_hand(network, values):
    """y = f(Wx + b) with f = max(0, ·) between layers, number by number."""
    layers = [layer for layer in network if isinstance(layer, Linear)]
    for position, layer in enumerate(layers, start=1):
        values = [
            sum(w * v for w, v in zip(row, values, strict=True)) + b
            for row, b in zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
        ]
        if position < len(layers):
            values = [max(0.0, v) for v in values]
    return values


@pytest.mark.equation(20)
@pytest.mark.parametrize("hidden", [(), (4,), (6, 5, 4)])
@pytest.mark.parametrize("model_class", [VAE, Autoencoder])
def test_networks_compute_eq_20(model_class, hidden):
    model = seeded(model_class, 3, hidden, 7).double()
    x = torch.randn(2, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    encoded = model.encode(x)
    heads = torch.cat(encoded, -1) if model_class is VAE else encoded
    z = torch.randn(2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    decoded = model.decode(z)
    for row in range(2):
        assert heads[row].tolist() == pytest.approx(by_hand(model.encoder, x[row].tolist()), abs=1e-12)
        assert decoded[row].tolist() == pytest.approx(by_hand(model.decoder, z[row].tolist()), abs=1e-12)
    assert min(heads.min(), decoded.min()) < 0  # or a ReLU on the heads would not be noticed


@pytest.mark.equation(20)
@pytest.mark.parametrize("latent_dim", [1, 2, 3, 10])
def test_the_default_networks_are_the_papers(latent_dim):
    model = VAE(latent_dim)
    for network, widths in (
        (model.encoder, (*WIDTHS, 2 * latent_dim)),
        (model.decoder, (latent_dim, *reversed(WIDTHS))),
    ):
        shapes = [tuple(layer.weight.shape) for layer in network if isinstance(layer, Linear)]
        assert shapes == [(n_out, n_in) for n_in, n_out in pairwise(widths)]
    expected = sum((n_in + 1) * n_out for n_in, n_out in pairwise((*WIDTHS, 2 * latent_dim)))
    expected += sum((n_in + 1) * n_out for n_in, n_out in pairwise((latent_dim, *reversed(WIDTHS))))
    assert sum(p.numel() for p in model.parameters()) == expected


@pytest.mark.parametrize("latent_dim", [1, 3, 10])
@pytest.mark.parametrize("hidden", [(), (5,)])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_shapes_for_every_latent_size(latent_dim, hidden, likelihood):
    for model in (VAE(latent_dim, hidden, 6, likelihood), Autoencoder(latent_dim, hidden, 6, likelihood)):
        x = torch.rand(4, 6)
        encoded = model.encode(x)
        for part in encoded if isinstance(model, VAE) else (encoded,):
            assert part.shape == (4, latent_dim)
        assert model.embed(x).shape == (4, latent_dim)
        assert model.latent_weight.shape == ((*hidden, 6 if likelihood == "bernoulli" else 12)[0], latent_dim)
        assert model.log_likelihood(x, torch.zeros(3, 4, latent_dim)).shape == (3, 4)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("leading", [(), (5,), (3, 5), (2, 3, 5)])
def test_decode_takes_any_leading_shape(likelihood, leading):
    model = seeded(VAE, 2, (4,), 6, likelihood)
    z = torch.randn(*leading, 2, generator=torch.Generator().manual_seed(0))
    out, flat = model.decode(z), model.decode(z.reshape(-1, 2))
    if likelihood == "bernoulli":
        out, flat = (out,), (flat,)
    assert len(out) == (1 if likelihood == "bernoulli" else 2)
    for part, expected in zip(out, flat, strict=True):
        assert part.shape == (*leading, 6)
        torch.testing.assert_close(part, expected.reshape(*leading, 6))
    assert model.mean_image(z).shape == (*leading, 6)


def test_latent_weight_is_the_matrix_that_multiplies_z():
    model = seeded(VAE, 3, (4,), 6).double()
    z = torch.zeros(3, dtype=torch.float64)
    at_zero = model.decoder[0](z)
    for k in range(3):
        unit = torch.eye(3, dtype=torch.float64)[k]
        torch.testing.assert_close(model.decoder[0](unit) - at_zero, model.latent_weight[:, k])


@pytest.mark.equation(15)
def test_bernoulli_log_likelihood_and_mean_image_agree_with_torch():
    model, generator = seeded(VAE, 2, (4,), 6).double(), torch.Generator().manual_seed(0)
    x = (torch.rand(5, 6, generator=generator) < 0.5).double()
    z = torch.randn(3, 5, 2, generator=generator, dtype=torch.float64)
    p = Bernoulli(probs=1 / (1 + torch.exp(-model.decode(z))))
    torch.testing.assert_close(model.log_likelihood(x, z), p.log_prob(x.expand(3, 5, 6)).sum(-1))
    torch.testing.assert_close(model.mean_image(z), p.mean)


@pytest.mark.parametrize("model_class", [VAE, Autoencoder])
@pytest.mark.parametrize(
    ("x", "z"),
    [((5, 6), (1, 2)), ((5, 6), (2,)), ((1, 6), (5, 2)), ((6,), (5, 2)), ((5, 1), (5, 2)), ((3, 5, 6), (5, 2)),
     ((5, 6), (5, 1, 2)), ((5, 6), (5, 3)), ((5, 6), (5, 1))],
)  # fmt: skip
def test_a_log_likelihood_of_other_shapes_is_refused(model_class, x, z):
    with pytest.raises(ValueError, match=r"shapes \(B, 6\) and \(\.\.\., B, 2\) for this model, not"):
        seeded(model_class, 2, (4,), 6).log_likelihood(torch.rand(x), torch.zeros(z))


@pytest.mark.equation(16)
def test_gaussian_log_likelihood_and_mean_image_agree_with_torch():
    model, generator = seeded(VAE, 2, (4,), 6, "gaussian").double(), torch.Generator().manual_seed(0)
    x = 5 * torch.randn(5, 6, generator=generator, dtype=torch.float64)
    z = torch.randn(3, 5, 2, generator=generator, dtype=torch.float64)
    mean, logvar = model.decode(z)
    p = Normal(mean, torch.exp(logvar / 2))
    torch.testing.assert_close(model.log_likelihood(x, z), p.log_prob(x).sum(-1))
    torch.testing.assert_close(model.mean_image(z), p.mean)


@pytest.mark.parametrize("model_class", [VAE, Autoencoder])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_he_draws_weights_of_the_sizes_it_says_and_leaves_biases(model_class, likelihood):
    """Layer by layer squares keep their size so; with PyTorch's own weights they shrink to a sixth at each ReLU."""
    model = seeded(model_class, 3, (900, 700, 500), 800, likelihood)
    plain = {name: value.clone() for name, value in model.named_parameters()}
    with torch.random.fork_rng():
        torch.manual_seed(6)
        assert draw_he(model) is model
    for network in (model.encoder, model.decoder):
        *_, last = layers = [layer for layer in network if isinstance(layer, Linear)]
        for layer in layers:
            n, n_drawn = layer.in_features, layer.weight.numel()
            size = layer.weight.square().mean().item() * n
            assert size == pytest.approx(1 if layer is last else 2, rel=6 * math.sqrt(2 / n_drawn))
            assert abs(layer.weight.mean().item()) < 5 * math.sqrt(2 / n / n_drawn)
    for name, value in model.named_parameters():
        assert torch.equal(value, plain[name]) == name.endswith("bias")


def test_a_vae_embeds_at_its_posterior_mean():
    model, x = seeded(VAE, 2, (4,), 6), torch.rand(5, 6)
    assert torch.equal(model.embed(x), model.encode(x)[0])
    assert not torch.equal(model.embed(x), model.encode(x)[1])


def test_the_autoencoder_is_deterministic():
    model, x = seeded(Autoencoder, 2, (4,), 6), torch.rand(5, 6)
    before = torch.get_rng_state()
    model.train()
    first = model.mean_image(model.encode(x))
    torch.manual_seed(99)
    model.eval()
    assert torch.equal(model.mean_image(model.encode(x)), first)
    assert torch.equal(model.embed(x), model.encode(x))
    torch.set_rng_state(before)
    model.mean_image(model.encode(x))
    assert torch.equal(torch.get_rng_state(), before)  # nothing is drawn, so nothing can be noise


def test_the_autoencoder_learns_through_its_code():
    model, x = seeded(Autoencoder, 2, (4,), 6), torch.rand(5, 6)
    (-model.log_likelihood(x, model.encode(x)).mean()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    assert model.encoder[0].weight.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("arguments", "name", "seen"),
    [
        ({"latent_dim": 0}, "latent_dim", "0"),
        ({"latent_dim": 2.0}, "latent_dim", "2.0"),
        ({"latent_dim": True}, "latent_dim", "True"),
        ({"data_dim": -3}, "data_dim", "-3"),
        ({"hidden": (4, 0)}, "hidden", "0"),
        ({"hidden": (4, "wide")}, "hidden", "wide"),
        ({"likelihood": "poisson"}, "likelihood", "poisson"),
    ],
)
@pytest.mark.parametrize("model_class", [VAE, Autoencoder])
def test_bad_arguments_are_named_with_what_was_seen(model_class, arguments, name, seen):
    with pytest.raises(ValueError, match=rf"{name}.*{seen}"):
        model_class(**arguments)


def test_initial_logits_say_little():
    """A null for everything trained: at the start a picture is near uniform gray, log p(x|z) near -D log 2."""
    model, x = seeded(VAE), torch.rand(20, 784)
    log_likelihood = model.log_likelihood(x, torch.randn(20, 2, generator=torch.Generator().manual_seed(0)))
    assert log_likelihood.mean().item() == pytest.approx(-784 * math.log(2), rel=0.02)
