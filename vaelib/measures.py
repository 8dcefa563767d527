"""Numbers about a trained model and its latent space.

Axes: N images, D pixels, K latent, H width of the layer that reads z.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from vaelib.models import VAE


class Posterior(NamedTuple):
    """q(z|x) for every image: mu (N, K) and logvar (N, K)."""

    mu: Tensor
    logvar: Tensor


@torch.no_grad()
def posterior(model: VAE, images: Tensor) -> Posterior:
    """Encode images (N, D) in batches."""
    mus, logvars = zip(*(model.encode(x) for x in images.split(5000)), strict=True)
    return Posterior(torch.cat(mus), torch.cat(logvars))


def active_units(mu: Tensor, threshold: float = 0.01) -> int:
    """How many latent dimensions have Var_x(mu_k) > threshold (Burda et al. 2016). mu (N, K)."""
    return int((mu.var(0, correction=0) > threshold).sum())


def column_sums(weight: Tensor) -> Tensor:
    """|Σ_h W_hk|: the paper's measure of a latent dimension (§4.2.2), in which signs can cancel. W (H, K) → (K,)."""
    return weight.detach().sum(0).abs()


def column_norms(weight: Tensor) -> Tensor:
    """‖W_·k‖₂: zero only when dimension k has no way into the decoder (Dai et al. 2018). W (H, K) → (K,)."""
    return weight.detach().norm(dim=0)


def knn_accuracy(z: Tensor, labels: Tensor, z_test: Tensor, labels_test: Tensor, *, k: int = 10) -> float:
    """Share of test codes whose k nearest training codes vote for their label. z (N, K), labels (N,)."""
    from sklearn.neighbors import KNeighborsClassifier  # seconds to import, needed by few readers

    classifier = KNeighborsClassifier(n_neighbors=min(k, len(z))).fit(z.numpy(), labels.numpy())
    return float(classifier.score(z_test.numpy(), labels_test.numpy()))


def pca_codes(train: Tensor, test: Tensor, *, n_components: int) -> tuple[Tensor, Tensor]:
    """Principal components of both splits, fitted on the first: the linear code of the same size. (N, D) → (N, K)."""
    from sklearn.decomposition import PCA

    pca = PCA(min(n_components, *train.shape), svd_solver="full").fit(train.numpy())
    return tuple(torch.from_numpy(pca.transform(images.numpy())) for images in (train, test))
