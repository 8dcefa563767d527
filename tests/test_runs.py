"""The store of runs: trained once, found again bit for bit, damage noticed, nothing half written, nobody in the way."""

import dataclasses
import json
import math
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from permissions import as_anybody
from safetensors.torch import load_file, save_file

import vaelib
from vaelib import runs
from vaelib.config import TrainConfig
from vaelib.runs import StoreError, code_digest, get_or_train
from vaelib.training import fit


def stored_runs():
    return [path for path in runs.store().iterdir() if path.is_dir()]


def same(first, second):
    ours, theirs = first.model.state_dict(), second.model.state_dict()
    return (
        ours.keys() == theirs.keys()
        and all(torch.equal(ours[name], theirs[name]) for name in ours)
        and (first.config, first.history, first.heldout) == (second.config, second.history, second.heldout)
        and (first.data_digest, first.machine) == (second.data_digest, second.machine)
    )


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_the_same_config_trains_once_and_comes_back_whole(tiny_npz, trainings, likelihood):
    config = dataclasses.replace(tiny_npz, likelihood=likelihood)
    first, again = get_or_train(config), get_or_train(config)
    assert trainings == [config]
    assert same(first, again)
    assert same(fit(config), again) is False  # seconds differ, so the second was read and not trained anew
    x = torch.rand(3, 16)
    assert torch.equal(first.model.embed(x), again.model.embed(x))
    [folder] = stored_runs()
    assert sorted(path.name for path in folder.iterdir()) == [
        "DONE",
        "config.json",
        "history.json",
        "weights.safetensors",
    ]
    assert TrainConfig.from_json((folder / "config.json").read_text()) == config


def test_embedded_digits_train_once(tiny_digits, trainings):
    assert same(get_or_train(tiny_digits, progress=False), get_or_train(tiny_digits, progress=False))
    assert len(trainings) == 1


def test_a_list_from_a_notebook_finds_the_run_of_a_tuple(tiny_npz, trainings):
    get_or_train(tiny_npz)
    get_or_train(dataclasses.replace(tiny_npz, hidden=list(tiny_npz.hidden)))
    assert len(trainings) == 1


def test_another_config_is_another_run(tiny_npz, trainings):
    for config in (tiny_npz, dataclasses.replace(tiny_npz, seed=2), dataclasses.replace(tiny_npz, latent_dim=3)):
        assert get_or_train(config).config == config
    assert len(trainings) == len(stored_runs()) == 3


def test_changed_images_under_an_old_name_are_another_run(tiny_npz, trainings, npz_writer):
    first = get_or_train(tiny_npz)
    npz_writer(tiny_npz.dataset, seed=1)
    again = get_or_train(tiny_npz)
    assert len(trainings) == 2
    assert again.data_digest != first.data_digest


def test_a_held_out_elbo_is_never_that_of_other_images(tiny_npz, trainings):
    """Only the held-out images change: the weights would be the same, the number printed on the page would not."""
    before = get_or_train(tiny_npz)
    heldout = vaelib.load_dataset(tiny_npz.dataset, "test").images
    with np.load(tiny_npz.dataset) as file:
        images, labels = file["images"], file["labels"]
    for image in images:
        if (torch.from_numpy(image.ravel()) == heldout).all(1).any():
            image[:] = 1 - image
    np.savez(tiny_npz.dataset, images=images, labels=labels)
    assert vaelib.load_dataset(tiny_npz.dataset).digest == before.data_digest
    assert get_or_train(tiny_npz).heldout != before.heldout


# Damage


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-7])


def changed(name, change):
    """The JSON of a file, changed; by `change` in place, or to what it returns."""

    def harm(folder):
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(change(content) or content))

    return harm


def reweighted(change):
    def harm(folder):
        weights = load_file(folder / "weights.safetensors")
        save_file(change(weights), folder / "weights.safetensors")

    return harm


def with_nan(weights):
    weights["decoder.0.bias"][0] = torch.nan
    return weights


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('a pickle was loaded')",)


def offer_a_pickle(folder):
    (folder / "weights.safetensors").write_bytes(pickle.dumps({"decoder.0.bias": Bomb()}))


# Harm that a matching DONE vouches for, and a word of what is said of it.
FALSE_WITNESS = {
    "another run's config": (changed("config.json", lambda c: {**c, "seed": 2}), "config.json is another run's"),
    "an unknown field": (changed("config.json", lambda c: {**c, "color": "red"}), "color"),
    "a list for a config": (changed("config.json", lambda c: [1, 2]), "TypeError"),
    "another run's key": (changed("history.json", lambda h: {**h, "key": 16 * "0"}), "key in history.json"),
    "the digest of other images": (changed("history.json", lambda h: {**h, "data_digest": 64 * "0"}), "data_digest"),
    "the digest of other held-out images": (
        changed("history.json", lambda h: {**h, "heldout_digest": 64 * "0"}),
        "heldout_digest",
    ),
    "a list for a record": (changed("history.json", lambda h: [h]), "TypeError"),
    "no machine": (changed("history.json", lambda h: h.pop("machine") and None), "machine"),
    "an epoch too few": (changed("history.json", lambda h: {**h, "history": h["history"][1:]}), "every epoch"),
    "half an epoch": (changed("history.json", lambda h: {**h, "history": [h["history"][0][:3]] * 2}), "TypeError"),
    "an ELBO that is no number": (changed("history.json", lambda h: {**h, "heldout": [math.nan] * 3}), "finite"),
    "NaN among the weights": (reweighted(with_nan), "no finite numbers"),
    "weights of another latent size": (
        reweighted(lambda w: {n: torch.cat([t, t], -1) if n == "decoder.0.weight" else t for n, t in w.items()}),
        "another model",
    ),
    "weights in another precision": (reweighted(lambda w: {n: t.double() for n, t in w.items()}), "another model"),
    "a weight too few": (reweighted(lambda w: dict(list(w.items())[1:])), "another model"),
    "torn weights": (lambda folder: truncate(folder / "weights.safetensors"), "SafetensorError"),
    "weights torn to nothing": (lambda folder: (folder / "weights.safetensors").write_bytes(b""), "SafetensorError"),
    "weights with a header beyond all memory": (
        lambda folder: (folder / "weights.safetensors").write_bytes(b"\xff" * 7 + b"\x7f" + b"{}"),
        "SafetensorError",
    ),
    "a malicious pickle for weights": (offer_a_pickle, "SafetensorError"),
}


AGAIN = "nothing of it is used; trained again, it has the same weights"


@pytest.mark.fault("A run in the store holds {kind}, and its checksums match", kept=AGAIN)
@pytest.mark.parametrize("kind", FALSE_WITNESS)
def test_what_is_read_is_what_was_asked_for(tiny_npz, trainings, capsys, kind, sees):
    harm, word = FALSE_WITNESS[kind]
    first = get_or_train(tiny_npz)
    [folder] = stored_runs()
    harm(folder)
    digests = {name: runs._sha256(folder / name) for name in runs.FILES}
    (folder / "DONE").write_text(json.dumps(digests))
    assert runs.stored(tiny_npz) is None
    again = get_or_train(tiny_npz)
    [line] = capsys.readouterr().err.splitlines()
    assert str(folder) in line and "training again" in line and word in line
    sees(line)
    assert len(trainings) == 2
    assert torch.equal(again.model.latent_weight, first.model.latent_weight)
    assert same(runs.stored(tiny_npz), again)


def test_another_runs_folder_under_this_ones_name_is_noticed(tiny_npz, trainings, monkeypatch, capsys):
    """The same config and images, trained by other code: only the key tells them apart."""
    with monkeypatch.context() as patch:
        patch.setattr(runs, "code_digest", lambda: "other code")
        get_or_train(tiny_npz)
    [other] = stored_runs()
    get_or_train(tiny_npz)
    [ours] = set(stored_runs()) - {other}
    shutil.rmtree(ours)
    shutil.copytree(other, ours)
    assert runs.stored(tiny_npz) is None
    get_or_train(tiny_npz)
    assert "the key in history.json is another run's" in capsys.readouterr().err
    assert len(trainings) == 3


# A store that takes nothing


def refused(config, folder, *words):
    with pytest.raises(StoreError) as caught:
        get_or_train(config)
    message = str(caught.value)
    assert str(folder) in message and "VAELIB_RUNS" in message and "\n" not in message
    assert all(word in message for word in words), message
    return message


@pytest.mark.fault("A file lies in the store's place", kept="the file; nothing is trained in vain")
def test_a_file_in_the_stores_place(tiny_npz, trainings, sees):
    runs.store().write_text("a file in the way")
    sees(refused(tiny_npz, runs.store(), "move away what is in its place"))
    assert trainings == [] and runs.store().read_text() == "a file in the way"


@pytest.mark.fault("A file lies in a run's place", kept="the file; nothing is trained in vain")
def test_a_file_in_a_runs_place_is_not_deleted(tiny_npz, trainings, sees):
    get_or_train(tiny_npz)
    [folder] = stored_runs()
    shutil.rmtree(folder)
    folder.write_text("a file in the way")
    assert runs.stored(tiny_npz) is None
    sees(re.sub(r"PosixPath\((.*?)\)", r"\1", refused(tiny_npz, folder, "Not a directory")))
    assert len(trainings) == 1 and folder.read_text() == "a file in the way"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a place where nobody may write")
def test_a_store_where_nobody_may_write(tiny_npz, trainings, monkeypatch):
    monkeypatch.setenv("VAELIB_RUNS", "/proc/vaelib")
    refused(tiny_npz, "/proc/vaelib")
    assert trainings == []


@pytest.mark.fault("The store may only be read", kept="what is in it, which is read; nothing is trained in vain")
def test_a_store_that_may_only_be_read(tiny_npz, trainings, sees):
    first = get_or_train(tiny_npz)
    for path in runs.store().rglob("*.lock"):
        path.unlink()
    for path in [*runs.store().rglob("*"), runs.store()]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    with as_anybody():
        assert same(get_or_train(tiny_npz), first)
        sees(refused(dataclasses.replace(tiny_npz, seed=2), runs.store(), "Permission denied"))
    assert len(trainings) == 1


def test_a_whole_run_is_read_where_nothing_can_be_written(tiny_npz, trainings):
    first = get_or_train(tiny_npz)
    [folder] = stored_runs()
    lock = folder.with_name(f"{folder.name}.lock")
    lock.unlink(missing_ok=True)
    lock.mkdir()  # it cannot be taken
    assert same(get_or_train(tiny_npz), first)
    shutil.rmtree(folder)
    refused(tiny_npz, folder)
    assert len(trainings) == 1


@pytest.mark.fault("A model ends worse than the mean image alone", kept="the run, and this warning with it")
def test_a_warning_stays_with_its_run(tiny_npz, sees):
    hasty = dataclasses.replace(tiny_npz, learning_rate=1.5)
    run = get_or_train(hasty)
    assert "worse than that of the mean training image" in run.warning
    assert get_or_train(hasty).warning == run.warning
    assert get_or_train(tiny_npz).warning == ""
    sees(re.sub(r"-?\d+\.\d", "…", run.warning))  # nats, which are others on another processor


HARM = {
    "one bit is flipped": flip_a_bit,
    "it is cut short": truncate,
    "it is gone": Path.unlink,
    "it is empty": lambda path: path.write_text(""),
    "it holds {}": lambda path: path.write_text("{}"),
    "it holds []": lambda path: path.write_text("[]"),
    "it holds 3": lambda path: path.write_text("3"),
    "it is a folder": lambda path: (path.unlink(), path.mkdir()),
}
DAMAGE = [
    *(("weights.safetensors", harm) for harm in list(HARM)[:3]),
    ("config.json", "one bit is flipped"),
    ("history.json", "it is cut short"),
    ("history.json", "it is gone"),
    *(("DONE", harm) for harm in list(HARM)[1:]),
    ("weights.safetensors", "it is a folder"),
]


@pytest.mark.fault("A stored run is damaged, in {name}: {harm}", kept=AGAIN)
@pytest.mark.parametrize(("name", "harm"), DAMAGE)
def test_a_damaged_run_is_named_and_trained_again(tiny_npz, trainings, capsys, name, harm, sees):
    first = get_or_train(tiny_npz)
    [folder] = stored_runs()
    HARM[harm](folder / name)
    capsys.readouterr()
    assert runs.stored(tiny_npz) is None
    again = get_or_train(tiny_npz)
    message = capsys.readouterr().err
    sees(message)
    assert "training again" in message
    assert str(folder) in message
    assert len(trainings) == 2
    assert torch.equal(again.model.latent_weight, first.model.latent_weight)
    assert same(get_or_train(tiny_npz), again)  # what was written in its place is sound
    assert capsys.readouterr().err == ""
    assert len(trainings) == 2


def test_a_failed_training_stores_nothing(tiny_npz, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(runs, "fit", broken)
    with pytest.raises(RuntimeError, match="out of memory"):
        get_or_train(tiny_npz)
    assert stored_runs() == []


def test_a_failed_write_stores_nothing(tiny_npz, monkeypatch, trainings):
    def full(*args, **kwargs):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(runs, "save_file", full)
        with pytest.raises(OSError, match="no space left"):
            get_or_train(tiny_npz)
        assert stored_runs() == []
    get_or_train(tiny_npz)
    assert len(trainings) == 2


# Other processes

SCRIPT = """
import os, resource, signal, sys, time
from pathlib import Path
from unittest.mock import MagicMock

import torch
from vaelib import runs
from vaelib.config import TrainConfig
from vaelib.training import fit

torch.set_num_threads(1)
config, base, out = TrainConfig.from_json(sys.argv[1]), Path(sys.argv[2]), os.dup(1)


def in_child(work, *args):
    # A fork takes milliseconds where an import takes seconds.
    child = os.fork()
    if child == 0:
        try:
            work(*args)
        except OSError:
            os._exit(3)
        os._exit(0)
    return child


def status(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def say(*words):
    os.write(out, (" ".join(map(str, words)) + "\\n").encode())


def kill(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)


def killed(place):
    if place == "weights":
        save_file = runs.save_file
        runs.save_file = lambda tensors, path: (save_file(tensors, path), kill())
    else:
        Path.rename = kill
    runs.get_or_train(config)


def rival(name, gate):
    def slow(*args, **kwargs):
        say(name, "trained")
        time.sleep(1.5)  # long enough for the other to arrive, and to say that it waits
        return fit(*args, **kwargs)

    runs.fit = slow
    if name == "unlocked":
        runs.FileLock = MagicMock()
    os.close(gate[1])
    os.read(gate[0], 1)  # returns for both at once, when the parent closes its end
    run = runs.get_or_train(config)
    say(name, "got", run.model.latent_weight.sum().item())


os.environ["VAELIB_RUNS"] = str(base / "killed")
for place in ("weights", "rename"):
    say("killed", place, status(in_child(killed, place)))
def cramped():
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))  # no file grows beyond, as on a full disk
    runs.fit = kill
    try:
        runs.get_or_train(config)
    except runs.StoreError as error:
        say("full", error)
        say("full", *os.listdir(runs.store()))


os.environ["VAELIB_RUNS"] = str(base / "full")
say("full", status(in_child(cramped)))
for name in ("locked", "unlocked"):
    os.environ["VAELIB_RUNS"] = str(base / name)
    gate = os.pipe()
    children = [in_child(rival, name, gate) for _ in range(2)]
    os.close(gate[1])
    say(name, "exits", *sorted(map(status, children)))
"""


def run_script(script, *arguments):
    """What a script printed, line by line, and its standard error."""
    root = Path(vaelib.__file__).parent.parent
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=root)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr


shared_processes = pytest.mark.xdist_group("processes")  # or each worker would start them


@pytest.fixture(scope="session")  # a worker that takes turns between modules ends those of a module
def processes(tmp_path_factory, npz_writer):
    """What SCRIPT said, by subject; the config it used; the folder of its stores; and its standard error."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork and SIGKILL")
    base = tmp_path_factory.mktemp("processes")
    npz_writer(base / "tiny.npz", seed=0)
    config = TrainConfig(str(base / "tiny.npz"), epochs=2, hidden=(8,), batch_size=16)
    said = {"killed": [], "full": [], "locked": [], "unlocked": []}
    lines, errors = run_script(SCRIPT, config.to_json(), str(base))
    for line in lines:
        subject, _, rest = line.partition(" ")
        said[subject].append(rest)
    return said, config, base, errors


@pytest.mark.fault(
    "A process is killed while it stores a run", kept="no half of it; the next call trains it, and clears up"
)
@shared_processes
def test_a_process_killed_while_writing_leaves_no_run(processes, trainings, capsys, monkeypatch, sees):
    said, config, base, _ = processes
    assert said["killed"] == [f"weights {-signal.SIGKILL}", f"rename {-signal.SIGKILL}"]
    monkeypatch.setenv("VAELIB_RUNS", str(base / "killed"))
    # The second, which cleared away what the first had left, got as far as writing all files …
    [unfinished] = stored_runs()
    assert len(list(unfinished.iterdir())) == 4
    # … and yet no folder there carries the name of a run.
    assert not re.fullmatch(r"[0-9a-f]{16}", unfinished.name)
    assert same(get_or_train(config), get_or_train(config))
    assert len(trainings) == 1
    assert not unfinished.exists()
    said = capsys.readouterr().err
    assert said == ""
    sees(said)


@pytest.mark.fault("Two processes want the same run", kept="the work of the first: it is trained once, for both")
@shared_processes
def test_two_processes_that_want_the_same_run_train_it_once(processes, sees):
    said, _, base, errors = processes
    assert said["locked"].count("trained") == 1
    results = [line for line in said["locked"] if line.startswith("got")]
    assert len(results) == 2
    assert len(set(results)) == 1
    assert said["locked"][-1] == "exits 0 0"
    [waits] = [line for line in errors.splitlines() if str(base / "locked") in line]
    assert waits.startswith(f"vaelib: waiting for another process, which has the run {base / 'locked'}")
    sees(waits)
    assert said["unlocked"].count("trained") == 2  # the control: without the lock, the same script trains twice


@pytest.mark.fault("The disk is full where runs are stored", kept="nothing torn; nothing is trained in vain")
@shared_processes
def test_a_full_disk_is_said_before_any_training(processes, sees):
    said, _, base, _ = processes
    error, left, status = said["full"]
    assert error.startswith(f"the run cannot be stored in {base / 'full'}") and "Make room" in error
    sees(error)
    assert not [name for name in left.split() if not name.endswith(".lock")]
    assert status == "0"  # and training, which would have killed the process, was not begun


HEAVY = ("IPython", "matplotlib", "pandas", "scipy", "seaborn", "sklearn", "torchvision")


def test_importing_vaelib_imports_nothing_that_takes_seconds():
    script = "import sys, vaelib; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    [modules], _ = run_script(script)
    assert {"vaelib", "torch", "numpy"} <= set(modules.split())
    assert not set(HEAVY) & set(modules.split())


# The key


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package whose code `code_digest` reads instead, and the digest of what it holds now."""
    copy = tmp_path / "vaelib"
    shutil.copytree(Path(runs.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(runs, "__file__", str(copy / "runs.py"))
    return copy


def edit(path, old, new):
    text = path.read_text()
    assert old in text, f"{path.name} no longer holds {old!r}: choose another place"
    path.write_text(text.replace(old, new, 1))


def digest():
    return code_digest.__wrapped__()  # past the cache: the files change under our hands


def test_code_digest_reads_the_package_it_belongs_to(package):
    assert digest() == code_digest()
    assert len(digest()) == 64


@pytest.mark.parametrize("name", ["densities", "models", "bounds", "training", "data", "synthetic"])
def test_code_digest_ignores_words(package, name):
    before, path = digest(), package / f"{name}.py"
    text = path.read_text()
    changed = re.sub(r'"""', '"""Reworded: ', text, count=1)  # the module's own docstring
    changed = re.sub(r'(\n    +""")(?=\w)', r"\1Reworded: ", changed)  # those of its functions and classes
    changed = "# a comment\n" + changed.replace("\n\n\n", "\n\n\n# another comment\n\n") + "\n\n"
    assert changed.count("Reworded") > 2
    path.write_text(changed)
    compile(changed, path, "exec")
    assert digest() == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("densities", "0.5 *", "0.25 *"),
        ("models", "nn.ReLU()", "nn.Tanh()"),
        ("bounds", "kl, log_likelihood - kl)", "kl, log_likelihood + kl)"),
        ("training", "-terms.elbo.mean()", "-terms.elbo.sum()"),
        ("config", "seed: int = 1", "seed: int = 2"),
        ("data", ".div_(255)", ".div_(256)"),
        ("synthetic", "SIDE = 28", "SIDE = 29"),
    ],
)
def test_code_digest_changes_with_what_training_runs(package, name, old, new):
    before = digest()
    edit(package / f"{name}.py", old, new)
    assert digest() != before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("bounds", "    check_pixels(x, model.likelihood)\n", ""),
        ("bounds", 'str = "x") -> None:\n', 'str = "x") -> None:\n    assert len(x) < 10**9\n'),
        ("training", '    if config.divergence == "mmd" and last == 1:\n', "    if last == 1:\n"),
        ("training", "import ElboTerms, check_pixels, elbo", "import ElboTerms, elbo"),
    ],
)
def test_code_digest_stays_with_one_check_more_or_less(package, name, old, new):
    before = digest()
    edit(package / f"{name}.py", old, new)
    assert digest() == before


@pytest.mark.parametrize("name", ["latent", "measures", "paper", "cli", "runs"])
def test_code_digest_stays_with_what_training_does_not_run(package, name):
    before = digest()
    path = package / f"{name}.py"
    path.write_text(path.read_text() + "\nANSWER = 42\n")
    assert digest() == before


def test_a_change_of_code_or_torch_is_another_run(tiny_npz, trainings, monkeypatch):
    get_or_train(tiny_npz)
    monkeypatch.setattr(runs, "code_digest", lambda: "other code")
    get_or_train(tiny_npz)
    monkeypatch.setattr(torch, "__version__", "99.0")
    get_or_train(tiny_npz)
    assert len(trainings) == 3


def test_what_a_gpu_computes_is_another_run(tiny_npz, trainings, monkeypatch):
    """It adds in another order, so its weights are other ones; no GPU is needed to ask for them."""
    get_or_train(tiny_npz, device="cpu")
    monkeypatch.setattr(runs, "resolve_device", lambda device: torch.device("cuda"))
    assert runs.stored(tiny_npz) is None
    get_or_train(tiny_npz, device="cpu")
    assert len(trainings) == 2


def test_runs_are_kept_in_the_project_unless_told_otherwise(tmp_path, monkeypatch):
    assert runs.store() == tmp_path / "runs"
    monkeypatch.delenv("VAELIB_RUNS")
    assert runs.store() == vaelib.data.project_root() / "runs"


def test_the_record_says_what_was_trained_where(tiny_npz):
    run = get_or_train(tiny_npz, device="cpu")
    [folder] = stored_runs()
    record = json.loads((folder / "history.json").read_text())
    assert record["machine"] == run.machine
    assert record["torch"] == torch.__version__
    assert record["data_digest"] == run.data_digest == vaelib.load_dataset(tiny_npz.dataset).digest
