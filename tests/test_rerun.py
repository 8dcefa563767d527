"""Running a chapter again, on the small book: what may be asked, what is left behind, and what is not."""

import os
import resource
import shutil
import signal
import subprocess
import sys

import nbformat
import pytest
from bs4 import BeautifulSoup
from filelock import FileLock
from nbformat.v4 import new_code_cell, new_markdown_cell
from permissions import as_anybody
from small_book import DOT, PARAMETERS, alive, wait_for, write_chapter

from tools import check_site, rerun, rerun_page, rerun_record
from tools.chapters import ROOT, BookError, read_notebook

papermills_own = pytest.mark.filterwarnings("default")
pytestmark = pytest.mark.usefixtures("warm_kernels")


def with_parameters(book, *cells):
    return write_chapter(book, "trial", new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}), *cells)


def seen(book):
    """What a reader finds in reruns/."""
    return sorted(path.name for path in (book / "reruns").iterdir() if path.name[0] not in "._")


@pytest.fixture
def without_sphinx(monkeypatch):
    """The notebook's own text stands for a typeset page."""

    def typeset(root, folder, name, chapter, notebook, values):
        (folder / "html").mkdir()
        (folder / "html" / f"{name}.html").write_text(str(notebook), encoding="utf-8")
        return folder / "html"

    monkeypatch.setattr(rerun_page, "typeset", typeset)


# --- requests


def test_request_is_read_whatever_its_order(book):
    words = ["EPOCHS=3", "SMOKE=1", "LATENT_DIM=10", "CHAPTER=trial", "VAELIB_DATA=elsewhere"]
    chapter, values = rerun.parse(words, book)
    assert (chapter, list(values.items())) == ("trial", [("latent_dim", 10), ("epochs", 3), ("smoke", True)])
    assert rerun.file_name("trial", values) == "trial-K10-epochs3-smoke"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no chapter is named"),
        (["CHAPTER=mnits"], "no chapter 'mnits' .*trial"),
        (["CHAPTER=theory"], "no chapter 'theory'"),
        (["CHAPTER=trial", "LATENT_DIMS=3"], "no parameter 'LATENT_DIMS'; it has .*LATENT_DIM=2"),
        (["CHAPTER=trial", "latent_dim=3"], "no parameter 'latent_dim'"),
        (["CHAPTER=trial", "LATENT_DIM=0"], "LATENT_DIM=0: give a whole number of 1 or more"),
        (["CHAPTER=trial", "LATENT_DIM=-2"], "LATENT_DIM=-2: give a whole number of 1 or more"),
        (["CHAPTER=trial", "LATENT_DIM=2.5"], r"LATENT_DIM=2\.5: give a whole number"),
        (["CHAPTER=trial", "LATENT_DIM="], "LATENT_DIM=: give a whole number"),
        (["CHAPTER=trial", "EPOCHS=0"], "EPOCHS=0: give a whole number of 1 or more"),
        (["CHAPTER=trial", "SMOKE=perhaps"], "SMOKE=perhaps: give 1 or 0"),
        (["CHAPTER=trial", "DATASET=gone.npz"], r"DATASET=gone\.npz: there is no such file"),
        (
            ["CHAPTER=trial", "LATENT_DIM=2", "LATENT_DIM=3"],
            "LATENT_DIM is given 2 times: LATENT_DIM=2 and LATENT_DIM=3",
        ),
        (["CHAPTER=trial", "CHAPTER=theory"], "CHAPTER is given 2 times"),
    ],
)
@pytest.mark.fault("make rerun is asked for {words}", kept="the time: nothing is loaded")
def test_request_is_refused_in_one_line(book, words, message, sees):
    with pytest.raises(BookError, match=message) as refusal:
        rerun.parse(words, book)
    assert "\n" not in str(refusal.value)
    sees(f"rerun: {refusal.value}", words=" ".join(words) or "nothing")


def test_request_is_refused_before_anything_is_loaded():
    """The check must answer where nothing is installed: no package beyond the standard library is imported."""
    code = (
        "import sys; from tools.rerun import main; status = main(['--check', 'CHAPTER=nowhere']);"
        "loaded = {'torch', 'papermill', 'nbformat', 'yaml', 'numpy', 'filelock'} & set(sys.modules);"
        "sys.exit(repr((status, loaded)))"
    )
    run = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.stderr.splitlines()[-1] == "(2, set())"
    assert len(run.stderr.splitlines()) == 2


@pytest.mark.skipif(not shutil.which("make"), reason="no make")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["LATENT_DIM=2", "LATENT_DIM=3"], "LATENT_DIM is given 2 times: LATENT_DIM=2 and LATENT_DIM=3"),
        (["LATENT_DIMS=3"], "mnist has no parameter 'LATENT_DIMS'"),
        (["DATASET=no such $file's \\here.npz"], "DATASET=no such $file's \\here.npz: there is no such file"),
    ],
)
def test_make_passes_words_on_as_they_were_typed(words, message):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = [
        "make",
        "rerun",
        f"PYTHON={sys.executable}",
        "CHAPTER=mnist",
        *words,
    ]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode
    assert run.stdout == ""
    assert run.stderr.splitlines()[0].startswith(f"rerun: {message}")


def test_files_of_one_name_have_reruns_of_their_own(book, tmp_path):
    names = set()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "my: #1.npz").touch()
        _, values = rerun.parse(["CHAPTER=trial", f"DATASET={tmp_path}/{folder}/my: #1.npz"], book)
        names.add(rerun.file_name("trial", values))
    assert len(names) == 2
    assert all(name.startswith("trial-my_1-") for name in names)


# --- what a rerun leaves


@papermills_own
def test_rerun_leaves_a_notebook_and_a_page_that_leads_into_the_book(book, capfd):
    inventory = book / "_build" / "html" / "objects.inv"
    assert rerun.rerun("trial", {"latent_dim": 7, "dataset": "my_*data*.npz"}, book) == 0
    [name] = [path.stem for path in (book / "reruns").glob("*.ipynb")]
    assert seen(book) == ["index.html", f"{name}.html", f"{name}.ipynb"]
    notebook = read_notebook(book / "reruns" / f"{name}.ipynb")
    assert notebook["cells"][-1]["outputs"][0]["text"] == ["70\n"]
    assert notebook["cells"][0]["source"] == "(chapter-trial)=\n# trial"
    assert "WARNING" not in capfd.readouterr().err

    html = (book / "reruns" / f"{name}.html").read_text(encoding="utf-8")
    page = BeautifulSoup(html, "html.parser")
    article = page.find("article")
    assert page.title.get_text().startswith("trial · K = 7 · my_*data*.npz — ")
    assert article.find("h1").get_text().startswith("trial · K = 7 · my_*data*.npz")
    assert "A rerun of the chapter trial with latent_dim = 7" in article.get_text()
    assert "The book has not been built here" in article.get_text()
    assert article.select_one(".tag_reading .cell_output p").get_text() == "As in (1), K=7 [Noether, 1918]."
    assert not article.select('a[href*="_build"]')
    assert [figure["id"] for figure in article.find_all("figure")] == ["fig-dot", "fig-square", "fig-round"]
    assert "Noether" in article.find(id="references").get_text()
    assert check_site._loads(page) == []
    assert not page.select(".search-button")  # it would find what is on this page alone
    for tag in [*page.find_all("script", src=True), *page.find_all("link", rel="stylesheet"), *article.find_all("img")]:
        assert (book / "reruns" / (tag.get("src") or tag["href"]).partition("?")[0]).is_file()

    # Once the book is built, references lead there, and both reruns are in the index.
    inventory.parent.mkdir(parents=True)
    write_inventory(inventory, "eq-1", "book/theory.html#eq-1")
    assert rerun.rerun("trial", {"latent_dim": 5}, book) == 0
    article = BeautifulSoup((book / "reruns" / "trial-K5.html").read_text(encoding="utf-8"), "html.parser").find(
        "article"
    )
    links = [link["href"] for link in article.select('a[href*="_build"]')]
    assert links == ["../_build/html/book/trial.html", "../_build/html/book/theory.html#eq-1"]
    assert "has not been built" not in article.get_text()
    index = (book / "reruns" / "index.html").read_bytes()
    listed = {link["href"]: link.get_text() for link in BeautifulSoup(index, "html.parser").select("article li a")}
    assert listed == {f"{name}.html": "trial · K = 7 · my_*data*.npz", "trial-K5.html": "trial · K = 5"}

    # A site has copies, whose links stay in it wherever it goes.
    rerun_page.copy(book / "reruns", book / "reruns of a site")
    page = (book / "reruns of a site" / "trial-K5.html").read_text(encoding="utf-8")
    links = [link["href"] for link in BeautifulSoup(page, "html.parser").select('article a[href^="../"]')]
    assert links == ["../book/trial.html", "../book/theory.html#eq-1"]
    assert "_build" not in page
    assert (book / "reruns of a site" / "trial-K5.ipynb").is_file()
    for tag in BeautifulSoup(page, "html.parser").select("script[src], article img"):
        assert (book / "reruns of a site" / tag["src"].partition("?")[0]).is_file()

    # The index is the same whichever rerun ends last.
    assert rerun.rerun("trial", {"latent_dim": 7, "dataset": "my_*data*.npz"}, book) == 0
    assert (book / "reruns" / "index.html").read_bytes() == index


def write_inventory(path, label, address):
    """What Sphinx writes of a book with one label."""
    import zlib

    head = b"# Sphinx inventory version 2\n# Project: A book\n# Version: \n# The remainder is compressed using zlib.\n"
    path.write_bytes(head + zlib.compress(f"{label} std:label -1 {address} A label\n".encode()))


def test_publishing_removes_pictures_that_no_page_shows(tmp_path):
    reruns, html = tmp_path / "reruns", tmp_path / "html"
    for folder in (reruns / "_images", html / "_images", html / "_static", html / "_sources"):
        folder.mkdir(parents=True)
    (reruns / "other.html").write_text('<img src="_images/kept.png" alt="">')
    for name in ("kept", "gone"):
        (reruns / "_images" / f"{name}.png").write_bytes(DOT)
    (html / "_images" / "new.png").write_bytes(DOT)
    (html / "mine.html").write_text('<img src="_images/new.png" alt="">')
    for name in ("index.html", "search.html", "_static/a.css", "_sources/mine.ipynb"):
        (html / name).touch()
    rerun_page.publish(html, reruns, "mine")
    left = sorted(path.relative_to(reruns).as_posix() for path in reruns.rglob("*") if path.is_file())
    assert left == ["_images/kept.png", "_images/new.png", "_static/a.css", "index.html", "mine.html", "other.html"]


@pytest.mark.fault("In a rerun {what}", kept="no half of the rerun")
@pytest.mark.usefixtures("cold_kernels")
@papermills_own
@pytest.mark.parametrize(
    ("what", "code", "reason", "status"),
    [
        ("a cell raises an error", "1 / 0", "ZeroDivisionError", rerun.STOPPED),
        ("the kernel is killed", "import os; os._exit(1)", "kernel died", rerun.DIED),
    ],
)
def test_rerun_that_stops_leaves_nothing_and_names_the_cell_of_the_chapter(
    book, capsys, what, code, reason, status, sees
):
    with_parameters(book, new_code_cell("1"), new_code_cell(code), new_markdown_cell("The end"))
    assert rerun.rerun("trial", {"latent_dim": 7}, book) == status
    assert seen(book) == []
    assert list((book / "reruns").glob(".unfinished-*")) == []
    said = capsys.readouterr().err
    assert "trial stopped in cell 4 of 5" in said
    assert reason in said
    lines = said.strip().splitlines()
    sees("\n".join([*lines[:2], "…", lines[-1]] if len(lines) > 3 else lines))


@pytest.mark.usefixtures("cold_kernels")
@papermills_own
@pytest.mark.parametrize(("times", "status"), [(1, 0), (2, rerun.DIED)])
def test_kernel_that_dies_at_its_start_is_started_once_more(book, without_sphinx, tmp_path, monkeypatch, times, status):
    dying = f"""
import os, pathlib, sys
died = pathlib.Path({str(tmp_path / "died")!r})
so_often = len(died.read_text()) if died.exists() else 0
if "ipykernel_launcher" in sys.orig_argv and so_often < {times}:
    died.write_text("x" * (so_often + 1))
    os._exit(1)
"""
    (tmp_path / "sitecustomize.py").write_text(dying)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with_parameters(book, new_code_cell("print(latent_dim)"))
    assert rerun.rerun("trial", {"latent_dim": 7}, book) == status


@papermills_own
def test_what_a_cell_prints_is_one_output_however_the_kernel_sends_it(book, without_sphinx):
    with_parameters(book, new_code_cell("print('one', flush=True)\nprint(latent_dim)"))
    assert rerun.rerun("trial", {"latent_dim": 7}, book) == 0
    notebook = nbformat.read(book / "reruns" / "trial-K7.ipynb", 4)
    assert [output.text for output in notebook.cells[-1].outputs] == ["one\n7\n"]


@pytest.mark.fault("The disk is full when a rerun is written", kept="the rerun of before, under the same name")
@papermills_own
def test_full_disk_keeps_the_page_of_before(book, without_sphinx, monkeypatch, capsys, sees):
    with_parameters(book, new_code_cell("print(latent_dim)"))
    monkeypatch.setattr(rerun, "ROOT", book)
    monkeypatch.setattr(rerun.rerun, "__defaults__", (book,))
    assert rerun.rerun("trial", {"latent_dim": 7}, book) == 0
    before = {path: path.read_bytes() for path in (book / "reruns").iterdir() if path.is_file()}
    with_parameters(book, new_code_cell("print('x' * 100_000)"))
    monkeypatch.setattr(rerun, "parse", lambda words: ("trial", {"latent_dim": 7}))
    capsys.readouterr()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))  # no file may grow beyond this
    try:
        assert rerun.main([]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    said = capsys.readouterr().err
    assert f"rerun: [Errno 27] File too large. Make room below {book}\n" in said
    assert {path: path.read_bytes() for path in (book / "reruns").iterdir() if path.is_file()} == before
    assert list((book / "reruns").glob(".unfinished-*")) == []
    sees(said)


@pytest.mark.fault("The checkout may only be read, and a chapter is rerun", kept="the checkout as it was")
def test_read_only_checkout_is_one_line(book, monkeypatch, capsys, sees):
    before = sorted(book.rglob("*"))
    monkeypatch.setattr(rerun, "ROOT", book)
    monkeypatch.setattr(rerun, "parse", lambda words: ("trial", {"latent_dim": 7}))
    monkeypatch.setattr(rerun.rerun, "__defaults__", (book,))
    monkeypatch.setattr(rerun_record, "made_from", lambda *_: "")  # asks a process, which root's leave comes back to
    for path in [*book.rglob("*"), book]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    with as_anybody():
        assert rerun.main([]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert sorted(book.rglob("*")) == before
    sees(line)


# --- other processes

PROGRAM = """
import sys
from pathlib import Path
from tools import rerun
root = Path(sys.argv[1])
rerun.parse = lambda words: ("trial", {"latent_dim": 7})
rerun.rerun.__defaults__ = (root,)
sys.exit(rerun.main([]))
"""


@pytest.fixture
def running(book, cold_kernels):
    """A rerun in a process of its own whose last cell never ends, and the id of its kernel."""
    pid = book / "pid"
    with_parameters(
        book, new_code_cell(f"import os\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\nwhile True: pass")
    )
    command = [sys.executable, "-c", PROGRAM, str(book)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: pid.is_file() and pid.read_text())
        yield process, int(pid.read_text())
        process.kill()


@pytest.mark.fault("A rerun is ended by {signal}", kept="no half of the rerun, and no kernel, is left")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_rerun_says_one_line_and_leaves_nothing(book, running, number, sees):
    process, kernel = running
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.rstrip().endswith("\nInterrupted. What was trained so far is kept.")
    assert "Traceback" not in said
    assert "Error" not in said
    assert list((book / "reruns").glob("[!.]*")) == list((book / "reruns").glob(".unfinished-*")) == []
    wait_for(lambda: not alive(kernel), 5)
    sees(said.strip().splitlines()[-1], signal=number.name)


@pytest.mark.fault("A rerun is killed by SIGKILL", kept="all other reruns; the next one removes what it left")
@papermills_own
def test_what_a_killed_rerun_left_is_removed_and_a_running_one_is_not_disturbed(book, running, without_sphinx, sees):
    process, kernel = running
    [unfinished] = (book / "reruns").glob(".unfinished-*")
    with_parameters(book, new_code_cell("print(latent_dim)"))
    assert rerun.rerun("trial", {"latent_dim": 3}, book) == 0
    assert unfinished.is_dir()
    process.kill()
    _, said = process.communicate()
    assert unfinished.is_dir()
    assert rerun.rerun("trial", {"latent_dim": 5}, book) == 0
    assert not unfinished.exists()
    assert seen(book) == ["trial-K3.html", "trial-K3.ipynb", "trial-K5.html", "trial-K5.ipynb"]
    wait_for(lambda: not alive(kernel), 10)
    sees(said)


@pytest.mark.fault("Two reruns are published at once", kept="both: the second waits")
@papermills_own
def test_rerun_that_waits_says_so(book, without_sphinx, sees):
    with_parameters(book, new_code_cell("1"))
    (book / "reruns").mkdir()
    with FileLock(book / "reruns" / ".lock"):
        command = [sys.executable, "-c", PROGRAM, str(book)]
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        said = process.stderr.readline()
        assert said == "Waiting for another rerun to be published ...\n"
    process.communicate(timeout=60)
    assert process.returncode == 0 and (book / "reruns" / "trial-K7.ipynb").is_file()
    sees(said)
