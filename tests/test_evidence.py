"""What is recorded: every part is sound, and the planes' measures tell a trained run from an untrained one."""

import dataclasses
import math
import re

import pytest
import torch

import vaelib
from vaelib import evidence, factors, measures, results, synthetic
from vaelib.config import TrainConfig
from vaelib.evidence import PARTS
from vaelib.training import TrainedRun, initial_model

DRAWN_ONLY = {"compared_points"}  # one seed's picture, from which nothing is concluded


@pytest.mark.parametrize("name", PARTS)
def test_a_part_has_configs_of_its_own_and_seeds_for_an_interval(name):
    part = PARTS[name]
    configs = [results.without_seed(config) for config in part.configs]
    assert len(set(configs)) == len(configs) > 0
    assert part.seeds >= (1 if name in DRAWN_ONLY else 3)
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)  # it is a file's name and a word on the command line
    assert re.fullmatch(r"[0-9a-f]{16}", results.part_digest(name))


def test_parts_have_different_digests():
    assert len({results.part_digest(name) for name in PARTS}) > 1


# Planes


@pytest.fixture(scope="module")
def config():
    return TrainConfig("digits", epochs=60)


@pytest.fixture(scope="module")
def trained(config):
    return vaelib.fit(config, progress=False, device="cpu")


def untrained(config):
    test = config.load("test")
    model = initial_model(config, test.images.shape[1])
    heldout = vaelib.training.heldout_elbo(model, test.images)
    return TrainedRun(model, config, (), heldout, "", "nowhere")


def test_planes_of_a_trained_and_of_an_untrained_run(config, trained):
    good, null = evidence.plane(trained), evidence.plane(untrained(config))
    assert good.keys() == null.keys()
    assert all(math.isfinite(value) for value in (good | null).values())
    assert good["gain"] > 2 > 0 > null["gain"]
    assert good["votes"] > 0 > null["votes"]
    assert good["halfway"] < 0.95
    assert null["halfway"] == pytest.approx(1, abs=0.01)
    assert good["distance"] < 1 < null["distance"]


def test_planes_add_up(config, trained):
    """From the mean image to the floor it is as far as to the model and on from there."""
    found = evidence.plane(trained)
    train, test = config.load("train").images, config.load("test").images
    way = -measures.binary_entropy(test).mean().item() - measures.mean_image_log_likelihood(train, test)
    assert found["gain"] + found["short"] == pytest.approx(way, rel=1e-5)
    assert found["elbo"] == trained.heldout.elbo


def test_planes_of_shuffled_labels_find_no_class(config, trained, monkeypatch):
    load = TrainConfig.load

    def shuffled(self, split):
        data = load(self, split)
        order = torch.randperm(len(data.labels), generator=torch.Generator().manual_seed(0))
        return dataclasses.replace(data, labels=data.labels[order])

    monkeypatch.setattr(TrainConfig, "load", shuffled)
    assert abs(evidence.plane(trained)["votes"]) < 0.06


# Heel and shaft


class Planted(torch.nn.Module):
    """A "trained" model of drawn boots whose two axes, turned by an angle, are heel and shaft exactly."""

    low, high = torch.tensor([synthetic.HEEL_RANGE, synthetic.SHAFT_RANGE]).T

    def __init__(self, degrees=0.0, exchanged=False):
        super().__init__()
        self.degrees, self.exchanged = degrees, exchanged

    def mean_image(self, z):
        z = measures.rotated(z, -self.degrees)
        heights = self.low + (self.high - self.low) * torch.special.ndtr(z.flip(1) if self.exchanged else z)
        return synthetic._draw(*heights[:, :, None, None].unbind(1)).flatten(1)

    def encode(self, x):
        share = (factors.boot_heights(x) - self.low) / (self.high - self.low)
        z = torch.special.ndtri(share.clamp(0.001, 0.999))
        return measures.rotated(z.flip(1) if self.exchanged else z, self.degrees), torch.full_like(z, -4.0)

    def embed(self, x):
        return self.encode(x)[0]


def planted(**how):
    config = TrainConfig("synthetic-boots", latent_dim=2, limit=300)
    return TrainedRun(Planted(**how), config, (), None, "", "nowhere")


def test_axes_that_are_heel_and_shaft_are_found_by_both_ways_of_measuring():
    read_off, known = evidence.boots_axes(planted()), evidence.drawn_boots_axes(planted())
    for scores in (read_off, known):
        assert scores["one"] > 0.9
        assert scores["apart"] > 0.9
        assert scores["as_numbered"] > 0.9
        assert scores["apart_rank"] > 0.9
    assert min(read_off["kept_heel"], read_off["kept_shaft"]) > 0.95
    assert known["misread"] < 0.05
    assert min(known[name] for name in ("mig", "sap", "disentanglement", "completeness")) > 0.7


def test_exchanged_axes_have_the_other_sign():
    scores = evidence.boots_axes(planted(exchanged=True))
    assert scores["apart"] > 0.9
    assert scores["as_numbered"] < -0.9


def test_axes_turned_half_way_score_nothing_and_rank_last():
    half_way = planted(degrees=45.0)
    read_off, known = evidence.boots_axes(half_way), evidence.drawn_boots_axes(half_way)
    for scores in (read_off, known):
        assert scores["apart"] < 0.1
        assert scores["apart_high"] > 0.9
        assert scores["apart_rank"] < 0.1
    assert max(known[name] for name in ("mig", "sap", "disentanglement", "completeness")) < 0.1
    assert known["informativeness"] > 0.9  # nothing is lost by turning


def test_an_untrained_network_holds_no_height():
    config = TrainConfig("synthetic-boots", latent_dim=2, limit=300)
    scores = evidence.boots_axes(untrained(config))
    assert not scores["kept_heel"] > 0.5
    assert not scores["apart"] > 0.5
