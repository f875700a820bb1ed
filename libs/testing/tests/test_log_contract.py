"""The in-memory log and Kafka keep the same promises."""

import pytest
from duly_runtime.kafka_log import KafkaLog
from duly_runtime.log import EventLog
from duly_testing.log_contract import LogContract
from duly_testing.memory_log import MemoryLog


class TestMemoryLog(LogContract):
    @pytest.fixture
    def log(self, memory_log: MemoryLog) -> EventLog:
        return memory_log


@pytest.mark.kafka
class TestKafkaLog(LogContract):
    @pytest.fixture
    def log(self, kafka_log: KafkaLog) -> EventLog:
        return kafka_log
