"""Schema migrations: forward only, one numbered file per change, in `<service>/adapters/postgres/migrations`."""

from __future__ import annotations

from importlib.resources import files

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory


def migrate(dsn: str, package: str) -> None:
    """Bring the database to the newest schema of `package` (a package that holds the migration files)."""
    command.upgrade(_config(dsn, package), "head")


def schema_missing(dsn: str, package: str) -> str:
    """Why this code must not serve on that database yet; empty when the schema fits."""
    config = _config(dsn, package)
    wanted = ScriptDirectory.from_config(config).get_current_head()
    engine = sqlalchemy.create_engine(config.attributes["url"], poolclass=sqlalchemy.pool.NullPool)
    with engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    return "" if found == wanted else f"database schema is {found or 'empty'}, this version needs {wanted}: run migrate"


def _config(dsn: str, package: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("duly_runtime") / "alembic"))
    config.set_main_option("version_locations", str(files(package)))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = sqlalchemy.make_url(dsn).set(drivername="postgresql+psycopg")
    return config
