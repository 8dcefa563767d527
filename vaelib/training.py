"""Algorithm 1: stochastic gradient ascent on the ELBO.

Axes: N images, B batch, D pixels, K latent.
"""

import dataclasses
import json
import math
import time
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm

from vaelib.data import ImageDataset, load_dataset
from vaelib.elbo import ElboTerms, elbo
from vaelib.models import VAE

SCHEDULES = ("one-cycle", "constant")


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the weights of a trained model, apart from the data's content and the code.

    Parameters
    ----------
    dataset : a name or an .npz path, as in `load_dataset`.
    latent_dim : K ≥ 1.
    epochs : passes over the training images, ≥ 1.
    seed : of the initial weights, the order of the images and the noise ε.
    classes, limit : the part of the data used, as in `load_dataset`.
    hidden, likelihood : as in `VAE`.
    batch_size : M of eq. 14.
    learning_rate : Adam's; with "one-cycle" the peak rate.
    schedule : "one-cycle" (linear warm-up over the first tenth, then a cosine to zero) or "constant".
    """

    dataset: str
    latent_dim: int = 2
    epochs: int = 12
    seed: int = 1
    classes: tuple[int, ...] | None = None
    limit: int | None = None
    hidden: tuple[int, ...] = (400, 256, 128)
    likelihood: str = "bernoulli"
    batch_size: int = 256
    learning_rate: float = 3e-3
    schedule: str = "one-cycle"

    def __post_init__(self) -> None:
        for name in ("latent_dim", "epochs", "batch_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be an integer of at least 1, not {value!r}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(f"seed must be a non-negative integer, not {self.seed!r}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(f"learning_rate must be a positive number, not {self.learning_rate!r}")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {SCHEDULES}, not {self.schedule!r}")
        # Lists (from JSON or a notebook) and tuples must mean, and hash to, the same configuration.
        object.__setattr__(self, "hidden", tuple(self.hidden))
        if self.classes is not None:
            object.__setattr__(self, "classes", tuple(self.classes))

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    def load(self, split: str) -> ImageDataset:
        """The part of the data set that this config trains on ("train") or is measured on ("test")."""
        return load_dataset(self.dataset, split, classes=self.classes, limit=self.limit)

    @classmethod
    def from_json(cls, text: str) -> "TrainConfig":
        return cls(**json.loads(text))


class Epoch(NamedTuple):
    """One line of a run's history: training means over the epoch, in nats per image."""

    epoch: int
    log_likelihood: float
    kl: float
    elbo: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """A trained model and how it came about. `heldout` holds mean ElboTerms over held-out images, as floats."""

    model: VAE
    config: TrainConfig
    history: tuple[Epoch, ...]
    heldout: ElboTerms
    data_digest: str
    device: str


class TrainingError(RuntimeError):
    """Training left the real numbers, or the data does not fit the model."""


def fit(
    config: TrainConfig,
    data: ImageDataset | None = None,
    *,
    heldout: ImageDataset | None = None,
    device: str = "auto",
    progress: bool = True,
) -> TrainedRun:
    """Train the model that `config` describes and measure it on held-out images.

    `data` and `heldout` default to the two splits of `config.dataset`. `device="auto"` takes a GPU where there is one;
    on one machine's CPU the same config gives the same weights, bit for bit. The progress bar (epoch, ELBO in nats,
    time left) is drawn on a terminal only. Raises ValueError or DataError before any training on bad input, and
    TrainingError when the ELBO stops being finite.
    """
    data = config.load("train") if data is None else data
    heldout = config.load("test") if heldout is None else heldout
    for images in (data.images, heldout.images):
        _check_images(images, config)
    where = resolve_device(device)

    model = initial_model(config, data.images.shape[1]).to(where)
    generator = torch.Generator(where).manual_seed(config.seed)
    images = data.images.to(where)
    steps = math.ceil(len(images) / config.batch_size)
    optimiser = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)
    schedule = LambdaLR(optimiser, _schedule(config.schedule, config.epochs * steps))

    history = []
    label = f"{config.dataset} K={config.latent_dim} seed {config.seed}"
    # disable=None: a bar on a terminal, none in a notebook or a log.
    bar = tqdm(range(config.epochs), label, unit="epoch", disable=None if progress else True)
    for epoch in bar:
        start = time.perf_counter()
        rate = schedule.get_last_lr()[0]
        totals = torch.zeros(3, device=where)
        for batch in torch.randperm(len(images), generator=generator, device=where).split(config.batch_size):
            totals += train_step(model, optimiser, images[batch], generator)
            schedule.step()
        means = [total / len(images) for total in totals.tolist()]  # the epoch's one synchronisation
        if not math.isfinite(means[2]):
            raise TrainingError(
                f"the ELBO became {means[2]} in epoch {epoch + 1} of {config.epochs}: "
                f"try a learning_rate below {config.learning_rate:g}"
            )
        history.append(Epoch(epoch + 1, *means, rate, time.perf_counter() - start))
        bar.set_postfix_str(f"ELBO {means[2]:.2f} nats")
    measured = heldout_elbo(model, heldout.images.to(where))
    return TrainedRun(model.cpu(), config, tuple(history), measured, data.digest, str(where))


def train_step(
    model: VAE, optimiser: torch.optim.Optimizer, x: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """One step of Algorithm 1: gradient ascent on the batch's mean ELBO (eq. 14, one draw of z per image).

    x (B, D). Returns the batch's summed log-likelihood, KL and ELBO (3,), in nats, without waiting for them.
    """
    terms = elbo(model, x, generator=generator)
    loss = -terms.elbo.mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return torch.stack([term.detach().sum() for term in terms])


def initial_model(config: TrainConfig, data_dim: int) -> VAE:
    """The untrained model of a config: a function of its seed, leaving torch's global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return VAE(config.latent_dim, config.hidden, data_dim, config.likelihood)


@torch.no_grad()
def heldout_elbo(model: VAE, images: Tensor, *, n_samples: int = 10, seed: int = 0) -> ElboTerms:
    """Mean ELBO and its parts over `images` (N, D), with `n_samples` draws of z each: floats, in nats per image."""
    generator = torch.Generator(images.device).manual_seed(seed)
    totals = torch.zeros(3, dtype=torch.float64, device=images.device)
    for x in images.split(1000):
        totals += torch.stack([term.double().sum() for term in elbo(model, x, n_samples=n_samples, generator=generator)])
    return ElboTerms(*(totals / len(images)).tolist())


def resolve_device(device: str) -> torch.device:
    """ "auto" is a GPU where there is one; anything else is torch's name of a device."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else torch.device(device)


def _schedule(name: str, total_steps: int):
    """Learning rate, as a share of its peak, over steps 0 … total_steps."""
    if name == "constant":
        return lambda step: 1.0
    warm_up = max(1, total_steps // 10)

    def one_cycle(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, total_steps - warm_up)))

    return one_cycle


def _check_images(images: Tensor, config: TrainConfig) -> None:
    if config.likelihood == "bernoulli" and not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(
            f"the Bernoulli likelihood (eq. 15) needs pixels in [0, 1], but {config.dataset!r} has values from "
            f"{images.min():.3g} to {images.max():.3g}: rescale the images or use likelihood='gaussian' (eq. 16)"
        )
