"""What the chapters on MNIST and Fashion-MNIST say: the right words for a good run, an untrained one and none."""

import dataclasses
import math

import pytest
import torch

from vaelib.measures import Confusions
from vaelib.report import planes
from vaelib.report.findings import reading
from vaelib.training import Epoch, fit

NAN = math.nan


def said(*findings):
    """The paragraph, whole: no number missing in it."""
    text = repr(reading(*findings))
    assert "nan" not in text
    assert "None" not in text
    assert "{" not in text
    return text


def said_with_formulas(*findings):
    """As `said`, of findings that hold formulas and references."""
    text = repr(reading(*findings))
    assert "{{" not in text
    assert "nan" not in text
    return text


@pytest.fixture
def run(tiny_npz):
    return fit(tiny_npz, progress=False, device="cpu")


def with_curve(run, *elbos, heldout):
    history = tuple(Epoch(n, elbo, 0.0, elbo, 0.1, 1.0) for n, elbo in enumerate(elbos, 1))
    return dataclasses.replace(run, history=history, heldout=run.heldout._replace(elbo=heldout))


def test_learning(run):
    text = said(*planes.learning(with_curve(run, -200.0, -150.0, -109.0, -100.0, heldout=-107.0)))
    assert "covered by epoch 3 of 4." in text
    assert "lies 7.0 nats below the end" in text
    text = said(*planes.learning(with_curve(run, -200.0, -201.0, heldout=-190.0)))
    assert "falls from -200.0 to -201.0" in text
    assert "11.0 nats above the end" in text
    for curve, rises in (((-200.0, -200.0), "The curve does not rise."), ((-200.0,), "")):
        text = said(*planes.learning(with_curve(run, *curve, heldout=-200.2)))
        assert text.startswith(rises + " The dashed" if rises else "The dashed")
        assert "within a quarter of a nat" in text


@pytest.mark.parametrize(
    ("share", "outcome", "words"),
    [
        (0.24, "blurred", "24%"),
        (0.95, "level", "about as sharp"),
        (1.5, "sharper", "150%"),
        (0.002, "flat", "0.2%"),
        (NAN, None, ""),
        (math.inf, None, ""),
    ],
)
def test_sharpness(share, outcome, words):
    for found in (planes.sharpness(share, 1000), planes.softness(share)):
        assert found.outcome == outcome
        assert words in said(found)


@pytest.fixture
def labelled(make_dataset):
    data = make_dataset(torch.rand(4, 9))
    return dataclasses.replace(data, labels=torch.tensor([0, 1, 1, 2]), class_names=("Coat", "Shirt", "Bag"))


def test_misread(labelled):
    shown = torch.tensor([0, 1, 3])
    right = labelled.labels[shown]
    two = planes.misread(labelled, shown, right, torch.tensor([1, 0, 2]))
    assert said(two).endswith("2 come back as another class (Coat as Shirt, Shirt as Coat).")
    one = planes.misread(labelled, shown, right, torch.tensor([0, 2, 2]))
    assert said(one).endswith("1 comes back as another class (Shirt as Bag).")
    unsure = planes.misread(labelled, shown, torch.tensor([0, 2, 1]), torch.tensor([0, 2, 2]))
    assert said(unsure).endswith("(Shirt as Bag); of class Shirt the vote misreads the image itself as well.")
    none = planes.misread(labelled, shown, right, right)
    assert said(none).endswith("all keep their class.")
    assert len({two.outcome, one.outcome, none.outcome}) == 3
    assert said(planes.misread(labelled, shown, None, None)) == ""


@pytest.mark.parametrize(
    ("images", "rebuilt", "outcome", "words"),
    [
        (0.95, 0.93, "level", "of the first 1,000 held-out images the vote names the class of 93.0%, the same"),
        (0.95, 0.38, "larger", "the class of 95.0%, and of 38.0% of their reconstructions"),
        (0.38, 0.95, "smaller", "the class of 95.0%, and only of 38.0%"),
        (None, None, None, ""),
    ],
)
def test_kept(images, rebuilt, outcome, words):
    assert planes.kept(images, rebuilt, 1000).outcome == outcome
    assert words in said(planes.kept(images, rebuilt, 1000))


def test_steps_and_whose_settings_they_were(run):
    batches = math.ceil(101 / run.config.batch_size)
    text = planes.steps(run, 101)
    assert f"Training took {run.config.epochs * batches:,} steps on 101 images." in text
    assert "not chosen on these data" in text
    official = dataclasses.replace(run, config=dataclasses.replace(run.config, dataset="MNIST"))
    assert "chosen" not in planes.steps(official, 101)


def test_gray():
    some, none = planes.gray(torch.tensor([[0.0, 0.5, 1.0, 0.25]])), planes.gray(torch.tensor([[0.0, 1.0]]))
    assert (some.outcome, none.outcome) == (True, False)
    assert "50.0% are gray" in said_with_formulas(some)
    assert "All pixels are 0 or 1" in said(none)


def test_dimensions_in_use():
    every, some, none = (planes.in_use(torch.tensor(kl)) for kl in ([0.2, 3.0], [0.01, 1.0, 0.09, 0.0], [0.0, 0.09]))
    assert [found.outcome for found in (every, some, none)] == [
        "all",
        "$z_{1}$, $z_{3}$ and $z_{4}$",
        "$z_{1}$ and $z_{2}$",
    ]
    assert said(planes.in_use(torch.tensor([NAN, 1.0]))) == ""
    assert said(every) == "Every latent dimension carries more than 0.1 nats of the KL term."
    assert "Of 4 latent dimensions 1 carries more" in said_with_formulas(some)
    assert "In $z_{1}$, $z_{3}$ and $z_{4}$ $q" in said_with_formulas(some)
    assert "No latent dimension" in said_with_formulas(none)


def test_how_one_figure_lies_beside_another():
    assert planes.orientation(1, "Figure 3") == ""
    assert planes.orientation(2, "Figure 3") == "Figure 3 has the same dimension across and the same one up."
    assert "slice" in planes.orientation(3, "Figure 3")


def test_worth():
    ideal = planes.worth(-130.0, -206.0, -46.0, 7.0)
    assert ideal.outcome == "larger"
    assert "48% of the way" in said(ideal)
    assert "76 nats" in said(ideal)
    null, broken = planes.worth(-205.5, -206.0, -46.0, 0.0), planes.worth(-543.0, -206.0, -46.0, 0.0)
    assert (null.outcome, broken.outcome) == ("level", "smaller")
    assert "does no better" in said(null)
    assert "would do better" in said(broken)


@pytest.mark.parametrize(
    ("right", "chance", "outcomes", "words"),
    [
        ({"VAE": 0.77, "PCA": 0.45}, 0.11, ["larger", "larger"], "keeps classes apart better"),
        ({"VAE": 0.45, "PCA": 0.44}, 0.11, ["larger", "level"], "to within two hundredths"),
        ({"VAE": 0.12, "PCA": 0.45}, 0.11, ["level", "smaller"], "to within five hundredths"),
        ({"VAE": 0.05, "PCA": 0.45}, 0.25, ["smaller", "smaller"], "would do better"),
        ({}, None, [None, None], "no labels"),
    ],
)
def test_apart(right, chance, outcomes, words):
    found = planes.apart(right, chance)
    assert [one.outcome for one in found] == outcomes
    assert words in said(*found)


def test_confusion(labelled):
    found = planes.confusion(Confusions(2, (1, 0), 0.25), labelled)
    assert found.outcome == "('Bag', 'Shirt', 'Coat')"
    for words in ("more surely than Bag", "to take Shirt for Coat", "25.0% of the images of Shirt"):
        assert words in said(found)
    for nothing in (Confusions(2, (0, 0), 0.0), None):
        assert said(planes.confusion(nothing, labelled)) == ""


@pytest.mark.parametrize(
    ("share", "outcome", "words"),
    [(0.8, "smaller", "80%"), (1.0, "level", "no better than a fade"), (1.2, "larger", "120%"), (NAN, "undefined", "")],
)
def test_way(share, outcome, words):
    assert planes.way(share).outcome == outcome
    assert words in said(planes.way(share))


@pytest.mark.parametrize(
    ("split", "outcome", "words"),
    [
        (0.0, "none", "For every picture"),
        (0.005, "few", "all but 0.5%"),
        (0.1, "some", "10%"),
        (0.8, "most", "80%"),
        (None, None, ""),
    ],
)
def test_between(split, outcome, words):
    assert planes.between(split).outcome == outcome
    assert words in said(planes.between(split))


@pytest.mark.parametrize(
    ("samples", "outcome", "words"),
    [
        (4.0, "smaller", "even closer"),
        (5.05, "level", "as close"),
        (6.0, "larger", "6.0 against 5.0"),
        (6.9, "far", "no nearer"),
        (7.5, "far", "7.5 away"),
    ],
)
def test_nearness(samples, outcome, words):
    found = planes.nearness({"samples": samples, "held-out images": 5.0, "the mean image": 6.9})
    assert found.outcome == outcome
    assert words in said(found)


def test_rules_have_an_ideal_a_null_and_a_broken_control():
    def outcomes(gain, votes, halfway, distance):
        one = {"gain": gain, "votes": votes, "halfway": halfway, "distance": distance}
        return [v.outcome for v in planes.rules({k: [x, x + 0.01, x - 0.01] for k, x in one.items()})]

    assert outcomes(60, 0.3, 0.85, 0.8) == ["held"] * 4
    assert outcomes(0, 0, 1, 1) == ["too close to call"] * 4
    assert outcomes(-300, -0.2, 1.3, 1.7) == ["did not hold"] * 4
    assert outcomes(NAN, NAN, NAN, NAN) == [None] * 4
