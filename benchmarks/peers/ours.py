"""vaelib on the paper's MNIST experiment, with the settings of `make book`; the race says for how many epochs."""

import torch
from stopwatch import arguments, since_start, write_times

from vaelib.data import load_dataset
from vaelib.paper import experiment
from vaelib.training import fit


def main() -> None:
    asked = arguments()
    config = experiment("mnist", epochs=asked.epochs, seed=asked.seed)
    # All peers are measured afterwards, in one way; here a few held-out images do.
    few = load_dataset("MNIST", "test", limit=100)
    run = fit(config, config.load("train"), heldout=few, device="cpu", progress=False)
    trained = since_start()
    epochs = [epoch.seconds for epoch in run.history]
    torch.save(run.model.state_dict(), asked.out / "weights.pt")
    write_times(asked.out, begun=trained - sum(epochs), epochs=epochs, trained=trained)


if __name__ == "__main__":
    main()
