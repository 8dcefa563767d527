"""Your own images: an ``.npz`` file, checked array by array so that what is wrong is said before any work starts."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from vaelib.official import DataError


def read_npz(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Images and labels of an ``.npz``.

    Returns
    -------
    images : (N, H, W), uint8 or finite float32
        Rows of D pixels become square images if D is a square number, else 1 x D. Bytes that are all 0 or 1 become
        floats: they are black and white, and no shades of gray in 255ths.
    labels : (N,) integers of 0 or more, or None where the file has none

    Raises
    ------
    DataError
        If the file is missing or damaged, or an array is missing or not of that kind.
    """
    arrays = _read_arrays(path)
    images = _checked_images(path, arrays["images"])
    return images, _checked_labels(path, arrays["labels"], len(images)) if "labels" in arrays else None


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise DataError(f"there is no file {path} (looked from {Path.cwd()}); give the path of an .npz with images")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            names = list(file.files)
            arrays = {key: file[key] for key in ("images", "labels") if key in names}
    except Exception as error:  # torn, altered, encrypted, of pickles, of arrays larger than memory: there is no list
        raise DataError(
            f"{path} cannot be read as an .npz of plain arrays ({error or type(error).__name__}); write it again with "
            f"numpy.savez_compressed(path, images=..., labels=...)"
        ) from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # numpy hands on the bytes of whatever else lies in the archive
            raise DataError(f"{name} in {path} is no array; write it with numpy.savez_compressed(path, {name}=...)")
    if "images" not in arrays:
        raise DataError(f"{path} has no array called 'images'; it has {names}")
    return arrays


def _checked_images(path: Path, images: np.ndarray) -> np.ndarray:
    if images.ndim not in (2, 3) or 0 in images.shape:
        raise DataError(
            f"images in {path} has shape {images.shape}; it must be (N, H, W), or (N, D) for rows of pixels, with no "
            f"axis of length 0 (color images: turn them to gray first)"
        )
    if images.ndim == 2:
        side = math.isqrt(images.shape[1])
        images = images.reshape(len(images), *((side, side) if side**2 == images.shape[1] else (1, images.shape[1])))
    if images.dtype == np.uint8 and images.max() > 1:
        return images
    if images.dtype == np.uint8:
        images = images.astype(bool)
    if images.dtype.kind not in "fb":
        raise DataError(
            f"images in {path} has type {images.dtype}; save uint8 (divided by 255 when loaded), or floats or booleans "
            f"(taken as they are)"
        )
    with np.errstate(over="ignore"):  # an overflow becomes inf and is reported below
        images = images.astype(np.float32)
    bad = ~np.isfinite(images)
    if bad.any():
        raise DataError(
            f"images in {path} holds {bad.sum()} pixels that are no finite float32 (NaN, or infinite), the first in "
            f"image {np.argwhere(bad)[0, 0]}; drop or mend these images"
        )
    return images


def _checked_labels(path: Path, labels: np.ndarray, n: int) -> np.ndarray:
    if labels.shape != (n,):
        raise DataError(f"labels in {path} has shape {labels.shape}; {n} images take shape ({n},)")
    if labels.dtype.kind not in "iu":
        raise DataError(f"labels in {path} has type {labels.dtype}; labels are integers, 0 or more")
    if labels.max() > np.iinfo(np.int64).max:
        raise DataError(f"labels in {path} goes up to {labels.max()}; labels must fit into int64")
    if labels.min() < 0:
        raise DataError(
            f"labels in {path} goes down to {labels.min()}; labels are 0 or more. Keep labeled images only, or leave "
            f"the array out"
        )
    return labels
