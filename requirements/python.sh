#!/bin/sh
# The interpreter of the environment: `python3`, unless that was compiled without profile-guided optimisation (as version
# managers do by default; scoring is then some 8 % slower) and the system's own will do.
will_do() {
  "$1" -c 'import ensurepip, os, sys, sysconfig
headers = os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))  # to compile the step
sys.exit(sys.version_info < (3, 11) or not headers)' 2>/dev/null
}
optimised='import sys, sysconfig as s; sys.exit("--enable-optimizations" not in (s.get_config_var("CONFIG_ARGS") or ""))'
if ! python3 -c "$optimised" 2>/dev/null && will_do /usr/bin/python3; then
  echo /usr/bin/python3
else
  echo python3
fi
