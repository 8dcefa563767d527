"""The paper's networks (§4.1): a variational autoencoder and a deterministic one with the same maps.

Axes: B batch, D pixels, K latent, H width of the layer that reads z.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from vaelib.densities import bernoulli_log_likelihood, gaussian_log_likelihood
from vaelib.priors import Prior, make_prior
from vaelib.products import rounding

LIKELIHOODS = ("bernoulli", "gaussian")


class MLP(nn.Sequential):
    """The layers of `mlp`, whose products may be rounded inside `products.bfloat16_products`."""

    @property
    def largest(self) -> int:
        """Multiplications in the largest product for one x."""
        return max((layer.weight.numel() for layer in self if isinstance(layer, nn.Linear)), default=0)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., inputs) → (..., outputs), of the type of x."""
        with rounding(x, self.largest * x.shape[:-1].numel()):
            return super().forward(x).to(x.dtype)


def mlp(widths: Sequence[int]) -> MLP:
    """Layers y = f(Wx + b), eq. 20, with f = ReLU between them and none after the last."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return MLP(*layers[:-1])


class LatentModel(nn.Module):
    """What both models share: an encoder of `encoder_outputs`·K numbers, a decoder, and its likelihood.

    Parameters
    ----------
    latent_dim : K ≥ 1.
    hidden : widths of the encoder's hidden layers; the decoder mirrors them. Empty: both maps are linear.
    data_dim : D.
    likelihood : "bernoulli" (eq. 15; pixels in [0, 1]) or "gaussian" (eq. 16; any real data).
    """

    encoder_outputs: int

    def __init__(
        self,
        latent_dim: int = 2,
        hidden: Sequence[int] = (400, 256, 128),
        data_dim: int = 784,
        likelihood: str = "bernoulli",
    ) -> None:
        super().__init__()
        for name, value in (("latent_dim", latent_dim), ("data_dim", data_dim), *(("hidden", h) for h in hidden)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be an integer of at least 1, not {value!r}")
        if likelihood not in LIKELIHOODS:
            raise ValueError(f"likelihood must be one of {LIKELIHOODS}, not {likelihood!r}")
        self.latent_dim, self.hidden, self.data_dim = latent_dim, tuple(hidden), data_dim
        self.likelihood = likelihood
        decoder_outputs = data_dim if likelihood == "bernoulli" else 2 * data_dim
        self.encoder = mlp([data_dim, *hidden, self.encoder_outputs * latent_dim])
        self.decoder = mlp([latent_dim, *reversed(self.hidden), decoder_outputs])

    def decode(self, z: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """z (..., K) → Bernoulli: logits (..., D); Gaussian: mean and logvar, each (..., D)."""
        out = self.decoder(z)
        return out if self.likelihood == "bernoulli" else out.chunk(2, dim=-1)

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z), eq. 15 or 16. x (B, D), z (..., B, K). Returns (..., B), in nats.

        Raises ValueError for other shapes. Pixels are not looked at: this is a part of every step of training.
        """
        if x.ndim != 2 or x.shape[1] != self.data_dim or z.shape[-2:] != (len(x), self.latent_dim):
            raise ValueError(
                f"x and z must have shapes (B, {self.data_dim}) and (..., B, {self.latent_dim}) for this model, "
                f"not {tuple(x.shape)} and {tuple(z.shape)}"
            )
        if self.likelihood == "bernoulli":
            return bernoulli_log_likelihood(x, self.decode(z))
        return gaussian_log_likelihood(x, *self.decode(z))

    def mean_image(self, z: Tensor) -> Tensor:
        """E[x|z]: what is shown as a decoded picture. z (..., K). Returns (..., D)."""
        return self.decode(z).sigmoid() if self.likelihood == "bernoulli" else self.decode(z)[0]

    def embed(self, x: Tensor) -> Tensor:
        """The code of x without noise: the encoder's mean. x (B, D). Returns (B, K)."""
        raise NotImplementedError

    @property
    def latent_weight(self) -> Tensor:
        """W (H, K), the decoder matrix that multiplies z (eq. 20; its columns are Figure 8's subject)."""
        return self.decoder[0].weight


class VAE(LatentModel):
    """The variational autoencoder of §§2.4 and 4.1.

    Parameters as in `LatentModel`, and `prior`: p(z), a name of `priors.PRIORS` or an object like those it names.
    """

    encoder_outputs = 2

    def __init__(
        self,
        latent_dim: int = 2,
        hidden: Sequence[int] = (400, 256, 128),
        data_dim: int = 784,
        likelihood: str = "bernoulli",
        prior: str | Prior = "standard-normal",
    ) -> None:
        super().__init__(latent_dim, hidden, data_dim, likelihood)
        self.prior = make_prior(prior, latent_dim)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, D) → mu (B, K), logvar (B, K) of q(z|x) = N(mu, diag(exp(logvar)))."""
        mu, logvar = self.encoder(x).chunk(2, dim=-1)
        return mu, logvar

    def embed(self, x: Tensor) -> Tensor:
        return self.encode(x)[0]


class Autoencoder(LatentModel):
    """The deterministic autoencoder of §2.6.1: the same x always gives the same z. Parameters as in `LatentModel`."""

    encoder_outputs = 1

    def encode(self, x: Tensor) -> Tensor:
        """x (B, D) → z (B, K)."""
        return self.encoder(x)

    def embed(self, x: Tensor) -> Tensor:
        return self.encode(x)


def draw_he(model: LatentModel) -> LatentModel:
    """Draw a model's weights anew, in place, so large that signals keep their size from layer to layer; returns it.

    After He et al. (2015): N(0, 2/n) before a ReLU and N(0, 1/n) in the last layers, of n inputs each, where PyTorch
    draws from U(-1/√n, 1/√n), whose variance is 1/(3n). Biases stay as they are.
    """
    for network in (model.encoder, model.decoder):
        *hidden, last = (layer for layer in network if isinstance(layer, nn.Linear))
        for layer in hidden:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.kaiming_normal_(last.weight, nonlinearity="linear")
    return model
