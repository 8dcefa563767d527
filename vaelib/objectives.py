"""The steps of training that are not Algorithm 1: the variants of §2.6.

Axes: B batch, D pixels.
"""

import torch
from torch import Tensor

from vaelib.adam import Optimiser
from vaelib.bounds import elbo_terms
from vaelib.models import VAE, Autoencoder
from vaelib.priors import DIVERGENCES


def reconstruction_step(
    model: Autoencoder, optimiser: Optimiser, x: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """One step of an autoencoder (§2.6.1): gradient ascent on log p(x|z) at z = encode(x). It draws nothing.

    x (B, D). Returns the batch's summed log-likelihood (1,), in nats.
    """
    log_likelihood = model.log_likelihood(x, model.encode(x))
    _descend(optimiser, -log_likelihood.mean())
    return log_likelihood.detach().sum()[None]


def regularised_step(
    model: VAE,
    optimiser: Optimiser,
    x: Tensor,
    generator: torch.Generator | None = None,
    *,
    beta: float,
    divergence: str | None,
    weight: float,
) -> Tensor:
    """One step on the objective of Mathieu et al. (2019): E_q[log p(x|z)] - β·KL - weight·divergence(q(z), p(z)).

    The divergence, named as in `priors.DIVERGENCES`, is between the codes of the whole batch and the prior.
    x (B, D). Returns what `training.train_step` does: the ELBO and its parts, whatever the weights were.
    """
    code = model.encode(x)
    terms = elbo_terms(model, x, generator=generator, code=code)
    loss = (beta * terms.kl - terms.log_likelihood).mean()
    if divergence is not None:
        loss = loss + weight * DIVERGENCES[divergence](model.prior, *code, generator=generator)
    _descend(optimiser, loss)
    return torch.stack([term.detach().sum() for term in terms])


def _descend(optimiser: Optimiser, loss: Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
