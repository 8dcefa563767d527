"""Data sets by name: ``load_dataset`` gives images as rows of pixels, whatever they came from.

Axes: N images, D = H * W pixels.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import operator
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from vaelib import synthetic
from vaelib.npz import read_npz
from vaelib.official import (
    SPLITS,
    DataError,
    DataUnavailableError,
    ensure_split,
    file_stems,
    find_split,
    project_root,
    read_split,
)

__all__ = [
    "STAND_INS",
    "DataError",
    "DataUnavailableError",
    "ImageDataset",
    "load_dataset",
    "project_root",
    "resolve_dataset",
    "source_digest",
]

# What is drawn or embedded in place of an official data set that can be neither found nor downloaded.
STAND_INS = {"MNIST": "digits", "FashionMNIST": "synthetic-boots"}

DIGIT_NAMES = tuple("0123456789")
FASHION_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip

BOOTS = {"train": (6_000, 1), "test": (1_000, 2)}  # number of images, seed


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Images as rows of pixels.

    Attributes
    ----------
    images : torch.Tensor, (N, D) float32
        Row-major pixels; in [0, 1], except where an ``.npz`` of floats says otherwise.
    labels : torch.Tensor, (N,) int64
        Class of each image, 0 or more; all -1 in a data set without labels.
    image_shape : (H, W), H * W = D
    name : str
        The name or path it was asked for by.
    class_names : tuple of str, or None
        ``class_names[label]`` is what a label stands for.
    """

    images: torch.Tensor
    labels: torch.Tensor
    image_shape: tuple[int, int]
    name: str
    class_names: tuple[str, ...] | None = None

    @property
    def has_labels(self) -> bool:
        """Whether the images are labeled."""
        return bool((self.labels >= 0).all())

    @cached_property
    def digest(self) -> str:
        """Sha256 of image shape, pixels and labels: equal for equal content, wherever it came from."""
        content = hashlib.sha256(f"{self.image_shape[0]} {self.image_shape[1]}\n".encode())
        for array in (self.images, self.labels):
            content.update(np.ascontiguousarray(array.numpy()).data)
        return content.hexdigest()


class _Source(NamedTuple):
    pixels: np.ndarray  # (N, H, W); uint8 counts 0..255, any float type is taken as it is
    labels: np.ndarray | None  # (N,)
    class_names: tuple[str, ...] | None = None


def load_dataset(
    name: str | os.PathLike,
    split: str = "train",
    *,
    classes: Iterable[int] | None = None,
    limit: int | None = None,
    root: str | os.PathLike | None = None,
) -> ImageDataset:
    """Load one split of a data set.

    Parameters
    ----------
    name : str or path
        "MNIST" or "FashionMNIST": the official files, verified after reading, from the first of ``root``,
        ``$VAELIB_DATA``, the project's ``data/`` and a download into the latter.
        "digits": the 8x8 digits embedded in scikit-learn. "synthetic-boots": 28x28 boots drawn by
        `vaelib.synthetic.drawn_boots`, without labels.
        A path ending in ``.npz``: your own, with ``images`` (N, H, W) or (N, D) and, optionally, integer ``labels``
        (N,). Images of uint8 are divided by 255, unless all are 0 or 1; floats are taken as they are. Rows of D pixels
        are square images if D is a square number, else 1 x D.
    split : "train" or "test"
        The official splits of the official data sets; two seeds of the drawn boots. Of "digits" and ``.npz``, 1 image
        in 6 is held out for the test split, chosen by a fixed shuffle: the same content always splits the same way.
    classes : ints, optional
        Keep images with these labels only.
    limit : int, optional
        Keep at most this many images, the first of a fixed order, after the choice of classes.
    root : path, optional
        A folder that holds ``MNIST/raw`` or ``FashionMNIST/raw``; of no meaning for the other names.

    Raises
    ------
    ValueError
        If an argument is wrong whatever the data: an unknown name or split, malformed classes, a limit below 1.
    DataError
        If the data are missing, damaged, or lack what was asked for.
    """
    name = os.fspath(name)
    reader = _reader(name)
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; it must be 'train' or 'test'")
    classes, limit = _checked_classes(classes), _checked_limit(limit)

    source = reader(name, split, root)
    rows = _chosen_rows(source.labels, classes, limit, f"{name} ({split} split)")
    pixels, labels = source.pixels[rows], source.labels
    n, height, width = pixels.shape
    if pixels.dtype == np.uint8:
        # True division, so that uint8 and its float64 quotient by 255 lead to the same float32 and the same digest.
        # By torch, on all cores: filling 190 MB of fresh memory is most of the work.
        images = torch.tensor(pixels).float().div_(255)
    else:
        images = torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32))
    return ImageDataset(
        images=images.reshape(n, height * width),
        labels=torch.full((n,), -1) if labels is None else torch.from_numpy(labels[rows].astype(np.int64)),
        image_shape=(height, width),
        name=name,
        class_names=source.class_names,
    )


def resolve_dataset(name: str | os.PathLike) -> str:
    """The name itself if its data can be had, else the name of the embedded stand-in, announced on stderr.

    Official files are looked for and, where missing, downloaded; whether their content is intact is for
    `load_dataset` to say. A damaged file or download is an error, never a reason for a stand-in.

    Raises
    ------
    ValueError
        If no data set has this name.
    DataError
        If a download arrives damaged or cannot be stored, a place cannot be searched, or ``$VAELIB_DATA`` is not a
        folder.
    """
    name = os.fspath(name)
    _reader(name)
    if name not in STAND_INS:
        return name
    try:
        for split in SPLITS:
            ensure_split(name, split)
    except DataUnavailableError as error:
        stand_in = STAND_INS[name]
        print(
            f"\nWARNING: {stand_in!r} STANDS IN FOR {name}. What is shown from here on is not {name}, and says nothing "
            f"about results on {name}. {error}\n",
            file=sys.stderr,
        )
        return stand_in
    return name


def source_digest(name: str | os.PathLike) -> str:
    """A digest of where a data set's bytes come from, cheap enough to key a build cache; never downloads.

    Returns
    -------
    str
        A sha256 that changes whenever the files do (for "digits", the version of scikit-learn; for
        "synthetic-boots", the drawing code), or "missing" where there is no file.
    """
    name = os.fspath(name)
    _reader(name)
    if name == "digits":
        return hashlib.sha256(f"scikit-learn {importlib.metadata.version('scikit-learn')}".encode()).hexdigest()
    if name == "synthetic-boots":
        files = [Path(synthetic.__file__)]
    elif name in STAND_INS:
        files = [path for split in SPLITS for path in find_split(name, split) or file_stems(split)]
    else:
        files = [Path(name).expanduser()]
    contents = [_file_sha256(file) for file in files]
    if set(contents) == {"missing"}:
        return "missing"
    return hashlib.sha256("\n".join(contents).encode()).hexdigest()


def _file_sha256(file: Path | str) -> str:
    if not Path(file).is_file():
        return "missing"
    try:
        with open(file, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error


def _reader(name: str) -> Callable[[str, str, str | os.PathLike | None], _Source]:
    readers = {"MNIST": _official, "FashionMNIST": _official, "digits": _digits, "synthetic-boots": _boots}
    if name.lower().endswith(".npz"):
        return _npz
    if name not in readers:
        names = ", ".join(repr(known) for known in readers)
        raise ValueError(f"no data set is called {name!r}; there are {names}, and any path ending in .npz")
    return readers[name]


def _checked_classes(classes: Iterable[int] | None) -> tuple[int, ...] | None:
    if classes is None:
        return None
    try:
        checked = tuple(sorted({operator.index(label) for label in _no_bool(*classes)}))
    except TypeError:
        checked = ()
    if not checked:
        raise ValueError(
            f"classes is {classes!r}; it must be a tuple of one or more integer labels, such as (9,), or None"
        )
    return checked


def _checked_limit(limit: int | None) -> int | None:
    try:
        if limit is None or operator.index(*_no_bool(limit)) >= 1:
            return limit
    except TypeError:
        pass
    raise ValueError(f"limit is {limit!r}; it must be an integer of 1 or more, or None")


def _no_bool(*values: object) -> tuple:
    if any(isinstance(value, bool) for value in values):
        raise TypeError("True is no number")
    return values


def _chosen_rows(labels, classes, limit, what: str) -> slice | np.ndarray:
    """Rows of a source to keep: a slice where nothing is filtered, which copies nothing."""
    if classes is None:
        return slice(limit)
    if labels is None:
        raise DataError(f"classes={classes} asks for labels, and {what} has none; leave classes out")
    present = np.unique(labels).tolist()
    unknown = sorted(set(classes) - set(present))
    if unknown:
        raise DataError(
            f"{what} has no images of class {', '.join(map(str, unknown))}; the classes there are {present}"
        )
    return np.flatnonzero(np.isin(labels, classes))[:limit]


def _official(name: str, split: str, root) -> _Source:
    return _Source(*read_split(name, split, root), DIGIT_NAMES if name == "MNIST" else FASHION_NAMES)


def _boots(name: str, split: str, root) -> _Source:
    n, seed = BOOTS[split]
    images, _ = synthetic.drawn_boots(n, seed=seed)
    return _Source(images.numpy().reshape(n, 28, 28), None)


def _digits(name: str, split: str, root) -> _Source:
    from sklearn.datasets import load_digits  # costs seconds, and only this data set needs it

    digits = load_digits()
    rows = _held_out_rows(len(digits.images), split, name)
    return _Source(digits.images[rows] / 16, digits.target[rows], DIGIT_NAMES)


def _held_out_rows(n: int, split: str, name: str) -> np.ndarray:
    if n < 2:
        raise DataError(f"{name} holds {n} image(s); a train and a test split take at least 2")
    # RandomState: the one numpy stream that is promised never to change.
    order = np.random.RandomState(0).permutation(n)
    held_out = max(1, n // 6)
    return order[:held_out] if split == "test" else order[held_out:]


def _npz(name: str, split: str, root) -> _Source:
    pixels, labels = read_npz(Path(name).expanduser())
    rows = _held_out_rows(len(pixels), split, name)
    return _Source(pixels[rows], None if labels is None else labels[rows])
