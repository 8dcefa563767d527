"""vaelib: the code behind an executable companion to Saleh (2019), *On Variational Autoencoders*."""

from vaelib import runs
from vaelib.bounds import ElboTerms, elbo, log_marginal
from vaelib.config import TrainConfig
from vaelib.data import DataError, ImageDataset, load_dataset, resolve_dataset
from vaelib.densities import kl_to_standard_normal
from vaelib.models import VAE, Autoencoder
from vaelib.training import TrainedRun, fit

__all__ = [
    "VAE",
    "Autoencoder",
    "DataError",
    "ElboTerms",
    "ImageDataset",
    "TrainConfig",
    "TrainedRun",
    "elbo",
    "fit",
    "kl_to_standard_normal",
    "load_dataset",
    "log_marginal",
    "resolve_dataset",
    "runs",
]
