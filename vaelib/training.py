"""Algorithm 1: stochastic gradient ascent on the ELBO.

Axes: N images, B batch, D pixels, K latent.
"""

import copy
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from vaelib.adam import Adam, Optimiser
from vaelib.bounds import ElboTerms, check_pixels, elbo, elbo_terms
from vaelib.captured import Captured
from vaelib.config import TrainConfig
from vaelib.data import ImageDataset
from vaelib.densities import bernoulli_log_likelihood, gaussian_log_likelihood
from vaelib.machine import describe
from vaelib.models import VAE, Autoencoder, LatentModel, draw_he
from vaelib.objectives import reconstruction_step, regularised_step
from vaelib.priors import PRIORS
from vaelib.products import bfloat16_products
from vaelib.threads import SHARE, Pacer, interchangeable, numbers

# Adam's moments of weights that nothing moves any more shrink into denormal numbers, which slow processors down: by the
# sixth epoch an epoch takes twice as long. Threads take the setting over when they start, so it is made here, early.
torch.set_flush_denormal(True)

# A CUDA graph holds every kernel of its epoch, about 130 a step. Longer epochs are launched kernel by kernel.
CAPTURED_STEPS = 1_000

# With PyTorch's own weights a decoder under eq. 16 starts near N(0, 1) at every pixel. Pixels further out than this, in
# the root mean square, are bytes that nobody divided by 255.
GAUSSIAN_SCALE = 10.0
# A run that costs this many times what a decoder with all outputs at zero costs has diverged.
DIVERGED = 10.0


class Epoch(NamedTuple):
    """One line of a run's history: training means over the epoch, in nats per image.

    An autoencoder has a log-likelihood only: its `kl` and `elbo` are None.
    """

    epoch: int
    log_likelihood: float
    kl: float | None
    elbo: float | None
    learning_rate: float
    seconds: float


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """A trained model and how it came about.

    `heldout` holds mean ElboTerms over held-out images, as floats; of an autoencoder the log-likelihood, as in `Epoch`.
    `machine` says what it was trained on: processor, instruction set, precision and threads.
    `warning` is empty, or says that under eq. 15 the held-out ELBO (where something is weighted or added to the
    objective, and of an autoencoder, the log-likelihood) is worse than the mean training image's, by more than a tenth
    of it and a nat.
    """

    model: LatentModel
    config: TrainConfig
    history: tuple[Epoch, ...]
    heldout: ElboTerms
    data_digest: str
    machine: str
    warning: str = ""


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

    `data` and `heldout` default to the two splits of `config.dataset`. `device="auto"` takes a GPU where there is one,
    and there an epoch is one launch from the second on (`Captured`). On one machine's CPU the same config gives the
    same weights, bit for bit, with as many of torch's threads as are fastest beside what else runs (`Pacer`). Matrix
    products may be rounded as in `bfloat16_products`, so another processor's weights differ as another seed's would.
    The progress bar (epoch, ELBO in nats, time left) is drawn on a terminal only.
    Raises ValueError or DataError before any training on bad input, and TrainingError when the ELBO (of an autoencoder,
    the log-likelihood) stops being finite, or is, after training, on training images and held-out ones, ten times worse
    than that of a decoder whose outputs are all zero.
    """
    data = config.load("train") if data is None else data
    heldout = config.load("test") if heldout is None else heldout
    for images in (data.images, heldout.images):
        _check_images(images, config)
    last = len(data.images) % config.batch_size or min(config.batch_size, len(data.images))
    if config.divergence == "mmd" and last == 1:
        raise ValueError(
            f"divergence 'mmd' compares the images of a batch, and of {len(data.images)} images in batches of "
            f"{config.batch_size} the last is alone: choose another batch_size or limit"
        )
    if heldout.images.shape[1] != data.images.shape[1]:
        raise ValueError(
            f"the held-out images have {heldout.images.shape[1]} pixels and the training images {data.images.shape[1]}"
        )
    where = resolve_device(device)

    model = initial_model(config, data.images.shape[1]).to(where)
    generator = torch.Generator(where).manual_seed(config.seed)
    images = data.images.to(where)
    steps = math.ceil(len(images) / config.batch_size)
    rates = learning_rates(config, config.epochs * steps)
    rates_there = torch.tensor(rates, device=where) if where.type == "cuda" else rates
    run_epoch = partial(one_epoch, config, model, adam(config, model), images, generator)
    if where.type == "cpu":
        run_epoch = partial(run_epoch, paced=Pacer(_interchangeable_threads(config, model, images, last)).paced)
    elif where.type == "cuda" and steps <= CAPTURED_STEPS:
        run_epoch = Captured(run_epoch)

    objective = "ELBO" if config.model == "vae" else "log-likelihood"
    history = []
    label = f"{config.dataset} K={config.latent_dim} seed {config.seed}"
    # disable=None: a bar on a terminal, none in a notebook or a log.
    with tqdm(range(config.epochs), label, unit="epoch", disable=None if progress else True) as bar:
        for epoch in bar:
            start = time.perf_counter()
            order = torch.randperm(len(images), generator=generator, device=where)
            first = epoch * steps
            with bfloat16_products():
                totals = run_epoch(order, rates_there[first : first + steps])
            means = [total / len(images) for total in totals.tolist()]  # the epoch's one synchronization
            if not math.isfinite(means[-1]):
                raise TrainingError(
                    f"the {objective} became {means[-1]} in epoch {epoch + 1} of {config.epochs}: "
                    f"try a learning_rate below {config.learning_rate:g}"
                )
            history.append(Epoch(epoch + 1, *_terms(means), rates[first], time.perf_counter() - start))
            bar.set_postfix_str(f"{objective} {means[-1]:.2f} nats")
    unseen = heldout.images.to(where)
    measured = _measure(model, unseen)
    final = measured.log_likelihood if measured.elbo is None else measured.elbo
    if not math.isfinite(final):  # the last step is the one that no line of the history has seen
        raise TrainingError(
            f"the held-out {objective} is {final} after training: try a learning_rate below {config.learning_rate:g}"
        )
    warning = _shortfall(config, model, images, unseen, measured)
    largest = max(model.encoder.largest, model.decoder.largest) * min(config.batch_size, len(images))
    machine = describe(where, largest=largest)
    return TrainedRun(model.cpu(), config, tuple(history), measured, data.digest, machine, warning)


def one_epoch(
    config: TrainConfig,
    model: LatentModel,
    optimiser: Optimiser,
    images: Tensor,
    generator: torch.Generator,
    order: Tensor,
    rates: Sequence[float] | Tensor,
    *,
    paced: Callable[[Iterable], Iterable] = iter,
) -> Tensor:
    """A step for each batch of `images` (N, D), taken in the `order` (N,), at one of the `rates` each.

    `paced` hands out the batches. Returns the sums over the images of what a step returns, in nats. Nothing is read off
    the device: on a GPU, where `rates` is a tensor beside the images, all of it can be one launch.
    """
    step, totals = _step(config), 0.0
    for batch, rate in paced(zip(order.split(config.batch_size), rates, strict=True)):
        optimiser.param_groups[0]["lr"] = rate
        totals = totals + step(model, optimiser, images.index_select(0, batch), generator)
    return totals


def _interchangeable_threads(config: TrainConfig, model: LatentModel, images: Tensor, last: int) -> list[int]:
    """The numbers of threads with which training has the same bits, to judge by a whole batch and the `last` few."""
    if config.divergence is not None or config.batch_size > SHARE:
        return numbers()[:1]  # sums over all pairs of codes, or over a batch of so many, follow the threads

    def results() -> bytes:
        trial = copy.deepcopy(model)
        optimiser, generator = adam(config, trial), torch.Generator().manual_seed(config.seed)
        with bfloat16_products():
            for n in batches:
                _step(config)(trial, optimiser, images[:n], generator)
        return b"".join(weight.detach().numpy().tobytes() for weight in trial.parameters())

    batches = min(config.batch_size, len(images)), last
    return interchangeable(results, [n * width for n in batches for width in (images.shape[1], config.latent_dim)])


def adam(config: TrainConfig, model: LatentModel) -> Adam:
    """The optimizer of `config`."""
    betas = {"beta1": config.beta1, "beta2": config.beta2}
    return Adam(model.parameters(), config.learning_rate, **betas, bias_factor=config.bias_factor)


def learning_rates(config: TrainConfig, n_steps: int) -> list[float]:
    """The learning rate of each step, by the schedule of `config`; "one-cycle" is that of `OneCycleLR`, bit for bit.

    PyTorch's class needs an optimizer of PyTorch's: see `adam.Adam`.
    """
    if config.schedule == "constant":
        return [config.learning_rate] * n_steps
    if config.schedule == "linear":
        up = 0.1 * n_steps
        return [config.learning_rate * min(1, (i + 1) / up, (n_steps - i) / (n_steps - up)) for i in range(n_steps)]
    start, peak = config.learning_rate / 25, config.learning_rate
    top, last = 0.3 * n_steps - 1, n_steps - 1
    return [
        _along_cosine(start, peak, i / top) if i <= top else _along_cosine(peak, start / 1e4, (i - top) / (last - top))
        for i in range(n_steps)
    ]


def _along_cosine(start: float, end: float, share: float) -> float:
    """From start to end along half a cosine, at a share of the way."""
    return end + (start - end) / 2 * (math.cos(math.pi * share) + 1)


def train_step(model: VAE, optimiser: Optimiser, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """One step of Algorithm 1: gradient ascent on the batch's mean ELBO (eq. 14, one draw of z per image).

    x (B, D). Returns the batch's summed log-likelihood, KL and ELBO (3,), in nats, without waiting for them.
    """
    terms = elbo_terms(model, x, generator=generator)
    loss = -terms.elbo.mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return torch.stack([term.detach().sum() for term in terms])


def initial_model(config: TrainConfig, data_dim: int) -> LatentModel:
    """The untrained model of a config: a function of its seed, leaving torch's global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.seed)  # torch.manual_seed would reseed every GPU as well
        if config.model == "autoencoder":
            model = Autoencoder(config.latent_dim, config.hidden, data_dim, config.likelihood)
        else:
            model = VAE(config.latent_dim, config.hidden, data_dim, config.likelihood, config.prior)
        return draw_he(model) if config.initial == "he" else model


@torch.no_grad()
def heldout_elbo(model: VAE, images: Tensor, *, n_samples: int = 10, seed: int = 0) -> ElboTerms:
    """Mean ELBO and its parts over `images` (N, D), with `n_samples` draws of z each: floats, in nats per image.

    Raises what `elbo` raises, and ValueError where there are no images.
    """
    if len(images) == 0:
        raise ValueError("the mean over no images has no value: give one or more")
    generator = torch.Generator(images.device).manual_seed(seed)
    totals = torch.zeros(3, dtype=torch.float64, device=images.device)
    for x in images.split(1000):
        totals += torch.stack(
            [term.double().sum() for term in elbo(model, x, n_samples=n_samples, generator=generator)]
        )
    return ElboTerms(*(totals / len(images)).tolist())


def _measure(model: LatentModel, images: Tensor) -> ElboTerms:
    return heldout_elbo(model, images) if isinstance(model, VAE) else _heldout_log_likelihood(model, images)


@torch.no_grad()
def _heldout_log_likelihood(model: Autoencoder, images: Tensor) -> ElboTerms:
    """Mean log p(x|z) at z = encode(x) over `images` (N, D), in nats per image."""
    total = sum(model.log_likelihood(x, model.encode(x)).double().sum() for x in images.split(1000))
    return _terms([total.item() / len(images)])


def _terms(means: list[float]) -> ElboTerms:
    """The three means of a VAE, or the one of an autoencoder."""
    return ElboTerms(*means) if len(means) == 3 else ElboTerms(*means, None, None)


def _step(config: TrainConfig) -> Callable[..., Tensor]:
    """What `fit` repeats: Algorithm 1, or the step of the variant (§2.6) that the config asks for."""
    if config.model == "autoencoder":
        return reconstruction_step
    if config.follows_elbo:
        return train_step
    weights = {"beta": config.beta, "divergence": config.divergence, "weight": config.divergence_weight}
    return partial(regularised_step, **weights)


def resolve_device(device: str) -> torch.device:
    """ "auto" is a GPU where there is one; anything else is torch's name of a device."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else torch.device(device)


def _check_images(images: Tensor, config: TrainConfig) -> None:
    if images.ndim != 2 or 0 in images.shape or images.dtype != torch.float32:
        raise ValueError(
            f"images must be float32 (N, D), with none of the two 0, not {images.dtype} {tuple(images.shape)}"
        )
    check_pixels(images, config.likelihood, repr(config.dataset))
    if config.likelihood == "gaussian":
        scale = (images.norm() / math.sqrt(images.numel())).item()
        if scale > GAUSSIAN_SCALE:
            raise ValueError(
                f"the Gaussian likelihood (eq. 16) starts from N(0, 1) at every pixel, but {config.dataset!r} has "
                f"values from {images.min():.3g} to {images.max():.3g}, {scale:.3g} in the root mean square: divide "
                f"the images by their scale, bytes by 255"
            )


def _shortfall(config: TrainConfig, model: LatentModel, images: Tensor, heldout: Tensor, measured: ElboTerms) -> str:
    """What `TrainedRun.warning` says of a model trained on `images` (N, D); TrainingError where it has diverged."""
    plain = config.model == "vae" and config.follows_elbo and config.prior == PRIORS[0]
    name, what = ("elbo", "ELBO") if plain else ("log_likelihood", "log-likelihood")
    reached = getattr(measured, name)
    zero = torch.zeros_like(heldout[0])
    if config.likelihood == "gaussian":
        blank = gaussian_log_likelihood(heldout, zero, zero).mean().item()
    else:  # linear in x: one mean picture stands for all
        mean_image = images.mean(0).clamp(1e-6, 1 - 1e-6).logit()
        blank, simple = bernoulli_log_likelihood(heldout.mean(0), torch.stack([zero, mean_image])).tolist()
    # Held out alone, a model that knows its few images by heart can be as far off.
    if reached < DIVERGED * blank and getattr(_measure(model, images[:1000]), name) < DIVERGED * blank:
        raise TrainingError(
            f"training diverged: the held-out {what} is {reached:.4g} nats per image, that of a decoder whose outputs "
            f"are all zero {blank:.4g}: try a learning_rate below {config.learning_rate:g}"
        )
    if config.likelihood == "gaussian" or reached > simple - 0.1 * abs(simple) - 1:
        return ""
    return (
        f"the held-out {what}, {reached:.1f} nats per image, is worse than that of the mean training image alone, "
        f"{simple:.1f}: too few images, too few epochs, or too high a learning_rate"
    )
