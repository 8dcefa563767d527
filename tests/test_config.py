"""`TrainConfig`: equal configs are one config, bad values are named, and images are read once."""

import dataclasses
import json
import math

import pytest

from vaelib import config as config_module
from vaelib.config import TrainConfig
from vaelib.priors import DIVERGENCES, PRIORS


def test_config_survives_json():
    config = TrainConfig(
        "FashionMNIST", latent_dim=7, epochs=3, seed=0, classes=(9, 1), limit=50, hidden=(), likelihood="gaussian",
        batch_size=9, learning_rate=0.5, schedule="constant",
    )  # fmt: skip
    assert TrainConfig.from_json(config.to_json()) == config
    assert TrainConfig.from_json(TrainConfig("digits").to_json()) == TrainConfig("digits")
    assert set(json.loads(config.to_json())) == {field.name for field in dataclasses.fields(TrainConfig)}


def test_lists_and_tuples_are_the_same_config():
    lists, tuples = (
        TrainConfig("digits", classes=[1, 2], hidden=[8, 4]),
        TrainConfig("digits", classes=(1, 2), hidden=(8, 4)),
    )
    assert lists == tuples
    assert hash(lists) == hash(tuples)
    assert lists.to_json() == tuples.to_json()


def test_a_path_is_the_same_config_as_its_text(tmp_path):
    path = tmp_path / "x.npz"
    assert TrainConfig(path) == TrainConfig(str(path))
    assert TrainConfig.from_json(TrainConfig(path).to_json()) == TrainConfig(path)


def test_a_whole_number_is_the_same_config_as_its_float():
    whole = {"learning_rate": 1, "bias_factor": 2, "divergence_weight": 3, "beta": 2}
    floats = {name: float(number) for name, number in whole.items()}
    one, other = (TrainConfig("digits", divergence="mmd", **numbers).to_json() for numbers in (whole, floats))
    assert one == other


def test_every_field_tells_configs_apart():
    base = TrainConfig("digits")
    changes = {
        "dataset": "synthetic-boots", "latent_dim": 3, "epochs": 1, "seed": 2, "classes": (1,), "limit": 5,
        "hidden": (), "likelihood": "gaussian", "batch_size": 1, "learning_rate": 0.1, "schedule": "constant",
        "initial": "he", "beta1": 0.8, "beta2": 0.9, "bias_factor": 2.0, "model": "autoencoder",
        "prior": PRIORS[1], "beta": 2.0,
    }  # fmt: skip
    others = [dataclasses.replace(base, **{field: value}) for field, value in changes.items()]
    # A divergence and its weight only go together.
    one, other = DIVERGENCES
    for divergence, weight in ((one, 1.0), (one, 2.0), (other, 1.0)):
        others.append(dataclasses.replace(base, divergence=divergence, divergence_weight=weight))
    fields = {field.name for field in dataclasses.fields(TrainConfig)}
    assert set(changes) | {"divergence", "divergence_weight"} == fields
    assert len({config.to_json() for config in [base, *others]}) == 1 + len(others)
    assert all(TrainConfig.from_json(config.to_json()) == config for config in others)


def test_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig("digits").epochs = 3


unheeded = pytest.mark.fault("A run is described with {field}={value}", kept="the time: nothing is loaded or trained")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("latent_dim", 0, marks=unheeded),
        ("latent_dim", 2.0),
        ("latent_dim", "2"),
        ("epochs", 0),
        ("epochs", True),
        ("batch_size", -1),
        ("seed", -1),
        ("seed", 1.5),
        ("seed", True),
        pytest.param("seed", 10**23, marks=unheeded),
        pytest.param("limit", 0, marks=unheeded),
        pytest.param("limit", -5, marks=unheeded),
        pytest.param("limit", "10", marks=unheeded),
        ("limit", True),
        ("limit", 2.0),
        ("dataset", 5),
        ("dataset", None),
        ("dataset", b"digits"),
        ("learning_rate", 0.0),
        ("learning_rate", -1.0),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("learning_rate", "fast"),
        ("bias_factor", 0),
        ("bias_factor", math.inf),
        ("bias_factor", True),
        ("beta1", 0),
        ("beta1", 1.0),
        ("beta1", "0.9"),
        ("beta2", 1.0),
        pytest.param("beta2", 0, marks=unheeded),
        ("beta2", 0.5),
        ("beta2", -0.1),
        ("beta2", math.nan),
        ("beta2", True),
        ("schedule", "steps"),
        ("initial", "zeros"),
        ("likelihood", "poisson"),
        ("model", "gan"),
        ("prior", "cauchy"),
        ("divergence", "jensen"),
        ("beta", -1.0),
        ("beta", math.nan),
        pytest.param("beta", 1e300, marks=unheeded),
        ("beta", True),
        ("beta", "1"),
        ("divergence_weight", 1e7),
        ("divergence_weight", math.inf),
        ("hidden", 400),
        ("hidden", (400, 0)),
        ("hidden", (400, 2.5)),
        ("hidden", (True,)),
        ("hidden", "400"),
        ("classes", 9),
        pytest.param("classes", (), marks=unheeded),
        ("classes", (1.0,)),
        ("classes", (True,)),
        ("classes", (-1,)),
        ("classes", "9"),
    ],
)
def test_bad_values_are_named_with_what_was_seen(field, value, request):
    with pytest.raises(ValueError, match=rf"^{field} must .*, not ") as caught:
        TrainConfig(**{"dataset": "digits"} | {field: value})
    assert "\n" not in str(caught.value)
    assert repr(value) in str(caught.value)
    if request.node.get_closest_marker("fault"):
        request.getfixturevalue("sees")(str(caught.value), value=repr(value))


@pytest.fixture
def readings(monkeypatch):
    """The splits that were really read, one entry a reading."""
    read, load = [], config_module.load_dataset

    def counted(name, split, **choice):
        read.append(split)
        return load(name, split, **choice)

    monkeypatch.setattr(config_module, "load_dataset", counted)
    return read


def test_images_are_read_once_for_all_configs_that_ask_for_the_same(tiny_npz, readings):
    first = tiny_npz.load("train")
    other = dataclasses.replace(tiny_npz, latent_dim=7, epochs=9, seed=5)
    assert other.load("train") is first
    assert tiny_npz.load("test") is not first
    assert len(dataclasses.replace(tiny_npz, limit=3).load("train").images) == 3
    assert len(dataclasses.replace(tiny_npz, classes=(0,)).load("train").images) < len(first.images)
    assert readings == ["train", "test", "train", "train"]


def test_images_are_read_again_when_their_file_changed(tiny_npz, npz_writer, readings):
    before = tiny_npz.load("train")
    npz_writer(tiny_npz.dataset, seed=1)
    after = tiny_npz.load("train")
    assert before.digest != after.digest
    assert readings == ["train", "train"]
