"""JAX: our network, initial weights, batches, schedule and Adam, an epoch as one compiled scan over its batches.

Runs in an environment of its own. RACE_DATA holds MNIST/raw, unzipped.
"""

import os
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from stopwatch import arguments, since_start, write_times

WIDTHS = (784, 400, 256, 128)
BATCH, PEAK, BIAS_FACTOR = 256, 5e-3, 10


def initial_weights(key: jax.Array) -> dict[str, list[tuple[jax.Array, jax.Array]]]:
    """Weights (outputs, inputs), normal after He et al., and uniform biases; both heads are the last layer."""
    encoder, decoder = [*WIDTHS, 4], [2, *WIDTHS[::-1]]
    layers = {}
    for name, sizes in (("encoder", encoder), ("decoder", decoder)):
        layers[name] = []
        for n_in, n_out in pairwise(sizes):
            key, for_weight, for_bias = jax.random.split(key, 3)
            size = ((1 if n_out == sizes[-1] else 2) / n_in) ** 0.5
            weight = size * jax.random.normal(for_weight, (n_out, n_in))
            bias = jax.random.uniform(for_bias, (n_out,), minval=-(n_in**-0.5), maxval=n_in**-0.5)
            layers[name].append((weight, bias))
    return layers


def through(layers: list[tuple[jax.Array, jax.Array]], x: jax.Array) -> jax.Array:
    """Linear layers with ReLU between them."""
    for i, (weight, bias) in enumerate(layers):
        x = (jax.nn.relu(x) if i else x) @ weight.T + bias
    return x


def loss(layers: dict, x: jax.Array, key: jax.Array) -> jax.Array:
    """Minus the mean ELBO of a batch x (B, 784), one draw of z per image."""
    mu, logvar = jnp.split(through(layers["encoder"], x), 2, axis=1)
    z = mu + jax.random.normal(key, mu.shape) * jnp.exp(logvar / 2)
    reconstruction = optax.sigmoid_binary_cross_entropy(through(layers["decoder"], z), x).sum(1)
    return (reconstruction - (1 + logvar - mu**2 - jnp.exp(logvar)).sum(1) / 2).mean()


def main() -> None:
    asked = arguments()
    raw = np.fromfile(Path(os.environ["RACE_DATA"], "MNIST/raw/train-images-idx3-ubyte"), np.uint8)[16:]
    images = jnp.asarray(raw.reshape(-1, 784), jnp.float32) / 255
    n_whole, rest = divmod(len(images), BATCH)
    steps = asked.epochs * (n_whole + (rest > 0))
    up = 0.1 * steps

    def rate(i):
        return PEAK * jnp.minimum(1, jnp.minimum((i + 1) / up, (steps - i) / (steps - up)))

    optimizer = optax.adam(rate, b1=0.8, b2=0.95)

    def scaled(update):  # of a weight, or of a bias, which has one axis
        return update * BIAS_FACTOR if update.ndim == 1 else update

    def step(state, given):
        layers, moments = state
        rows, key = given
        value, gradient = jax.value_and_grad(loss)(layers, images[rows], key)
        updates, moments = optimizer.update(gradient, moments)
        layers = optax.apply_updates(layers, jax.tree.map(scaled, updates))
        return (layers, moments), value * len(rows)

    @partial(jax.jit, donate_argnums=0)
    def epoch(state, key):
        for_order, for_noise, for_last = jax.random.split(key, 3)
        order = jax.random.permutation(for_order, len(images))
        batches = order[: n_whole * BATCH].reshape(n_whole, BATCH)
        state, totals = jax.lax.scan(step, state, (batches, jax.random.split(for_noise, n_whole)))
        if rest:
            state, last = step(state, (order[n_whole * BATCH :], for_last))
            return state, totals.sum() + last
        return state, totals.sum()

    key, for_weights = jax.random.split(jax.random.key(asked.seed))
    layers = initial_weights(for_weights)
    state = (layers, optimizer.init(layers))
    epoch = epoch.lower(state, key).compile()
    begun, epochs = since_start(), []
    for _ in range(asked.epochs):
        start = time.perf_counter()
        key, for_epoch = jax.random.split(key)
        state, total = epoch(state, for_epoch)
        total.block_until_ready()
        epochs.append(time.perf_counter() - start)
    trained = since_start()
    named = {
        f"{name}.{2 * i}.{kind}": np.asarray(value)
        for name, layers in state[0].items()
        for i, layer in enumerate(layers)
        for kind, value in zip(("weight", "bias"), layer, strict=True)
    }
    np.savez(asked.out / "weights.npz", **named)
    write_times(asked.out, begun=begun, epochs=epochs, trained=trained)


if __name__ == "__main__":
    main()
