"""The official MNIST and Fashion-MNIST files: where they lie, how they are fetched, read and verified.

The layout is torchvision's, ``<folder>/<name>/raw/*-ubyte.gz``. A source folder is only read; the one folder that
is ever written is ``data/`` of the project, and only by a download.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import math
import os
import socket
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np

SPLITS = ("train", "test")

# sha256 of the decompressed content, taken from files whose md5 is the one that torchvision publishes. A digest of
# the content, not of the .gz, so that a file stored uncompressed is held to the same standard.
CONTENT_SHA256 = {
    "MNIST": {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    "FashionMNIST": {
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
}

# Seconds without a byte after which a mirror counts as unreachable: a network that drops packets must not hang a build.
NETWORK_TIMEOUT = 10.0


class DataError(Exception):
    """Data missing, damaged or not what was asked for; the message says where, what was seen, and the way out."""


class DataUnavailableError(DataError):
    """An official data set that lies nowhere and cannot be downloaded."""


def project_root() -> Path:
    """The checkout that holds this package (the folder with ``_toc.yml``), or else the current directory."""
    above = Path(__file__).resolve().parent.parent
    return above if (above / "_toc.yml").is_file() else Path.cwd()


def file_stems(split: str) -> tuple[str, str]:
    """Names of the image file and the label file of a split, without ``.gz``."""
    prefix = {"train": "train", "test": "t10k"}[split]
    return f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"


def search_places(root: str | os.PathLike | None = None) -> list[tuple[str, Path | None]]:
    """Folders to look in, best first, each with the name a reader knows it by; ``None`` where none was given.

    Raises
    ------
    DataError
        If ``root`` or ``$VAELIB_DATA`` is given and is not a folder.
    """
    places: list[tuple[str, Path | None]] = []
    for label, value in (("the root argument", root), ("$VAELIB_DATA", os.environ.get("VAELIB_DATA") or None)):
        folder = None if value is None else Path(value).expanduser()
        if folder is not None and not folder.is_dir():
            raise DataError(
                f"{label} is {str(value)!r}, which is not a folder. "
                f"Give it a folder that holds MNIST/raw and FashionMNIST/raw, or leave it unset."
            )
        places.append((label, folder))
    return [*places, ("the project's data folder", project_root() / "data")]


def find_file(folder: Path, name: str, stem: str) -> Path | None:
    """Path of one official file below ``folder``: the ``.gz``, else the uncompressed file, else None."""
    raw = folder / name / "raw"
    return next((path for path in (raw / f"{stem}.gz", raw / stem) if path.is_file()), None)


def find_split(name: str, split: str, root: str | os.PathLike | None = None) -> tuple[Path, Path] | None:
    """Image and label file of a split, both from the first place that holds both; None where no place does."""
    for _, folder in search_places(root):
        found = [folder and find_file(folder, name, stem) for stem in file_stems(split)]
        if all(found):
            return found[0], found[1]
    return None


def ensure_split(name: str, split: str, root: str | os.PathLike | None = None) -> tuple[Path, Path]:
    """Image and label file of a split, downloaded into the project's ``data/`` if no place holds them.

    Raises
    ------
    DataUnavailableError
        If no place holds them and no mirror can be reached; the message lists every place looked at.
    DataError
        If a mirror was reached and what it sent is not the official file.
    """
    found = find_split(name, split, root)
    if found is None:
        try:
            download(name)
        except (OSError, http.client.HTTPException) as error:
            raise DataUnavailableError(_nowhere(name, split, root, error)) from error
        found = find_split(name, split, root)
    if found is None:
        raise DataUnavailableError(_nowhere(name, split, root, "torchvision lists no such file"))
    return found


def download(name: str) -> None:
    """Fetch the official files that ``data/`` lacks, through ``torchvision.datasets``.

    Each file is written to a temporary folder and moved into place only when its md5 holds, so that an interrupted
    download leaves nothing behind that a later run would take for a data set.

    Raises
    ------
    OSError, http.client.HTTPException
        If no mirror can be reached or ``data/`` cannot be written.
    DataError
        If a mirror was reached and what it sent fails the md5.
    """
    # Imported here because torchvision costs seconds, and most runs find their files.
    from torchvision import datasets
    from torchvision.datasets.utils import download_url

    official = getattr(datasets, name)
    folder = project_root() / "data"
    if folder.is_symlink():  # made by `make`: it leads to somebody's source folder, which is only read
        raise PermissionError(f"{folder} is a link to {folder.resolve()}, which is only read; remove the link")
    folder.mkdir(exist_ok=True)
    print(f"Downloading {name} into {folder / name / 'raw'}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as scratch, _socket_timeout(NETWORK_TIMEOUT):
        for filename, md5 in official.resources:
            if find_file(folder, name, filename.removesuffix(".gz")):
                continue
            _download_file(download_url, official.mirrors, filename, md5, Path(scratch))
            (folder / name / "raw").mkdir(parents=True, exist_ok=True)
            os.replace(Path(scratch, filename), folder / name / "raw" / filename)


def _download_file(download_url, mirrors: list[str], filename: str, md5: str, scratch: Path) -> None:
    unreachable, damaged = [], []
    for url in (f"{mirror}{filename}" for mirror in mirrors):
        try:
            return download_url(url, scratch, filename, md5)
        except (OSError, http.client.HTTPException) as error:
            unreachable.append(f"{url} ({error or type(error).__name__})")
        except RuntimeError:  # torchvision's word for a wrong md5
            damaged.append(f"{url} ({(scratch / filename).stat().st_size:,} bytes)")
    if damaged:
        raise DataError(
            f"The download of {filename} is torn or altered: the md5 of what came from {' and '.join(damaged)} is not "
            f"{md5}. Nothing of it was kept. Run again; if it stays so, a proxy may be changing what is sent: fetch "
            f"the file elsewhere and set VAELIB_DATA to its folder."
        )
    raise ConnectionError(f"no answer from {' or '.join(unreachable)}")


@contextlib.contextmanager
def _socket_timeout(seconds: float):
    # torchvision passes no timeout to urllib, so the process-wide default is the only handle.
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _nowhere(name: str, split: str, root, reason) -> str:
    looked = []
    for label, folder in search_places(root):
        if folder is None:
            looked.append(f"  - {label}: not set")
            continue
        lacking = " and ".join(f"{s}.gz" for s in file_stems(split) if find_file(folder, name, s) is None)
        looked.append(f"  - {label}: {folder / name / 'raw'} lacks {lacking}")
    looked.append(f"  - download: {reason}")
    return (
        f"{name} ({split} split) was found nowhere and could not be downloaded. Looked at:\n" + "\n".join(looked) + "\n"
        f"Set VAELIB_DATA to a folder that holds {name}/raw/*-ubyte.gz, or put these files into "
        f"{project_root() / 'data' / name / 'raw'}, or run again with a network, or use an embedded data set by name: "
        f"'digits' or 'synthetic-boots'."
    )


def read_split(name: str, split: str, root: str | os.PathLike | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 28, 28) and labels (N,) of a split, uint8, verified against the official content.

    Raises
    ------
    DataError
        If a file is torn, truncated, altered or cannot be read.
    DataUnavailableError
        If the files lie nowhere and cannot be downloaded.
    """
    image_file, label_file = ensure_split(name, split, root)
    images, labels = (
        read_idx(path, dims, CONTENT_SHA256[name][stem])
        for path, dims, stem in zip((image_file, label_file), (3, 1), file_stems(split), strict=True)
    )
    if len(images) != len(labels):
        raise DataError(
            f"{image_file} holds {len(images)} images but {label_file} holds {len(labels)} labels. "
            f"{_remedy(label_file)}"
        )
    return images, labels


def read_idx(path: Path, dims: int, sha256: str) -> np.ndarray:
    """The unsigned bytes of an IDX file (gzipped if its name ends in ``.gz``) as an array of ``dims`` dimensions.

    Raises
    ------
    DataError
        If the file cannot be read or decompressed, its header is not that of such an array, its length is not what
        the header announces, or the sha256 of its decompressed content is not ``sha256``.
    """

    def damaged(seen: str) -> DataError:
        return DataError(f"{path} is damaged: {seen}. {_remedy(path)}")

    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise damaged(f"{path.stat().st_size:,} bytes that do not decompress ({error})") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}. {_remedy(path)}") from error

    start = 4 + 4 * dims
    magic = bytes((0, 0, 8, dims))  # type 8: unsigned bytes
    if len(content) < start:
        raise damaged(f"it holds {len(content)} bytes, fewer than the {start} of its header")
    if content[:4] != magic:
        raise damaged(f"it begins with {content[:4].hex()}, where {magic.hex()} is expected")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", dims, offset=4))
    if len(content) - start != math.prod(shape):
        raise damaged(f"its header announces {shape}, {math.prod(shape):,} bytes, and {len(content) - start:,} follow")
    seen = hashlib.sha256(content).hexdigest()
    if seen != sha256:
        raise damaged(f"the sha256 of its content is {seen[:12]}…, the official one is {sha256[:12]}…")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _remedy(path: Path) -> str:
    if path.is_relative_to(project_root() / "data"):
        return "Delete it and run again to download it anew."
    return (
        "Replace it with an intact copy (source folders are only read), or move it away to have the next place tried."
    )
