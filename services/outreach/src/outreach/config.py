"""Settings of outreach (`DULY_OUTREACH_<FIELD>`)."""

from __future__ import annotations

from duly_policy import Autonomy, Stage
from duly_runtime.settings import ServiceSettings
from pydantic import Field, SecretStr, field_validator


class Settings(ServiceSettings):
    gateway_address: str = Field("127.0.0.1:18040", description="gRPC address of the gateway, host:port")
    gateway_token: SecretStr = Field(description="token for the gateway, scope contacts:write")
    stage: Stage = Field(Stage.PREDICTIVE, description="rollout stage; REMINDERS times the ladder without scores")
    strategy: str = Field("reminder-ladder", description="ladder, by name or name@version")
    packs: str = Field("duly-default", description="rule packs of the contact gate, comma separated")
    autonomy: str = Field(
        "", description="who acts, by action, over the strategy's own: reminder=AUTO,call_task=APPROVE"
    )
    contact_valid_hours: int = Field(
        24, ge=1, le=720, description="how long a planned contact may wait before it is planned anew"
    )
    score_age_days_max: int = Field(
        7, ge=0, le=90, description="older scores do not time the ladder, the default timing does"
    )

    @field_validator("autonomy")
    @classmethod
    def _autonomy_is_readable(cls, text: str) -> str:
        autonomy_levels(text)
        return text


def autonomy_levels(text: str) -> dict[str, Autonomy]:
    """Action -> level, from `action=LEVEL,...`. Raises ValueError."""
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    return {action.strip(): Autonomy(level.strip()) for action, _, level in pairs}
