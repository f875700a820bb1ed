"""Which images an overlay may name."""

from __future__ import annotations

from manifest_checks.objects import Objects, workloads

BY_TAG = frozenset({"dev"})


def images_are_pinned(objects: Objects, overlay: str) -> list[str]:
    """By digest; in overlays for development by a tag, but never none and never `latest`."""
    faults = []
    for workload in workloads(objects):
        for container in workload.containers:
            image = str(container["image"])
            tag = image.rpartition("/")[2].partition(":")[2]
            if "@sha256:" not in image and (overlay not in BY_TAG or tag in ("", "latest")):
                faults.append(f"{workload}: image {image} is not pinned")
    return faults
