"""Where a checkout is from, asked of real git repositories, and what pages say of it."""

import os
import subprocess
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest

from tools import buttons, origin
from tools.inputs import inputs_digest
from tools.origin import Repository

SECRET = "s3cret"
PUBLIC = [
    ("https://github.com/owner/name", "https://github.com/owner/name"),
    ("https://github.com/owner/name.git/", "https://github.com/owner/name"),
    (f"https://{SECRET}@github.com/owner/name.git", "https://github.com/owner/name"),
    (f"https://user:{SECRET}@github.com/owner/name.git", "https://github.com/owner/name"),
    (f"https://user:a@b{SECRET}@GitHub.com:443/owner/name.git", "https://github.com/owner/name"),
    ("git@github.com:owner/name.git", "https://github.com/owner/name"),
    ("ssh://git@github.com/owner/name.git", "https://github.com/owner/name"),
    ("ssh://git@ssh.github.com:443/owner/na.me.git", "https://github.com/owner/na.me"),
    (f"https://oauth2:{SECRET}@gitlab.com/group/sub/name.git", "https://gitlab.com/group/sub/name"),
    ("git@gitlab.com:group/name.git", "https://gitlab.com/group/name"),
]
NOT_PUBLIC = [
    "/srv/git/name.git",
    "../name",
    "file:///srv/git/name.git",
    f"https://user:{SECRET}@git.example.org/owner/name.git",
    f"https://user:{SECRET}@example.org/github.com/owner/name",
    f"https://github.com@example.org/{SECRET}/name",
    "git@github.com.example.org:owner/name.git",
    f"https://github.com/owner/name?token={SECRET}",
    "https://github.com/owner",
    "https://github.com/owner/name/more",
    'https://github.com/owner/"><script>',
]


def git(root, *arguments, day="2024-02-29T12:00:00+0000"):
    named = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    dated = os.environ | {"GIT_COMMITTER_DATE": day, "GIT_AUTHOR_DATE": day, "GIT_CONFIG_GLOBAL": os.devnull}
    return subprocess.run(
        ["git", "-C", root, *named, *arguments], env=dated, check=True, capture_output=True, text=True
    )


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository without origin: a chapter, committed on a branch `main`."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "a.ipynb").write_text("{}")
    (tmp_path / "tools").mkdir()
    git(tmp_path, "init", "--initial-branch=main")
    git(tmp_path, "add", "book")
    git(tmp_path, "commit", "--message=First")
    return tmp_path


def said_on(root, page="book/a", title="A & <B>", others=()):
    """The buttons that a page has, by their words, and its footer."""
    config = SimpleNamespace(checkout=str(root))
    env = SimpleNamespace(titles={page: SimpleNamespace(astext=lambda: title)}, found_docs={page, *others})
    context = {"header_buttons": [], "page_source_suffix": ".ipynb", "theme_extra_footer": "MIT license."}
    context["pathto"] = lambda name: "#" if name == page else f"../{name}.html"
    buttons._Buttons(SimpleNamespace(config=config))(SimpleNamespace(env=env), page, "page.html", context, object())
    links = [link for group in context["header_buttons"] for link in group["buttons"]]
    return {link["text"]: link["url"] for link in links}, context["theme_extra_footer"]


@pytest.mark.parametrize(("address", "url"), PUBLIC)
def test_public_origin_is_known_without_what_is_secret_in_it(checkout, address, url):
    git(checkout, "remote", "add", "origin", address)
    found = origin.repository(checkout)
    assert (found.url, found.branch) == (url, "main")
    links, _ = said_on(checkout)
    assert links["Repository"] == url
    assert SECRET not in str(links) + repr(found) + str(origin.facts(checkout))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_other_origins_give_no_buttons(checkout, address):
    git(checkout, "remote", "add", "origin", address)
    assert origin.repository(checkout) is None
    assert said_on(checkout)[0] == {}
    assert SECRET not in str(origin.facts(checkout))


def test_without_origin_git_or_checkout_there_are_no_buttons(checkout, tmp_path_factory, monkeypatch):
    assert origin.repository(checkout) is None
    assert said_on(checkout)[0] == {}
    git(checkout, "remote", "add", "origin", PUBLIC[0][0])
    assert origin.repository(checkout / "book") is None  # a book inside of another repository
    assert origin.repository(tmp_path_factory.mktemp("plain")) is None
    monkeypatch.setenv("PATH", "")
    assert (origin.repository(checkout), origin.commit(checkout)) == (None, None)


def test_addresses_that_git_is_told_to_rewrite_are_read_as_rewritten(checkout):
    git(checkout, "config", f"url.https://user:{SECRET}@github.com/.insteadOf", "gh:")
    git(checkout, "remote", "add", "origin", "gh:owner/name")
    assert origin.repository(checkout) == Repository("github.com", "owner/name", "main")


def test_report_names_the_page(checkout):
    git(checkout, "remote", "add", "origin", PUBLIC[0][0])
    address = urlsplit(said_on(checkout)[0]["Report an error"])
    asked = parse_qs(address.query)
    assert (address.netloc, address.path) == ("github.com", "/owner/name/issues/new")
    assert asked["title"] == ["Error on the page “A & <B>”"]
    assert "book/a.html" in asked["body"][0]
    assert "29 February 2024" in asked["body"][0]
    git(checkout, "remote", "set-url", "origin", "git@gitlab.com:group/sub/name.git")
    address = urlsplit(said_on(checkout)[0]["Report an error"])
    assert (address.netloc, address.path) == ("gitlab.com", "/group/sub/name/-/issues/new")
    assert parse_qs(address.query)["issue[title]"] == ["Error on the page “A & <B>”"]


def test_chapters_are_launched_from_their_branch(checkout):
    git(checkout, "remote", "add", "origin", PUBLIC[0][0])
    git(checkout, "switch", "--create", "a/b")
    links, _ = said_on(checkout)
    assert links["Colab"] == "https://colab.research.google.com/github/owner/name/blob/a/b/book/a.ipynb"
    assert links["Binder"] == "https://mybinder.org/v2/gh/owner/name/a%2Fb?urlpath=lab/tree/book/a.ipynb"
    assert set(said_on(checkout, page="book/index")[0]) == {"Repository", "Report an error"}
    git(checkout, "remote", "set-url", "origin", "git@gitlab.com:group/sub/name.git")
    links, _ = said_on(checkout)
    assert "Colab" not in links  # which opens notebooks from GitHub only
    assert links["Binder"] == "https://mybinder.org/v2/gl/group%2Fsub%2Fname/a%2Fb?urlpath=lab/tree/book/a.ipynb"


def test_a_branch_that_origin_lacks_gives_way_to_its_own_and_none_to_the_commit(checkout):
    git(checkout, "remote", "add", "origin", PUBLIC[0][0])
    head = git(checkout, "rev-parse", "HEAD").stdout.strip()
    git(checkout, "update-ref", "refs/remotes/origin/trunk", head)
    git(checkout, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk")
    assert origin.repository(checkout).branch == "trunk"
    git(checkout, "update-ref", "refs/remotes/origin/main", head)
    assert origin.repository(checkout).branch == "main"
    git(checkout, "checkout", "--detach")
    assert origin.repository(checkout).branch == head


def test_footer_has_the_date_of_the_last_change_to_the_sources(checkout):
    head = git(checkout, "rev-parse", "--short", "HEAD").stdout.strip()
    assert said_on(checkout)[1] == f"MIT license. As of 29 February 2024 (commit {head})."
    (checkout / "NOTES").write_text("nothing the site is made from")
    git(checkout, "add", "NOTES")
    git(checkout, "commit", "--message=Second", day="2025-01-01T12:00:00+0000")
    assert said_on(checkout)[1] == f"MIT license. As of 29 February 2024 (commit {head})."
    (checkout / "book" / "a.ipynb").write_text("[]")
    assert said_on(checkout)[1] == f"MIT license. As of 29 February 2024 (commit {head}, with changes since)."


def test_a_folder_without_commits_has_no_date(tmp_path):
    git(tmp_path, "init")
    assert origin.commit(tmp_path) is None
    assert said_on(tmp_path)[1] == "MIT license."


def test_footer_leads_to_how_to_cite_where_there_is_such_a_page(tmp_path):
    link = ' <a class="cite" href="../book/index.html#cite">Cite this book</a>'
    assert said_on(tmp_path, others=["book/index"])[1] == f"MIT license.{link}"
    assert '<a class="cite" href="#cite">' in said_on(tmp_path, page="book/index")[1]


def test_site_is_out_of_date_after_another_origin_commit_or_address(checkout, monkeypatch):
    for name in ("requirements.txt", "_config.yml", "_toc.yml"):
        (checkout / name).write_text("")
    seen = [inputs_digest(checkout, {})]
    git(checkout, "remote", "add", "origin", PUBLIC[0][0])
    seen.append(inputs_digest(checkout, {}))
    git(checkout, "add", ".")
    git(checkout, "commit", "--message=Second")
    seen.append(inputs_digest(checkout, {}))
    monkeypatch.setenv("VAELIB_SITE", "https://example.org/")
    seen.append(inputs_digest(checkout, {}))
    assert len(set(seen)) == 4


def test_the_notebook_to_download_is_said_to_hold_outputs():
    group = {"buttons": [{"label": "download-source-button", "text": ".ipynb"}, {"label": "download-pdf-button"}]}
    context = {"header_buttons": [group], "page_source_suffix": ".ipynb"}
    app = SimpleNamespace(config=SimpleNamespace(checkout=""), env=SimpleNamespace(found_docs=set()))
    buttons._Buttons(app)(app, "book/a", "page.html", context, None)
    assert group["buttons"][0]["text"] == ".ipynb with outputs"
