"""`python -m duly_policy lint` prints the faults of all packs; `... lock` prints what packs.lock should hold."""

from __future__ import annotations

import sys

from duly_policy.lint import lint_released
from duly_policy.loader import lock_lines


def main(arguments: list[str]) -> int:
    if arguments == ["lock"]:
        print("\n".join(lock_lines()))
        return 0
    if arguments == ["lint"]:
        faults = lint_released()
        print("\n".join(faults) or "no faults")
        return 1 if faults else 0
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
