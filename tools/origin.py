"""Where this checkout is from, as git says it: the public repository it was cloned from, and its last commit.

Standard library only. Without git, or where the folder is not the top of a checkout of its own, nothing is known.
"""

import re
import subprocess
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import quote, urlencode

# What the site is made from: its footer bears the date of the last commit that changed one of these.
MADE_FROM = ("book", "vaelib", "tools", "results", "requirements.txt", "_config.yml", "_toc.yml")
# Hosts that anyone can read; both let ssh in under a second name, where its own port is closed.
HOSTS = {
    "github.com": "github.com",
    "ssh.github.com": "github.com",
    "gitlab.com": "gitlab.com",
    "altssh.gitlab.com": "gitlab.com",
}
# scheme://user:password@host:port/path, and user@host:path as ssh has it. Neither user nor password is kept.
URL = re.compile(r"(?:https?|ssh|git)://(?:[^/]*@)?(?P<host>[^/:@]+)(?::\d+)?/(?P<path>[^?#]+)")
SCP = re.compile(r"(?:[^/@]+@)?(?P<host>[^/:@]+):(?P<path>[^?#]+)")
PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)+")


@dataclass(frozen=True)
class Repository:
    """A public repository: `host`, `path` (owner/name, on GitLab perhaps group/subgroup/name), a branch or commit."""

    host: str
    path: str
    branch: str

    @property
    def url(self) -> str:
        """Its page."""
        return f"https://{self.host}/{self.path}"

    def report(self, title: str, text: str) -> str:
        """Where an issue is opened, with its title and text filled in."""
        if self.host == "github.com":
            return f"{self.url}/issues/new?{urlencode({'title': title, 'body': text})}"
        return f"{self.url}/-/issues/new?{urlencode({'issue[title]': title, 'issue[description]': text})}"

    def binder(self, file: str) -> str:
        """Where Binder opens a file in JupyterLab."""
        place = f"gh/{self.path}" if self.host == "github.com" else f"gl/{quote(self.path, safe='')}"
        return f"https://mybinder.org/v2/{place}/{quote(self.branch, safe='')}?urlpath=lab/tree/{quote(file)}"

    def colab(self, file: str) -> str | None:
        """Where Colab opens a notebook; it knows GitHub only."""
        if self.host != "github.com":
            return None
        return f"https://colab.research.google.com/github/{self.path}/blob/{quote(self.branch)}/{quote(file)}"


@dataclass(frozen=True)
class Commit:
    """The last commit that changed what the site is made from, and whether files were changed since."""

    name: str
    day: date
    changed: bool

    def __str__(self) -> str:
        since = ", with changes since" if self.changed else ""
        return f"{self.day.day} {self.day:%B %Y} (commit {self.name}{since})"


def repository(root: Path) -> Repository | None:
    """The repository that `origin` names, where it is one that anyone can read."""
    parsed = parse(_git(root, "remote", "get-url", "origin"))
    branch = _branch(root)
    return Repository(*parsed, branch) if parsed and branch else None


def _branch(root: Path) -> str:
    """The branch that is checked out, or origin's own where origin is known to lack that; without any, the commit."""
    branch = _git(root, "branch", "--show-current")
    if not branch:
        return _git(root, "rev-parse", "HEAD")
    if not _git(root, "rev-parse", "--verify", "--quiet", f"refs/remotes/origin/{branch}"):
        return _git(root, "rev-parse", "--abbrev-ref", "origin/HEAD").partition("/")[2] or branch
    return branch


def parse(address: str) -> tuple[str, str] | None:
    """Host and path of a remote's address; None for a folder, another host, or what is no address at all."""
    found = URL.fullmatch(address) or ("://" not in address and SCP.fullmatch(address))
    host = HOSTS.get(found["host"].lower()) if found else None
    path = found["path"].strip("/").removesuffix(".git") if found else ""
    if not host or not PATH.fullmatch(path) or (host == "github.com" and path.count("/") != 1):
        return None
    return host, path


def commit(root: Path) -> Commit | None:
    """The state of what the site is made from."""
    name, _, day = _git(root, "log", "-1", "--format=%h %cs", "--", *MADE_FROM).partition(" ")
    if not name:
        return None
    return Commit(name, date.fromisoformat(day), bool(_git(root, "status", "--porcelain", "--", *MADE_FROM)))


def facts(root: Path) -> dict[str, str]:
    """What pages say of the checkout; another origin or commit makes another site."""
    return {"origin": str(repository(root)), "commit": str(commit(root))}


def _git(root: Path, *arguments: str) -> str:
    """What git answers for a checkout whose top is `root`; nothing where it is not that, or git fails or is absent."""
    try:
        for command in (["rev-parse", "--show-toplevel"], arguments):
            said = subprocess.run(["git", "-C", root, *command], capture_output=True, text=True, timeout=60)
            if said.returncode or (command != arguments and Path(said.stdout.strip()).resolve() != root.resolve()):
                return ""
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.stdout.strip()
