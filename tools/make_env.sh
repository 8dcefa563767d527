#!/usr/bin/env bash
# Make .venv and install the lock into it; does nothing where that was done for this lock and this pyproject.toml.
# tools/make_env.sh FOLDER LOCK makes another environment, without this project in it.
# PYTHON names another interpreter than python3. uv comes from the PATH or, where it is not there, from pip.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "make: $*" >&2; exit 1; }

venv=${1:-.venv} lock=${2:-requirements.txt}
stamp=$(cat "$lock" pyproject.toml tools/make_env.sh | cksum)
if [ -x "$venv/bin/python" ] && [ "$(cat "$venv/.installed" 2>/dev/null)" = "$stamp" ]; then exit 0; fi

python=${PYTHON:-python3}
command -v "$python" >/dev/null || fail "$python is not on the PATH; install Python 3.11 or newer, or name it: make PYTHON=/path/to/python3.12 ..."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "$python is $("$python" --version 2>&1), and this book needs Python 3.11 or newer; name another one: make PYTHON=/path/to/python3.12 ..."

# A uv of our own is used by its path, so a broken one on the PATH does no harm.
if uv --version >/dev/null 2>&1; then uv=uv; else
  uv=_build/uv/bin/uv
  if ! "$uv" --version >/dev/null 2>&1; then
    rm -rf _build/uv
    mkdir -p _build
    # --target is allowed where the system's Python forbids other installs; a private venv serves where pip is absent.
    if "$python" -m pip --version >/dev/null 2>&1; then
      "$python" -m pip install --quiet --disable-pip-version-check --target _build/uv uv
    elif "$python" -m venv _build/uv >/dev/null 2>&1; then
      _build/uv/bin/python -m pip install --quiet --disable-pip-version-check uv
    else
      fail "$python has neither pip nor a working venv module (on Debian: apt install python3-venv); or install uv yourself"
    fi
    "$uv" --version >/dev/null 2>&1 || fail "uv could not be installed; the message above says why"
  fi
fi

export UV_PYTHON_DOWNLOADS=never UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-300}
rm -f "$venv/.installed"
"$uv" venv --quiet --allow-existing --python "$(command -v "$python")" "$venv"
# The machine's own certificates, where it has any: behind a proxy with an authority of its own there are no others.
if [ -z "${UV_SYSTEM_CERTS+set}" ]; then
  export UV_SYSTEM_CERTS=1
  "$uv" pip sync --offline --dry-run --allow-empty-requirements --python "$venv/bin/python" /dev/null >/dev/null 2>&1 ||
    unset UV_SYSTEM_CERTS
fi
# Compiled here once: where Python may not write bytecode, each of the book's many processes would compile it again.
"$uv" pip sync --quiet --compile-bytecode --python "$venv/bin/python" --require-hashes "$lock"
if [ "$venv" = .venv ]; then "$uv" pip install --quiet --python .venv/bin/python --no-deps --editable .; fi
echo "$stamp" > "$venv/.installed"
