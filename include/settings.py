"""Settings from the environment, and nothing else reads the environment."""

import os
import secrets
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ValidationInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from include.addresses import bare_host
from include.errors import ConfigurationError
from include.misspelt import refuse_misspelt

Secrets: TypeAlias = Annotated[tuple[SecretStr, ...], NoDecode]
PROJECT = Path(__file__).resolve().parent.parent
MEBIBYTE, DAY = 2**20, 24 * 3600
# Of a search. Here and not in params.py, because Airflow parses DAG files without NumPy.
TRIALS_MAX, WORKERS_MAX, MINUTES_MAX = 10_000, 64, 7 * 24 * 60
TASK_HOURS_MAX = 7 * 24
APPROVAL_HOURS_MAX = 30 * 24
UNREADABLE_URL = (
    "expected a URL such as redis://:password@host:6379/0, with %2F for a / in the password, %40 "
    "for an @ and %3A for a :"
)
KEPT_DAYS_MAX = 36_500
CRON_OF = {"@quarterly": "0 0 1 */3 *"}  # the preset that croniter does not know
NOT_CRON = ("@once", "@continuous")  # what Airflow takes beside cron's own language
SCHEDULES = (
    "expected five fields of cron in UTC (minute, hour, day, month, weekday) such as '0 3 * * 1', "
    "@hourly, @daily, @weekly, @monthly, @quarterly, @yearly, @once or @continuous, "
    "or nothing for never"
)


class Settings(BaseSettings):
    """Everything that differs between a laptop, a container and AWS."""

    model_config = SettingsConfigDict(env_prefix="CHURN_", frozen=True, populate_by_name=True)

    var_dir: Path = Field(
        default=PROJECT / "var", description="where a laptop keeps its store, databases and logs"
    )
    store_uri: str = Field(
        default="", description="object store root: file:///directory or s3://bucket[/prefix]"
    )
    database_url: str = Field(
        default="",
        description="customer database (SQLAlchemy URL); in Airflow the connection churn_db wins",
    )
    params_file: Path = Field(
        default=Path(__file__).parent / "config" / "params.yaml",
        description="models, hyperparameters, gate and drift rules",
    )
    tracking_uri: str = Field(
        default="http://127.0.0.1:5000",
        validation_alias=AliasChoices("MLFLOW_TRACKING_URI"),
        description="the MLflow server",
    )
    api_url: str = Field(default="http://127.0.0.1:8000", description="where the API is found")
    api_public_url: str = Field(
        default="", description="the API as a browser reaches it, where that is not api_url"
    )
    mlflow_public_url: str = Field(
        default="", description="MLflow as a browser reaches it, where that is not tracking_uri"
    )
    prometheus_url: str = Field(default="", description="where Prometheus is found; may be empty")
    api_host: str = Field(default="127.0.0.1", description="the address that the API binds")
    api_port: int = Field(default=8000, ge=1, le=65535, description="the port that the API binds")
    dashboard_port: int = Field(default=8050, ge=1, le=65535, description="the dashboard's port")
    dashboard_host: str = Field(
        default="127.0.0.1", description="the address that the dashboard binds"
    )
    dashboard_workers: int = Field(
        default=1, ge=1, le=64, description="processes of the dashboard, eight threads each"
    )
    dashboard_password: SecretStr | None = Field(
        default=None,
        description="signs analysts in to the dashboard; without one, any API key does",
    )
    dashboard_secret: SecretStr | None = Field(
        default=None, description="signs the dashboard's cookies; made and kept in var when empty"
    )
    dashboard_public_url: str = Field(
        default="", description="where a browser reaches it; https:// keeps its cookies to TLS"
    )
    dashboard_proxies: int = Field(
        default=0, ge=0, description="proxies before it that set X-Forwarded-For: 1 behind Caddy"
    )
    oidc_issuer: str = Field(
        default="",
        description="the OpenID Connect provider that signs people in to the dashboard, instead of "
        "a password; such as https://login.bank.example/realms/bank",
    )
    oidc_client_id: str = Field(default="", description="what that provider calls this system")
    oidc_client_secret: SecretStr | None = Field(
        default=None, description="how this system shows that provider who it is"
    )
    oidc_role_claim: str = Field(
        default="roles",
        description="JMESPath of the claim that says which roles somebody has: roles, groups, "
        "realm_access.roles",
    )
    oidc_viewer: str = Field(
        default="churn-viewer", description="what stands in that claim for who may look"
    )
    oidc_operator: str = Field(
        default="churn-operator", description="for who may also mark, upload, trigger and approve"
    )
    oidc_admin: str = Field(default="churn-admin", description="for who may do everything")
    airflow_public_url: str = Field(
        default="", description="Airflow as a browser reaches it, for the dashboard's links"
    )
    revenue_per_spend: float = Field(
        default=0.015, ge=0, le=1, description="yearly revenue per dollar spent; used when scoring"
    )
    revenue_per_balance: float = Field(
        default=0.18, ge=0, le=1, description="yearly revenue per dollar owed; used when scoring"
    )
    airflow_port: int = Field(default=8080, ge=1, le=65535, description="Airflow's port")
    mlflow_port: int = Field(default=5000, ge=1, le=65535, description="MLflow's port")
    api_workers: int | None = Field(
        default=None, ge=1, description="gunicorn workers; one for each core when empty"
    )
    api_keys: Secrets = Field(default=(), description="comma-separated; list two while rotating")
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="comma-separated names, beside loopback's own, by which services that ask for "
        "no key or password may be called",
    )
    id_key: SecretStr | None = Field(default=None, description="keys the HMAC of ids in logs")
    former_id_keys: Secrets = Field(
        default=(), description="comma-separated ones of before: a customer is forgotten there, too"
    )
    rate_limit: str = Field(default="", description="requests per API key, such as 600/minute")
    rate_limit_storage: SecretStr = Field(
        default=SecretStr("memory://"),
        description="where requests are counted: memory:// in each worker, redis://host for all",
    )
    champion_poll_seconds: float = Field(
        default=5, gt=0, le=DAY, description="how often a worker looks at the champion pointer"
    )
    log_flush_seconds: float = Field(
        default=10, gt=0, le=DAY, description="age at which the prediction spool goes to the store"
    )
    log_flush_rows: int = Field(
        default=5000, ge=1, description="size at which the prediction spool goes to the store"
    )
    spool_dir: Path | None = Field(
        default=None, description="local prediction spool; must survive a restart"
    )
    spool_max_bytes: int = Field(default=1024 * MEBIBYTE, ge=MEBIBYTE, description="its disk")
    champion_dir: Path | None = Field(
        default=None, description="the API's local copy of the last good champion"
    )
    drain_file: Path | None = Field(
        default=None,
        description="while this file is there, the API's /health and /ready say that it drains, so "
        "that a proxy sends new requests elsewhere before it is stopped",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="how much the API logs"
    )
    access_log: bool = Field(
        default=False, description="whether the API logs each request; slow ones always are"
    )
    max_batch_rows: int = Field(default=10_000, ge=1, description="records in one request")
    max_body_bytes: int = Field(default=16 * MEBIBYTE, ge=1024, description="of one request")
    training_schedule: str = Field(
        default="", description="when training runs unasked, such as @weekly; never when empty"
    )
    approval_hours: float = Field(
        default=24,
        gt=0,
        le=APPROVAL_HOURS_MAX,
        allow_inf_nan=False,
        description="a promotion that nobody has answered by then is rejected",
    )
    approvers: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="comma-separated ids of the Airflow users who may answer; when empty, all who "
        "may edit runs",
    )
    scoring_schedule: str = Field(
        default="0 3 * * *",
        description="when all customers are scored (UTC) beside each time that the champion "
        "changes; only then when empty",
    )
    snapshot_schedule: str = Field(
        default="0 2 1 * *",
        description="when a month's customers are kept for early warning (UTC); never when empty",
    )
    task_hours: float = Field(
        default=1,
        gt=0,
        le=TASK_HOURS_MAX,
        description="how long one try of a task may take whose work grows with the customers, and "
        "a sixth of what a run may; more than ten million need more",
    )
    tuning_storage: SecretStr = Field(
        default=SecretStr(""),
        description="where Optuna keeps its studies: a journal file (below var when empty), or the "
        "SQLAlchemy URL of a database of their own",
    )
    keep_runs_days: int = Field(
        default=30, ge=7, le=KEPT_DAYS_MAX, description="how long what tasks handed over is kept"
    )
    keep_predictions_days: int = Field(
        default=400,
        ge=1,  # include/upkeep/retention.py wants more: what outcomes are measured on
        le=KEPT_DAYS_MAX,
        description="and predictions, reports, rejected candidates, Airflow's records of runs",
    )
    keep_scores_days: int = Field(
        default=400, ge=14, le=KEPT_DAYS_MAX, description="and nightly scores"
    )
    keep_logs_days: int = Field(
        default=30, ge=1, le=KEPT_DAYS_MAX, description="and Airflow's logs of tasks and DAG files"
    )
    store_expires: bool = Field(
        default=False, description="whether the bucket's lifecycle rules do that in the store"
    )
    airflow_database_url: SecretStr = Field(
        default=SecretStr(""), description="Airflow's own database, for churn_upkeep alone"
    )
    mlflow_database_url: SecretStr = Field(
        default=SecretStr(""), description="MLflow's own database, for churn_upkeep alone"
    )
    git_commit: str = Field(
        default="", description="commit of this code, where no git checkout is there to ask"
    )

    @field_validator("api_keys", "former_id_keys", "allowed_hosts", "approvers", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _bare(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not all(map(bare_host, names)):
            raise ValueError("each must be a host's name such as churn.example.org")
        return tuple(map(bare_host, names))

    @field_validator("rate_limit_storage")
    @classmethod
    def _must_be_a_url(cls, value: SecretStr) -> SecretStr:
        try:
            parts = urlsplit(value.get_secret_value())
            torn = "@" in parts.path + parts.query + parts.fragment
            _ = parts.port
        except ValueError:  # whose text may hold half a password
            torn = True
        if torn:
            raise ValueError(UNREADABLE_URL)
        return value

    @field_validator("training_schedule", "scoring_schedule", "snapshot_schedule")
    @classmethod
    def _must_be_a_schedule(cls, value: str) -> str:
        return checked_schedule(value)

    @field_validator(
        *("var_dir", "spool_dir", "champion_dir", "drain_file", "params_file", "api_workers"),
        *("tracking_uri", "id_key", "dashboard_secret", "oidc_client_secret"),
        *("oidc_role_claim", "oidc_viewer", "oidc_operator", "oidc_admin"),
        mode="before",
    )
    @classmethod
    def _empty_is_unset(cls, value: object, info: ValidationInfo) -> object:
        # As docker compose passes a variable on. Not for all: an empty schedule means never.
        return value or cls.model_fields[str(info.field_name)].default

    @cached_property
    def resolved_store_uri(self) -> str:
        """The store's URI, with its default below `var_dir`."""
        return self.store_uri or (self.var_dir.resolve() / "store").as_uri()

    @cached_property
    def resolved_database_url(self) -> str:
        """The customer database's URL, with its default below `var_dir`."""
        return self.database_url or f"sqlite:///{self.var_dir.resolve() / 'churn.db'}"

    @cached_property
    def resolved_spool_dir(self) -> Path:
        """The prediction spool's directory, with its default below `var_dir`."""
        return self.spool_dir or self.var_dir.resolve() / "spool"

    @cached_property
    def resolved_tuning_storage(self) -> str:
        """Where Optuna keeps its studies, with its default below `var_dir`."""
        default = self.var_dir.resolve() / "tuning" / "studies.log"
        return self.tuning_storage.get_secret_value() or str(default)

    @cached_property
    def resolved_dashboard_url(self) -> str:
        """The dashboard as a browser reaches it, on loopback by default."""
        return self.dashboard_public_url or f"http://127.0.0.1:{self.dashboard_port}"

    @cached_property
    def resolved_champion_dir(self) -> Path:
        """The local copy of the last good champion, with its default below `var_dir`."""
        return self.champion_dir or self.var_dir.resolve() / "champion"

    def customer_id_key(self) -> bytes:
        """The key of the customer HMAC: from the setting, else made once and kept in `var_dir`."""
        if self.id_key is not None:
            return self.id_key.get_secret_value().encode()
        return _kept_secret(self.var_dir / "id_key")

    def dashboard_cookie_key(self) -> bytes:
        """What signs the dashboard's cookies: the setting, else made once and kept in `var_dir`."""
        if self.dashboard_secret is not None:
            return self.dashboard_secret.get_secret_value().encode()
        return _kept_secret(self.var_dir / "dashboard_key")


def checked_schedule(value: str) -> str:
    """A schedule as Airflow takes it, empty for never; ValueError where no run would come of it."""
    given = value.strip()
    if not given or given.lower() == "none":
        return ""
    try:
        # Airflow's own parser. Where it is missing, as in the web tier, nothing is scheduled.
        from croniter import CroniterError, croniter
    except ImportError:
        return given
    if given in NOT_CRON:
        return given
    try:
        moments = croniter(CRON_OF.get(given, given))
        moments.get_prev(), moments.get_next()  # 31 February parses, and never comes
    except CroniterError as error:
        raise ValueError(f"{SCHEDULES} ({error})") from error
    return given


def load_settings() -> Settings:
    """Read the environment; ConfigurationError names each variable at fault, misspelt ones too."""
    refuse_misspelt(os.environ, [_variable((name,)) for name in Settings.model_fields])
    try:
        return Settings()
    except ValidationError as error:
        faults = "; ".join(
            f"{_variable(fault['loc'])}: {fault['msg']}, found {_shown(fault)}"
            for fault in error.errors()
        )
        told = f"settings that cannot be used: {faults}"
    raise ConfigurationError(told)  # not from the error, which shows what it was given


def _shown(fault: ErrorDetails) -> str:
    field = Settings.model_fields.get(str(fault["loc"][0]))
    return "a secret" if field and "Secret" in str(field.annotation) else repr(fault["input"])


def _variable(location: tuple[int | str, ...]) -> str:
    name = str(location[0])
    return name if name.isupper() else f"CHURN_{name.upper()}"


def _kept_secret(path: Path) -> bytes:
    """A secret that outlives the process; whoever comes first makes it."""
    try:
        if not path.exists():
            _keep_secret(path)
        found = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"cannot keep a secret in {path}: {error.strerror}; make room or let the service write "
            f"there, or set CHURN_{path.name.replace('dashboard_key', 'dashboard_secret').upper()}"
        ) from error
    if not found:  # as a power cut may leave it
        raise ConfigurationError(
            f"{path} is empty, expected the secret that was kept there: restore it, or delete the "
            "file to begin with a new one (customers in logs get other hashes then)"
        )
    return found


def _keep_secret(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_hex(32))
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)
