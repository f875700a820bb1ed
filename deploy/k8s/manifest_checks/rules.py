"""The table of rules: name -> rule over all objects of an overlay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from manifest_checks import against_code, hardening, images, references
from manifest_checks.objects import Objects

Rule = Callable[[Objects], list[str]]


def rules(overlay: str) -> Mapping[str, Rule]:
    """Every rule that the overlay must pass."""
    return {
        **{rule.__name__: rule for rule in _EVERYWHERE},
        "images_are_pinned": partial(images.images_are_pinned, overlay=overlay),
    }


_EVERYWHERE: tuple[Rule, ...] = (
    references.no_object_twice,
    references.namespaces_exist,
    references.selectors_match,
    references.policy_peers_exist,
    references.ports_exist,
    references.names_resolve,
    hardening.probes_are_set,
    hardening.resources_are_bounded,
    hardening.contexts_are_restricted,
    hardening.workloads_are_guarded,
    hardening.namespaces_are_closed,
    against_code.every_service_is_deployed,
    against_code.environment_fits_settings,
    against_code.files_are_mounted,
    against_code.ports_are_listened_on,
    against_code.addresses_resolve,
    against_code.topics_are_the_registrys,
    against_code.replicas_fit_partitions,
    against_code.stops_are_waited_for,
    against_code.scoring_is_stateful,
)
