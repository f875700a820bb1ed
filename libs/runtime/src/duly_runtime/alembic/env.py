"""Alembic environment shared by all services; the service names its versions folder."""

from __future__ import annotations

import sqlalchemy
from alembic import context

engine = sqlalchemy.create_engine(context.config.attributes["url"], poolclass=sqlalchemy.pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        connection.execute(sqlalchemy.text("set local lock_timeout = '10s'"))
        context.run_migrations()
    connection.commit()
