"""What a model artefact is: its three files, and the attributes that its Booster carries."""

from __future__ import annotations

from typing import Any

from duly_risk.features import schema_sha256
from duly_risk.model import FeatureFrame

BOOSTER_FILE = "model.ubj"
GOLDEN_FILE = "golden.npz"
SCHEMA_FILE = "schema.json"
FRAME_ATTRIBUTE = "duly_frame"
SCHEMA_ATTRIBUTE = "duly_schema_sha256"


def label(booster: Any, frame: FeatureFrame) -> None:
    """Let a freshly fitted Booster carry its frame and the hash of the features it was fitted on."""
    booster.set_attr(**{FRAME_ATTRIBUTE: frame.to_json(), SCHEMA_ATTRIBUTE: schema_sha256()})


def frame_of(booster: Any) -> FeatureFrame:
    """The frame that a Booster carries; an empty one if it carries none. Raises FrameUnreadable."""
    return FeatureFrame.from_json(booster.attr(FRAME_ATTRIBUTE) or "{}")
