"""pythae's trainer on the same network and data, with the plain way's batches and step size; runs in an environment
of its own. RACE_DATA holds MNIST/raw, unzipped.
"""

import os
import time

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from stopwatch import arguments, since_start, write_times
from torch import nn
from torchvision import datasets


class Encoder(BaseEncoder):
    """Images (B, 1, 28, 28) to the heads of the paper's encoder (§4.1)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU()
        )
        self.mu, self.logvar = nn.Linear(128, 2), nn.Linear(128, 2)

    def forward(self, x):
        hidden = self.layers(x.flatten(1))
        return ModelOutput(embedding=self.mu(hidden), log_covariance=self.logvar(hidden))


class Decoder(BaseDecoder):
    """Codes (B, 2) to the pixels' probabilities (B, 1, 28, 28)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2, 128), nn.ReLU(), nn.Linear(128, 256), nn.ReLU(), nn.Linear(256, 400), nn.ReLU(),
            nn.Linear(400, 784), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, z):
        return ModelOutput(reconstruction=self.layers(z).reshape(-1, 1, 28, 28))


class EpochTimes(TrainingCallback):
    """When the first epoch began, and how long each one took."""

    def __init__(self) -> None:
        self.begun, self.epochs = None, []

    def on_epoch_begin(self, training_config, **kwargs):
        self.begun = since_start() if self.begun is None else self.begun
        self.start = time.perf_counter()

    def on_epoch_end(self, training_config, **kwargs):
        self.epochs.append(time.perf_counter() - self.start)


def main() -> None:
    asked = arguments()
    torch.manual_seed(asked.seed)
    mnist = datasets.MNIST(os.environ["RACE_DATA"], train=True)
    images = BaseDataset(mnist.data[:, None].float() / 255, mnist.targets)
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=2, reconstruction_loss="bce")
    model = VAE(config, encoder=Encoder(), decoder=Decoder())
    settings = BaseTrainerConfig(
        output_dir=str(asked.out),
        num_epochs=asked.epochs,
        per_device_train_batch_size=128,
        learning_rate=1e-3,
        optimizer_cls="Adam",
        seed=asked.seed,
        no_cuda=True,
    )
    times = EpochTimes()
    BaseTrainer(model, train_dataset=images, training_config=settings, callbacks=[times]).train()
    trained = since_start()
    torch.save(model.state_dict(), asked.out / "weights.pt")
    write_times(asked.out, begun=times.begun, epochs=times.epochs, trained=trained)


if __name__ == "__main__":
    main()
