#!/usr/bin/env bash
# Compile the full lock from pyproject.toml: every platform, every hash, no index named.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$(command -v uv || echo _build/uv/bin/uv)
"$uv" pip compile --quiet --universal --generate-hashes --all-extras --no-header --no-emit-index-url --no-emit-find-links \
  pyproject.toml --output-file requirements.txt
