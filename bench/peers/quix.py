"""Quix Streams: a StreamingDataFrame with a stateful function, state in RocksDB with its changelog.

Tuned: bytes all the way (no JSON), the state as one value, checkpoints once a second as with the others, a producer
that lingers, has room and is not idempotent (no other one is here, and it costs), a quiet logger, fewer passes of
the cycle collector. Tried without gain: checkpoints every 5 s, a longer linger, more fetched ahead.
"""

from __future__ import annotations

from typing import Any

from quixstreams import Application, State, message_context

from bench.peers.job import COMMIT_SECONDS, Job, calm_collector
from bench.toy import score_one

_STATE = b"state"


def main() -> None:
    job = Job.read()
    booster = job.booster()
    app = Application(
        broker_address=job.bootstrap_servers,
        consumer_group=job.group,
        auto_offset_reset="earliest",
        commit_interval=COMMIT_SECONDS,
        state_dir=job.folder,
        use_changelog_topics=True,
        loglevel="WARNING",
        producer_extra_config={
            "acks": "all",
            "enable.idempotence": False,
            "linger.ms": 5,
            "batch.num.messages": 10_000,
            "queue.buffering.max.messages": 1_000_000,
        },
        consumer_extra_config={"fetch.wait.max.ms": 20},
    )
    source = app.topic(job.source, key_deserializer="bytes", value_deserializer="bytes")
    scores = app.topic(job.scores, key_serializer="bytes", value_serializer="bytes")

    def score(value: bytes, state: State) -> bytes | None:
        folded, scored = score_one(state.get_bytes(_STATE), message_context().offset, value, booster)
        state.set_bytes(_STATE, folded)
        return scored

    def is_scored(scored: Any) -> bool:
        return scored is not None

    stream = app.dataframe(source).apply(score, stateful=True).filter(is_scored)
    stream.to_topic(scores)
    calm_collector()
    app.run()


if __name__ == "__main__":
    main()
