#!/bin/sh
# What the build stage of the Dockerfile runs. Arguments: `dependencies <service>` or `members <service>`.
set -eu

into() { # into <environment> <pip install arguments>; the environments hold no pip of their own
  environment=$1
  shift
  python -m pip --python "$environment/bin/python" install --quiet "$@"
}

dependencies() {
  service=$1
  if ls /wheels/*.whl >/dev/null 2>&1; then
    set -- --no-index --find-links /wheels
  else
    set --
  fi
  # --no-deps: the files name every package; what they leave out on purpose (GPU libraries) must not come back.
  into /opt/backend "$@" --require-hashes --no-deps -r /build/backend.txt
  into /opt/venv "$@" --require-hashes --no-deps -r /build/requirements.txt
  [ "$service" != scoring ] || into /opt/backend "$@" --require-hashes --no-deps -r /build/compiler.txt
  find /opt/venv/lib -type d \( -name tests -o -name test \) -path '*/site-packages/*' -prune -exec rm -rf {} +
}

members() {
  service=$1
  case "$service" in
    scoring) libraries="contracts runtime risk booster compiled" ;;
    outreach | gateway) libraries="contracts runtime policy" ;;
    ledger-sync | insights) libraries="contracts runtime" ;;
    *) echo "no such service: '$service'" >&2; exit 64 ;;
  esac
  for library in $libraries; do set -- "$@" "/build/libs/$library"; done
  shift
  python -m pip --python /opt/backend/bin/python wheel --quiet \
    --no-deps --no-build-isolation --no-index --wheel-dir /build/wheels "$@" "/build/services/$service"
  into /opt/venv --no-index --no-deps /build/wheels/*.whl
  if [ "$service" = scoring ]; then # the base image has no C compiler, but pip has one; it stays in this stage, as mypy
    export CC="/opt/backend/bin/python -m ziglang cc -mcpu=baseline"
    /opt/venv/bin/python -m duly_booster.build --require
    # Needs Python's headers, which official base images bring; without them the step runs as source, and this says so.
    PYTHONPATH=$(/opt/backend/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
      /opt/venv/bin/python -m duly_compiled.build
  fi
  start=/opt/venv/bin/duly-service
  printf '#!/bin/sh\nexec /opt/venv/bin/python -m %s.bootstrap "$@"\n' "$(echo "$service" | tr - _)" >"$start"
  chmod 0755 "$start"
}

"$@"
