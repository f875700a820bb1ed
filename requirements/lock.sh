#!/usr/bin/env bash
# Resolve every requirements/*.in into its hashed *.txt. `dev` holds all members, so the others are pinned by it.
set -euo pipefail
cd "$(dirname "$0")"
compile() {
  "${UV:-../.venv/bin/uv}" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --no-header --override overrides.in "$@"
}
compile dev.in -o dev.txt
for name in bootstrap ledger-sync scoring outreach gateway insights training; do
  compile "$name.in" --constraint dev.txt -o "$name.txt"
done
compile compiler.in --constraint dev.txt -o compiler.txt
compile peers.in -o peers.txt
compile ../deploy/docker/backend.in --constraint dev.txt -o ../deploy/docker/backend.txt
