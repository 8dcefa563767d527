"""A trained run as a page holds it: layers in 16 bits, held-out images as bytes, all in one gzip that checks itself.

Axes: N images, D pixels, K latent, O and I a layer's outputs and inputs.
"""

import copy
import gzip
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from vaelib import latent, measures
from vaelib.bounds import check_pixels
from vaelib.data import ImageDataset
from vaelib.densities import kl_per_dimension, kl_to_standard_normal, reparameterise
from vaelib.models import VAE
from vaelib.priors import StandardNormal
from vaelib.report import class_name

N_IMAGES = 400  # dots on the surface: enough to see the classes, few enough for the page
STEPS = 2**15 - 1  # of a column's largest weight
# What a page may differ from the run that it shows: half of 1/255 and of 0.1 nat, the rest is for its arithmetic.
PIXEL, NATS = 0.5 / 255, 0.05


class Deviation(NamedTuple):
    """The largest difference of two models: of a decoded pixel, and of an image's ELBO at the same ε in nats."""

    pixel: float
    nats: float


@dataclass(frozen=True)
class Packed:
    """`meta`, which a page reads as JSON, and `content`, the gzip of all arrays in the order of `_arrays`."""

    meta: dict
    content: bytes
    deviation: Deviation


def pack(model: VAE, data: ImageDataset, n_images: int = N_IMAGES) -> Packed:
    """What the explorer of `model` holds, with the first `n_images` images of `data`.

    Weights are 16-bit integers times the largest weight of their column: as long as float16, and closer, because an
    encoder's error is magnified by a steep decoder. Where the page would still differ from the model by more than
    `PIXEL` or `NATS`, they are float32. Raises ValueError, in one line, for what the explorer cannot show.
    """
    check(model, data)
    pixels = (255 * data.images[:n_images]).round().to(torch.uint8)
    images = pixels.float() / 255
    for bits in (16, 32):
        deviation = compare(model, stored_model(model) if bits == 16 else model, images)
        if deviation.pixel <= PIXEL and deviation.nats <= NATS:
            break
    q = measures.posterior(model, data.images)
    shown = measures.posterior(model, images)
    labels = data.labels[:n_images]
    nats = kl_per_dimension(*q).mean(0)
    dims = latent.most_informative(*q)
    active = [k for k in nats.argsort(descending=True).tolist() if q.mu[:, k].var(correction=0) > 0.01 or k in dims]
    low, high = shown.mu[:, list(dims)].aminmax(dim=0)
    meta = {
        "bits": bits,
        "latentDim": model.latent_dim,
        "shape": list(data.image_shape),
        "encoder": widths(model.encoder),
        "decoder": widths(model.decoder),
        "images": len(images),
        "classes": {label: class_name(data, label) for label in labels.unique().tolist() if label >= 0},
        "dims": list(dims),
        "active": active,
        "nats": nats.tolist(),
        "center": ((low + high) / 2).tolist(),
        # Twice the prior's σ at least, so that a network that uses no code has a plane to be seen on.
        "half": max(2.0, 0.54 * (high - low).max().item()),
        "reach": max(3.0, shown.mu.abs().max().item()),
    }
    arrays = _arrays(model, bits, shown.mu, labels, pixels)
    return Packed(meta, gzip.compress(b"".join(arrays), 9, mtime=0), deviation)


def check(model: VAE, data: ImageDataset) -> None:
    """Raise ValueError, in one line, for a model or images that the explorer cannot show."""
    if not isinstance(model, VAE):
        raise ValueError(
            f"the explorer shows q(z|x), and this run's model has none: give a VAE, no {type(model).__name__}"
        )
    if model.likelihood != "bernoulli":
        raise ValueError(
            f"the explorer fills in eq. 15, the Bernoulli likelihood, and this run has likelihood "
            f"{model.likelihood!r}: train it with likelihood='bernoulli'"
        )
    if not isinstance(model.prior, StandardNormal):
        raise ValueError(
            f"the explorer fills in eq. 18, the KL to N(0, I), and this run's prior is a "
            f"{type(model.prior).__name__}: train it with prior='standard-normal'"
        )
    if data.images.shape[1] != model.data_dim:
        raise ValueError(f"the images have {data.images.shape[1]} pixels and the run's have {model.data_dim}")
    check_pixels(data.images, model.likelihood, data.name)


def linear_layers(net: nn.Sequential) -> list[nn.Linear]:
    """The layers of an `mlp` that hold weights."""
    return [layer for layer in net if isinstance(layer, nn.Linear)]


def widths(net: nn.Sequential) -> list[int]:
    """Inputs of the first layer, then outputs of each."""
    layers = linear_layers(net)
    return [layers[0].in_features, *(layer.out_features for layer in layers)]


def quantize(weight: Tensor) -> tuple[Tensor, Tensor]:
    """W (O, I) → whole numbers (O, I) up to `STEPS`, int16, and the scale of each column (I,): W ≈ their product."""
    scale = weight.detach().abs().amax(0) / STEPS
    return (weight.detach() / scale.clamp_min(torch.finfo(scale.dtype).tiny)).round().to(torch.int16), scale


def stored_model(model: VAE) -> VAE:
    """A copy of `model` with the weights that a page of 16 bits holds."""
    stored = copy.deepcopy(model)
    for layer in (*linear_layers(stored.encoder), *linear_layers(stored.decoder)):
        whole, scale = quantize(layer.weight)
        layer.weight.data = whole * scale
    return stored


@torch.no_grad()
def compare(model: VAE, other: VAE, images: Tensor, *, n_codes: int = 1000, seed: int = 0) -> Deviation:
    """How far `other` is from `model`: over codes from the prior, and over images (N, D) at one ε each."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n_codes, model.latent_dim, generator=generator)
    eps = torch.randn(len(images), model.latent_dim, generator=generator)
    pixel = (model.mean_image(z) - other.mean_image(z)).abs().max().item()
    nats = (elbo_at(model, images, eps) - elbo_at(other, images, eps)).abs().max().item()
    return Deviation(pixel, nats)


@torch.no_grad()
def elbo_at(model: VAE, images: Tensor, eps: Tensor) -> Tensor:
    """log p(x|z) - D_KL at z = mu + σ ⊙ ε, eqs. 13 and 19. images (N, D), eps (N, K). Returns (N,), in nats."""
    mu, logvar = model.encode(images)
    return model.log_likelihood(images, reparameterise(mu, logvar, eps=eps)) - kl_to_standard_normal(mu, logvar)


def _arrays(model: VAE, bits: int, codes: Tensor, labels: Tensor, pixels: Tensor) -> list[bytes]:
    """Layer by layer weights, column scales (16 bits only) and biases; then codes (N, K), labels (N,), pixels (N, D).

    Of 16-bit weights all high bytes come first: they repeat themselves, and gzip sees it.
    """
    parts = []
    for layer in (*linear_layers(model.encoder), *linear_layers(model.decoder)):
        if bits == 16:
            whole, scale = quantize(layer.weight)
            pairs = whole.numpy().astype("<i2").view(np.uint8).reshape(-1, 2)
            parts += [pairs[:, 1], pairs[:, 0], _float32(scale)]
        else:
            parts.append(_float32(layer.weight))
        parts.append(_float32(layer.bias))
    parts += [_float32(codes), labels.numpy().astype("<i2"), pixels.numpy()]
    return [np.ascontiguousarray(part).tobytes() for part in parts]


def _float32(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy().astype("<f4")
