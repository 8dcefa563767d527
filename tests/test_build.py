"""The tools that build and check the book, on a small book of their own whose chapters need no torch."""

import asyncio
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
import small_book
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell
from permissions import as_anybody
from small_book import FACTS, alive, wait_for, write_chapter

from tools import build, notebooks, processes, rerun_record, staging
from tools.build import publish, restore, up_to_date
from tools.chapters import KEY, ROOT, BookError, chapters, find_stop, pages, parameters, read_notebook
from tools.check_site import site_faults
from tools.execute import execute, execute_all, longest_first
from tools.executed import KEPT, Executed
from tools.inputs import environment_digest, inputs_digest
from tools.record import record

# Kernels are cold only where a test is about how they start and end.
pytestmark = pytest.mark.usefixtures("warm_kernels")


@pytest.fixture(scope="session")
def executed(tmp_path_factory, warm):
    """The chapters of the small book, executed once for all tests that begin with that."""
    root = small_book.make(tmp_path_factory.mktemp("executed") / "book")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(warm.jupyter_path))
        assert fill(root) == ["theory", "trial"]
    return root / "_build" / "executed"


@pytest.fixture
def filled(book, executed):
    """The book was executed: what it would keep of that is there, under the same names."""
    shutil.copytree(executed, book / "_build" / "executed")


def kept_in(book):
    return Executed(book / "_build" / "executed", environment_digest(book, FACTS))


def fill(book):
    """Execute what is not kept; returns what was executed."""
    kept = kept_in(book)
    executed = execute_all(kept, [path for path in chapters(book) if kept.read(path) is None])
    assert [execution.stop for execution in executed.values() if execution.stop] == []
    return [path.stem for path in executed]


@contextmanager
def no_file_beyond(size):
    """What a full disk is to a process: no file grows beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# --- what the book is made of


def test_pages_follow_the_table_of_contents(book):
    assert [page.name for page in pages(book)] == ["index.md", "theory.ipynb", "trial.ipynb"]
    (book / "book" / "theory.ipynb").unlink()
    with pytest.raises(BookError, match=r"lists book/theory, but there is neither"):
        pages(book)


def test_parameters_are_read_without_running_anything(book):
    assert parameters(book / "book" / "theory.ipynb") == {}
    found = parameters(book / "book" / "trial.ipynb")
    assert found == {"dataset": "MNIST", "latent_dim": 2, "epochs": None, "seed": 1, "smoke": False}


@pytest.mark.parametrize("changed", ["vaelib/bounds.py", "vaelib/new.py", "requirements.txt", "results/table.csv"])
def test_outputs_depend_on_code_lock_and_results(book, changed):
    before = environment_digest(book, FACTS)
    (book / changed).parent.mkdir(exist_ok=True)
    (book / changed).write_text("something else\n", encoding="utf-8")
    assert environment_digest(book, FACTS) != before


def test_outputs_depend_on_data_and_not_on_text(book):
    before = environment_digest(book, FACTS)
    (book / "book" / "index.md").write_text("# Another title\n", encoding="utf-8")
    assert environment_digest(book, FACTS) == before
    assert environment_digest(book, {**FACTS, "MNIST": "missing"}) != before


@pytest.mark.parametrize(
    "changed", ["book/index.md", "book/static/companion.css", "_config.yml", "_toc.yml", "tools/a.py"]
)
def test_site_is_out_of_date_after_a_change(book, changed):
    html = book / "_build" / "work" / "html"
    html.mkdir(parents=True)
    (html / "index.html").write_text("a page", encoding="utf-8")
    publish(book, html, {"inputs": inputs_digest(book, FACTS)})
    assert up_to_date(book, inputs_digest(book, FACTS))
    (book / changed).write_text("something else\n", encoding="utf-8")
    assert not up_to_date(book, inputs_digest(book, FACTS))


def test_site_that_lost_a_page_is_out_of_date(book):
    html = book / "_build" / "work" / "html"
    html.mkdir(parents=True)
    (html / "index.html").write_text("a page", encoding="utf-8")
    publish(book, html, {"inputs": "x"})
    assert up_to_date(book, "x")
    (book / "_build" / "html" / "index.html").unlink()
    assert not up_to_date(book, "x")


def test_publishing_stopped_halfway_gives_the_last_site_back(book):
    site = book / "_build" / "html"
    site.mkdir(parents=True)
    (site / "index.html").write_text("the last one", encoding="utf-8")
    site.rename(book / "_build" / "html.last")
    restore(book)
    assert (site / "index.html").read_text(encoding="utf-8") == "the last one"


# --- executing


def test_chapters_are_executed_once_and_again_after_a_change(book):
    assert fill(book) == ["theory", "trial"]
    assert kept_in(book).read(book / "book" / "trial.ipynb").cells[-1].outputs[0].text == "20\n"
    assert fill(book) == []
    write_chapter(book, "theory", new_code_cell("1 + 2"))
    assert fill(book) == ["theory"]
    (book / "requirements.txt").write_text("torch==1\n", encoding="utf-8")
    assert fill(book) == ["theory", "trial"]


def kept_files(book):
    return {path.stem.rpartition("-")[0]: path for path in (book / "_build" / "executed").iterdir()}


HARM = {
    "is cut short": lambda text: text[:100],
    "is empty": lambda text: "",
    "is no notebook": lambda text: "[]",
    "holds other code": lambda text: text.replace("1 + 1", "1 + 2"),
    "was not executed to its end": lambda text: text.replace('"execution_count": 1', '"execution_count": null'),
}


@pytest.mark.fault(
    "An executed chapter, kept from the last build, {harm}", kept="all others; this one alone is executed again"
)
@pytest.mark.usefixtures("filled")
def test_damaged_file_is_named_and_executed_again_and_no_other_is(book, capsys, sees):
    damaged, whole = kept_files(book)["theory"], kept_files(book)["trial"]
    before, text = whole.read_bytes(), damaged.read_text(encoding="utf-8")
    theory, trial = chapters(book)
    for name, harm in HARM.items():
        assert harm(text) != text
        damaged.write_text(harm(text), encoding="utf-8")
        capsys.readouterr()
        assert kept_in(book).read(theory) is None
        [line] = capsys.readouterr().err.splitlines()
        assert damaged.name in line
        sees(line, harm=name)
    damaged.write_bytes(b"\xff\xfe")
    assert fill(book) == ["theory"]
    assert whole.read_bytes() == before
    assert kept_in(book).read(theory).cells[-1].outputs
    assert kept_in(book).read(trial).cells[-1].outputs


@pytest.mark.usefixtures("filled")
def test_lost_file_is_executed_again_without_a_word(book, capsys):
    kept_files(book)["theory"].unlink()
    assert fill(book) == ["theory"]
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("filled")
def test_failed_write_leaves_nothing_and_harms_nothing(book):
    theory, _ = chapters(book)
    notebook = kept_in(book).read(theory)
    before = {path: path.read_bytes() for path in (book / "_build" / "executed").iterdir()}
    with no_file_beyond(100), pytest.raises(OSError, match="File too large"):
        kept_in(book).write("theory", notebook)
    assert {path: path.read_bytes() for path in (book / "_build" / "executed").iterdir()} == before


@pytest.mark.usefixtures("filled")
def test_the_newest_files_of_each_chapter_are_kept(book):
    kept, (theory, trial) = kept_in(book), chapters(book)
    notebook = kept.read(theory)
    for n in range(KEPT + 2):
        path = Executed(kept.folder, f"older {n}").path("theory", notebook)
        path.write_text(nbformat.writes(notebook), encoding="utf-8")
        os.utime(path, (n, n))
    (kept.folder / ".theory-0123456789abcdef.ipynb.4711").write_text("of a build that was killed", encoding="utf-8")
    kept.prune()
    left = sorted(path.name for path in kept.folder.iterdir())
    assert len(left) == KEPT + 1
    assert [name.partition("-")[0] for name in left] == ["theory"] * KEPT + ["trial"]
    assert kept.read(theory) is not None
    assert kept.read(trial) is not None


def test_a_foreign_file_among_those_kept_is_left_alone(book):
    folder = book / "_build" / "executed"
    folder.mkdir(parents=True)
    foreign = [folder / f"{name}.ipynb" for name in ("a", "b", "c", "d", "my notes-of today", "notes-0123")]
    for path in foreign:
        path.write_text("{}", encoding="utf-8")
    kept_in(book).prune()
    assert sorted(folder.iterdir()) == sorted(foreign)


@pytest.mark.usefixtures("filled")
def test_changed_text_executes_nothing_and_a_changed_caption_is_shown(book):
    theory, trial = chapters(book)
    theory.write_text(theory.read_text(encoding="utf-8").replace("1 + 1 = 2", "2 = 1 + 1"), encoding="utf-8")
    trial.write_text(trial.read_text(encoding="utf-8").replace("A *dot*.", "A red dot."), encoding="utf-8")
    assert fill(book) == ["trial"]
    assert "2 = 1 + 1" in kept_in(book).read(theory).cells[1].source
    assert kept_in(book).read(trial).cells[2].metadata.mystnb.figure.caption == "A red dot."


def test_the_longest_chapters_begin_first():
    names = [path.stem for path in longest_first([*chapters(ROOT), Path("not in the table.ipynb")])]
    assert sorted(names[:-1]) == sorted(path.stem for path in chapters(ROOT)) and names[-1] == "not in the table"
    assert names.index("variants") < names.index("mnist") < names.index("derivation")


@pytest.mark.fault("A cell of a chapter raises an error", kept="all other chapters; of this one, nothing")
@pytest.mark.usefixtures("filled")
def test_chapter_that_raises_is_named_with_cell_and_traceback(book, sees):
    path = write_chapter(
        book, "theory", new_code_cell("1"), new_code_cell("total = 0\nprint(1 / total)"), new_code_cell("3")
    )
    text = str(execute_all(kept_in(book), [path])[path].stop)
    assert "theory stopped in cell 3 of 4" in text
    lines = text.splitlines()
    sees("\n".join([*lines[:3], "…", lines[-1]]))
    assert "| total = 0" in text
    assert "ZeroDivisionError: division by zero" in text
    assert "\x1b" not in text
    assert kept_in(book).read(path) is None
    assert kept_in(book).read(book / "book" / "trial.ipynb") is not None


@pytest.mark.fault("The kernel of a chapter is killed", kept="all other chapters; of this one, nothing")
@pytest.mark.usefixtures("filled", "cold_kernels")
def test_killed_kernel_is_named_with_its_cell(book, sees):
    path = write_chapter(book, "theory", new_code_cell("import os"), new_code_cell("os._exit(1)"), new_code_cell("3"))
    stop = asyncio.run(execute(path)).stop
    assert "theory stopped in cell 3 of 4" in str(stop)
    assert "kernel died" in str(stop)
    assert kept_in(book).read(book / "book" / "trial.ipynb") is not None
    sees(str(stop))


@pytest.mark.usefixtures("cold_kernels")
def test_kernel_that_does_not_start_stops_its_chapter(book, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("import os\nos._exit(1)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    path = book / "book" / "theory.ipynb"
    stop = execute_all(kept_in(book), [path])[path].stop
    assert "theory stopped in cell 3 of 3" in str(stop)
    assert "kernel died" in str(stop)


@pytest.mark.usefixtures("cold_kernels")
def test_kernel_that_dies_once_at_its_start_is_started_again(book, tmp_path, monkeypatch, capsys):
    once = f"import os, pathlib\nfirst = pathlib.Path({str(tmp_path / 'first')!r})\n"
    once += "if not first.exists():\n    first.touch()\n    os._exit(1)\n"
    (tmp_path / "sitecustomize.py").write_text(once)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    path = book / "book" / "theory.ipynb"
    assert execute_all(kept_in(book), [path])[path].stop is None
    assert capsys.readouterr().out.count("theory: its kernel died at its start and is started once more") == 1


@pytest.mark.usefixtures("cold_kernels")
def test_imports_are_told_apart_from_the_rest(book):
    first, later = new_code_cell("import time; time.sleep(1)"), new_code_cell("time.sleep(2)")
    start = time.perf_counter()
    imported = asyncio.run(execute(write_chapter(book, "theory", first, later))).imported
    assert 1 < imported < time.perf_counter() - start - 2


def test_what_a_cell_prints_is_one_output_however_the_kernel_sends_it(book):
    path = write_chapter(book, "theory", new_code_cell("print('one', flush=True)\nprint('two')"))
    outputs = asyncio.run(execute(path)).notebook.cells[-1].outputs
    assert [output.text for output in outputs] == ["one\ntwo\n"]


# --- typesetting


def typeset(book):
    """Typeset in a process of its own, as the build does."""
    kept, contents = kept_in(book), staging.texts(book)
    for path in chapters(book):
        contents[path.relative_to(book).as_posix()] = staging.page(kept.read(path))
    staging.stage(book / "_build" / "work" / "source", contents)
    command = [sys.executable, "-m", "tools.typeset", str(book)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.usefixtures("filled")
def test_pages_are_complete_and_a_warning_fails_again_and_again(book):
    assert typeset(book).stderr == ""
    publish(book, book / "_build" / "work" / "html", {"inputs": "x"})
    assert site_faults(book, range(1, 2)) == []
    site = book / "_build" / "html"
    text = (site / "book" / "trial.html").read_text(encoding="utf-8")
    assert 'alt="One red dot"' in text
    [reading] = BeautifulSoup(text, "html.parser").select(".tag_reading .cell_output")
    assert reading.find("p").get_text() == "As in (1), K=2 [Noether, 1918]."
    assert [link["href"] for link in reading.find_all("a")] == ["theory.html#eq-1", "index.html#id2"]
    assert "<pre>20" in text.replace("<span></span>", "")

    index = book / "book" / "index.md"
    index.write_text("# A book\n\nSee {ref}`lost <nowhere>`.\n\n![A cat](cat.png)\n", encoding="utf-8")
    for _ in range(2):  # what Sphinx keeps of a page must not hide its warnings the next time
        failed = typeset(book)
        assert failed.returncode == 1
        assert "nowhere" in failed.stderr
        assert "cat.png" in failed.stderr
    assert site_faults(book, range(1, 2)) == []

    # The check of the site sees what is taken away from it.
    for image in (site / "_images").iterdir():
        image.unlink()
    (site / "book" / "theory.html").unlink()
    faults = "\n".join(site_faults(book, range(1, 2)))
    assert "theory: the page is missing" in faults
    assert "trial: there is no picture" in faults
    assert "equation (1) is on 0 pages" in faults


def test_staged_pages_keep_their_time_and_lose_what_is_gone(tmp_path):
    staging.stage(tmp_path, {"book/a.md": b"a", "book/b.md": b"b", "book/c.md": b"c"})
    before = {name: (tmp_path / "book" / name).stat().st_mtime_ns for name in ("a.md", "b.md")}
    time.sleep(0.01)
    staging.stage(tmp_path, {"book/a.md": b"a", "book/b.md": b"B"})
    assert sorted(path.name for path in (tmp_path / "book").iterdir()) == ["a.md", "b.md"]
    assert (tmp_path / "book" / "a.md").stat().st_mtime_ns == before["a.md"]
    assert (tmp_path / "book" / "b.md").stat().st_mtime_ns > before["b.md"]


def test_reruns_are_listed_where_a_page_marks_the_place(tmp_path):
    for name, title in {
        "a-K10": "A · K = 10 — The book",
        "a-K2": "A &amp; B · K = 2 — The book",
        "index": "Reruns",
    }.items():
        (tmp_path / f"{name}.html").write_text(f"<html><head><title>{title}</title></head></html>", encoding="utf-8")
    notebook = nbformat.v4.new_notebook(cells=[new_markdown_cell(f"Here:\n\n{staging.RERUNS}"), new_markdown_cell("x")])
    listed = rerun_record.listed(rerun_record.titles(tmp_path), "../")
    cells = nbformat.reads(staging.page(notebook, reruns=listed).decode(), 4).cells
    found = [(link["href"], link.get_text()) for link in BeautifulSoup(cells[0].source, "html.parser").find_all("a")]
    assert found == [("../a-K2.html", "A & B · K = 2"), ("../a-K10.html", "A · K = 10")]
    assert notebook.cells[0].source.endswith(staging.RERUNS)  # the chapter itself is as it was
    assert "none beside this page" in rerun_record.listed({})


def test_site_is_out_of_date_after_a_rerun(book):
    before = inputs_digest(book, FACTS)
    (book / "reruns").mkdir()
    assert inputs_digest(book, FACTS) == before
    (book / "reruns" / "trial-K3.html").touch()
    assert inputs_digest(book, FACTS) != before


@pytest.mark.usefixtures("filled")
def test_each_figure_gets_a_cell_and_a_page_is_staged_alike_twice(book):
    staged = [staging.page(kept_in(book).read(book / "book" / "trial.ipynb")) for _ in range(2)]
    assert staged[0] == staged[1]
    cells = nbformat.reads(staged[0].decode(), 4).cells
    announced = [cell.metadata.get("mystnb", {}).get("figure", {}).get("name") for cell in cells]
    assert announced == [None, None, "fig-dot", None, "fig-square", "fig-round", None]
    assert [cell.metadata.get("tags", []) for cell in cells[3:6]] == [
        ["hide-input", "reading"],
        ["hide-input", "remove-input"],
        ["hide-input", "remove-input"],
    ]
    assert cells[5].metadata.mystnb.image.alt == "It is round"
    assert len({cell.id for cell in cells}) == len(cells)


def test_findings_and_figures_are_looked_for_under_the_key_they_are_put():
    from vaelib.report import findings

    assert KEY == findings.KEY


# --- chapters that stop


@pytest.fixture
def make_book(book, monkeypatch):
    """The whole build of the small book: all but training, of which it has none."""
    monkeypatch.setattr(build, "data_facts", lambda: FACTS)
    monkeypatch.setattr(build, "train_all", lambda: None)
    monkeypatch.setattr(build, "run", lambda *words, cwd: processes.run(*words, cwd=ROOT))
    return lambda: build.build(book)


@pytest.fixture
def without_sphinx(book, make_book, monkeypatch):
    """Staged pages, copied, stand for typeset ones."""
    work = book / "_build" / "work"

    def run(module, *arguments, cwd):
        if module == "tools.typeset":
            shutil.copytree(work / "source", work / "html")
        return 0

    monkeypatch.setattr(build, "run", run)


@pytest.mark.usefixtures("filled", "without_sphinx")
def test_a_build_names_a_damaged_file_once(book, make_book, capsys):
    damaged = kept_files(book)["theory"]
    damaged.write_text("", encoding="utf-8")
    assert make_book() == 0
    assert capsys.readouterr().err.count(damaged.name) == 1


def test_stopped_chapter_ends_its_own_page_and_no_other(book, make_book, capfd):
    rest = [new_code_cell("print('before')"), new_code_cell("x = '```'\n1 / 0"), new_markdown_cell("(eq-1)=\n$$1$$")]
    write_chapter(book, "theory", *rest)
    assert make_book() == 1
    said = capfd.readouterr()
    assert "1 of 2 chapters stopped" in said.err
    assert "theory stopped in cell 3 of 4" in said.err
    assert "ZeroDivisionError" in said.err
    assert "index.html" in said.out
    assert not up_to_date(book, inputs_digest(book, FACTS))
    soup = BeautifulSoup((book / "_build" / "html" / "book" / "theory.html").read_text(encoding="utf-8"), "html.parser")
    article = soup.find("article")
    assert "before" in article.get_text()
    notice = article.select_one(".admonition.error").get_text()
    assert "Cell 3 of 4" in notice
    assert "x = '```'\n1 / 0" in notice
    assert "ZeroDivisionError: division by zero" in notice
    assert not article.find(id="eq-1")
    trial = (book / "_build" / "html" / "book" / "trial.html").read_text(encoding="utf-8")
    assert "As in <span" in trial  # what would have led to the place that is missing
    assert 'id="fig-square"' in trial

    write_chapter(book, "theory", new_markdown_cell("(eq-1)=\n$$ 1 + 1 = 2 \\tag{1} $$"), new_code_cell("1 + 1"))
    assert make_book() == 0
    assert up_to_date(book, inputs_digest(book, FACTS))
    assert site_faults(book, range(1, 2)) == []
    assert "1 of 2 chapters executed" in capfd.readouterr().out
    for name in ("theory", "trial"):  # what a reader downloads: the chapter's own cells, with their outputs
        downloaded = nbformat.read(book / "_build" / "html" / "_sources" / "book" / f"{name}.ipynb", 4)
        chapter = nbformat.read(book / "book" / f"{name}.ipynb", 4)
        assert [cell.source for cell in downloaded.cells] == [cell.source for cell in chapter.cells]
        assert all(cell.execution_count for cell in downloaded.cells if cell.cell_type == "code")
        assert downloaded.cells[-1].outputs
    assert make_book() == 0
    assert "Nothing changed" in capfd.readouterr().out


def test_what_is_changed_while_a_book_is_built_is_not_in_it(book, make_book, without_sphinx, monkeypatch):
    """A page may be edited while chapters run: the site must not pass for one of the new text."""
    theory = book / "book" / "theory.ipynb"
    before = theory.read_text(encoding="utf-8")
    run = build.run

    def edited(module, *arguments, cwd):
        if module == "tools.typeset":
            theory.write_text(before.replace("1 + 1", "1 + 2"), encoding="utf-8")
        return run(module, *arguments, cwd=cwd)

    monkeypatch.setattr(build, "run", edited)
    assert make_book() == 0
    assert not up_to_date(book, inputs_digest(book, FACTS))


@pytest.mark.fault("The disk is full when the book is built", kept="the last site, and what was executed for it")
def test_full_disk_ends_in_one_line_and_keeps_the_site(book, make_book, without_sphinx, monkeypatch, capfd, sees):
    assert make_book() == 0
    site = {path: path.read_bytes() for path in (book / "_build" / "html").rglob("*") if path.is_file()}
    write_chapter(book, "theory", new_code_cell("print('x' * 100_000)"))
    monkeypatch.setattr(build, "ROOT", book)
    capfd.readouterr()
    with no_file_beyond(50_000):
        assert build.main() == 1
    said = capfd.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert f"The book was not built: [Errno 27] File too large. Make room below {book}" in said[0]
    assert {path: path.read_bytes() for path in site} == site
    assert list(kept_files(book)) == ["theory", "trial"] or list(kept_files(book)) == ["trial", "theory"]
    sees(said[0])


@pytest.mark.fault("A file lies in the place of the build's folder", kept="the file")
def test_file_in_a_folders_place_ends_in_one_line(book, monkeypatch, capsys, sees):
    monkeypatch.setattr(build, "ROOT", book)
    (book / "_build").write_text("in the way", encoding="utf-8")
    assert build.main() == 1
    said = capsys.readouterr().err.strip()
    assert "_build" in said.splitlines()[-1]
    assert (book / "_build").read_text(encoding="utf-8") == "in the way"
    sees(said)


@pytest.mark.fault("The checkout may only be read", kept="the checkout as it was")
def test_read_only_checkout_ends_in_one_line(book, monkeypatch, capsys, sees):
    monkeypatch.setattr(build, "ROOT", book)
    before = sorted(book.rglob("*"))
    for path in [*book.rglob("*"), book]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    with as_anybody():
        assert build.main() == 1
    [line] = capsys.readouterr().err.strip().splitlines()
    assert sorted(book.rglob("*")) == before
    sees(line)


# --- interruptions


@pytest.mark.fault("The build is ended by {signal} while chapters execute", kept="what was executed; no kernel is left")
@pytest.mark.parametrize(("number", "worth"), [(signal.SIGINT, 1), (signal.SIGTERM, 3)], ids=["warm", "cold"])
@pytest.mark.usefixtures("cold_kernels")
def test_interrupted_execution_says_one_line_and_leaves_no_kernel(book, number, worth, sees):
    for name in ("theory", "trial"):
        code = f"import os\nopen({str(book / name)!r}, 'w').write(str(os.getpid()))\nwhile True: pass"
        write_chapter(book, name, new_code_cell(code))
    program = (
        "import sys; from pathlib import Path; from tools import build, warm_kernel; root = Path(sys.argv[1]);"
        f"build.ROOT = root; build.data_facts = lambda: {FACTS};"
        "build.train_all = lambda: None; build.run = lambda *_, cwd: 0;"
        f"warm_kernel.WORTH = {worth}; sys.exit(build.main())"
    )
    command = [sys.executable, "-c", program, str(book)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            pids = book / "theory", book / "trial"
            wait_for(lambda: all(path.is_file() and path.read_text() for path in pids), 300)
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert said.strip() == "Interrupted. What was trained and executed so far is kept."
    kernels = [int((book / name).read_text()) for name in ("theory", "trial")]
    wait_for(lambda: not any(map(alive, kernels)), 5)
    sees(said, signal=number.name)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_child_ends_with_an_interrupted_parent(tmp_path, number):
    (tmp_path / "child.py").write_text(
        "import os, time, pathlib\npathlib.Path('pid').write_text(str(os.getpid()))\ntime.sleep(60)\n"
    )
    program = (
        "import sys; from pathlib import Path; from tools.processes import *; interruptible()\n"
        "try: run('child', cwd=Path(sys.argv[1]))\nexcept KeyboardInterrupt: print('interrupted')"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    pid = tmp_path / "pid"
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        wait_for(lambda: pid.is_file() and pid.read_text())
        process.send_signal(number)
        assert process.communicate(timeout=30)[0] == "interrupted\n"
    assert not alive(int(pid.read_text()))


BUILD = (
    "import sys; from pathlib import Path; from tools import build, processes; root = Path(sys.argv[1]);"
    f"build.ROOT = root; build.data_facts = lambda: {FACTS};"
    "build.train_all = lambda: None; build.run = lambda *_, cwd: 0;"
    "build.publish = lambda *_: None; sys.exit(build.main())"
)


@pytest.mark.fault("Two builds are begun at once", kept="the work of the first, which goes on to its end")
def test_second_build_says_that_one_is_running(book, sees):
    """Two processes; the first is at a chapter when the second begins, and goes on when that has ended."""
    begun, go_on = book / "begun", book / "go on"
    code = f"import pathlib, time\npathlib.Path({str(begun)!r}).touch()\n"
    code += f"while not pathlib.Path({str(go_on)!r}).exists(): time.sleep(0.05)"
    write_chapter(book, "theory", new_code_cell(code))
    command = [sys.executable, "-c", BUILD, str(book)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as first:
        wait_for(begun.exists)
        second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        go_on.touch()
        _, said = first.communicate(timeout=60)
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr == "Another build of this book is running; wait for it to end.\n"
    assert (first.returncode, said) == (0, "")
    assert sorted(kept_files(book)) == ["theory", "trial"]
    sees(second.stderr)


# --- checking the site


def test_site_check_sees_what_a_page_must_not_have(book):
    site = book / "_build" / "html" / "book"
    site.mkdir(parents=True)
    good = '<article><div class="math" id="eq-1"></div></article>'
    bad = (
        '<script src="https://example.org/a.js"></script><article><p>See {ref}`x`</p>'
        '<img src="gone.png" alt="gone.png">'
        '<a href="index.html#nowhere">x</a></article>'
    )
    for name, text in {"index": good, "theory": "<article></article>", "trial": bad}.items():
        (site / f"{name}.html").write_text(text, encoding="utf-8")
    shutil.copytree(book / "book", book / "_build" / "html" / "_sources" / "book")
    shown = {KEY: {"figure": {"name": "fig-square", "caption": "A square.", "alt": "It is square"}}}
    output = nbformat.v4.new_output("display_data", {"text/plain": "a square"}, metadata=shown)
    notebook = nbformat.read(book / "book" / "trial.ipynb", 4)
    notebook.cells[-1].outputs = [output]
    nbformat.write(notebook, book / "_build" / "html" / "_sources" / "book" / "trial.ipynb")
    faults = "\n".join(site_faults(book, range(1, 2)))
    assert "trial: loads https://example.org/a.js" in faults
    assert "trial: markup left as text" in faults
    assert "trial: there is no picture gone.png" in faults
    assert "trial: a picture has no alternative text" in faults
    assert "a place that is not there" in faults
    assert "figure 'fig-dot' is announced" in faults
    assert "figure 'fig-square' is announced" in faults
    assert "equation (1)" not in faults


# --- where a chapter stopped


def test_stop_is_seen_whatever_the_metadata_say(book):
    notebook = read_notebook(book / "book" / "trial.ipynb")
    notebook["cells"][1].update(execution_count=1)
    notebook["cells"][2]["metadata"]["papermill"] = {"status": "completed"}
    assert find_stop("trial", notebook).number == 3


# --- notebooks


def test_stripping_keeps_marked_outputs_only(book):
    output = nbformat.v4.new_output("execute_result", {"text/plain": "2"}, execution_count=5)
    marked = new_code_cell("# NBVAL_CHECK_OUTPUT\n1 + 1", execution_count=5, outputs=[output])
    tagged = new_code_cell("1 + 1", execution_count=5, outputs=[output], metadata={"tags": ["nbval-check-output"]})
    plain = new_code_cell("1 + 1", execution_count=5, outputs=[output], metadata={"collapsed": True})
    path = write_chapter(book, "theory", marked, tagged, plain)
    assert notebooks.main(["--check", str(path)]) == 1
    assert notebooks.main([str(path)]) == 0
    assert notebooks.main(["--check", str(path)]) == 0
    cells = read_notebook(path)["cells"]
    assert [len(cell.get("outputs", [])) for cell in cells] == [0, 1, 1, 0]
    assert [cell["execution_count"] for cell in cells[1:]] == [1 if cell["outputs"] else None for cell in cells[1:]]
    assert cells[1]["outputs"][0]["execution_count"] is None
    assert cells[3]["metadata"] == {}


def test_numbers_are_recorded_from_what_was_executed(book):
    write_chapter(book, "theory", new_code_cell("# NBVAL_CHECK_OUTPUT\nprint(6 * 7)"), new_code_cell("print(1)"))
    theory = book / "book" / "theory.ipynb"
    kept = kept_in(book)
    with pytest.raises(BookError, match="run make book first"):
        record(kept, theory)
    fill(book)
    assert record(kept, theory) == 1
    cells = read_notebook(theory)["cells"]
    assert [cell.get("outputs", [])[:1] for cell in cells[1:]] == [
        [{"name": "stdout", "output_type": "stream", "text": ["42\n"]}],
        [],
    ]
    assert fill(book) == []  # recorded outputs are not part of the name

    write_chapter(book, "theory", new_code_cell("# NBVAL_CHECK_OUTPUT\nassert True"))
    fill(book)
    with pytest.raises(BookError, match="prints nothing"):
        record(kept, theory)
