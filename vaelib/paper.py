"""The paper's experiments, each one a named `TrainConfig`: the table to look up first.

| name            | paper            | data                         | K  |
|-----------------|------------------|------------------------------|----|
| `mnist`         | §4.1, Figs. 2–5  | MNIST                        | 2  |
| `fashion_mnist` | §4.2, Figs. 2, 4, 5 | Fashion-MNIST             | 2  |
| `boots_2d`      | §4.2.1, Fig. 7   | ankle boots of Fashion-MNIST | 2  |
| `boots_20d`     | §4.2.2, Fig. 8   | ankle boots of Fashion-MNIST | 20 |
"""

import dataclasses

from vaelib.config import TrainConfig

ANKLE_BOOTS = (9,)

# How models of all 60,000 images are trained: chosen on validation images (benchmarks/README.md).
RECIPE = {"epochs": 12, "schedule": "linear", "initial": "he", "beta1": 0.8, "beta2": 0.95, "bias_factor": 10.0}

EXPERIMENTS = {
    "mnist": TrainConfig("MNIST", latent_dim=2, **RECIPE),
    "fashion_mnist": TrainConfig("FashionMNIST", latent_dim=2, **RECIPE),
    "boots_2d": TrainConfig("FashionMNIST", latent_dim=2, epochs=40, batch_size=64, classes=ANKLE_BOOTS),
    "boots_20d": TrainConfig("FashionMNIST", latent_dim=20, epochs=40, batch_size=64, classes=ANKLE_BOOTS),
}

SMOKE = {"epochs": 2, "limit": 400, "batch_size": 64}


def experiment(
    name: str,
    *,
    dataset: str | None = None,
    latent_dim: int | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    smoke: bool = False,
) -> TrainConfig:
    """The config of the experiment `name`, with what a reader changed.

    Another `dataset` than the paper's is used whole: the boots are one class of Fashion-MNIST and of nothing else.
    `smoke` shrinks data and epochs so that a page runs in seconds; nothing may be concluded from such a run.
    Raises ValueError for an unknown name or a bad value.
    """
    if name not in EXPERIMENTS:
        raise ValueError(f"unknown experiment {name!r}: one of {', '.join(EXPERIMENTS)}")
    config = EXPERIMENTS[name]
    asked = {"dataset": dataset, "latent_dim": latent_dim, "epochs": epochs, "seed": seed}
    changes = {field: value for field, value in asked.items() if value is not None}
    if dataset is not None and dataset != config.dataset:
        changes["classes"] = None
    return dataclasses.replace(config, **changes | (SMOKE if smoke else {}))
