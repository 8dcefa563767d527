"""Numbers about the variants of §2.6: codes with one σ, codes in the clusters of a prior, sparse codes.

Axes: N images, D pixels, K latent, S values of σ. Arguments with other axes than a function names raise ValueError, and
so does NaN where it would count as below a threshold.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from vaelib.checks import check_axes, check_numbers
from vaelib.densities import kl_to_standard_normal
from vaelib.measures import hoyer_sparsity
from vaelib.models import LatentModel
from vaelib.priors import EqualGaussians, make_prior


class Units(NamedTuple):
    """A center and a scale (K,) for each coordinate of a code."""

    centre: Tensor
    scale: Tensor

    def apply(self, codes: Tensor) -> Tensor:
        return (codes - self.centre) / self.scale

    def restore(self, codes: Tensor) -> Tensor:
        return codes * self.scale + self.centre


def own_units(codes: Tensor) -> Units:
    """The mean and standard deviation of each coordinate of codes (N, K); 1 in place of a deviation of 0."""
    check_axes(codes=(codes, "N", "K"))
    scale = codes.std(0, correction=0)
    return Units(codes.mean(0), torch.where(scale > 0, scale, 1.0))


class CommonSigma(NamedTuple):
    """What becomes of the ELBO with q(z|x) = N(code, σ²I), one σ for all images: nats per image, each (S,).

    `penalized` is the likelihood term less ½‖code‖²; the ELBO is lower by a number that depends on σ and K alone.
    """

    penalized: Tensor
    elbo: Tensor


@torch.no_grad()
def common_sigma(
    model: LatentModel, x: Tensor, codes: Tensor, log_sigma: Tensor, *, units: Units | None = None, seed: int = 0
) -> CommonSigma:
    """The mean ELBO over images x (N, D) for each σ of log_sigma (S,), with the same draw of ε for all of them.

    codes (N, K) are measured in `units`, of which the decoder is told: an autoencoder can be read as a VAE in any.
    """
    check_axes(x=(x, "N", model.data_dim), codes=(codes, "N", model.latent_dim), log_sigma=(log_sigma, "S"))
    eps = torch.randn(codes.shape, generator=torch.Generator().manual_seed(seed))
    likelihood, kl = [], []
    for s in log_sigma:
        z = codes + s.exp() * eps
        likelihood.append(model.log_likelihood(x, z if units is None else units.restore(z)).mean())
        kl.append(kl_to_standard_normal(codes, torch.full_like(codes, 2 * s)).mean())
    likelihood = torch.stack(likelihood)
    return CommonSigma(likelihood - codes.square().sum(1).mean() / 2, likelihood - torch.stack(kl))


def in_clusters(z: Tensor, prior: EqualGaussians) -> float:
    """Share of codes z (N, K) within three standard deviations of a center of the prior.

    Of the prior's own draws in the plane: 0.989.
    """
    check_axes(z=(z, "N", prior.latent_dim))
    check_numbers(z=z)
    centres = torch.tensor(prior.means, dtype=z.dtype)
    return (torch.cdist(z, centres).amin(1) < 3 * prior.variance**0.5).double().mean().item()


@torch.no_grad()
def coordinate_worth(model: LatentModel, x: Tensor, codes: Tensor) -> tuple[Tensor, float]:
    """Nats of log p(x|z) that the decoder loses when a coordinate is held at its mean over the images.

    x (N, D), codes (N, K). Returns one number for each coordinate (K,), and the loss when all are held at once.
    """
    mean = codes.mean(0)
    full = model.log_likelihood(x, codes).mean()
    coordinates = torch.arange(codes.shape[1])
    held = (torch.where(coordinates == k, mean, codes) for k in coordinates)
    lost = torch.stack([full - model.log_likelihood(x, z).mean() for z in held])
    return lost, (full - model.log_likelihood(x, mean.expand_as(codes)).mean()).item()


def in_use(worth: Tensor, whole: float, *, least: float = 0.01) -> Tensor:
    """Which coordinates (K,) are worth more than the share `least` of what the `whole` code is worth; none of nothing.

    `worth` and `whole` as in `coordinate_worth`.
    """
    check_numbers(worth=worth, whole=torch.as_tensor(whole))
    return (worth > least * whole) & (worth > 0)


def sparse_share(codes: Tensor) -> float:
    """How sparse codes (N, K) are, from 0, draws of N(0, I), to 1, draws of the sparse prior with equally many K.

    By Hoyer's measure, which depends on K. NaN where K is below 2. Leave out coordinates that are not in use: scaled to
    unit deviation, what they hold counts as much as any other.
    """
    latent_dim = codes.shape[1]
    if latent_dim < 2:
        return float("nan")
    null, ideal = (
        hoyer_sparsity(make_prior(name, latent_dim).sample(20_000, generator=torch.Generator().manual_seed(0)))
        for name in ("standard-normal", "sparse")
    )
    return (hoyer_sparsity(codes) - null) / (ideal - null)
