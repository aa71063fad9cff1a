"""The settings. `setting_sources.py` reads them, and `setting_types.py` has their types."""

import os
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Meta

from amplifier.errors import OperatorError
from amplifier.postgres_urls import (
    fault_with_tokens,
    is_postgres_url,
    libpq_url,
    password_of,
    same_server,
    target_fault,
    with_login_of,
    with_ssl_mode,
    with_target,
)
from amplifier.secret import Secret
from amplifier.setting_types import (
    Count,
    Delay,
    Flag,
    Hosts,
    Issuer,
    LogFormat,
    LogLevel,
    Port,
    Ports,
    RootPath,
    Seconds,
    SslMode,
    Text,
    is_network,
    items,
)
from amplifier.tls_roots import with_roots

DEFAULT_SECRET_KEY = "change-me-before-you-require-authentication"  # noqa: S105 - refused when it would matter
SERVICE_LOGIN = "amplifier_service"
_SHORTEST_KEY = 32  # bytes


class SettingsError(OperatorError):
    """A setting is missing or wrong. The message names the variable and its valid values, never a secret."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename=str.upper):
    """All settings. The environment variable is the field's name in upper case. Times are in seconds."""

    service_host: Text = "127.0.0.1"
    service_port: Port = 8765
    service_workers: Count = 1
    log_level: LogLevel = "info"
    log_format: LogFormat = "text"
    access_log: Flag = True
    shutdown_delay: Delay = 0
    shutdown_grace: Seconds = 10
    keep_alive: Seconds = 75
    root_path: RootPath = ""
    metrics_port: Port | None = None
    metrics_host: Text | None = None

    database_url: Secret | None = None
    database_host: Text | None = None
    database_port: Ports = "5432"
    database_name: Text = "amplifier"
    database_user: Text | None = None
    database_auth: Annotated[Literal["password", "entra"], Meta(description="password or entra")] = "password"
    database_password: Secret | None = None
    database_service_user: Text = SERVICE_LOGIN
    database_service_password: Secret | None = None
    database_ssl_mode: SslMode = "prefer"
    database_pool_min_size: Annotated[int, Meta(ge=0, le=1000, description="a whole number from 0 to 1000")] = 2
    database_pool_max_size: Count = 10
    database_connect_timeout: Seconds = 3
    database_acquire_timeout: Seconds = 1
    database_statement_timeout: Seconds = 5
    database_lock_timeout: Seconds = 2
    database_pooler: Annotated[Literal["none", "transaction"], Meta(description="none or transaction")] = "none"
    database_listen_url: Secret | None = None
    database_read_url: Secret | None = None
    queries_dir: Text | None = None
    search_language: Text = "english"
    search_timeout: Seconds = 2
    search_embeddings: (
        Annotated[
            str,
            Meta(
                pattern=r"^(openai|local):\S+$", max_length=200, description="openai: or local: and the name of a model"
            ),
        ]
        | None
    ) = None
    search_embeddings_url: Annotated[str, Meta(pattern=r"^https?://", description="the http(s) address of an API")] = (
        "https://api.openai.com/v1"
    )
    search_embeddings_key: Secret | None = None
    search_embeddings_rate: Annotated[
        int, Meta(ge=1, le=1_000_000, description="a whole number from 1 to 1000000 (texts per minute)")
    ] = 3000
    search_embeddings_timeout: Seconds = 1
    max_streams_per_user: Count = 100
    attachments: Annotated[Literal["database", "azure"], Meta(description="database or azure")] = "database"
    attachments_azure_url: (
        Annotated[
            str, Meta(pattern=r"^https?://[^/?#@\s]+(/[^/?#@\s]+){1,2}/?$", description="the address of a container")
        ]
        | None
    ) = None
    max_attachment_bytes: Annotated[
        int, Meta(ge=1, le=1_073_741_824, description="a whole number from 1 to 1073741824 (bytes)")
    ] = 104_857_600
    max_session_attachment_bytes: Annotated[int, Meta(ge=0, description="a whole number from 0 (bytes)")] = (
        1_073_741_824
    )
    max_user_attachment_bytes: Annotated[int, Meta(ge=0, description="a whole number from 0 (bytes)")] = 10_737_418_240
    attachment_grace: Annotated[
        int, Meta(ge=1, le=31_536_000, description="a number of seconds, from 1 to 31536000")
    ] = 86_400
    upload_space: Annotated[
        int, Meta(ge=16_777_216, le=1_099_511_627_776, description="a whole number from 16777216 (bytes)")
    ] = 536_870_912
    max_import_bytes: Annotated[
        int, Meta(ge=1, le=1_099_511_627_776, description="a whole number from 1 to 1099511627776 (bytes)")
    ] = 1_073_741_824
    max_imports_per_process: Count = 2
    notify_delay: Seconds = 0.01
    rate_limit_requests_per_minute: Annotated[
        int, Meta(ge=0, le=1_000_000, description="a whole number from 0 (no limit) to 1000000")
    ] = 0

    legal_hold_tag: Text = "legal-hold"
    redact: Annotated[
        str, Meta(pattern=r"^(\s*(keys|emails)\s*(,|$))*$", description="keys, emails or both, separated by commas")
    ] = ""

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
    amplifier_cache: Text | None = None
    amplifier_user: Text = "amplifier-api"

    secret_key: Secret = msgspec.field(default_factory=lambda: Secret(DEFAULT_SECRET_KEY))
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
    jwt_user_claim: Text = "sub"
    jwt_app_claim: Text = "app_id"
    console: Flag = True
    console_oidc_issuer: Issuer | None = None
    console_oidc_client_id: Text | None = None
    console_oidc_scopes: Text = "openid profile offline_access"
    config_encryption_key: Secret | None = None
    key_vault_url: (
        Annotated[str, Meta(pattern=r"^https://[^/?#@\s]+/?$", description="the https address of a key vault")] | None
    ) = None
    secrets_refresh: Seconds = 60
    app_insights_connection_string: Secret | None = None

    def __post_init__(self) -> None:
        if self.database_pool_min_size > self.database_pool_max_size:
            raise SettingsError("DATABASE_POOL_MIN_SIZE must not exceed DATABASE_POOL_MAX_SIZE")
        if self.auth_required and self.secret_key.reveal() == DEFAULT_SECRET_KEY:
            raise SettingsError("SECRET_KEY must be set to a secret of your own when AUTH_REQUIRED is true")
        if self.auth_required and len(self.secret_key.reveal().encode()) < _SHORTEST_KEY:
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
        if self.console_oidc_issuer is not None:
            self._refuse_unfit_for_sign_in()
        if self.attachments == "azure" and self.attachments_azure_url is None:
            raise SettingsError("ATTACHMENTS_AZURE_URL must be set when ATTACHMENTS is azure")
        if self.max_attachment_bytes > self.upload_space // 2:
            raise SettingsError("UPLOAD_SPACE must be at least twice MAX_ATTACHMENT_BYTES")
        if self.metrics_port == self.service_port:
            raise SettingsError("METRICS_PORT must be another port than SERVICE_PORT")
        if not all(is_network(item) for item in items(self.forwarded_allow_ips) if item != "*"):
            raise SettingsError(
                "FORWARDED_ALLOW_IPS must be addresses or networks separated by commas, or *, "
                f"not {self.forwarded_allow_ips!r}"
            )
        if self.database_url is not None and not is_postgres_url(self.database_url.reveal()):
            raise SettingsError(
                "DATABASE_URL must be of the form postgresql://user:password@host:port/database, "
                "special characters in its parts written as %XX"
            )
        if self.database_url is not None and (fault := target_fault(libpq_url(self.database_url.reveal()))) is not None:
            raise SettingsError(fault)
        if self.database_port.count(",") not in (0, (self.database_host or "").count(",")):
            raise SettingsError("DATABASE_PORT must be one port, or as many as there are hosts in DATABASE_HOST")
        self._refuse_unfit_for_pooler()
        self._refuse_unfit_for_reads()
        if self.database_auth == "entra":
            self._refuse_unfit_for_tokens()

    def _refuse_unfit_for_sign_in(self) -> None:
        if self.console_oidc_client_id is None:
            raise SettingsError("CONSOLE_OIDC_CLIENT_ID must be set when CONSOLE_OIDC_ISSUER is")
        if self.auth_required and self.auth_mode != "jwt_only":
            raise SettingsError(
                "AUTH_MODE must be jwt_only when CONSOLE_OIDC_ISSUER is set: a page in a browser has no API key"
            )

    def _refuse_unfit_for_pooler(self) -> None:
        if self.database_listen_url is not None and not is_postgres_url(self.database_listen_url.reveal()):
            raise SettingsError(
                "DATABASE_LISTEN_URL must be of the form postgresql://user:password@host:port/database, "
                "special characters in its parts written as %XX; what it leaves out is as in DATABASE_URL"
            )
        if self.database_pooler == "none":
            return
        if self.dsn is None:
            raise SettingsError(
                "DATABASE_URL or DATABASE_HOST must name the pooler when DATABASE_POOLER is transaction"
            )
        if self.database_listen_url is None:
            raise SettingsError(
                "DATABASE_LISTEN_URL must be the address of PostgreSQL itself when DATABASE_POOLER is transaction: "
                "notifications do not pass the pooler"
            )
        if same_server(self.dsn, self.direct_dsn or ""):
            raise SettingsError("DATABASE_LISTEN_URL must be the address of PostgreSQL itself, not that of the pooler")

    def _refuse_unfit_for_reads(self) -> None:
        if self.database_read_url is None:
            return
        url = self.database_read_url.reveal()
        if not is_postgres_url(url):
            raise SettingsError(
                "DATABASE_READ_URL must be of the form postgresql://user:password@host:port/database, "
                "special characters in its parts written as %XX; what it leaves out is as in DATABASE_URL"
            )
        if self.dsn is None:
            raise SettingsError("DATABASE_URL or DATABASE_HOST must name the primary when DATABASE_READ_URL is set")
        if (fault := target_fault(libpq_url(url), reads=True)) is not None:
            raise SettingsError(fault)

    def _refuse_unfit_for_tokens(self) -> None:
        if self.dsn is None:
            raise SettingsError("DATABASE_URL or DATABASE_HOST must be set when DATABASE_AUTH is entra")
        if self.database_password is not None:
            raise SettingsError(
                "DATABASE_PASSWORD must not be set when DATABASE_AUTH is entra: a token takes its place"
            )
        if self.database_url is None and self.database_user is None:
            raise SettingsError(
                "DATABASE_USER must be the name of the Entra principal at the database when DATABASE_AUTH is entra"
            )
        if (fault := fault_with_tokens(self.dsn)) is not None:
            raise SettingsError(fault)
        if (fault := fault_with_tokens(self.direct_dsn or self.dsn)) is not None:
            raise SettingsError(fault.replace("DATABASE_URL", "DATABASE_LISTEN_URL"))
        if (fault := fault_with_tokens(self.read_dsn or self.dsn)) is not None:
            raise SettingsError(fault.replace("DATABASE_URL", "DATABASE_READ_URL"))

    @property
    def dsn(self) -> str | None:
        """The database's address as a URL for libpq, or None if the embedded PostgreSQL is used.

        Several hosts are standbys of each other: the one is meant that takes writes.
        """
        if self.database_url is not None:
            url = with_ssl_mode(libpq_url(self.database_url.reveal()), self.database_ssl_mode)
            return with_roots(with_target(url))
        if self.database_host is None:
            return None
        user = quote(self.database_user or "postgres", safe="")
        password = f":{quote(self.database_password.reveal(), safe='')}" if self.database_password else ""
        host = ",".join(items(self.database_host))
        query = {"host": host, "port": self.database_port, "sslmode": self.database_ssl_mode}
        options = urlencode(query, quote_via=quote)  # libpq does not decode a plus sign to a space
        url = f"postgresql://{user}{password}@/{quote(self.database_name, safe='')}?{options}"
        return with_roots(with_target(url))

    @property
    def direct_dsn(self) -> str | None:
        """The address of PostgreSQL itself, for whatever needs a session of its own.

        It is `dsn` unless `DATABASE_LISTEN_URL` is set, which takes login and database of `dsn` where it names none.
        """
        dsn = self.dsn
        if self.database_listen_url is None or dsn is None:
            return dsn
        url = with_login_of(libpq_url(self.database_listen_url.reveal()), dsn)
        return with_roots(with_target(with_ssl_mode(url, self.database_ssl_mode)))

    @property
    def read_dsn(self) -> str | None:
        """The address of a read replica, or None. It takes login and database of `dsn` where it names none."""
        dsn = self.dsn
        if self.database_read_url is None or dsn is None:
            return None
        url = with_login_of(libpq_url(self.database_read_url.reveal()), dsn)
        return with_roots(with_target(with_ssl_mode(url, self.database_ssl_mode), "standby"))

    def is_pooler(self, dsn: str) -> bool:
        """Returns whether an address is that of a pooler in transaction mode."""
        return self.database_pooler == "transaction" and dsn == self.dsn

    @property
    def metrics_address(self) -> str:
        """The address of `METRICS_PORT`."""
        return self.metrics_host or self.service_host

    @property
    def home(self) -> Path:
        """The folder of the embedded PostgreSQL's data."""
        if self.amplifier_home is not None:
            return Path(self.amplifier_home).expanduser().absolute()
        if os.geteuid() == 0:  # PostgreSQL runs as an unprivileged user, who cannot read root's home
            return Path("/var/lib/amplifier-api")
        return Path.home() / ".local/share/amplifier-api"

    @property
    def cache(self) -> Path | None:
        """The folder of prepared files for new embedded databases, or None where there is none."""
        if self.amplifier_cache is not None:
            return None if self.amplifier_cache == "none" else Path(self.amplifier_cache).expanduser().absolute()
        home = os.path.expanduser("~")
        return None if home in ("~", "/") else Path(home) / ".cache/amplifier-api"

    @property
    def encryption_keys(self) -> list[str]:
        """The keys of `CONFIG_ENCRYPTION_KEY`, the one that encrypts first, those of its former versions last."""
        texts = [] if self.config_encryption_key is None else self.config_encryption_key.texts()
        return list(dict.fromkeys(key for text in texts for key in items(text)))

    @property
    def derivation_keys(self) -> list[str]:
        """The values of `SECRET_KEY` from which keys for configs are derived: neither the public default nor short."""
        texts = self.secret_key.texts()
        return [text for text in texts if text != DEFAULT_SECRET_KEY and len(text.encode()) >= _SHORTEST_KEY]

    @property
    def password(self) -> str | None:
        """The present password of the database, which a rotation may have changed since `dsn` was read."""
        return None if self.dsn is None else password_of(self.dsn)

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
    def redacted_sets(self) -> frozenset[str]:
        """The pattern sets of `REDACT`."""
        return frozenset(items(self.redact))

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
