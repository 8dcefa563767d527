"""The paper's settings, read in the paper: §4.1 (784 → 400 → 256 → 128 → K), §4.2 (boots, K = 2 and 20)."""

import dataclasses

import pytest

from vaelib import VAE
from vaelib.paper import EXPERIMENTS, experiment


@pytest.mark.parametrize(
    ("name", "dataset", "latent_dim", "classes"),
    [
        ("mnist", "MNIST", 2, None),
        ("fashion_mnist", "FashionMNIST", 2, None),
        ("boots_2d", "FashionMNIST", 2, (9,)),
        ("boots_20d", "FashionMNIST", 20, (9,)),
    ],
)
def test_experiments_are_the_papers(name, dataset, latent_dim, classes):
    config = experiment(name)
    assert (config.dataset, config.latent_dim, config.classes) == (dataset, latent_dim, classes)
    assert config.hidden == (400, 256, 128)
    assert config.likelihood == "bernoulli"
    assert config.limit is None
    weights = sum(p.numel() for p in VAE(config.latent_dim, config.hidden, 784, config.likelihood).parameters())
    hidden = (784 * 400 + 400) + (400 * 256 + 256) + (256 * 128 + 128)
    mirrored = (128 * 256 + 256) + (256 * 400 + 400) + (400 * 784 + 784)
    assert weights == hidden + 129 * 2 * latent_dim + 128 * (latent_dim + 1) + mirrored


def test_every_experiment_is_tested_here():
    assert set(EXPERIMENTS) == {"mnist", "fashion_mnist", "boots_2d", "boots_20d"}


def test_a_reader_changes_one_thing_at_a_time():
    base = experiment("boots_20d")
    for field, value in {"latent_dim": 1, "epochs": 3, "seed": 0}.items():
        assert experiment("boots_20d", **{field: value}) == dataclasses.replace(base, **{field: value})
    assert experiment("boots_20d", dataset="FashionMNIST") == base


@pytest.mark.parametrize("dataset", ["synthetic-boots", "digits", "own.npz"])
def test_other_data_are_used_whole(dataset):
    config = experiment("boots_2d", dataset=dataset)
    assert config.dataset == dataset
    assert config.classes is None  # class 9 means ankle boots in Fashion-MNIST only


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_smoke_changes_sizes_only(name):
    full, smoke = experiment(name, latent_dim=5, seed=3), experiment(name, latent_dim=5, seed=3, smoke=True)
    changed = {
        field.name for field in dataclasses.fields(full) if getattr(full, field.name) != getattr(smoke, field.name)
    }
    assert {"epochs", "limit"} <= changed <= {"epochs", "limit", "batch_size"}
    assert smoke.epochs * smoke.limit < 2000


def test_unknown_names_and_bad_values_are_named():
    with pytest.raises(ValueError, match=r"'mnits'.*mnist, fashion_mnist, boots_2d, boots_20d"):
        experiment("mnits")
    with pytest.raises(ValueError, match=r"latent_dim must be .*, not 0"):
        experiment("mnist", latent_dim=0)
    with pytest.raises(ValueError, match=r"epochs must be .*, not 0"):
        experiment("mnist", epochs=0)
