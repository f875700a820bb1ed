"""`python pinned.py CORE COMMAND..`: become that command, on that core alone where the system can pin."""

import os
import sys

if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {int(sys.argv[1])})
os.execvp(sys.argv[2], sys.argv[2:])
