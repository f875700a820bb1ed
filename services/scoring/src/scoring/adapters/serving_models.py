"""The models that score: `model-control` followed in a thread of its own, models loaded aside, handles swapped whole.

A batch takes one `Selection` and keeps it, so a swap happens between batches, never within one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from duly_contracts.model_control import Promotion, Roster
from duly_risk.fallback import RulesModel
from duly_risk.model import HazardModel, ModelInfo, Role
from duly_runtime.clock import Clock
from duly_runtime.exit_codes import EXIT_UNTRUSTED
from duly_runtime.logging import get_logger
from duly_runtime.metrics import MODEL_INFO, MODEL_PROMOTED, MODEL_PROMOTION, MODEL_SWAPS, Metrics
from kafka.errors import KafkaError

from scoring.adapters.booster_model import ModelRefused, ModelUnavailable
from scoring.adapters.guards import end_process
from scoring.adapters.model_control import ControlReader
from scoring.adapters.model_store import ModelStore

_log = get_logger(__name__)
_POLL_SECONDS = 0.5
RETRY_SECONDS = 15.0
_REMEMBERED_MAX = 256
_RULES = RulesModel()
_READY, _REFUSED, _UNREACHABLE = "ready", "refused", "unreachable"


class Selection:
    """The promotions known at one moment, and what they choose. Used by one thread at a time."""

    def __init__(
        self, roster: Roster, store: ModelStore, on_use: Callable[[str, Role, HazardModel | None], None]
    ) -> None:
        self._roster = roster
        self._store = store
        self._on_use = on_use
        self._chosen: dict[tuple[str, Role, int], HazardModel | None] = {}

    def serving(self, tenant: str, day: int) -> HazardModel:
        """The model that scores a business date; the rules where there is none."""
        return self._choose(tenant, Role.CHAMPION, day) or _RULES

    def shadow(self, tenant: str, day: int) -> HazardModel | None:
        """The challenger that scores beside it; None where there is none, or where it has become what serves."""
        model = self._choose(tenant, Role.SHADOW, day)
        if model is None or model.info.version == self.serving(tenant, day).info.version:
            return None
        return model

    def _choose(self, tenant: str, role: Role, day: int) -> HazardModel | None:
        place = (tenant, role, day)
        if place not in self._chosen:
            if len(self._chosen) >= _REMEMBERED_MAX:
                self._chosen.clear()
            self._chosen[place] = self._first_usable(tenant, role, day)
            self._on_use(tenant, role, self._chosen[place])
        return self._chosen[place]

    def _first_usable(self, tenant: str, role: Role, day: int) -> HazardModel | None:
        for promotion in self._roster.in_force(tenant, role, day):
            if not promotion.has_model:
                return None
            model = self._store.usable(promotion)
            if model is not None:
                return model
        return None


class ServingModels:
    """Owner of the store, the reader and the thread. `current` is the handle that is swapped."""

    def __init__(self, reader: ControlReader, store: ModelStore, clock: Clock, metrics: Metrics) -> None:
        self._reader = reader
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._lock = threading.Lock()
        self._serving: dict[tuple[str, Role], HazardModel] = {}
        self._roster = Roster({})
        self._selection = self._select()
        self._decided = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="model-control", daemon=True)

    def read_to_end(self) -> None:
        """Know every promotion that was published before now. Raises KafkaError, NotReadyToStart. Loads nothing yet."""
        for promotion in self._reader.read_to_end():
            self._roster = self._roster.after(promotion)
        self._selection = self._select()
        self._decided = self._reader.next_offset

    def start(self) -> None:
        """Go on reading."""
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def prepare(self) -> None:
        """Load what is promoted now and what was before it, so that the first batch need not."""
        for promotion in self._roster.recent():
            self._load_aside(promotion)
        self._show()

    def current(self) -> Selection:
        """The handle for one batch."""
        return self._selection

    def follow(self, wait_seconds: float) -> bool:
        """Read what came, load it aside, then swap. True = something came. Raises KafkaError."""
        promotions = self._reader.poll(wait_seconds)
        for promotion in promotions:
            self._load_aside(promotion)
            self._roster = self._roster.after(promotion)
            self._selection = self._select()
        self._decided = self._reader.next_offset
        if promotions:
            self._show()
        return bool(promotions)

    def try_again(self) -> None:
        """Once more for promoted models that could not be had, as a registry comes back; swaps if one can now."""
        for promotion in self._roster.recent():
            if isinstance(self._store.fault(promotion), ModelUnavailable):
                self._load_aside(promotion)
                self._selection = self._select()
                self._show()

    def status(self) -> dict[str, Any]:
        """For /status: what scores, how far `model-control` was decided, and the newest promotions with their state."""
        with self._lock:
            serving = {(tenant, str(role)): model.info for (tenant, role), model in self._serving.items()}
        return {
            "model": ", ".join(sorted({f"{info.name} {info.version} {info.role.value}" for info in serving.values()})),
            "model_control": self._decided,
            "promotions": [self._words(one, serving.get((one.tenant, one.role))) for one in self._roster.recent(1)],
        }

    def _words(self, promotion: Promotion, serving: ModelInfo | None) -> dict[str, str]:
        fault = self._store.fault(promotion)
        scores = serving is not None and (serving.version == promotion.version or not promotion.has_model)
        state = self._state(promotion)
        if state == _READY and scores:
            state = "serving"
        return {
            "tenant": promotion.tenant,
            "role": promotion.role,
            "version": promotion.version,
            "effective_date": str(promotion.effective or ""),
            "state": state,
            "fault": "" if fault is None else str(fault),
        }

    def _load_aside(self, promotion: Promotion) -> None:
        if promotion.has_model:
            self._store.try_again(promotion)
        self._tell(promotion)

    def _tell(self, promotion: Promotion) -> None:
        fault, outcome = self._store.fault(promotion), self._state(promotion)
        self._metrics.count(MODEL_SWAPS, role=promotion.role, outcome=outcome)
        words = {"tenant": promotion.tenant, "role": promotion.role, "version": promotion.version}
        if fault is None:
            _log.info("scoring.model_ready", **words, effective_day=promotion.effective_day)
        else:
            _log.error("scoring.model_not_taken", **words, outcome=outcome, error=str(fault))

    def _state(self, promotion: Promotion) -> str:
        fault = self._store.fault(promotion)
        return _READY if fault is None else _REFUSED if isinstance(fault, ModelRefused) else _UNREACHABLE

    def _show(self) -> None:
        """Gauges of the newest promotions: an alert is about how things stand, not about how often it was tried."""
        for promotion in self._roster.recent():
            place = {"tenant": promotion.tenant, "role": promotion.role}
            if not promotion.has_model:  # the rules score, and grow not old
                self._metrics.forget(MODEL_PROMOTED, **place)
            elif self._state(promotion) == _READY:  # the newer ones come last
                self._metrics.set(MODEL_PROMOTED, promotion.promoted_at.timestamp(), **place)
        for promotion in self._roster.recent(1):
            is_now, place = self._state(promotion), {"tenant": promotion.tenant, "role": promotion.role}
            for state in (_READY, _REFUSED, _UNREACHABLE):
                self._metrics.set(MODEL_PROMOTION, float(state == is_now), state=state, **place)

    def _select(self) -> Selection:
        return Selection(self._roster, self._store, self._used)

    def _used(self, tenant: str, role: Role, model: HazardModel | None) -> None:
        """Note what scores, for metrics and status."""
        model = model or (_RULES if role is Role.CHAMPION else None)
        place = (tenant, role)
        with self._lock:
            before = self._serving.get(place)
            if model is before:
                return
            if model is None:
                self._serving.pop(place, None)
            else:
                self._serving[place] = model
            still = {(one.info.version, one.info.role) for one in self._serving.values()}
        if before is not None and (before.info.version, before.info.role) not in still:
            self._metrics.set(MODEL_INFO, 0, version=before.info.version, role=before.info.role.value)
        if model is not None:
            self._metrics.set(MODEL_INFO, 1, version=model.info.version, role=model.info.role.value)
            _log.info("scoring.model_serving", tenant=tenant, version=model.info.version, role=model.info.role.value)

    def _run(self) -> None:
        tried_at = self._clock.monotonic()
        try:
            while not self._stop.is_set():
                try:
                    self.follow(_POLL_SECONDS)
                except KafkaError as error:
                    _log.warning("scoring.model_control_blind", error=str(error))
                    self._stop.wait(_POLL_SECONDS)
                if self._clock.monotonic() - tried_at >= RETRY_SECONDS:
                    self.try_again()
                    tried_at = self._clock.monotonic()
            self._reader.close()
        except BaseException:  # the process loop of this thread: a worker deaf to a roll-back must not go on
            end_process(EXIT_UNTRUSTED, "scoring.model_control_failed")
