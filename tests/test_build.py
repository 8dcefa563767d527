"""The tools that build, rerun and check the book, on a small book of their own whose chapters need no torch."""

import asyncio
import shutil
import subprocess
import sys
import time

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools import notebooks, rerun
from tools.build import publish, restore, up_to_date
from tools.chapters import ROOT, BookError, chapters, find_stop, pages, parameters, read_notebook
from tools.check_site import site_faults
from tools.execute import cached, execute, execute_missing, open_cache
from tools.inputs import cache_folder, inputs_digest
from tools.record import record

FACTS = {"python": "3", "MNIST": "a", "FashionMNIST": "b"}
PARAMETERS = "dataset = 'MNIST'\nlatent_dim = 2\nepochs = None\nseed = 1\nsmoke = False"


def write_chapter(root, name, *cells):
    notebook = new_notebook(metadata=notebooks.KERNEL)
    notebook.cells = [new_markdown_cell(f"# {name}"), *cells]
    (root / "book" / f"{name}.ipynb").write_text(nbformat.writes(notebook), encoding="utf-8")
    return root / "book" / f"{name}.ipynb"


@pytest.fixture
def book(tmp_path):
    """Two chapters, the second with parameters, below the settings of the real book."""
    root = tmp_path / "tree"
    for folder in ("book", "vaelib", "tools"):
        (root / folder).mkdir(parents=True)
    shutil.copy(ROOT / "_config.yml", root)
    shutil.copytree(ROOT / "book" / "static", root / "book" / "static")
    (root / "book" / "references.bib").write_text("", encoding="utf-8")
    (root / "requirements.txt").write_text("torch==0\n", encoding="utf-8")
    (root / "vaelib" / "bounds.py").write_text("bound = 1\n", encoding="utf-8")
    (root / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nparts:\n- caption: All\n  chapters:\n"
        "  - file: book/theory\n  - file: book/trial\n",
        encoding="utf-8",
    )
    (root / "book" / "index.md").write_text("# A book\n\nSee {ref}`(1) <eq-1>`.\n", encoding="utf-8")
    write_chapter(root, "theory", new_markdown_cell("(eq-1)=\n$$ 1 + 1 = 2 \\tag{1} $$"), new_code_cell("1 + 1"))
    figure = {"figure": {"caption": "A *dot*.", "name": "fig-dot"}, "image": {"alt": "One red dot"}}
    dot = (
        "import base64\nfrom IPython.display import Image\n"
        "Image(base64.b64decode('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=='))"
    )
    write_chapter(
        root,
        "trial",
        new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
        new_code_cell(dot, metadata={"mystnb": figure}),
        new_code_cell("print(10 * latent_dim)"),
    )
    return root


def outputs_of(cache, path):
    """A chapter merged with its cached outputs, as the pages will show it."""
    return cache.merge_match_into_notebook(nbformat.read(path, 4))[1]


def fill(book):
    cache = open_cache(cache_folder(book, FACTS))
    executed, stops = execute_missing(cache, chapters(book))
    assert stops == []
    return cache, executed


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
def test_cache_folder_changes_with_code_lock_and_results(book, changed):
    before = cache_folder(book, FACTS)
    (book / changed).parent.mkdir(exist_ok=True)
    (book / changed).write_text("something else\n", encoding="utf-8")
    assert cache_folder(book, FACTS) != before


def test_cache_folder_changes_with_data_and_not_with_text(book):
    before = cache_folder(book, FACTS)
    (book / "book" / "index.md").write_text("# Another title\n", encoding="utf-8")
    assert cache_folder(book, FACTS) == before
    assert cache_folder(book, {**FACTS, "MNIST": "missing"}) != before


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
    cache, executed = fill(book)
    assert [path.stem for path in executed] == ["theory", "trial"]
    assert outputs_of(cache, book / "book" / "trial.ipynb").cells[-1].outputs[0].text == "20\n"
    assert fill(book)[1] == []
    write_chapter(book, "theory", new_code_cell("1 + 2"))
    assert [path.stem for path in fill(book)[1]] == ["theory"]


def test_torn_and_lost_entries_are_executed_again(book):
    cache, _ = fill(book)
    theory, trial = chapters(book)
    entries = {path: cache.match_cache_notebook(nbformat.read(path, 4)).hashkey for path in (theory, trial)}
    torn, lost = (cache.path / "executed" / entries[path] / "base.ipynb" for path in (theory, trial))
    torn.write_text(torn.read_text(encoding="utf-8")[:100], encoding="utf-8")
    lost.unlink()
    assert [path.stem for path in fill(book)[1]] == ["theory", "trial"]


def test_unreadable_database_is_begun_again(book):
    cache, _ = fill(book)
    folder = cache.path
    (folder / "global.db").write_bytes(b"not a database")
    assert open_cache(folder).list_cache_records() == []


def test_changed_text_executes_nothing_and_a_changed_caption_is_shown(book):
    fill(book)
    theory, trial = chapters(book)
    theory.write_text(theory.read_text(encoding="utf-8").replace("1 + 1 = 2", "2 = 1 + 1"), encoding="utf-8")
    trial.write_text(trial.read_text(encoding="utf-8").replace("A *dot*.", "A red dot."), encoding="utf-8")
    cache, executed = fill(book)
    assert executed == [trial]
    assert outputs_of(cache, trial).cells[2].metadata.mystnb.figure.caption == "A red dot."


def test_chapter_that_raises_is_named_with_cell_and_traceback(book):
    fill(book)
    write_chapter(book, "theory", new_code_cell("1"), new_code_cell("total = 0\nprint(1 / total)"), new_code_cell("3"))
    cache = open_cache(cache_folder(book, FACTS))
    executed, stops = execute_missing(cache, chapters(book))
    assert [path.stem for path in executed] == ["theory"]
    text = str(stops[0])
    assert "theory stopped in cell 3 of 4" in text
    assert "| total = 0" in text
    assert "ZeroDivisionError: division by zero" in text
    assert "\x1b" not in text
    assert not cached(cache, book / "book" / "theory.ipynb")


def test_killed_kernel_is_named_with_its_cell(book):
    path = write_chapter(book, "theory", new_code_cell("import os"), new_code_cell("os._exit(1)"), new_code_cell("3"))
    stop = asyncio.run(execute(path)).stop
    assert "theory stopped in cell 3 of 4" in str(stop)
    assert "kernel died" in str(stop)


def test_imports_are_told_apart_from_the_rest(book):
    first, later = new_code_cell("import time; time.sleep(1)"), new_code_cell("time.sleep(2)")
    start = time.perf_counter()
    imported = asyncio.run(execute(write_chapter(book, "theory", first, later))).imported
    assert 1 < imported < time.perf_counter() - start - 2


# --- typesetting


def typeset(book):
    """Typeset in a process of its own, as the build does."""
    cache = cache_folder(book, FACTS)
    command = [sys.executable, "-m", "tools.typeset", str(cache), str(book)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_pages_are_complete_and_a_warning_fails_again_and_again(book):
    fill(book)
    assert typeset(book).stderr == ""
    publish(book, book / "_build" / "work" / "html", {"inputs": "x"})
    assert site_faults(book, range(1, 2)) == []
    site = book / "_build" / "html"
    text = (site / "book" / "trial.html").read_text(encoding="utf-8")
    assert 'alt="One red dot"' in text
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
    faults = "\n".join(site_faults(book, range(1, 2)))
    assert "trial: loads https://example.org/a.js" in faults
    assert "trial: markup left as text" in faults
    assert "trial: there is no picture gone.png" in faults
    assert "trial: a picture has no alternative text" in faults
    assert "a place that is not there" in faults
    assert "cell 3 announces figure 'fig-dot'" in faults
    assert "equation (1)" not in faults


# --- running a chapter again


def test_rerun_reads_a_request(book):
    words = ["CHAPTER=trial", "LATENT_DIM=10", "EPOCHS=3", "SMOKE=1", "VAELIB_DATA=elsewhere"]
    values = {"latent_dim": 10, "epochs": 3, "smoke": True}
    assert rerun.parse(words, book) == ("trial", values)
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
    ],
)
def test_rerun_refuses_in_one_line(book, words, message):
    with pytest.raises(BookError, match=message) as refusal:
        rerun.parse(words, book)
    assert "\n" not in str(refusal.value)


def test_rerun_refuses_before_anything_is_loaded():
    """The check must answer where nothing is installed: no package beyond the standard library is imported."""
    code = (
        "import sys; from tools.rerun import main; status = main(['--check', 'CHAPTER=nowhere']);"
        "loaded = {'torch', 'papermill', 'nbformat', 'yaml', 'numpy'} & set(sys.modules);"
        "sys.exit(repr((status, loaded)))"
    )
    run = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.stderr.splitlines()[-1] == "(2, set())"
    assert len(run.stderr.splitlines()) == 2


@pytest.mark.filterwarnings("default")  # papermill's own
def test_rerun_leaves_a_notebook_and_a_page(book, capsys):
    assert rerun.rerun("trial", {"latent_dim": 7}, book) == 0
    assert sorted(path.name for path in (book / "reruns").iterdir()) == ["trial-K7.html", "trial-K7.ipynb"]
    notebook = read_notebook(book / "reruns" / "trial-K7.ipynb")
    assert notebook["cells"][-1]["outputs"][0]["text"] == ["70\n"]
    html = (book / "reruns" / "trial-K7.html").read_text(encoding="utf-8")
    assert "70" in html
    assert "A <em>dot</em>." in html
    assert 'src="http' not in html


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("code", "reason"), [("1 / 0", "ZeroDivisionError"), ("import os; os._exit(1)", "kernel died")]
)
def test_rerun_that_stops_leaves_nothing_and_says_where(book, capsys, code, reason):
    write_chapter(book, "trial", new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}), new_code_cell(code))
    assert rerun.rerun("trial", {"latent_dim": 7}, book) == 1
    assert list((book / "reruns").iterdir()) == []
    said = capsys.readouterr().err
    assert "trial stopped in cell" in said
    assert reason in said


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


def test_numbers_are_recorded_from_the_cache(book):
    write_chapter(book, "theory", new_code_cell("# NBVAL_CHECK_OUTPUT\nprint(6 * 7)"), new_code_cell("print(1)"))
    theory = book / "book" / "theory.ipynb"
    cache = open_cache(cache_folder(book, FACTS))
    with pytest.raises(BookError, match="run make book first"):
        record(cache, theory)
    fill(book)
    assert record(cache, theory) == 1
    cells = read_notebook(theory)["cells"]
    assert [cell.get("outputs", [])[:1] for cell in cells[1:]] == [
        [{"name": "stdout", "output_type": "stream", "text": ["42\n"]}],
        [],
    ]
    assert fill(book)[1] == []  # recorded outputs are not part of what the cache looks for

    write_chapter(book, "theory", new_code_cell("# NBVAL_CHECK_OUTPUT\nassert True"))
    fill(book)
    with pytest.raises(BookError, match="prints nothing"):
        record(cache, theory)
