"""Message templates: versioned files in the package, immutable once released, filled by a sandboxed Jinja2.

Layout: `files/<template id>/<version>/<language>.{subject,text,html}.j2`. A change is a new version folder.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files

from duly_contracts.money import Money
from jinja2 import DictLoader, StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from gateway.application.ports import Letter, Rendered, RenderFailed

LANGUAGE = "en"
_PARTS = ("subject", "text", "html")


class TemplateLibrary:
    """All templates of the package, read once."""

    def __init__(self) -> None:
        self._versions, sources = _read_all()
        self._environment = SandboxedEnvironment(
            loader=DictLoader(sources),
            undefined=StrictUndefined,
            autoescape=lambda name: name is not None and name.endswith(".html"),
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )

    def version_of(self, template_id: str, version: str) -> str | None:
        versions = self._versions.get(template_id, ())
        if not version:
            return versions[-1] if versions else None
        return version if version in versions else None

    def render(self, template_id: str, version: str, letter: Letter) -> Rendered:
        try:
            subject, text, html = (
                self._environment.get_template(f"{template_id}/{version}/{LANGUAGE}.{part}").render(_values(letter))
                for part in _PARTS
            )
        except TemplateError as error:
            raise RenderFailed(f"{template_id} {version}: {error}") from error
        subject = " ".join(subject.split())
        content = "\x00".join((subject, text, html)).encode()
        return Rendered(subject, text, html, hashlib.sha256(content).hexdigest())


def _values(letter: Letter) -> dict[str, object]:
    """Money and dates as text; templates see no number they could calculate with."""
    return {
        "contact_id": letter.contact_id,
        "debtor": letter.debtor_name or "Customer",
        "creditor": letter.creditor_name,
        "invoices": [
            {
                "number": claim.position.number,
                "due_date": claim.position.due_date.isoformat(),
                "amount": str(Money(claim.claimable_minor, claim.position.currency)),
            }
            for claim in letter.claims
        ],
        "totals": [str(Money(amount, currency)) for currency, amount in letter.totals],
    }


def _read_all() -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    versions: dict[str, tuple[str, ...]] = {}
    sources: dict[str, str] = {}
    for template in files("gateway.adapters.templates").joinpath("files").iterdir():
        if not template.is_dir():
            continue
        found = [version for version in template.iterdir() if version.is_dir()]
        versions[template.name] = tuple(
            sorted((version.name for version in found), key=lambda name: [int(part) for part in name.split(".")])
        )
        for version in found:
            for part in _PARTS:
                name = f"{LANGUAGE}.{part}"
                source = version.joinpath(f"{name}.j2").read_text("utf-8")
                sources[f"{template.name}/{version.name}/{name}"] = source
    return versions, sources
