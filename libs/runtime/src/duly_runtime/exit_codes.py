"""What a process says of itself as it ends, for every service; an orchestrator and a person read the same numbers."""

from __future__ import annotations

EXIT_USAGE = 64
EXIT_UNTRUSTED = 70  # the process cannot trust itself: nothing uncommitted was let go
EXIT_CONFIG = 78
