#!/usr/bin/env bash
# Build the service images (all five, or those named) and print their sizes.
#   build.sh kafka        a local Kafka image, for machines that reach no image registry
#   build.sh wheelhouse   fetch every wheel the images need, once; builds then run with DULY_BUILD_NETWORK=none
#
# Tags: local/duly-<service>:<version>-<commit>, and :dev for the overlay of that name. Settings, all optional:
#   DOCKER              the docker command (default: the first one on the PATH that can build with BuildKit)
#   PYTHON_IMAGE        base image                          DULY_BUILD_NETWORK  e.g. none, with a full wheelhouse
#   DULY_BUILD_CA       CA bundle (default: the one pip, or OpenSSL, uses by environment variable)
#   DULY_BUILD_PIPCONF  pip configuration (default: made from what pip here is told about package indexes)
# CA and configuration are build secrets: they reach no layer.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly SERVICES=(ledger-sync scoring outreach gateway insights)
secrets=$(mktemp -d)
trap 'rm -rf "$secrets"' EXIT

builder() { # the command that builds: newer clients need buildx for BuildKit, older ones have it inside
  local candidate major
  for candidate in ${DOCKER:-$(type -ap docker)}; do
    if "$candidate" buildx version >/dev/null 2>&1; then echo "$candidate buildx build --load" && return; fi
    major=$("$candidate" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/')
    if ((major < 23)); then echo "$candidate build" && return; fi
  done
  echo "no docker command here can build with BuildKit: install docker-buildx (or name a command in DOCKER)" >&2
  exit 3
}

engine() { # the command to ask the engine with
  local found
  found=$(builder)
  echo "${found%% *}"
}

pip_settings() { # package indexes of this machine as a pip.conf; paths of this machine mean nothing in a build
  echo "[global]"
  "${PYTHON:-python3}" -m pip config list 2>/dev/null |
    sed -nE "s/^(global|:env:)\.((extra-)?index-url|trusted-host|proxy|default-timeout)='(.*)'\$/\2 = \4/p"
}

revision() {
  local commit dirty=""
  commit=$(git rev-parse --short=12 HEAD 2>/dev/null) || { echo unknown && return; }
  [ -z "$(git status --porcelain -- libs services requirements deploy/docker)" ] || dirty=-dirty
  echo "$commit$dirty"
}

build_service() {
  local service=$1 version commit ca=${DULY_BUILD_CA:-${PIP_CERT:-${SSL_CERT_FILE:-}}}
  version=$(sed -nE 's/^version = "(.*)"$/\1/p' "services/$service/pyproject.toml")
  commit=$(revision)
  local arguments=(-f deploy/docker/Dockerfile --build-arg "SERVICE=$service" --build-arg "VERSION=$version"
    --build-arg "REVISION=$commit" --secret "id=pipconf,src=${DULY_BUILD_PIPCONF:-$secrets/pip.conf}"
    -t "local/duly-$service:$version-$commit" -t "local/duly-$service:dev")
  [ -z "$ca" ] || arguments+=(--secret "id=ca,src=$ca")
  [ -z "${PYTHON_IMAGE:-}" ] || arguments+=(--build-arg "PYTHON_IMAGE=$PYTHON_IMAGE")
  [ -z "${DULY_BUILD_NETWORK:-}" ] || arguments+=(--network "$DULY_BUILD_NETWORK")
  run_build "$service" "local/duly-$service:$version-$commit" "${arguments[@]}" .
}

build_kafka() { # jars and JRE come from this machine's environment, so the build itself fetches nothing
  .venv/bin/python deploy/docker/kafka/context.py "$secrets/kafka"
  run_build kafka local/kafka:4.3.0 -t local/kafka:4.3.0 "$secrets/kafka"
}

fill_wheelhouse() { # wheels for the images' Python, whatever Python runs here
  local list
  for list in deploy/docker/backend.txt requirements/compiler "${SERVICES[@]/#/requirements/}"; do
    "${PYTHON:-.venv/bin/python}" -m pip download --quiet --require-hashes --no-deps --only-binary :all: \
      --python-version 3.11 --dest deploy/docker/wheelhouse -r "${list%.txt}.txt"
  done
  echo "wheelhouse   $(du -sm deploy/docker/wheelhouse | cut -f1) MB"
}

run_build() { # run_build <name> <tag> <arguments of docker build>
  local name=$1 tag=$2 started=$SECONDS
  shift 2
  # shellcheck disable=SC2046 # the command and its sub-command are words
  if ! DOCKER_BUILDKIT=1 $(builder) --progress plain "$@" >"$secrets/$name.log" 2>&1; then
    tail -25 "$secrets/$name.log" >&2
    echo "$name: the build failed" >&2
    exit 1
  fi
  printf '%-12s %5d MB  %4d s  %s\n' "$name" \
    $(($("$(engine)" image inspect --format '{{.Size}}' "$tag") / 1000000)) $((SECONDS - started)) "$tag"
}

builder >/dev/null
"$(engine)" info >/dev/null 2>&1 || { echo "no Docker engine answers" >&2; exit 3; }
(umask 077 && pip_settings >"$secrets/pip.conf")
[ $# -gt 0 ] || set -- "${SERVICES[@]}"
for wanted in "$@"; do
  case "$wanted" in
    kafka) build_kafka ;;
    wheelhouse) fill_wheelhouse ;;
    *) [ -d "services/$wanted" ] || { echo "no such service: $wanted" >&2; exit 64; }
       build_service "$wanted" ;;
  esac
done
