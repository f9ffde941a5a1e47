"""The stack's databases as backup and restore know them: what a shell in each container runs.

Over TCP and as the databases' own users, which every server of either kind understands.
"""

from __future__ import annotations

from dataclasses import dataclass

MYSQL = 'MYSQL_PWD="$MYSQL_PASSWORD" mysql --protocol=tcp -h 127.0.0.1 -u churn churn'
POSTGRES = 'PGPASSWORD="$POSTGRES_PASSWORD" psql -h 127.0.0.1 -U postgres -v ON_ERROR_STOP=1 -At'
TABLES = "FROM information_schema.tables WHERE table_schema ="


@dataclass(frozen=True)
class Database:
    """`unpacked` reads a dump to its end and prints how many bytes of SQL it is, or fails."""

    name: str
    service: str
    data: str  # where the server keeps its files
    file: str
    dump: str
    unpacked: str
    load: str
    tables: str
    held_bytes: str
    renew: tuple[str, ...]


def _postgres(name: str) -> Database:
    own = f'PGPASSWORD="${name.upper()}_PASSWORD" exec'
    user = f"-h 127.0.0.1 -U {name}"
    statements = (
        f"DROP DATABASE IF EXISTS {name} WITH (FORCE)",
        f"CREATE DATABASE {name} OWNER {name}",
    )
    return Database(
        name=name,
        service="postgres",
        data="/var/lib/postgresql/data",
        file=f"{name}.dump",
        dump=f"{own} pg_dump {user} -Fc {name}",
        unpacked="set -o pipefail; pg_restore -f - | wc -c",
        load=f"{own} pg_restore {user} -d {name} --no-owner --no-privileges --exit-on-error",
        tables=f"{POSTGRES} -d {name} -c \"SELECT count(*) {TABLES} 'public'\"",
        held_bytes=f"{POSTGRES} -d {name} -c 'SELECT pg_database_size(current_database())'",
        renew=tuple(f'{POSTGRES} -c "{statement}"' for statement in statements),
    )


CUSTOMERS = Database(
    name="customers",
    service="mysql",
    data="/var/lib/mysql",
    file="customers.sql.gz",
    dump=(
        'set -o pipefail; MYSQL_PWD="$MYSQL_PASSWORD" mysqldump --protocol=tcp -h 127.0.0.1 '
        "-u churn --single-transaction --no-tablespaces churn | gzip --no-name"
    ),
    # Where its last line begins; a dump that broke off lacks it, though the file may be whole.
    unpacked=(
        "set -o pipefail; gunzip | grep -ab '^-- Dump completed' | tail -n 1 | cut -d: -f1 "
        "|| { echo 'it breaks off: it has no line -- Dump completed' >&2; exit 1; }"
    ),
    load=f"set -o pipefail; gunzip | {MYSQL}",
    tables=f"echo \"SELECT count(*) {TABLES} 'churn'\" | {MYSQL} -N",
    held_bytes=(
        f"echo \"SELECT coalesce(sum(data_length + index_length), 0) {TABLES} 'churn'\" "
        f"| {MYSQL} -N"
    ),
    renew=(
        f"{MYSQL} -e 'DROP DATABASE IF EXISTS churn; CREATE DATABASE churn CHARACTER SET utf8mb4'",
    ),
)
DATABASES = (CUSTOMERS, _postgres("airflow"), _postgres("mlflow"))
