"""Runs a command as somebody who is not root, for PostgreSQL, which refuses root. Imports nothing of the package: it
runs by path.

`python -I unprivileged.py map COMMAND..`  root alone in a user namespace of its own, where it is called `nobody`: needs
no account, no change of any owner or permission, and the files stay the caller's. `python -I unprivileged.py NUMBER
COMMAND..`: as that user id, where user namespaces are not allowed (most containers).
"""

from __future__ import annotations

import ctypes
import os
import pwd
import sys
from pathlib import Path

_CLONE_NEWUSER = 0x10000000


def account() -> pwd.struct_passwd:
    """The account to be: `nobody`, or any that is not root (initdb wants one with a name)."""
    others = [entry for entry in pwd.getpwall() if entry.pw_uid != 0]
    named = [entry for entry in others if entry.pw_name == "nobody"]
    return (named or others)[0]


def enter_namespace() -> None:
    """Become `nobody` inside, and stay root's own user id outside. Raises OSError where that is not allowed."""
    who = account()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{who.pw_uid} 0 1")
    Path("/proc/self/gid_map").write_text(f"{who.pw_gid} 0 1")


def become(user_id: int) -> None:
    """Give up root for this user id for good."""
    group_id = next((entry.pw_gid for entry in pwd.getpwall() if entry.pw_uid == user_id), user_id)
    os.setgroups([])
    os.setgid(group_id)
    os.setuid(user_id)


if __name__ == "__main__":
    if sys.argv[1] == "map":
        enter_namespace()
    else:
        become(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606
