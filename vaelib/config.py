"""`TrainConfig`: everything that decides a trained model, checked where it is written down."""

import dataclasses
import json
import math
import os
from dataclasses import dataclass
from functools import lru_cache

from vaelib.data import ImageDataset, load_dataset, source_digest
from vaelib.models import LIKELIHOODS
from vaelib.priors import DIVERGENCES, PRIORS

SCHEDULES = ("one-cycle", "linear", "constant")
INITIALS = ("uniform", "he")
MODELS = ("vae", "autoencoder")

SEEDS = 2**32  # as many as numpy's generators take
LARGEST_WEIGHT = 1e6  # of a term of the objective: its gradient's square must stay a float32


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the weights of a trained model, apart from the data's content and the code.

    Parameters
    ----------
    dataset : a name or an .npz path, as in `load_dataset`.
    latent_dim : K ≥ 1.
    epochs : passes over the training images, ≥ 1.
    seed : below 2³²; of the initial weights, the order of the images and the noise ε.
    classes, limit : the part of the data used, as in `load_dataset`.
    hidden, likelihood : as in `VAE`.
    batch_size : M of eq. 14.
    learning_rate, beta1, beta2 : Adam's step (the peak of its schedule) and the decay of its two moments.
    bias_factor : what the step is multiplied by for biases.
    schedule : "one-cycle" (Smith and Topin 2019: cosine warm-up over three tenths, then down to zero), "linear" (over
        a tenth up, then straight down to zero) or "constant".
    initial : the weights before training, as in `models.draw_he`: "uniform" is PyTorch's own, "he" that of He et al.
    model : "vae" or "autoencoder" (§2.6.1), which maximizes log p(x|z) at its one code and takes none of what follows.
    prior : p(z), a name of `priors.PRIORS` (§2.6.2).
    beta, divergence, divergence_weight : the objective of Mathieu et al. (2019), as in `objectives.regularised_step`.

    Raises ValueError, with the field and what was seen, for a value that no training could use.
    """

    dataset: str
    latent_dim: int = 2
    epochs: int = 15
    seed: int = 1
    classes: tuple[int, ...] | None = None
    limit: int | None = None
    hidden: tuple[int, ...] = (400, 256, 128)
    likelihood: str = "bernoulli"
    batch_size: int = 256
    learning_rate: float = 5e-3
    beta1: float = 0.9
    beta2: float = 0.99
    bias_factor: float = 1.0
    schedule: str = "one-cycle"
    initial: str = "uniform"
    model: str = "vae"
    prior: str = "standard-normal"
    beta: float = 1.0
    divergence: str | None = None
    divergence_weight: float = 0.0

    def __post_init__(self) -> None:
        for name in ("latent_dim", "epochs", "batch_size"):
            if not _is_count(getattr(self, name)):
                raise ValueError(f"{name} must be an integer of at least 1, not {getattr(self, name)!r}")
        if not _is_label(self.seed) or self.seed >= SEEDS:
            raise ValueError(f"seed must be an integer from 0 to {SEEDS - 1}, not {self.seed!r}")
        if self.limit is not None and not _is_count(self.limit):
            raise ValueError(f"limit must be an integer of at least 1, or None for all images, not {self.limit!r}")
        if not isinstance(self.dataset, str | os.PathLike):
            raise ValueError(f"dataset must be a name or the path of an .npz, not {self.dataset!r}")
        self._check_between("learning_rate", 0, math.inf, "above 0")
        self._check_between("bias_factor", 0, math.inf, "above 0")
        self._check_between("beta1", 0, 1, "above 0 and below 1")
        least = self.beta1**4  # Adam's convergence needs β₁² < √β₂ (Kingma and Ba 2015)
        self._check_between("beta2", least, 1, f"above beta1⁴, {least:g}, and below 1, where Adam's steps stay bounded")
        for name in ("beta", "divergence_weight"):
            value = getattr(self, name)
            if not _is_number(value) or not 0 <= value <= LARGEST_WEIGHT:
                raise ValueError(f"{name} must be a number from 0 to {LARGEST_WEIGHT:g}, not {value!r}")
        for name, known in (
            ("schedule", SCHEDULES),
            ("initial", INITIALS),
            ("likelihood", LIKELIHOODS),
            ("model", MODELS),
            ("prior", PRIORS),
            ("divergence", (None, *DIVERGENCES)),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {known}, not {getattr(self, name)!r}")
        if not isinstance(self.hidden, list | tuple) or not all(map(_is_count, self.hidden)):
            raise ValueError(f"hidden must be a tuple of integers of at least 1, or (), not {self.hidden!r}")
        if self.classes is not None and not (
            isinstance(self.classes, list | tuple) and self.classes and all(map(_is_label, self.classes))
        ):
            raise ValueError(
                f"classes must be a tuple of one or more integers of at least 0, or None for all, not {self.classes!r}"
            )
        if (self.divergence is None) != (self.divergence_weight == 0):
            raise ValueError(
                f"a divergence goes with a weight above 0, and no divergence with a weight of 0, "
                f"not {self.divergence!r} with {self.divergence_weight!r}"
            )
        if self.model == "autoencoder" and not (self.prior == PRIORS[0] and self.follows_elbo):
            raise ValueError("an autoencoder has no prior: leave prior, beta and divergence out")
        # Lists (from JSON or a notebook) and tuples must mean, and hash to, the same configuration; so must a path and
        # its text, and 1 and 1.0.
        object.__setattr__(self, "hidden", tuple(self.hidden))
        object.__setattr__(self, "classes", None if self.classes is None else tuple(self.classes))
        object.__setattr__(self, "dataset", os.fspath(self.dataset))
        for name in ("learning_rate", "beta1", "beta2", "bias_factor", "beta", "divergence_weight"):
            object.__setattr__(self, name, float(getattr(self, name)))

    def _check_between(self, name: str, low: float, high: float, where: str) -> None:
        value = getattr(self, name)
        if not _is_number(value) or not low < value < high:
            raise ValueError(f"{name} must be a number {where}, not {value!r}")

    @property
    def follows_elbo(self) -> bool:
        """Whether the objective is the plain ELBO, with nothing weighted or added."""
        return self.beta == 1 and self.divergence is None

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    def load(self, split: str) -> ImageDataset:
        """The part of the data set that this config trains on ("train") or is measured on ("test").

        The last few are kept, until the files change: treat the images as read-only. Raises what `load_dataset` raises.
        """
        return _load(self.dataset, split, self.classes, self.limit, source_digest(self.dataset))

    @classmethod
    def from_json(cls, text: str) -> "TrainConfig":
        return cls(**json.loads(text))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_label(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_count(value: object) -> bool:
    return _is_label(value) and value >= 1


@lru_cache(maxsize=4)
def _load(dataset: str, split: str, classes: tuple[int, ...] | None, limit: int | None, _source: str) -> ImageDataset:
    """`load_dataset`, kept: a page asks for the same images a dozen times, and reading and hashing takes a second."""
    return load_dataset(dataset, split, classes=classes, limit=limit)
