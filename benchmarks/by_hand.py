"""A training step written out by hand: the numbers of `training.train_step` without what autograd adds to them.

No graph is recorded, large tensors take their memory once, activations change in place and Adam runs over one vector.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from vaelib.config import TrainConfig
from vaelib.densities import kl_to_standard_normal
from vaelib.training import initial_model


class StepByHand:
    """Algorithm 1 for a Bernoulli VAE with a standard normal prior.

    Layers are counted through encoder and decoder. Axes: B batch, D pixels, K latent.
    """

    def __init__(self, config: TrainConfig, data_dim: int) -> None:
        self.config = config
        parameters = [parameter.detach() for parameter in initial_model(config, data_dim).parameters()]
        self.parameters = torch.cat([parameter.flatten() for parameter in parameters])
        self.gradient, self.first, self.second = (torch.zeros_like(self.parameters) for _ in range(3))
        self.count = torch.zeros(())
        sizes = [parameter.numel() for parameter in parameters]
        views, d_views = (
            [piece.view_as(like) for piece, like in zip(vector.split(sizes), parameters, strict=True)]
            for vector in (self.parameters, self.gradient)
        )
        self.weights, self.biases, self.d_weights, self.d_biases = views[::2], views[1::2], d_views[::2], d_views[1::2]
        n = len(config.hidden) + 1
        self.encoder, self.decoder = range(n), range(n, 2 * n)
        batch = config.batch_size
        self.inputs = [torch.empty(batch, w.shape[1]) for w in self.weights]
        self.d_inputs = [None, *map(torch.empty_like, self.inputs[1:])]
        self.code, self.logits = torch.empty(batch, 2 * config.latent_dim), torch.empty(batch, data_dim)
        self.outputs = [*self.inputs[1:n], self.code, *self.inputs[n + 1 :], self.logits]
        self.scratch = torch.empty_like(self.logits)

    def __call__(self, images: Tensor, rows: Tensor) -> Tensor:
        """One step on `images[rows]`: what `training.train_step` returns."""
        torch.index_select(images, 0, rows, out=self.inputs[0])
        totals = self.differentiate(torch.randn(self.code.shape[0], self.config.latent_dim))
        torch._fused_adam_(
            *([vector] for vector in (self.parameters, self.gradient, self.first, self.second)),
            [],
            [self.count.add_(1)],
            lr=self.config.learning_rate,
            beta1=0.9,
            beta2=self.config.beta2,
            weight_decay=0.0,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )
        return totals

    def differentiate(self, eps: Tensor) -> Tensor:
        """Fill `gradient` with that of the negative mean ELBO of the batch in `inputs[0]`, at the noise `eps` (B, K).

        Returns the summed log-likelihood, KL and ELBO (3,), in nats.
        """
        x, n_images = self.inputs[0], len(eps)
        self._forward(self.encoder)
        mu, logvar = self.code.chunk(2, dim=-1)
        sigma = torch.exp(0.5 * logvar)
        torch.addcmul(mu, sigma, eps, out=self.inputs[self.decoder[0]])
        self._forward(self.decoder)
        log_likelihood = torch.mul(x, self.logits, out=self.scratch).sum()
        log_likelihood = log_likelihood - torch.ops.aten.softplus.out(self.logits, out=self.scratch).sum()
        kl = kl_to_standard_normal(mu, logvar).sum()

        d_z = self._backward(self.decoder, torch.sigmoid(self.logits, out=self.scratch).sub_(x).div_(n_images))
        d_mu = d_z + mu / n_images
        d_logvar = 0.5 * (d_z * sigma * eps + torch.expm1(logvar) / n_images)
        self._backward(self.encoder, torch.cat([d_mu, d_logvar], dim=-1))
        return torch.stack([log_likelihood, kl, log_likelihood - kl])

    def _forward(self, layers: Sequence[int]) -> None:
        for i in layers:
            torch.addmm(self.biases[i], self.inputs[i], self.weights[i].t(), out=self.outputs[i])
            if i != layers[-1]:
                self.outputs[i].relu_()

    def _backward(self, layers: Sequence[int], gradient: Tensor) -> Tensor | None:
        """From the gradient of the last layer's outputs to that of the first one's inputs; None for the images."""
        for i in reversed(layers):
            torch.mm(gradient.t(), self.inputs[i], out=self.d_weights[i])
            torch.sum(gradient, 0, out=self.d_biases[i])
            if i == 0:
                return None
            gradient = torch.mm(gradient, self.weights[i], out=self.d_inputs[i])
            if i != layers[0]:
                torch.ops.aten.threshold_backward.grad_input(gradient, self.inputs[i], 0, grad_input=gradient)
        return gradient
