"""What a measured program is told, as a JSON file in its argument. On NumPy and XGBoost alone: see `bench.toy`."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

PARTITIONS = 12
COMMIT_SECONDS = 1.0  # of every engine that is not stock: how much a crash would do again


@dataclass(frozen=True, slots=True)
class Job:
    """One life of one engine.

    source, scores, changelog: topics; the changelog is there already, unless the engine makes its own. group: consumer
    group, or the Faust app's id. predictor: `xgboost` or `walk`. folder: of this life alone. options: of the engine.
    """

    bootstrap_servers: str
    source: str
    scores: str
    changelog: str
    group: str
    predictor: str
    model: str
    trees: str
    library: str
    folder: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls) -> Self:
        """From the file that the command line names."""
        return cls(**json.loads(Path(sys.argv[1]).read_text("utf-8")))

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), "utf-8")

    def booster(self) -> Any:
        """What answers `inplace_predict(rows, predict_type="margin")`; one thread."""
        if self.predictor == "walk":
            from bench.peers.tree_walk import Trees, TreeWalk

            return TreeWalk(Path(self.library), Trees.load(Path(self.trees)))
        import xgboost

        booster = xgboost.Booster(model_file=self.model)
        booster.set_param({"nthread": 1})
        return booster


def calm_collector() -> None:
    """`scoring.bootstrap.calm_collector` once more, for environments without scoring. Every engine that is not stock
    calls it once it is set up."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(300_000, 20, 100)
