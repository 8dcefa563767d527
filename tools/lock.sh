#!/usr/bin/env bash
# Compile the full lock from pyproject.toml, and the lock of the benchmark's peer: every platform, every hash, no index named.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$(command -v uv || echo _build/uv/bin/uv)
compile() {
  "$uv" pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-emit-find-links "$@"
}
compile --all-extras pyproject.toml --output-file requirements.txt
compile --python-version 3.11 benchmarks/pythae.in --output-file benchmarks/pythae.txt
