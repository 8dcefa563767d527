#!/usr/bin/env bash
# Compile the full lock from pyproject.toml, and the locks of the benchmark's peers: every platform, every hash, no index named.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$(command -v uv || echo _build/uv/bin/uv)
compile() {
  "$uv" pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-emit-find-links "$@"
}
compile --all-extras pyproject.toml --output-file requirements.txt
for peer in pythae jax; do
  compile --python-version 3.11 "benchmarks/$peer.in" --output-file "benchmarks/$peer.txt"
done
