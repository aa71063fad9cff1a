"""The settings, and their loading from the environment and a `.env` file. Their types are in `setting_types.py`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin
from urllib.parse import quote, urlencode

import msgspec
from dotenv import dotenv_values
from msgspec import Meta

from amplifier.errors import InputError, OperatorError
from amplifier.postgres_urls import is_postgres_url, libpq_url, with_ssl_mode
from amplifier.setting_types import Count, Flag, Hosts, LogLevel, Port, Seconds, SslMode, Text, is_network, items

DEFAULT_SECRET_KEY = "change-me-before-you-require-authentication"  # noqa: S105 - refused when it would matter
_SHORTEST_KEY = 32  # bytes

_SECRETS = {
    "database_url",
    "database_password",
    "database_service_password",
    "secret_key",
    "config_encryption_key",
    "app_insights_connection_string",
}

_UNUSED = ("app_insights_connection_string",)


class SettingsError(OperatorError):
    """A setting is missing or wrong. The message names the variable and its valid values, never a secret."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename=str.upper):
    """All settings. The environment variable is the field's name in upper case. Times are in seconds."""

    service_host: Text = "127.0.0.1"
    service_port: Port = 8765
    service_workers: Count = 1
    log_level: LogLevel = "info"
    shutdown_grace: Seconds = 10

    database_url: Text | None = None
    database_host: Text | None = None
    database_port: Port = 5432
    database_name: Text = "amplifier"
    database_user: Text | None = None
    database_password: Text | None = None
    database_service_user: Text = "amplifier_service"
    database_service_password: Text | None = None
    database_ssl_mode: SslMode = "prefer"
    database_pool_min_size: Annotated[int, Meta(ge=0, le=1000, description="a whole number from 0 to 1000")] = 2
    database_pool_max_size: Count = 10
    database_connect_timeout: Seconds = 3
    database_acquire_timeout: Seconds = 1
    database_statement_timeout: Seconds = 5
    database_lock_timeout: Seconds = 2
    queries_dir: Text | None = None
    search_language: Text = "english"
    search_timeout: Seconds = 2
    max_streams_per_user: Count = 100
    notify_delay: Seconds = 0.01
    rate_limit_requests_per_minute: Annotated[
        int, Meta(ge=0, le=1_000_000, description="a whole number from 0 (no limit) to 1000000")
    ] = 0

    runtime_modules: Annotated[
        str, Meta(pattern=r"^[a-z0-9_, -]*$", description="names of modules separated by commas")
    ] = "context-simple,loop-basic,loop-streaming,provider-anthropic,provider-echo,provider-openai"
    runtime_secrets: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_, -]*$", description="names of variables separated by commas")
    ] = ""
    runtime_secrets_dir: Text | None = None
    runtime_base_urls: Annotated[
        str,
        Meta(pattern=r"^(\s*https?://[\w.:\[\]-]+/?\s*(,|$))*$", description="http(s) origins separated by commas"),
    ] = ""
    run_timeout: Seconds = 600
    run_model_timeout: Seconds = 300
    run_tool_timeout: Seconds = 120
    run_approval_timeout: Seconds = 300
    run_lease: Seconds = 15
    run_history_messages: Annotated[
        int, Meta(ge=10, le=20_000, description="a whole number from 10 to 20000 (messages)")
    ] = 2000
    run_history_bytes: Annotated[
        int, Meta(ge=65_536, le=67_108_864, description="a whole number from 65536 to 67108864 (bytes)")
    ] = 8_388_608
    max_queued_runs: Count = 20
    max_queued_runs_per_user: Count = 200
    max_runs_per_process: Count = 200
    max_runs_per_user: Count = 20

    amplifier_home: Text | None = None
    amplifier_user: Text = "amplifier-api"

    secret_key: Text = DEFAULT_SECRET_KEY
    allowed_origins: Annotated[str, Meta(description="origins separated by commas, or *")] = ""
    allowed_hosts: Hosts = ""
    forwarded_allow_ips: Annotated[str, Meta(description="addresses or networks separated by commas, or *")] = ""
    auth_required: Flag = False
    auth_mode: Annotated[Literal["api_key_jwt", "jwt_only"], Meta(description="api_key_jwt or jwt_only")] = (
        "api_key_jwt"
    )
    api_key_header: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,64}$", description="a header's name")] = "X-API-Key"
    jwt_algorithm: Annotated[Literal["HS256", "RS256"], Meta(description="HS256 or RS256")] = "HS256"
    jwt_public_key_url: (
        Annotated[str, Meta(pattern=r"^https?://", description="the http(s) address of a JWKS")] | None
    ) = None
    jwt_issuer: Text | None = None
    jwt_audience: Text | None = None
    config_encryption_key: Text | None = None
    app_insights_connection_string: Text | None = None

    def __post_init__(self) -> None:
        if self.database_pool_min_size > self.database_pool_max_size:
            raise SettingsError("DATABASE_POOL_MIN_SIZE must not exceed DATABASE_POOL_MAX_SIZE")
        if self.auth_required and self.secret_key == DEFAULT_SECRET_KEY:
            raise SettingsError("SECRET_KEY must be set to a secret of your own when AUTH_REQUIRED is true")
        if self.auth_required and len(self.secret_key.encode()) < _SHORTEST_KEY:
            raise SettingsError(
                f"SECRET_KEY must have at least {_SHORTEST_KEY} bytes when AUTH_REQUIRED is true: "
                "make one with `openssl rand -base64 32`"
            )
        if self.auth_required and self.encryption_keys and len(self.encryption_keys[0].encode()) < _SHORTEST_KEY:
            raise SettingsError(
                f"CONFIG_ENCRYPTION_KEY must begin with a key of at least {_SHORTEST_KEY} bytes when AUTH_REQUIRED is "
                "true: put a longer one before a shorter, which still decrypts. `openssl rand -base64 32` makes one"
            )
        if self.auth_required and self.jwt_algorithm == "RS256" and self.jwt_public_key_url is None:
            raise SettingsError("JWT_PUBLIC_KEY_URL must be set when JWT_ALGORITHM is RS256")
        if not all(is_network(item) for item in items(self.forwarded_allow_ips) if item != "*"):
            raise SettingsError(
                "FORWARDED_ALLOW_IPS must be addresses or networks separated by commas, or *, "
                f"not {self.forwarded_allow_ips!r}"
            )
        if self.database_url is not None and not is_postgres_url(self.database_url):
            raise SettingsError(
                "DATABASE_URL must be of the form postgresql://user:password@host:port/database, "
                "special characters in its parts written as %XX"
            )

    def __repr__(self) -> str:
        shown = (
            f"{name}={'***' if name in _SECRETS and value is not None else repr(value)}"
            for name, value in msgspec.structs.asdict(self).items()
        )
        return f"Settings({', '.join(shown)})"

    @property
    def dsn(self) -> str | None:
        """The database's address as a URL for libpq, or None if the embedded PostgreSQL is used."""
        if self.database_url is not None:
            return with_ssl_mode(libpq_url(self.database_url), self.database_ssl_mode)
        if self.database_host is None:
            return None
        user = quote(self.database_user or "postgres", safe="")
        password = f":{quote(self.database_password, safe='')}" if self.database_password else ""
        query = {"host": self.database_host, "port": self.database_port, "sslmode": self.database_ssl_mode}
        options = urlencode(query, quote_via=quote)  # libpq does not decode a plus sign to a space
        return f"postgresql://{user}{password}@/{quote(self.database_name, safe='')}?{options}"

    @property
    def unused(self) -> list[str]:
        """The variables that are set and have no effect in this version."""
        return [name.upper() for name in _UNUSED if getattr(self, name) is not None]

    @property
    def home(self) -> Path:
        """The folder of the embedded PostgreSQL's data."""
        if self.amplifier_home is not None:
            return Path(self.amplifier_home).expanduser().absolute()
        if os.geteuid() == 0:  # PostgreSQL runs as an unprivileged user, who cannot read root's home
            return Path("/var/lib/amplifier-api")
        return Path.home() / ".local/share/amplifier-api"

    @property
    def encryption_keys(self) -> list[str]:
        """The keys of `CONFIG_ENCRYPTION_KEY`."""
        return items(self.config_encryption_key or "")

    @property
    def derivation_key(self) -> str | None:
        """The `SECRET_KEY` for deriving a key for configs, or None if it is the public default or too short."""
        is_strong = self.secret_key != DEFAULT_SECRET_KEY and len(self.secret_key.encode()) >= _SHORTEST_KEY
        return self.secret_key if is_strong else None

    @property
    def origins(self) -> list[str]:
        """The origins of `ALLOWED_ORIGINS`."""
        return items(self.allowed_origins)

    @property
    def hosts(self) -> list[str]:
        """The hosts of `ALLOWED_HOSTS`."""
        return items(self.allowed_hosts)

    @property
    def proxies(self) -> list[str]:
        """The proxies of `FORWARDED_ALLOW_IPS`, whose X-Forwarded-For is trusted."""
        return items(self.forwarded_allow_ips)

    @property
    def modules(self) -> frozenset[str]:
        """The modules of `RUNTIME_MODULES`, which configs may name."""
        return frozenset(items(self.runtime_modules))

    @property
    def secrets(self) -> frozenset[str]:
        """The names of `RUNTIME_SECRETS`, which configs may refer to."""
        return frozenset(items(self.runtime_secrets))

    @property
    def secrets_dir(self) -> Path | None:
        """The folder of `RUNTIME_SECRETS_DIR`, which may have a file for each name of `secrets`."""
        return None if self.runtime_secrets_dir is None else Path(self.runtime_secrets_dir)

    @property
    def base_urls(self) -> frozenset[str]:
        """The origins of `RUNTIME_BASE_URLS`, which configs may name as the address of a provider."""
        return frozenset(items(self.runtime_base_urls))


def load(environ: Mapping[str, str] | None = None, env_file: str = ".env") -> Settings:
    """Returns the settings from `environ` (by default the process's), then from `env_file`, then defaults.

    An empty variable counts as not set. Raises SettingsError, and InputError if `env_file` cannot be read.
    """
    known = {field.encode_name: field for field in msgspec.structs.fields(Settings)}
    sources = (_read(env_file), os.environ if environ is None else environ)
    given = {name: value for source in sources for name, value in source.items() if name in known and value}
    for name, value in given.items():
        try:
            msgspec.convert(value, known[name].type, strict=False)
        except msgspec.ValidationError:
            shown = "" if known[name].name in _SECRETS else f", not {value!r}"
            raise SettingsError(f"{name} must be {_description(known[name].type)}{shown}") from None
    return msgspec.convert(given, Settings, strict=False)


def _read(env_file: str) -> Mapping[str, str | None]:
    try:
        return dotenv_values(env_file)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(Path(env_file), f"cannot be read: {getattr(error, 'strerror', error)}") from error


def _description(type_: object) -> str:
    """Returns the description of a setting's valid values from the `Meta` of its type."""
    if get_origin(type_) is Annotated:
        return next(meta.description for meta in type_.__metadata__ if meta.description)  # type: ignore[attr-defined,no-any-return]
    return _description(get_args(type_)[0])
