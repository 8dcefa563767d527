"""The plain way: a VAE as most scripts train it, among them the author's and PyTorch's own example.

A torchvision data set that makes a tensor of one image at a time, batches of 128, pixels through a sigmoid and then a
cross-entropy, Adam at 1e-3, and the loss read off after every step. RACE_DATA holds MNIST/raw, unzipped.
"""

import os
import time

import torch
from stopwatch import arguments, since_start, write_times
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision import datasets, transforms


class PlainVAE(nn.Module):
    """The paper's network (§4.1), K = 2. The pixels x (B, 784) to their probabilities, mu and logvar."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU()
        )
        self.mu, self.logvar = nn.Linear(128, 2), nn.Linear(128, 2)
        self.decoder = nn.Sequential(
            nn.Linear(2, 128), nn.ReLU(), nn.Linear(128, 256), nn.ReLU(), nn.Linear(256, 400), nn.ReLU(),
            nn.Linear(400, 784), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x):
        hidden = self.encoder(x)
        mu, logvar = self.mu(hidden), self.logvar(hidden)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        return self.decoder(z), mu, logvar


def main() -> None:
    asked = arguments()
    torch.manual_seed(asked.seed)
    images = datasets.MNIST(os.environ["RACE_DATA"], train=True, transform=transforms.ToTensor())
    loader = DataLoader(images, batch_size=128, shuffle=True)
    model = PlainVAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    begun, epochs = since_start(), []
    for _ in range(asked.epochs):
        start, total = time.perf_counter(), 0.0
        for x, _label in loader:
            x = x.view(-1, 784)
            optimizer.zero_grad()
            pixels, mu, logvar = model(x)
            loss = F.binary_cross_entropy(pixels, x, reduction="sum")
            loss = loss - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
            loss.backward()
            total += loss.item()
            optimizer.step()
        epochs.append(time.perf_counter() - start)
    trained = since_start()
    torch.save(model.state_dict(), asked.out / "weights.pt")
    write_times(asked.out, begun=begun, epochs=epochs, trained=trained)


if __name__ == "__main__":
    main()
