"""How the environment is installed, with a stand-in for uv that writes down what it was called with."""

import os
import shutil
import subprocess
import sys

import pytest

from tools.chapters import ROOT

UV = """#!/bin/sh
echo "${UV_SYSTEM_CERTS-unset} $*" >> "$CALLS"
case "$1 $2" in
  venv*) mkdir -p .venv/bin && ln -sf "$PYTHON" .venv/bin/python ;;
  "pip sync") case "$*" in *--dry-run*) exit "$NO_CERTIFICATES" ;; esac ;;
esac
"""


@pytest.fixture
def install(tmp_path):
    """Run tools/make_env.sh in a tree of its own; returns uv's calls, each after the UV_SYSTEM_CERTS it saw."""
    tree = tmp_path / "tree"
    (tree / "tools").mkdir(parents=True)
    shutil.copy(ROOT / "tools" / "make_env.sh", tree / "tools")
    for name in ("requirements.txt", "pyproject.toml"):
        (tree / name).touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "uv").write_text(UV)
    (tmp_path / "bin" / "uv").chmod(0o755)
    calls = tmp_path / "calls"

    def run(**settings):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
        environment |= {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PYTHON": sys.executable}
        environment |= {"CALLS": str(calls), "NO_CERTIFICATES": "0", **settings}
        calls.write_text("")
        subprocess.run(["tools/make_env.sh"], cwd=tree, env=environment, check=True)
        return calls.read_text().splitlines()

    return run


def installing(calls):
    [call] = [call for call in calls if "--require-hashes" in call]
    return call.split()[0]


def test_the_machines_certificates_are_trusted_where_it_has_any(install):
    assert installing(install()) == "1"
    assert install() == []  # nothing is done twice


def test_a_machine_without_certificates_uses_those_of_uv(install):
    assert installing(install(NO_CERTIFICATES="2")) == "unset"


def test_what_the_user_chose_stays(install):
    assert installing(install(UV_SYSTEM_CERTS="0", NO_CERTIFICATES="2")) == "0"
