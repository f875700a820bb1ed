"""docs/reference/ledger-export.md says what the reader reads."""

from __future__ import annotations

import re
from pathlib import Path

from duly_ledger_export import read_ledger
from duly_ledger_export.reader import SETTINGS_KEYS
from duly_ledger_export.tables import FORMATS, READ_OVER_FILES

TEXT = (Path(__file__).parents[3] / "docs" / "reference" / "ledger-export.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))


def documented(section: str) -> list[tuple[str, str]]:
    """The first two cells of each row of a section's table."""
    return re.findall(r"^\| `(\S+)` \| (.*?) ?\|", SECTIONS[section], re.MULTILINE)


def test_the_page_names_every_file_with_its_columns_and_which_are_required() -> None:
    assert {name for name in SECTIONS if name.endswith(".csv")} == {table.file for table in FORMATS.values()}
    for table in FORMATS.values():
        columns = [(name, "yes") for name in table.required] + [(name, "") for name in table.optional]
        assert documented(table.file) == columns
        assert all(f"`{name}`" in TEXT for name in table.read_over)
    assert all(f"`{name}.csv`" in TEXT for name in READ_OVER_FILES)


def test_the_page_names_every_setting() -> None:
    assert [name for name, _ in documented("ledger.yaml")] == list(SETTINGS_KEYS)


def test_both_forms_of_the_example_read_as_the_same_money(tmp_path: Path) -> None:
    files = dict(re.findall(r"^`(\S+)`\n\n```\w+\n(.*?)```", TEXT, re.MULTILINE | re.DOTALL))
    short, long = tmp_path / "short", tmp_path / "long"
    for folder, names in ((short, ("ledger.yaml", "invoices.csv")), (long, files)):
        folder.mkdir()
        for name in names:
            (folder / name).write_text(files[name])
    plain = re.sub(r",[^,\n]*$", "", files["invoices.csv"], flags=re.MULTILINE)
    (long / "invoices.csv").write_text(plain)
    paid = [[one.amount for one in read_ledger(folder).records.payments] for folder in (short, long)]
    assert [str(amount) for amount in paid[0]] == ["240.00 EUR"]
    assert paid[0] == paid[1]
    assert read_ledger(long).notes == ()
