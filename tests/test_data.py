"""`vaelib.data`, `vaelib.official` and `vaelib.npz`, on small files of the official layout made here."""

import gzip
import hashlib
import http.server
import os
import pickle
import re
import socket
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from permissions import as_anybody

from vaelib import data, official
from vaelib.data import DataError, DataUnavailableError, load_dataset, resolve_dataset, source_digest

REAL_DATA = os.environ.get("VAELIB_DATA")
DOWNLOAD = official.download  # most tests see both replaced
PROJECT_ROOT = official.project_root
STEMS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx_bytes(array):
    """An IDX file of unsigned bytes, written from the format's description rather than from the reader."""
    header = [0, 0, 8, array.ndim]
    for size in array.shape:
        header += [size >> 24 & 255, size >> 16 & 255, size >> 8 & 255, size & 255]
    return bytes(header) + array.tobytes()


def write_files(folder, contents, name="MNIST"):
    raw = folder / name / "raw"
    raw.mkdir(parents=True)
    for stem, content in contents.items():
        (raw / f"{stem}.gz").write_bytes(gzip.compress(content, mtime=0))
    return raw


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """An empty project, no $VAELIB_DATA, and no way to the network."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.setattr(official, "project_root", lambda: folder)
    monkeypatch.delenv("VAELIB_DATA", raising=False)

    def offline(name):
        raise ConnectionError("no answer from the mirror")

    monkeypatch.setattr(official, "download", offline)
    return folder


@pytest.fixture
def arrays(monkeypatch):
    """Pixels and labels of a small data set of both official names, whose digests take the place of the real ones."""
    rng = np.random.default_rng(0)
    train, test = rng.integers(0, 256, (12, 28, 28), np.uint8), rng.integers(0, 256, (7, 28, 28), np.uint8)
    labels = np.arange(19, dtype=np.uint8) % 5
    arrays = dict(zip(STEMS, (train, labels[:12], test, labels[12:]), strict=True))
    digests = {stem: hashlib.sha256(idx_bytes(array)).hexdigest() for stem, array in arrays.items()}
    monkeypatch.setattr(official, "CONTENT_SHA256", {"MNIST": digests, "FashionMNIST": digests})
    return arrays


@pytest.fixture
def contents(arrays):
    return {stem: idx_bytes(array) for stem, array in arrays.items()}


@pytest.fixture
def npz(tmp_path):
    def write(**saved):
        path = tmp_path / "my.npz"
        np.savez(path, **saved)
        return str(path)

    return write


# --- official files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("split", "prefix"), [("train", "train"), ("test", "t10k")])
def test_official_split_is_the_files_content(split, prefix, arrays, contents, tmp_path):
    write_files(tmp_path, contents)
    loaded = load_dataset("MNIST", split, root=tmp_path)
    pixels, labels = arrays[f"{prefix}-images-idx3-ubyte"], arrays[f"{prefix}-labels-idx1-ubyte"]
    assert loaded.images.dtype == torch.float32 and loaded.labels.dtype == torch.int64
    assert loaded.images.shape == (len(pixels), 784) and loaded.image_shape == (28, 28)
    assert loaded.images[3, 5 * 28 + 7].item() == np.float32(pixels[3, 5, 7] / 255)
    assert np.array_equal(loaded.images.numpy().reshape(-1, 28, 28), (pixels / 255).astype(np.float32))
    assert loaded.labels.tolist() == labels.tolist()
    assert loaded.has_labels and loaded.name == "MNIST"


def test_class_names(contents, tmp_path):
    write_files(tmp_path, contents, "MNIST")
    write_files(tmp_path, contents, "FashionMNIST")
    assert load_dataset("MNIST", root=tmp_path).class_names == tuple("0123456789")
    fashion = load_dataset("FashionMNIST", root=tmp_path).class_names
    assert len(fashion) == 10 and fashion[9] == "Ankle boot"


def test_uncompressed_files_are_read_where_only_they_are_there(contents, tmp_path):
    raw = write_files(tmp_path, contents)
    expected = load_dataset("MNIST", root=tmp_path).digest
    for stem, content in contents.items():
        (raw / f"{stem}.gz").unlink()
        (raw / stem).write_bytes(content)
    assert load_dataset("MNIST", root=tmp_path).digest == expected


def test_a_source_folder_is_only_read(contents, tmp_path):
    source = tmp_path / "source"
    write_files(source, contents)
    before = {path: path.stat().st_mtime_ns for path in source.rglob("*")}
    load_dataset("MNIST", root=source)
    assert {path: path.stat().st_mtime_ns for path in source.rglob("*")} == before


def test_places_are_searched_in_order(contents, tmp_path, project, monkeypatch):
    root, shared = tmp_path / "root", tmp_path / "shared"
    root_raw, shared_raw, project_raw = (write_files(f, contents) for f in (root, shared, project / "data"))
    monkeypatch.setenv("VAELIB_DATA", str(shared))

    def seen():
        return official.find_split("MNIST", "train", root)[0].parent

    assert seen() == root_raw
    (root_raw / "train-labels-idx1-ubyte.gz").unlink()  # a folder that lacks one of the two is passed over
    assert seen() == shared_raw
    (shared_raw / "train-images-idx3-ubyte.gz").unlink()
    assert seen() == project_raw
    (project_raw / "train-images-idx3-ubyte.gz").unlink()
    assert official.find_split("MNIST", "train", root) is None


def test_variable_that_is_no_folder_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("VAELIB_DATA", str(tmp_path / "nowhere"))
    for use in (load_dataset, resolve_dataset, source_digest):
        with pytest.raises(DataError, match=r"\$VAELIB_DATA is .*nowhere.*not a folder") as caught:
            use("MNIST")
        assert not isinstance(caught.value, DataUnavailableError)


def flipped(packed):
    return packed[:-6] + bytes([packed[-6] ^ 1]) + packed[-5:]  # in the checksum at the end of a .gz


DAMAGE = {
    "it is cut short": (lambda good: gzip.compress(good)[:-200], "do not decompress"),
    "one bit of its checksum is flipped": (lambda good: flipped(gzip.compress(good)), "do not decompress"),
    "bytes inside it are overwritten": (
        lambda good: gzip.compress(good)[:60] + b"\xff" * 20 + gzip.compress(good)[80:],
        "do not decompress",
    ),
    "it is a web page": (lambda good: b"<html>log in first</html>", "do not decompress"),
    "it is empty": (lambda good: b"", "0 bytes"),
    "it holds half a header": (lambda good: gzip.compress(good[:10]), "10 bytes"),
    "an image is missing": (lambda good: gzip.compress(good[:-784]), r"\(12, 28, 28\), 9,408 bytes, and 8,624 follow"),
    "it has a byte too many": (lambda good: gzip.compress(good + b"\0"), "9,409 follow"),
    "its header announces 10⁹ images": (
        lambda good: gzip.compress(good[:4] + (10**9).to_bytes(4, "big") + good[8:]),
        r"\(1000000000, 28, 28\), 784,000,000,000 bytes, and 9,408 follow",
    ),
    "labels lie in its place": (lambda good: gzip.compress(idx_bytes(np.zeros(30, np.uint8))), "begins with 00000801"),
    "one bit of a pixel is flipped": (lambda good: gzip.compress(good[:-1] + bytes([good[-1] ^ 1])), "sha256"),
}


@pytest.mark.fault("An official file is damaged: {kind}", kept="the file itself; no stand-in takes its place")
@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_file_is_named_with_what_to_do(kind, contents, tmp_path, project, monkeypatch, sees):
    spoil, seen = DAMAGE[kind]
    for folder, remedy in ((project / "data", "Delete it and run again"), (tmp_path / "shared", "Replace it")):
        raw = write_files(folder, contents)
        path = raw / "train-images-idx3-ubyte.gz"
        spoilt = spoil(contents["train-images-idx3-ubyte"])
        path.write_bytes(spoilt)
        if folder.name == "shared":
            monkeypatch.setenv("VAELIB_DATA", str(folder))
        with pytest.raises(DataError, match=seen) as caught:
            load_dataset("MNIST")
        assert str(path) in str(caught.value) and remedy in str(caught.value)
        assert resolve_dataset("MNIST") == "MNIST"  # never a reason for a stand-in
        assert path.read_bytes() == spoilt
    sees(re.sub(r"[\d,]+ bytes that do not", "… bytes that do not", str(caught.value)))


@pytest.mark.fault("An official file that was decompressed is cut short", kept="the file itself, and its source")
def test_truncated_uncompressed_file(contents, tmp_path, sees):
    raw = write_files(tmp_path, contents)
    (raw / "train-images-idx3-ubyte.gz").unlink()
    path = raw / "train-images-idx3-ubyte"
    path.write_bytes(contents["train-images-idx3-ubyte"][:5000])
    with pytest.raises(DataError, match="4,984 follow") as caught:
        load_dataset("MNIST", root=tmp_path)
    assert path.stat().st_size == 5000
    sees(str(caught.value))


@pytest.mark.fault("Two official files disagree on the number of images", kept="both files")
def test_images_and_labels_must_agree_in_number(contents, tmp_path, monkeypatch, sees):
    fewer = idx_bytes(np.zeros(11, np.uint8))
    raw = write_files(tmp_path, contents | {"train-labels-idx1-ubyte": fewer})
    monkeypatch.setitem(official.CONTENT_SHA256["MNIST"], "train-labels-idx1-ubyte", hashlib.sha256(fewer).hexdigest())
    with pytest.raises(DataError, match=f"12 images but {raw}.* 11 labels") as caught:
        load_dataset("MNIST", root=tmp_path)
    assert gzip.decompress((raw / "train-labels-idx1-ubyte.gz").read_bytes()) == fewer
    sees(str(caught.value))


@pytest.mark.fault("A label of an official file is out of range", kept="the file itself")
def test_a_label_out_of_range_is_an_altered_file(contents, tmp_path, sees):
    """No test of the range itself: the content is known, and every other one is refused."""
    stem = "train-labels-idx1-ubyte"
    raw = write_files(tmp_path, contents | {stem: contents[stem][:-1] + b"\x0b"})
    with pytest.raises(DataError, match="sha256") as caught:
        load_dataset("MNIST", root=tmp_path)
    assert (raw / f"{stem}.gz").is_file()
    sees(str(caught.value))


@pytest.mark.skipif(not REAL_DATA, reason="VAELIB_DATA is not set")
@pytest.mark.parametrize(("name", "mean", "std"), [("MNIST", 0.1307, 0.3081), ("FashionMNIST", 0.2860, 0.3530)])
def test_the_real_files(name, mean, std):
    loaded = load_dataset(name, root=REAL_DATA)
    assert loaded.images.shape == (60_000, 784)
    assert loaded.images.mean().item() == pytest.approx(mean, abs=1e-4)
    assert loaded.images.std().item() == pytest.approx(std, abs=1e-4)
    assert torch.bincount(load_dataset(name, "test", root=REAL_DATA).labels).sum() == 10_000


# --- nothing there, and no network ----------------------------------------------------------------------------------


def test_missing_data_lists_every_place_and_the_ways_out(tmp_path, project, monkeypatch):
    (tmp_path / "root").mkdir()
    (tmp_path / "shared").mkdir()
    monkeypatch.setenv("VAELIB_DATA", str(tmp_path / "shared"))
    with pytest.raises(DataUnavailableError) as caught:
        load_dataset("FashionMNIST", root=tmp_path / "root")
    message = str(caught.value)
    for folder in (tmp_path / "root", tmp_path / "shared", project / "data"):
        assert f"{folder / 'FashionMNIST' / 'raw'} lacks train-images-idx3-ubyte.gz" in message
    assert "no answer from the mirror" in message
    assert "Set VAELIB_DATA" in message and "'digits'" in message


@pytest.mark.fault("There are no files of {name}, and no network", kept="work goes on, with a stand-in")
@pytest.mark.parametrize(("name", "stand_in"), [("MNIST", "digits"), ("FashionMNIST", "synthetic-boots")])
def test_stand_in_is_announced(name, stand_in, capsys, sees):
    assert resolve_dataset(name) == stand_in == data.STAND_INS[name]
    captured = capsys.readouterr()
    assert f"WARNING: '{stand_in}' STANDS IN FOR {name}" in captured.err and captured.out == ""
    assert len(load_dataset(stand_in).images) > 1000
    sees(captured.err)


def test_half_of_an_official_data_set_is_not_enough(contents, project, capsys):
    raw = write_files(project / "data", contents)
    (raw / "t10k-labels-idx1-ubyte.gz").unlink()
    assert resolve_dataset("MNIST") == "digits"
    assert "lacks t10k-labels-idx1-ubyte.gz" in capsys.readouterr().err


def test_what_is_there_is_not_replaced(contents, project, capsys):
    write_files(project / "data", contents)
    for name in ("MNIST", "digits", "synthetic-boots", "some/where.npz"):
        assert resolve_dataset(name) == name
    assert capsys.readouterr().err == ""


# --- download -------------------------------------------------------------------------------------------------------


@pytest.fixture
def mirror(contents, project, monkeypatch):
    """A web server on this machine that torchvision takes for Fashion-MNIST's; `spoil[file name]` alters an answer."""
    from torchvision import datasets

    monkeypatch.setattr(official, "download", DOWNLOAD)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    files = {f"{stem}.gz": gzip.compress(content, mtime=0) for stem, content in contents.items()}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            name = self.path.rpartition("/")[2]
            self.send_response(200 if name in files else 404)
            self.send_header("Content-Length", str(len(files.get(name, b""))))
            self.end_headers()
            return name

        def do_GET(self):
            name = self.do_HEAD()
            server.asked.append(name)
            self.wfile.write(server.spoil.get(name, bytes)(files.get(name, b"")))

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.spoil, server.files = [], {}, files
    server.url = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [server.url])
    md5s = [(name, hashlib.md5(packed).hexdigest()) for name, packed in files.items()]
    assert {name for name, _ in datasets.FashionMNIST.resources} == set(files)
    monkeypatch.setattr(datasets.FashionMNIST, "resources", md5s)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def files_below(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_download_once_then_read(mirror, arrays, project):
    loaded = load_dataset("FashionMNIST")
    assert loaded.labels.tolist() == arrays["train-labels-idx1-ubyte"].tolist()
    assert files_below(project) == sorted(mirror.files)
    assert [path.name for path in (project / "data").iterdir()] == ["FashionMNIST"]  # no scratch folder is left
    assert set(mirror.asked) == set(mirror.files)
    mirror.asked.clear()
    assert resolve_dataset("FashionMNIST") == "FashionMNIST"
    load_dataset("FashionMNIST", "test")
    assert mirror.asked == []


def test_only_missing_files_are_fetched(mirror, contents, project):
    raw = write_files(project / "data", contents, "FashionMNIST")
    (raw / "train-labels-idx1-ubyte.gz").unlink()
    load_dataset("FashionMNIST")
    assert set(mirror.asked) == {"train-labels-idx1-ubyte.gz"}


ANSWERS = {
    "drops the connection halfway": lambda packed: packed[: len(packed) // 2],
    "sends other bytes": lambda packed: b"\0" * len(packed),
    "answers 200 with a web page": lambda packed: b"<html>Please log in</html>".ljust(len(packed)),
}


@pytest.mark.fault("A mirror {answer}", kept="what was whole before; nothing torn; the next call fetches the rest")
@pytest.mark.parametrize("answer", ANSWERS)
def test_bad_download_leaves_nothing_and_the_next_call_mends_it(answer, mirror, project, sees):
    mirror.spoil["train-labels-idx1-ubyte.gz"] = ANSWERS[answer]
    for use in (load_dataset, resolve_dataset):
        with pytest.raises(DataError, match=r"train-labels-idx1-ubyte\.gz is torn or altered") as caught:
            use("FashionMNIST")
        assert not isinstance(caught.value, DataUnavailableError)
        assert mirror.url in str(caught.value)
        assert files_below(project) == ["train-images-idx3-ubyte.gz"]
    sees(re.sub(r"\(\d+ bytes\)", "(… bytes)", str(caught.value)))
    mirror.spoil.clear()
    assert len(load_dataset("FashionMNIST").images) == 12


def test_interrupted_download_leaves_no_torn_file(mirror, project, monkeypatch):
    def interrupted(path, content):
        with path.open("wb") as file:
            file.write(content[:10])
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load_dataset("FashionMNIST")
    assert files_below(project) == []
    assert list((project / "data").iterdir()) == []
    assert len(load_dataset("FashionMNIST").images) == 12


def test_second_mirror_is_tried(mirror, monkeypatch):
    from torchvision import datasets

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [dead, mirror.url])
        assert len(load_dataset("FashionMNIST").images) == 12


@pytest.mark.fault("A mirror takes the call and never answers", kept="work goes on, with a stand-in")
def test_unreachable_mirror_fails_fast(mirror, monkeypatch, capsys, sees):
    from torchvision import datasets

    with socket.socket() as silent:  # accepts connections and never answers, like a network that drops packets
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [f"http://127.0.0.1:{silent.getsockname()[1]}/"])
        monkeypatch.setattr(official, "NETWORK_TIMEOUT", 0.2)
        started = time.monotonic()
        with pytest.raises(DataUnavailableError, match="no answer from http://127"):
            load_dataset("FashionMNIST")
        assert resolve_dataset("FashionMNIST") == "synthetic-boots"
        assert time.monotonic() - started < 5
    assert socket.getdefaulttimeout() is None
    said = capsys.readouterr().err
    assert "no answer from http://127" in said
    sees(said[said.index("WARNING") :])


@pytest.mark.fault("A mirror sends a {part} one byte at a time", kept="data/ as it was; nothing torn is left")
@pytest.mark.parametrize("part", ["body", "header"])
def test_a_mirror_that_trickles_has_a_limit(project, monkeypatch, part, sees):
    """A byte every 20 ms, which no timeout for a single byte notices, from 1 kB of headers or of a file."""
    from torchvision import datasets

    head = b"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n"
    server = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def trickle():
        connection, _ = server.accept()
        with connection:
            connection.sendall(head + (b"\r\n" if part == "body" else b"X-Slow: "))
            while not stop.wait(0.02):
                connection.sendall(b"x")

    thread = threading.Thread(target=trickle)
    thread.start()
    monkeypatch.setattr(official, "download", DOWNLOAD)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(official, "FILE_TIMEOUT", 0.3)
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [f"http://127.0.0.1:{server.getsockname()[1]}/"])
    started = time.monotonic()
    try:
        with pytest.raises(DataUnavailableError, match=r"not whole within 0\.3 seconds") as caught:
            load_dataset("FashionMNIST")
    finally:
        took = time.monotonic() - started
        stop.set()
        thread.join()
        server.close()
    assert took < 3
    assert list((project / "data").iterdir()) == []
    [line] = [line for line in str(caught.value).splitlines() if "- download:" in line]
    sees(line)


@pytest.mark.fault("A mirror sends without end", kept="nothing of it")
def test_a_mirror_that_sends_without_end(mirror, monkeypatch, project, sees):
    monkeypatch.setattr(official, "LARGEST_FILE", 1000)
    mirror.spoil["train-images-idx3-ubyte.gz"] = lambda packed: packed + bytes(10_000)
    with pytest.raises(DataError, match=r"torn or altered.*\(1,000 bytes\)") as caught:
        load_dataset("FashionMNIST")
    assert files_below(project) == []
    sees(str(caught.value))


def test_missing_on_the_mirror_is_unavailable(mirror):
    mirror.files.clear()
    with pytest.raises(DataUnavailableError, match="404"):
        load_dataset("FashionMNIST")


# --- what is in the way is no reason for a stand-in -----------------------------------------------------------------


def refused(project, *words):
    """One error, which names what is in the way; no stand-in; nothing left behind."""
    before = sorted(project.rglob("*"))
    for use in (load_dataset, resolve_dataset):
        with pytest.raises(DataError) as caught:
            use("FashionMNIST")
        assert not isinstance(caught.value, DataUnavailableError)
        assert all(word in str(caught.value) for word in words), str(caught.value)
        assert "\n" not in str(caught.value)
    assert [path for path in sorted(project.rglob("*")) if path not in before] == []
    return str(caught.value)


@pytest.mark.fault("A file lies in the place of the folder {place}", kept="the file; no stand-in takes its place")
@pytest.mark.parametrize("place", ["data", "data/FashionMNIST", "data/FashionMNIST/raw"])
def test_a_file_in_a_folders_place(mirror, project, place, sees):
    path = project / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a file in the way")
    sees(refused(project, str(path), "Not a directory"))
    assert mirror.asked == [] and path.read_text() == "a file in the way"


@pytest.mark.fault("In the place of an official file lies a {kind}", kept="all files beside it")
@pytest.mark.parametrize("where", ["data", "shared"])
@pytest.mark.parametrize("kind", ["folder", "link to nowhere", "link to itself"])
def test_no_file_in_a_files_place(mirror, project, contents, monkeypatch, where, kind, sees):
    raw = write_files(project / where, contents, "FashionMNIST")
    path = raw / "t10k-labels-idx1-ubyte.gz"
    path.unlink()
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(path if kind == "link to itself" else "nowhere")
    if where == "shared":
        monkeypatch.setenv("VAELIB_DATA", str(project / where))
    with pytest.raises(DataError, match=r"idx1-ubyte\.gz cannot be read: .*Move what is in the way") as caught:
        load_dataset("FashionMNIST", "test")
    with pytest.raises(DataError, match="cannot be read"):
        resolve_dataset("FashionMNIST")
    assert mirror.asked == []
    assert len([each for each in raw.iterdir() if each.is_file()]) == 3
    sees(str(caught.value).replace("/shared/", "/data/"))


@pytest.mark.fault("data/ is a link to a folder that is gone", kept="the link; no stand-in takes its place")
def test_a_data_folder_that_is_a_link_to_nowhere(mirror, project, sees):
    (project / "data").symlink_to("vanished")
    sees(refused(project, "is a link to vanished, where nothing is; remove the link"))


@pytest.mark.fault("data/ {leave}", kept="the folder as it was; no stand-in takes its place")
@pytest.mark.parametrize(
    ("leave", "mode"), [("may not be written", 0o500), ("may not be looked into", 0o000)], ids=["read-only", "closed"]
)
def test_a_data_folder_without_leave(mirror, project, leave, mode, sees):
    (project / "data").mkdir()
    (project / "data").chmod(mode)
    with as_anybody():
        said = refused(project, str(project / "data"), "Permission denied")
    assert [path.name for path in project.rglob("*")] == ["data"]
    sees(said)


def test_a_read_only_data_folder_is_noticed_before_a_download(mirror, project, monkeypatch):
    """As `os.access` answers for a read-only file system, also to root."""
    monkeypatch.setattr(official.os, "access", lambda path, mode: False)
    (project / "data").mkdir()
    refused(project, str(project / "data"), "Permission denied", "VAELIB_DATA")
    assert mirror.asked == []


FULL = """
import resource, sys
from pathlib import Path
from torchvision import datasets
from vaelib import official
from vaelib.data import DataError, DataUnavailableError, resolve_dataset

official.project_root = lambda: Path(sys.argv[1])
datasets.FashionMNIST.mirrors = [sys.argv[2]]
datasets.FashionMNIST.resources = eval(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))  # no file grows beyond: what a full disk says, but for the word
try:
    resolve_dataset("FashionMNIST")
except DataUnavailableError:
    raise
except DataError as error:
    print(error)
"""


@pytest.mark.fault(
    "The disk is full when data are downloaded", kept="nothing torn is left; no stand-in takes its place"
)
@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_full_disk(mirror, project, sees):
    from torchvision import datasets

    resources = repr(datasets.FashionMNIST.resources)
    command = [sys.executable, "-c", FULL, str(project), mirror.url, resources]
    root = Path(data.__file__).parent.parent
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stderr
    assert "cannot be stored in" in done.stdout and "Make room" in done.stdout and "VAELIB_DATA" in done.stdout
    assert str(project / "data") in done.stdout and "STANDS IN" not in done.stderr
    assert list((project / "data").iterdir()) == []
    sees(done.stdout)


# --- embedded data sets ---------------------------------------------------------------------------------------------


def test_digits_are_split_once_and_for_all():
    from sklearn.datasets import load_digits

    train, test = load_dataset("digits"), load_dataset("digits", "test")
    assert train.image_shape == (8, 8) and train.class_names == tuple("0123456789")
    assert len(test.images) == 1797 // 6
    together = np.column_stack([torch.cat([train.images, test.images]), torch.cat([train.labels, test.labels])])
    truth = load_digits()
    expected = np.column_stack([(truth.data / 16).astype(np.float32), truth.target])
    assert np.array_equal(together[np.lexsort(together.T)], expected[np.lexsort(expected.T)])
    assert load_dataset("digits").digest == train.digest


def test_boots_have_two_splits_and_no_labels():
    train, test = load_dataset("synthetic-boots"), load_dataset("synthetic-boots", "test")
    assert train.images.shape == (6_000, 784) and test.images.shape == (1_000, 784)
    assert train.image_shape == (28, 28) and not train.has_labels and set(train.labels.tolist()) == {-1}
    together = torch.cat([train.images, test.images])
    assert len(together.unique(dim=0)) == 7_000


# --- your own .npz --------------------------------------------------------------------------------------------------


def test_npz_of_bytes_is_scaled_and_split(npz):
    pixels = np.random.default_rng(1).integers(0, 256, (30, 4, 6), np.uint8)
    path = npz(images=pixels, labels=np.arange(30))
    train, test = load_dataset(path), load_dataset(path, "test")
    assert (len(train.images), len(test.images)) == (25, 5)
    assert sorted(train.labels.tolist() + test.labels.tolist()) == list(range(30))
    for part in (train, test):
        assert part.image_shape == (4, 6) and part.name == path and part.class_names is None
        expected = (pixels.reshape(30, 24) / 255).astype(np.float32)[part.labels.numpy()]
        assert np.array_equal(part.images.numpy(), expected)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ">f8", bool])
def test_npz_of_floats_is_taken_as_it_is(npz, dtype):
    pixels = np.random.default_rng(1).normal(0, 30, (12, 9)).astype(int).clip(-40, 40).astype(dtype)
    loaded = load_dataset(npz(images=np.asfortranarray(pixels), labels=np.arange(12)))
    assert np.array_equal(loaded.images.numpy(), pixels.astype(np.float32)[loaded.labels.numpy()])
    assert loaded.images.is_contiguous() and loaded.images.min() == (0 if dtype is bool else pixels.min())


@pytest.mark.parametrize(("pixels", "shape"), [(36, (6, 6)), (35, (1, 35)), (1, (1, 1)), (2, (1, 2))])
def test_rows_of_pixels_are_square_where_they_can_be(npz, pixels, shape):
    loaded = load_dataset(npz(images=np.zeros((6, pixels))))
    assert loaded.image_shape == shape and loaded.images.shape == (5, pixels)
    assert not loaded.has_labels


IMAGES = np.zeros((6, 4))


def without_numpys(error):
    """The message without what numpy and the machine's memory say, which may be other words elsewhere."""
    return re.sub(r"plain arrays \(.*\);", "plain arrays (…);", str(error))


BAD_NPZ = {
    "no array of images": ({"pictures": IMAGES}, r"no array called 'images'; it has \['pictures'\]"),
    "images with one axis": ({"images": np.zeros(6)}, r"shape \(6,\)"),
    "images in color": ({"images": np.zeros((6, 2, 2, 3))}, r"shape \(6, 2, 2, 3\).*gray"),
    "no image": ({"images": np.zeros((0, 4))}, r"shape \(0, 4\)"),
    "no pixel": ({"images": np.zeros((6, 0))}, r"shape \(6, 0\)"),
    "one image": ({"images": np.zeros((1, 4))}, "1 image"),
    "pixels of type int64": ({"images": IMAGES.astype(int)}, "type int64; save uint8"),
    "text for pixels": ({"images": np.array([["a", "b"]] * 6)}, "type <U1"),
    "complex pixels": ({"images": IMAGES * 1j}, "type complex128"),
    "Python objects": ({"images": np.array([None] * 4)}, "cannot be read as an .npz of plain arrays"),
    "a pixel that is NaN": (
        {"images": np.where(np.eye(6, 4) * [0, 0, 1, 0] > 0, np.nan, 0)},
        "1 pixels .* the first in image 2",
    ),
    "pixels beyond float32": ({"images": IMAGES + 1e300}, "24 pixels"),
    "fewer labels than images": ({"images": IMAGES, "labels": np.zeros(5, int)}, r"labels .* shape \(5,\); 6 images"),
    "labels as rows of zeros and a one": ({"images": IMAGES, "labels": np.eye(6, dtype=int)}, r"shape \(6, 6\)"),
    "labels as a column": ({"images": IMAGES, "labels": np.zeros((6, 1), int)}, r"shape \(6, 1\)"),
    "an empty array of labels": ({"images": IMAGES, "labels": np.zeros(0, int)}, r"labels .* shape \(0,\)"),
    "infinite pixels": ({"images": IMAGES + np.inf}, "24 pixels"),
    "labels beyond int64": (
        {"images": IMAGES, "labels": np.full(6, 2**63, np.uint64)},
        "up to 9223372036854775808; .* int64",
    ),
    "labels that are floats": ({"images": IMAGES, "labels": np.zeros(6)}, "labels .* type float64"),
    "negative labels": ({"images": IMAGES, "labels": np.array([0, 1, 2, -1, 0, 0])}, "goes down to -1"),
}


@pytest.mark.fault("An .npz holds {kind}", kept="the file itself")
@pytest.mark.parametrize("kind", BAD_NPZ)
@pytest.mark.parametrize("split", ["train", "test"])
def test_bad_npz_is_one_clear_error(kind, split, npz, sees):
    saved, message = BAD_NPZ[kind]
    path = npz(**saved)
    before = Path(path).read_bytes()
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(path, split)
    assert path in str(caught.value)
    assert Path(path).read_bytes() == before
    sees(without_numpys(caught.value))


SPOILT = {
    "is empty": lambda b: b"",
    "is cut short": lambda b: b[: len(b) // 2],
    "is a text": lambda b: b"text",
    "lacks its beginning": lambda b: b[64:],
}


@pytest.mark.fault("An .npz {kind}", kept="the file itself")
@pytest.mark.parametrize("kind", SPOILT)
def test_unreadable_npz(kind, npz, sees):
    path = Path(npz(images=np.random.default_rng(0).random((50, 100))))
    spoilt = SPOILT[kind](path.read_bytes())
    path.write_bytes(spoilt)
    with pytest.raises(DataError, match=r"my\.npz cannot be read") as caught:
        load_dataset(path)
    assert path.read_bytes() == spoilt
    sees(without_numpys(caught.value))


def test_npz_of_black_and_white_bytes(npz):
    """Bytes of 0 and 1 are black and white; with a single 2 among them they are shades of gray."""
    pixels = np.random.default_rng(1).integers(0, 2, (30, 4, 6), np.uint8)
    for split in ("train", "test"):
        assert load_dataset(npz(images=pixels), split).images.unique().tolist() == [0, 1]
    assert load_dataset(npz(images=0 * pixels)).images.max() == 0
    pixels[0, 0, 0] = 2
    images = torch.cat([load_dataset(npz(images=pixels), split).images for split in ("train", "test")])
    assert images.max().item() == np.float32(2 / 255)


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('a pickle was loaded')",)


def header_of(shape, descr="<f8"):
    header = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


MEMBERS = {
    "a header of 10⁹ images": ("images.npy", header_of((10**9, 28, 28)) + bytes(800), "cannot be read"),
    "a header of 10⁹ images, in bytes": (
        "images.npy",
        header_of((10**9, 28, 28), "|u1") + bytes(800),
        "cannot be read",
    ),
    "a header beyond any number": ("images.npy", header_of((10**30, 2)) + bytes(800), "cannot be read"),
    "a negative header": ("images.npy", header_of((-3, 2)) + bytes(800), "cannot be read"),
    "a member that is no array": ("images", b"some words", "images in .* is no array"),
    "a member that only has the name of an array": ("images.npy", b"some words", "images in .* is no array"),
    "a malicious pickle": ("images.npy", pickle.dumps(Bomb()), "images in .* is no array"),
    "an array of malicious pickles": (
        "images.npy",
        header_of((3, 2), "|O") + pickle.dumps(Bomb()),
        "cannot be read",
    ),
    "records": ("images.npy", header_of((6,), [("a", "<f8"), ("b", "<f8")]) + bytes(96), r"shape \(6,\)"),
}


@pytest.mark.fault("An .npz holds {kind}", kept="the file itself; nothing in it is run")
@pytest.mark.parametrize("kind", MEMBERS)
def test_npz_whose_member_is_no_array_of_numbers(kind, tmp_path, sees):
    member, content, message = MEMBERS[kind]
    path = tmp_path / "my.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, content)
    before = path.read_bytes()
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before
    sees(without_numpys(caught.value))


def test_pickle_named_npz(tmp_path):
    (tmp_path / "my.npz").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DataError, match="cannot be read"):
        load_dataset(tmp_path / "my.npz")


@pytest.mark.parametrize("compressed", [False, True])
def test_npz_with_any_byte_altered_is_read_or_refused(tmp_path, compressed):
    """Wherever the archive was hit: an error of ours, or arrays whose checksum held."""
    path, images = tmp_path / "my.npz", np.random.default_rng(0).random((12, 2, 2), dtype=np.float32)
    (np.savez_compressed if compressed else np.savez)(path, images=images, labels=np.arange(12))
    good, expected = path.read_bytes(), load_dataset(path)
    rng, refused = np.random.default_rng(1), 0
    for place in rng.choice(len(good), 300, replace=False):
        content = bytearray(good)
        content[place] ^= 1 << rng.integers(8)
        path.write_bytes(content)
        try:
            assert torch.equal(load_dataset(path).images, expected.images)
        except DataError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 100


def test_array_named_npz_and_missing_npz(tmp_path):
    with open(tmp_path / "array.npz", "wb") as file:
        np.save(file, IMAGES)
    with pytest.raises(DataError, match=r"array\.npz cannot be read"):
        load_dataset(tmp_path / "array.npz")
    with pytest.raises(DataError, match=r"no file .*none\.npz"):
        load_dataset(tmp_path / "none.npz")


# --- classes, limit, arguments --------------------------------------------------------------------------------------


def test_classes_then_limit(contents, arrays, tmp_path):
    write_files(tmp_path, contents)
    pixels, labels = arrays["train-images-idx3-ubyte"], arrays["train-labels-idx1-ubyte"]
    everything = load_dataset("MNIST", root=tmp_path)
    some = load_dataset("MNIST", root=tmp_path, classes=(4, 1))
    assert some.labels.tolist() == [label for label in labels.tolist() if label in (1, 4)]
    first = load_dataset("MNIST", root=tmp_path, classes=[1, 4], limit=3)
    assert torch.equal(first.images, some.images[:3]) and first.labels.tolist() == [1, 4, 1]
    assert np.array_equal(first.images[1].numpy(), (pixels[4].ravel() / 255).astype(np.float32))
    assert torch.equal(load_dataset("MNIST", root=tmp_path, limit=5).images, everything.images[:5])
    assert load_dataset("MNIST", root=tmp_path, limit=500).digest == everything.digest


def test_unknown_class_names_the_classes_present(npz):
    path = npz(images=IMAGES, labels=np.array([3, 3, 3, 3, 3, 3]))
    with pytest.raises(DataError, match=r"no images of class 4, 7; the classes there are \[3\]"):
        load_dataset(path, classes=(3, 7, 4))


def test_classes_without_labels():
    with pytest.raises(DataError, match=r"asks for labels, and synthetic-boots .* has none"):
        load_dataset("synthetic-boots", "test", classes=(9,))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"limit": 0}, "limit is 0"),
        ({"limit": -3}, "limit is -3"),
        ({"limit": 2.5}, "limit is 2.5"),
        ({"limit": "10"}, "limit is '10'"),
        ({"limit": True}, "limit is True"),
        ({"classes": (True,)}, r"classes is \(True,\)"),
        ({"classes": ()}, r"classes is \(\)"),
        ({"classes": 9}, "classes is 9"),
        ({"classes": "9"}, "classes is '9'"),
        ({"classes": (1.5,)}, r"classes is \(1\.5,\)"),
        ({"split": "valid"}, "split is 'valid'; it must be 'train' or 'test'"),
        ({"name": "mnist"}, r"no data set is called 'mnist'.*'MNIST'.*\.npz"),
        ({"name": "images.npy"}, r"'images\.npy'.*\.npz"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_read(arguments, message, monkeypatch):
    monkeypatch.setattr(data, "read_split", lambda *_: pytest.fail("data were read"))
    with pytest.raises(ValueError, match=message):
        load_dataset(**{"name": "MNIST"} | arguments)


def test_unknown_names_are_refused_everywhere():
    for use in (resolve_dataset, source_digest):
        with pytest.raises(ValueError, match="no data set is called 'CIFAR'"):
            use("CIFAR")


# --- digests --------------------------------------------------------------------------------------------------------


def test_digest_is_the_sha256_of_shape_pixels_and_labels(npz):
    loaded = load_dataset(npz(images=np.random.default_rng(0).random((12, 2, 3)), labels=np.arange(12)))
    content = b"2 3\n" + loaded.images.numpy().tobytes() + loaded.labels.numpy().tobytes()
    assert loaded.digest == hashlib.sha256(content).hexdigest()


def test_equal_content_has_equal_digests_whatever_its_type(npz):
    pixels = np.arange(256 * 4, dtype=np.int64).reshape(256, 2, 2) % 256
    digests = {
        load_dataset(npz(images=images)).digest
        for images in (pixels.astype(np.uint8), pixels / 255, pixels.astype(np.float32) / np.float32(255))
    }
    assert len(digests) == 1


def test_digest_sees_every_part(npz):
    pixels, labels = np.zeros((12, 2, 8)), np.zeros(12, int)
    changed, relabelled = pixels.copy(), labels.copy()
    changed[5, 1, 1], relabelled[5] = 1e-3, 1
    variants = [
        {"images": pixels, "labels": labels},
        {"images": pixels},
        {"images": changed, "labels": labels},
        {"images": pixels, "labels": relabelled},
        {"images": pixels.reshape(12, 4, 4), "labels": labels},
        {"images": pixels[:11], "labels": labels[:11]},
    ]

    def both(path):
        return load_dataset(path).digest, load_dataset(path, "test").digest

    assert len({both(npz(**variant)) for variant in variants}) == len(variants)


def test_source_digest_follows_the_files(contents, project, npz):
    assert source_digest("MNIST") == "missing"
    raw = write_files(project / "data", contents)
    whole = source_digest("MNIST")
    assert len(whole) == 64 and source_digest("MNIST") == whole
    labels = raw / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(labels.read_bytes() + b"\0")
    altered = source_digest("MNIST")
    labels.unlink()
    partly = source_digest("MNIST")
    assert len({whole, altered, partly, "missing"}) == 4

    assert source_digest("none.npz") == "missing"
    first, second = source_digest(npz(images=IMAGES)), source_digest(npz(images=IMAGES + 1))
    assert first != second != "missing"


def test_source_digest_of_embedded_data(monkeypatch):
    boots, digits = source_digest("synthetic-boots"), source_digest("digits")
    assert boots != digits and len(boots) == len(digits) == 64
    monkeypatch.setattr(data.importlib.metadata, "version", lambda package: "0.0")
    assert source_digest("digits") != digits


# --- housekeeping ---------------------------------------------------------------------------------------------------


def test_project_root_is_the_checkout_or_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(official, "project_root", PROJECT_ROOT)
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "checkout" / "vaelib"
    package.mkdir(parents=True)
    monkeypatch.setattr(official, "__file__", str(package / "official.py"))
    assert official.project_root() == tmp_path
    (tmp_path / "checkout" / "_toc.yml").touch()
    assert official.project_root() == tmp_path / "checkout"


def test_loading_official_files_imports_nothing_that_costs_seconds(contents, tmp_path):
    write_files(tmp_path, contents)
    program = f"""
import sys
from vaelib import official
from vaelib.data import load_dataset
official.CONTENT_SHA256 = {official.CONTENT_SHA256!r}
assert len(load_dataset("MNIST", root={str(tmp_path)!r}).images) == 12
print(sorted({{"torchvision", "sklearn", "scipy", "seaborn"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_linked_data_folder_is_never_written(tmp_path, project, mirror):
    source = tmp_path / "source"
    source.mkdir()
    (project / "data").symlink_to(source)
    with pytest.raises(DataUnavailableError, match="which is only read; remove the link"):
        load_dataset("FashionMNIST")
    assert not list(source.iterdir()) and not mirror.asked
