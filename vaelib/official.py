"""The official MNIST and Fashion-MNIST files: where they lie, how they are fetched, read and verified.

The layout is torchvision's, ``<folder>/<name>/raw/*-ubyte.gz``. A source folder is only read; the one folder that
is ever written is ``data/`` of the project, and only by a download.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import http.client
import math
import os
import stat
import sys
import tempfile
import threading
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
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
# Seconds for one file, of 26 MB at most, from one mirror: neither must a network that lets a byte through now and then.
FILE_TIMEOUT = 600.0
LARGEST_FILE = 2**26  # bytes


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
    """Path of one official file below ``folder``: the ``.gz``, else the uncompressed file, else None.

    Raises
    ------
    DataError
        If something is in the way: a folder or a dangling link in a file's place, a file in a folder's, or a folder
        that may not be looked into. Whether the data are there then nobody knows.
    """
    raw = folder / name / "raw"
    for path in (raw / f"{stem}.gz", raw / stem):
        try:
            if stat.S_ISREG(path.stat().st_mode):
                return path
            seen = "it is no file"
        except FileNotFoundError:
            if not path.is_symlink():
                continue
            seen = "it is a link to nowhere"
        except OSError as error:
            seen = error.strerror or str(error)
        raise DataError(f"{path} cannot be read: {seen}. Move what is in the way, and run again.")
    return None


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
        If a mirror was reached and what it sent is not the official file, or it cannot be stored, or a place cannot be
        searched.
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
    """Fetch the official files that ``data/`` lacks from the mirrors that torchvision knows.

    Each file is moved into place when it is whole and its md5 holds, so that an interrupted download leaves nothing
    behind that a later run would take for a data set. A mirror has `FILE_TIMEOUT` seconds for a file.

    Raises
    ------
    OSError, http.client.HTTPException
        If no mirror can be reached, or ``data/`` is a link to a folder that is only read.
    DataError
        If a mirror was reached and what it sent fails the md5, or ``data/`` cannot be written.
    """
    # Imported here because torchvision costs seconds, and most runs find their files.
    from torchvision import datasets

    official = getattr(datasets, name)
    folder = project_root() / "data"
    if folder.is_symlink():  # made by `make`: it leads to somebody's source folder
        if not folder.exists():
            raise DataError(f"{folder} is a link to {os.readlink(folder)}, where nothing is; remove the link")
        raise PermissionError(f"{folder} is a link to {folder.resolve()}, which is only read; remove the link")
    raw = folder / name / "raw"
    with _writing(raw):
        folder.mkdir(exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):  # said before, not after, the files were fetched
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    print(f"Downloading {name} into {raw}", file=sys.stderr)
    for filename, md5 in official.resources:
        if find_file(folder, name, filename.removesuffix(".gz")):
            continue
        content = _from_mirrors(official.mirrors, filename, md5)
        with _writing(raw), tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as scratch:
            Path(scratch, filename).write_bytes(content)
            raw.mkdir(parents=True, exist_ok=True)
            os.replace(Path(scratch, filename), raw / filename)


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """An OSError inside is this machine's, not the network's: no reason for a stand-in."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"the download cannot be stored in {folder}: {error.strerror or error}. Make room, or make that folder "
            f"writable, or set VAELIB_DATA to a folder that holds the files."
        ) from error


def _from_mirrors(mirrors: list[str], filename: str, md5: str) -> bytes:
    unreachable, damaged = [], []
    for url in (f"{mirror}{filename}" for mirror in mirrors):
        try:
            content = _within(FILE_TIMEOUT, _fetch, url)
        except (OSError, http.client.HTTPException) as error:
            unreachable.append(f"{url} ({error or type(error).__name__})")
            continue
        if hashlib.md5(content, usedforsecurity=False).hexdigest() == md5:
            return content
        damaged.append(f"{url} ({len(content):,} bytes)")
    if damaged:
        raise DataError(
            f"The download of {filename} is torn or altered: the md5 of what came from {' and '.join(damaged)} is not "
            f"{md5}. Nothing of it was kept. Run again; if it stays so, a proxy may be changing what is sent: fetch "
            f"the file elsewhere and set VAELIB_DATA to its folder."
        )
    raise ConnectionError(f"no answer from {' or '.join(unreachable)}")


def _fetch(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"User-Agent": "vaelib"})  # some mirrors refuse urllib's own name
    try:
        with urllib.request.urlopen(request, timeout=NETWORK_TIMEOUT) as response:
            return response.read(LARGEST_FILE)
    except urllib.error.HTTPError as error:
        with error:  # it holds the connection
            raise ConnectionError(str(error)) from None


def _within(seconds: float, function: Callable[[str], bytes], argument: str) -> bytes:
    """What a function returns or raises, or TimeoutError, after which it is left to itself.

    A socket's own timeout is for each byte, and starts again with the next.
    """
    future: Future[bytes] = Future()

    def work() -> None:
        try:
            future.set_result(function(argument))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        return future.result(seconds)
    except TimeoutError:
        if future.done():
            raise
        raise TimeoutError(f"not whole within {seconds:g} seconds") from None


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
