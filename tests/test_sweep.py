"""Sweeps, on the small book: what may be asked, what runs, what survives kills, and what is not done twice."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
import small_book
from nbformat.v4 import new_code_cell
from small_book import PARAMETERS, SIGNALS, wait_for, write_chapter

from tools import engine, rerun, rerun_record, sweep, sweep_report
from tools.chapters import ROOT, BookError
from tools.rerun_record import Record

# A page without Sphinx, which would take longer than all the rest.
TYPESET = """

def typeset(root, folder, name, chapter, notebook, values):
    (folder / "html").mkdir()
    (folder / "html" / f"{name}.html").write_text(str(notebook), encoding="utf-8")
    return folder / "html"
"""
# What a chapter shows, and how often it ran: one letter a time.
SHOWS = """\
open("log", "a").write("x")
elbo = f"held-out ELBO {-100.0 - latent_dim:.1f} nats per image"
display({"text/plain": f"8 × 8 digits (data 0123abcd) · K = {latent_dim} · {elbo}"}, raw=True)
"""
KEPT = "Interrupted. What was rerun so far is kept; the same command goes on from there."


@pytest.fixture
def own_book(book):
    return with_tools(book)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What a sweep over `GRID` leaves that nothing disturbs."""
    book = with_tools(small_book.make(tmp_path_factory.mktemp("undisturbed") / "book"))
    assert swept(book, *GRID)[0] == 0
    files, records = kept(book)
    assert len(files) == 6 and len(records) == 3
    return files, records


def with_tools(book):
    """The small book with tools of its own, whose reruns run as they do in ours but for Sphinx and torch."""
    shutil.copytree(ROOT / "tools", book / "tools", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    with (book / "tools" / "rerun_page.py").open("a", encoding="utf-8") as module:
        module.write(TYPESET)
    chapter(book, SHOWS)
    return book


def chapter(book, *sources):
    cells = [new_code_cell(source, id=f"cell-{number}") for number, source in enumerate(sources)]
    tagged = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}, id="parameters")
    path = write_chapter(book, "trial", tagged, *cells)
    notebook = nbformat.read(path, 4)
    notebook.cells[0].id = "title"
    nbformat.write(notebook, path)


def begun(book, *words):
    command = [sys.executable, "-m", "tools.sweep", "CHAPTER=trial", *words]
    return subprocess.Popen(command, cwd=book, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def swept(book, *words):
    """A sweep from beginning to end: its status, what it wrote to stdout, and to stderr."""
    process = begun(book, *words)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def kept(book):
    """The reruns of a book: bytes by file name, and the records but for their times."""
    reruns = book / "reruns"
    files = {path.name: path.read_bytes() for path in reruns.glob("*.*") if path.name[0] != "."}
    records = {path.name: re.sub(r'"seconds": [\d.]+', "", path.read_text()) for path in reruns.glob(".records/*.json")}
    return files, records


def ran(book):
    return len((book / "log").read_text()) if (book / "log").exists() else 0


# --- requests


def test_a_grid_is_every_combination_each_checked_as_a_rerun(book, tmp_path):
    (tmp_path / "my own.npz").touch()
    words = ["CHAPTER=trial", "SEED=0 1", f"DATASET={tmp_path}/my own.npz", "LATENT_DIM=1 2 2", "SMOKE=1", "WORKERS=3"]
    asked = sweep.parse([*words, "--dry-run", "--scheduler", "tcp://host:1"], book)
    assert (asked.chapter, asked.place, asked.dry) == ("trial", (3, "tcp://host:1"), True)
    digest = rerun.file_name("", {"d": f"{tmp_path}/my own.npz"}).removeprefix("-my_own-")
    assert list(asked.runs) == [f"trial-my_own-{digest}-K{k}-seed{s}-smoke" for s in (0, 1) for k in (1, 2)]
    assert list(asked.runs.values())[1] == {
        "dataset": f"{tmp_path}/my own.npz", "latent_dim": 2, "seed": 0, "smoke": True,
    }  # fmt: skip
    assert sweep.parse(["CHAPTER=trial", "DRY_RUN=1", "SCHEDULER=tcp://host:1"], book).runs == {"trial": {}}
    assert sweep.parse(["CHAPTER=trial", "DRY_RUN=1"], book).dry and not sweep.parse(["CHAPTER=trial"], book).dry


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["LATENT_DIM=1 2"], "no chapter is named; for example: make sweep"),
        (["CHAPTER=trial theory"], "CHAPTER=trial and CHAPTER=theory: a sweep is over one chapter"),
        (["CHAPTER=trial", "LATENT_DIM=1 2 x"], "LATENT_DIM=x: give a whole number"),
        (["CHAPTER=trial", "LATENT_DIM=1,2"], "LATENT_DIM=1,2: give a whole number"),
        (["CHAPTER=trial", "LATENT_DIM="], "LATENT_DIM=: give a whole number"),
        (["CHAPTER=trial", "LATENT_DIMS=1 2"], "no parameter 'LATENT_DIMS'"),
        (["CHAPTER=trial", "SEED=1", "SEED=2"], "SEED is given 2 times"),
        (["CHAPTER=trial", "WORKERS=0"], "WORKERS=0: give a whole number of 1 or more"),
        (["CHAPTER=trial", "SCHEDULER=there"], "SCHEDULER=there: give the address"),
        (["CHAPTER=trial", "--scheduler"], "--scheduler needs an address"),
        (["CHAPTER=trial", "--dry"], "there is no option --dry; there are --dry-run, --scheduler"),
    ],
)
def test_a_wrong_request_is_one_line(book, words, message):
    with pytest.raises(BookError, match=re.escape(message)) as refusal:
        sweep.parse(words, book)
    assert "\n" not in str(refusal.value)


def test_a_wrong_request_is_refused_before_anything_is_loaded():
    code = (
        "import sys; from tools.sweep import main; status = main(['--check', 'CHAPTER=nowhere']);"
        "loaded = {'torch', 'papermill', 'pandas', 'tqdm', 'dask', 'psutil'} & set(sys.modules);"
        "sys.exit(repr((status, loaded)))"
    )
    run = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.stderr.splitlines()[0].startswith("sweep: there is no chapter 'nowhere'")
    assert run.stderr.splitlines()[1:] == ["(2, set())"]


@pytest.mark.skipif(not shutil.which("make"), reason="no make")
def test_make_passes_values_with_blanks_on():
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "sweep", f"PYTHON={sys.executable}", "CHAPTER=mnist", "LATENT_DIM=1 2 0", "SEED=0 1"]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode
    assert run.stderr.splitlines()[0] == "sweep: LATENT_DIM=0: give a whole number of 1 or more"


def test_each_rerun_has_one_thread_and_the_folders_of_the_caller(monkeypatch):
    monkeypatch.setenv("VAELIB_RUNS", "/a store")
    monkeypatch.delenv("VAELIB_DATA")
    command = sweep.command("mnist", {"latent_dim": 3, "smoke": True})
    assert command[:3] == ["env", "OMP_NUM_THREADS=1", "VAELIB_RUNS=/a store"]
    assert command[-4:] == ["--with-parent", "CHAPTER=mnist", "LATENT_DIM=3", "SMOKE=1"]
    assert rerun.parse(command[-3:]) == ("mnist", {"latent_dim": 3, "smoke": True})


# --- sweeps


def test_a_sweep_reruns_what_is_missing_and_says_so(own_book):
    status, out, _ = swept(own_book, "LATENT_DIM=1 2", "SEED=0", "--dry-run")
    assert (status, ran(own_book)) == (0, 0)
    assert out.splitlines() == [
        "trial: 2 reruns, 0 of them there, 2 to run; 2 of a kind that was never timed here",
        "  trial-K1-seed0: not timed before",
        "  trial-K2-seed0: not timed before",
    ]
    status, out, err = swept(own_book, "LATENT_DIM=1 2", "SEED=0")
    assert (status, ran(own_book)) == (0, 2)
    assert (
        len(re.findall(r"^trial-K[12]-seed0: \d+ s, 8 × 8 digits, held-out ELBO -10[12]\.0 nats$", out, flags=re.M))
        == 2
    )
    assert re.search(r"trial-K2-seed0 +2 +0 +rerun +[\d.]+ +8 × 8 digits +-102", out)
    whole = [line for line in err.splitlines() if line.startswith("trial: ")]
    assert [re.search(r"\d/2 \[", line)[0] for line in whole] == ["1/2 [", "2/2 ["]
    assert re.search(r"<\d\d:\d\d", whole[0])  # the time that is left
    before = kept(own_book)
    status, out, _ = swept(own_book, "LATENT_DIM=1 2", "SEED=0 1", "--dry-run")
    assert re.search(r"4 reruns, 2 of them there, 2 to run; by recorded times \d+ s of work, \d+ s with", out)
    status, out, _ = swept(own_book, "LATENT_DIM=1 2", "SEED=0")
    assert (status, ran(own_book), kept(own_book)) == (0, 2, before)
    assert re.search(r"trial-K2-seed0 +2 +0 +was there", out)


def test_other_code_other_data_and_other_text_are_rerun(own_book):
    assert swept(own_book)[0] == 0
    runs = {"trial": {}}
    assert sweep_report.missing(own_book, "trial", runs) == []
    text = (own_book / "book" / "trial.ipynb").read_text(encoding="utf-8")
    edits = {
        "vaelib/bounds.py": "bound = 2\n",
        "vaelib/data.py": "def source_digest(name):\n    return 'other data'\n",
        "requirements.txt": "torch==1\n",
        "book/trial.ipynb": text.replace("# trial", "# Trial"),
    }
    for name, other in edits.items():
        before = (own_book / name).read_text(encoding="utf-8")
        (own_book / name).write_text(other, encoding="utf-8")
        assert sweep_report.missing(own_book, "trial", runs) == ["trial"], name
        (own_book / name).write_text(before, encoding="utf-8")
        assert sweep_report.missing(own_book, "trial", runs) == [], name
    (own_book / "reruns" / "trial.html").unlink()
    assert sweep_report.missing(own_book, "trial", runs) == ["trial"]


@pytest.mark.fault("One rerun of a sweep always fails", kept="all others, which go on; it is reported once")
def test_one_that_always_fails_is_reported_once_and_the_rest_go_on(own_book, sees):
    chapter(own_book, SHOWS, "1 / (latent_dim - 2)")
    status, out, err = swept(own_book, "LATENT_DIM=1 2 3")
    assert status == 1
    assert (out + err).count("ZeroDivisionError: division by zero") == 1
    assert out.count("trial-K2: FAILED") == 1
    lines = out[out.index("trial-K2: FAILED") :].partition("\n\n")[0].splitlines()
    sees("\n".join([lines[0], lines[1], "…", lines[-1]]))
    assert sorted(path.stem for path in own_book.glob("reruns/*.html")) == ["trial-K1", "trial-K3"]
    assert ran(own_book) == 3  # an error would come again: it is not tried again
    assert "1 to run" in swept(own_book, "LATENT_DIM=1 2 3", "--dry-run")[1]


@pytest.mark.slow
@pytest.mark.fault(
    "The process of one rerun of a sweep always dies, that of another once",
    kept="all others, and the one that died once; the other is given up after three times",
)
def test_one_that_dies_is_tried_again_and_one_that_always_dies_is_given_up(own_book, sees):
    dies = "import os\nonce = not os.path.exists(f'log-{latent_dim}')\nopen(f'log-{latent_dim}', 'a')"
    kill = "if latent_dim == 2 or (once and latent_dim == 3): os.kill(os.getpid(), 9)"
    chapter(own_book, SHOWS, dies, kill)
    status, out, _ = swept(own_book, "LATENT_DIM=1 2 3")
    assert status == 1
    assert out.count("its process died 3 times (status 3)") == 1
    lines = out[out.index("trial-K2: FAILED") :].partition("\n\n")[0].splitlines()
    sees("\n".join(lines[:2]))
    assert sorted(path.stem for path in own_book.glob("reruns/*.html")) == ["trial-K1", "trial-K3"]
    assert ran(own_book) == 1 + engine.ATTEMPTS + 2


# --- kills


def ours(book):
    """The processes that belong to a book's sweep, by their working folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd().startswith(str(book)) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            pass
    return found


GRID = ("LATENT_DIM=1 2 3", "WORKERS=2")


@pytest.mark.fault(
    "A sweep is ended by {signal} at some moment", kept="what was rerun; resumed, all is as if it had never been ended"
)
@pytest.mark.parametrize("number", SIGNALS)
def test_a_sweep_that_is_killed_and_resumed_is_as_one_left_alone(own_book, undisturbed, number, sees):
    draw = random.Random(int(number))
    process = begun(own_book, *GRID)
    wait_for(lambda: ours(own_book) != [process.pid] and len(ours(own_book)) > 3)  # a rerun and its kernel
    time.sleep(draw.uniform(0, 2))
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    if number != signal.SIGKILL:
        assert process.returncode == 130
        assert said.rstrip().endswith(
            "Interrupted. What was rerun so far is kept; the same command goes on from there."
        )
        assert "Traceback" not in said
    wait_for(lambda: not ours(own_book), 15)  # nothing goes on by itself
    assert swept(own_book, *GRID)[0] == 0
    assert kept(own_book) == undisturbed
    assert not list(own_book.glob("reruns/.unfinished-*"))
    sees("" if number == signal.SIGKILL else said.strip().splitlines()[-1], signal=number.name)


# --- what is known of reruns


def test_times_are_expected_from_the_nearest_kind():
    records = [
        Record("trial", {"latent_dim": 2, "seed": 1}, "", 10, None, None),
        Record("trial", {"latent_dim": 2, "seed": 2}, "", 20, None, None),
        Record("trial", {"latent_dim": 9}, "", 60, None, None),
        Record("trial", {"latent_dim": 2, "smoke": True}, "", 1, None, None),
        Record("other", {"latent_dim": 2}, "", 1000, None, None),
    ]
    assert sweep_report.expected(records, "trial", {"latent_dim": 2, "seed": 7}) == 15
    assert sweep_report.expected(records, "trial", {"latent_dim": 5}) == 30
    assert sweep_report.expected(records, "trial", {"latent_dim": 5, "smoke": True}) == 1
    assert sweep_report.expected(records, "theory", {}) is None


def test_a_record_that_is_torn_or_without_its_page_is_none(tmp_path):
    record = Record("trial", {"latent_dim": 2}, "digest", 3.5, "MNIST", -99.5)
    rerun_record.write(tmp_path, "trial-K2", record)
    assert rerun_record.read(tmp_path, "trial-K2") is None
    assert rerun_record.read_all(tmp_path) == [record]
    for suffix in (".ipynb", ".html"):
        (tmp_path / f"trial-K2{suffix}").touch()
    assert rerun_record.read(tmp_path, "trial-K2") == record
    (tmp_path / ".records" / "trial-K2.json").write_text('{"chapter": "tr')
    assert rerun_record.read(tmp_path, "trial-K2") is None


def test_a_rerun_of_the_same_values_has_one_name_only(book):
    """Two values that one file name would stand for must not be taken for each other's reruns."""
    asked = sweep.parse(["CHAPTER=trial", "LATENT_DIM=2 02 +2"], book)
    assert list(asked.runs) == ["trial-K2"]


# --- a cluster


@pytest.mark.slow
@pytest.mark.fault("A worker of a cluster is killed in a sweep", kept="all: its rerun goes to another worker")
def test_a_cluster_that_loses_a_worker_does_all_and_the_same(own_book, cluster, undisturbed, sees):
    scheduler, worker = cluster
    _, address = scheduler()
    workers = [worker(address), worker(address)]
    process = begun(own_book, *GRID, "--scheduler", address)
    wait_for(lambda: len(ours(own_book)) > 3)
    workers[0].kill()
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert kept(own_book) == undisturbed
    assert "FAILED" not in out
    sees("\n".join(line for line in said.splitlines() if not line.startswith("trial: ")))


@pytest.mark.slow
@pytest.mark.fault("The scheduler of a cluster is killed in a sweep", kept="what was rerun; the same command goes on")
def test_a_scheduler_that_dies_loses_nothing_that_was_done(own_book, cluster, sees):
    scheduler, worker = cluster
    process, address = scheduler()
    worker(address)
    sweeping = begun(own_book, *GRID, "--scheduler", address)
    wait_for(lambda: list(own_book.glob("reruns/.records/*.json")))
    process.kill()
    _, said = sweeping.communicate(timeout=120)
    assert sweeping.returncode == 2
    assert said.splitlines()[-1].startswith("sweep: the scheduler is gone. What was done is kept")
    sees(said.splitlines()[-1])
    wait_for(lambda: not ours(own_book), 30)
    done = list(own_book.glob("reruns/.records/*.json"))
    assert done
    assert f"{len(done)} of them there" in swept(own_book, *GRID, "--dry-run")[1]


@pytest.mark.slow
@pytest.mark.fault("No scheduler answers at the address that a sweep is given", kept="all as it was")
def test_no_scheduler_is_one_line(own_book, sees):
    pytest.importorskip("distributed")
    status, _, err = swept(own_book, "--scheduler", "tcp://127.0.0.1:9")
    assert status == 2
    assert err.splitlines()[-1].startswith("sweep: no scheduler answers at tcp://127.0.0.1:9")
    assert ran(own_book) == 0
    sees(err.splitlines()[-1])
