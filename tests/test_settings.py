"""Settings: their sources, the errors of invalid ones, and that no error shows a secret."""

from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
from psycopg.conninfo import conninfo_to_dict

from amplifier.setting_sources import load
from amplifier.settings import DEFAULT_SECRET_KEY, Settings, SettingsError

CONTRACT = (
    "SERVICE_HOST SERVICE_PORT SERVICE_WORKERS LOG_LEVEL DATABASE_URL DATABASE_HOST DATABASE_PORT DATABASE_NAME "
    "DATABASE_USER DATABASE_PASSWORD DATABASE_SSL_MODE DATABASE_POOL_MIN_SIZE DATABASE_POOL_MAX_SIZE SECRET_KEY "
    "ALLOWED_ORIGINS AUTH_REQUIRED AUTH_MODE API_KEY_HEADER JWT_ALGORITHM JWT_PUBLIC_KEY_URL JWT_ISSUER JWT_AUDIENCE "
    "CONFIG_ENCRYPTION_KEY APP_INSIGHTS_CONNECTION_STRING"
)
OWN = "own-" + "x" * 28  # 32 bytes
CANARY = "canary-7f3a"
POOLER = {
    "DATABASE_URL": f"postgresql://api:{CANARY}%25@pooler:6432/chats",
    "DATABASE_POOLER": "transaction",
    "DATABASE_LISTEN_URL": "postgresql://server.example:5432",
}
ENTRA = {
    "DATABASE_AUTH": "entra",
    "DATABASE_HOST": "server.example",
    "DATABASE_USER": "id-service",
    "DATABASE_SSL_MODE": "verify-full",
}
SPECIAL = "a@b:c/d?e#f%g&h=i+j k[l]'\"\\é"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides a developer's own .env."""
    monkeypatch.chdir(tmp_path)


def test_every_variable_of_the_contract_is_a_setting() -> None:
    known = {field.encode_name for field in msgspec.structs.fields(Settings)}
    assert set(CONTRACT.split()) <= known


def test_every_setting_has_a_default() -> None:
    settings = load({})
    assert settings == Settings()
    assert settings.service_port == 8765
    assert settings.dsn is None


def test_values_are_read_in_their_types() -> None:
    settings = load(
        {"SERVICE_PORT": "80", "AUTH_REQUIRED": "TRUE", "SECRET_KEY": OWN, "SHUTDOWN_GRACE": "0.5", "UNKNOWN": "x"}
    )
    assert (settings.service_port, settings.auth_required, settings.shutdown_grace) == (80, True, 0.5)


@pytest.mark.parametrize(
    ("name", "value", "takes"),
    [
        ("SERVICE_PORT", "http", "a port number from 1 to 65535"),
        ("SERVICE_PORT", "0", "a port number from 1 to 65535"),
        ("SERVICE_PORT", "65536", "a port number from 1 to 65535"),
        ("SERVICE_WORKERS", "0", "a whole number from 1 to 1000"),
        ("SERVICE_WORKERS", "1.5", "a whole number from 1 to 1000"),
        ("LOG_LEVEL", "loud", "debug, info, warning or error"),
        ("LOG_FORMAT", "xml", "text or json"),
        ("SHUTDOWN_GRACE", "nan", "a number of seconds, above 0 and at most 3600"),
        ("SHUTDOWN_GRACE", "-1", "a number of seconds, above 0 and at most 3600"),
        ("DATABASE_PORT", "5432 ", "a port number from 1 to 65535, or one for each host, separated by commas"),
        ("DATABASE_PORT", "5432,", "a port number from 1 to 65535, or one for each host, separated by commas"),
        ("DATABASE_PORT", "65536", "a port number from 1 to 65535, or one for each host, separated by commas"),
        ("DATABASE_SSL_MODE", "allow", "disable, prefer, require, verify-ca or verify-full"),
        ("DATABASE_POOL_MIN_SIZE", "-1", "a whole number from 0 to 1000"),
        ("AUTH_REQUIRED", "perhaps", "true or false"),
        ("AUTH_MODE", "basic", "api_key_jwt or jwt_only"),
        ("API_KEY_HEADER", "X API Key", "a header's name"),
        ("JWT_ALGORITHM", "none", "HS256 or RS256"),
        ("JWT_PUBLIC_KEY_URL", "file:///etc/keys", "the http(s) address of a JWKS"),
    ],
)
def test_error_names_variable_and_valid_values(name: str, value: str, takes: str) -> None:
    with pytest.raises(SettingsError) as failure:
        load({name: value})
    assert str(failure.value) == f"{name} must be {takes}, not {value!r}"


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"DATABASE_POOL_MIN_SIZE": "11", "DATABASE_POOL_MAX_SIZE": "10"},
            "DATABASE_POOL_MIN_SIZE must not exceed DATABASE_POOL_MAX_SIZE",
        ),
        ({"AUTH_REQUIRED": "true"}, "SECRET_KEY must be set"),
        ({"AUTH_REQUIRED": "true", "SECRET_KEY": ""}, "SECRET_KEY must be set"),
        ({"AUTH_REQUIRED": "true", "SECRET_KEY": DEFAULT_SECRET_KEY}, "SECRET_KEY must be set"),
        ({"AUTH_REQUIRED": "true", "SECRET_KEY": OWN, "JWT_ALGORITHM": "RS256"}, "JWT_PUBLIC_KEY_URL must be set"),
        ({"AUTH_REQUIRED": "true", "SECRET_KEY": OWN[1:]}, "SECRET_KEY must have at least 32 bytes"),
        (
            {"AUTH_REQUIRED": "true", "SECRET_KEY": OWN, "CONFIG_ENCRYPTION_KEY": f"{OWN[1:]},{OWN}"},
            "CONFIG_ENCRYPTION_KEY must begin with a key of at least 32 bytes",
        ),
        (ENTRA | {"DATABASE_HOST": ""}, "DATABASE_URL or DATABASE_HOST must be set when DATABASE_AUTH is entra"),
        (ENTRA | {"DATABASE_USER": ""}, "DATABASE_USER must be the name of the Entra principal"),
        (ENTRA | {"DATABASE_PASSWORD": CANARY}, "DATABASE_PASSWORD must not be set when DATABASE_AUTH is entra"),
        (ENTRA | {"DATABASE_SSL_MODE": "require"}, "DATABASE_SSL_MODE must be verify-full when DATABASE_AUTH is entra"),
        (ENTRA | {"DATABASE_SSL_MODE": "prefer"}, "DATABASE_SSL_MODE must be verify-full when DATABASE_AUTH is entra"),
        (ENTRA | {"DATABASE_URL": f"postgresql://me:{CANARY}@h/d"}, "DATABASE_URL must have no password when"),
        (ENTRA | {"DATABASE_URL": "postgresql://h/d"}, "DATABASE_USER must be the name of the Entra principal"),
        (ENTRA | {"DATABASE_URL": "postgresql://me@h/d?sslmode=require"}, "DATABASE_SSL_MODE must be verify-full"),
        (ENTRA | {"DATABASE_URL": "postgresql://me@h,localhost/d?sslmode=require"}, "must be verify-full"),
        ({"DATABASE_HOST": "a,b", "DATABASE_PORT": "1,2,3"}, "DATABASE_PORT must be one port, or as many as"),
        (
            {"DATABASE_HOST": "a", "DATABASE_PORT": "1,2"},
            "DATABASE_PORT must be one port, or as many as there are hosts",
        ),
        ({"DATABASE_URL": "postgresql:///d?host=a,b&port=1,2,3"}, "DATABASE_URL must be of the form"),
        (
            {"DATABASE_URL": "postgresql://a,b/d?target_session_attrs=standby"},
            "one of any, read-write, primary",
        ),
        ({"DATABASE_READ_URL": "postgresql://r"}, "DATABASE_URL or DATABASE_HOST must name the primary when"),
        ({"DATABASE_HOST": "a", "DATABASE_READ_URL": "r"}, "DATABASE_READ_URL must be of the form postgresql://"),
        (
            {"DATABASE_HOST": "a", "DATABASE_READ_URL": "postgresql://r?target_session_attrs=primary"},
            "DATABASE_READ_URL must be one of any, standby, read-only",
        ),
        (ENTRA | {"DATABASE_READ_URL": f"postgresql://me:{CANARY}@h"}, "DATABASE_READ_URL must have no password"),
        (POOLER | {"DATABASE_LISTEN_URL": ""}, "DATABASE_LISTEN_URL must be the address of PostgreSQL itself when"),
        (POOLER | {"DATABASE_LISTEN_URL": "postgresql://pooler:6432/x"}, "itself, not that of the pooler"),
        (POOLER | {"DATABASE_LISTEN_URL": "server.example"}, "DATABASE_LISTEN_URL must be of the form postgresql://"),
        (POOLER | {"DATABASE_URL": ""}, "DATABASE_URL or DATABASE_HOST must name the pooler"),
        (POOLER | {"DATABASE_POOLER": "session"}, "DATABASE_POOLER must be none or transaction, not 'session'"),
        (
            ENTRA | {"DATABASE_LISTEN_URL": f"postgresql://me:{CANARY}@h"},
            "DATABASE_LISTEN_URL must have no password when DATABASE_AUTH is entra",
        ),
        (ENTRA | {"DATABASE_AUTH": "kerberos"}, "DATABASE_AUTH must be password or entra, not 'kerberos'"),
    ],
)
def test_contradictory_settings_are_refused(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load(environ)


@pytest.mark.parametrize("url", ["postgresql://me@127.0.0.1/d", "postgresql://me@localhost/d", "postgresql://me@/d"])
def test_token_may_reach_this_machine_in_clear(url: str) -> None:
    assert load(ENTRA | {"DATABASE_URL": url, "DATABASE_SSL_MODE": "disable"}).database_auth == "entra"


def test_token_reaches_verified_server() -> None:
    parts = conninfo_to_dict(load(ENTRA).dsn or "")
    assert {name: parts[name] for name in ("host", "user", "sslmode")} == {
        "host": "server.example",
        "user": "id-service",
        "sslmode": "verify-full",
    }
    assert "password" not in parts


def test_short_key_may_decrypt_after_long_one() -> None:
    """Otherwise a short key could not be replaced."""
    environ = {"AUTH_REQUIRED": "true", "SECRET_KEY": OWN, "CONFIG_ENCRYPTION_KEY": f"{OWN}, short"}
    assert load(environ).encryption_keys == [OWN, "short"]


def test_short_keys_pass_without_authentication() -> None:
    assert load({"SECRET_KEY": "own", "CONFIG_ENCRYPTION_KEY": "short"}).encryption_keys == ["short"]


@pytest.mark.parametrize("environ", [{}, {"SECRET_KEY": DEFAULT_SECRET_KEY}, {"SECRET_KEY": OWN[1:]}])
def test_no_key_is_derived_from_public_or_short_secret(environ: dict[str, str]) -> None:
    assert load(environ).derivation_keys == []
    assert load({"SECRET_KEY": OWN}).derivation_keys == [OWN]


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("postgresql://server.example", {"user": "api", "password": f"{CANARY}%", "dbname": "chats"}),
        ("postgresql://api@server.example/", {"user": "api", "password": f"{CANARY}%", "dbname": "chats"}),
        ("postgresql://other@server.example", {"user": "other", "dbname": "chats"}),
        ("postgresql://me:x@server.example/d", {"user": "me", "password": "x", "dbname": "d"}),
    ],
)
def test_direct_address_has_login_of_the_poolers_where_it_names_none(url: str, parts: dict[str, str]) -> None:
    settings = load(POOLER | {"DATABASE_LISTEN_URL": url, "DATABASE_SSL_MODE": "require"})
    found = conninfo_to_dict(settings.direct_dsn or "")
    assert found == {"host": "server.example", "sslmode": "require"} | parts
    assert settings.is_pooler(settings.dsn or "")
    assert not settings.is_pooler(settings.direct_dsn or "")


def test_no_secret_is_shown() -> None:
    secrets = {
        "DATABASE_LISTEN_URL": f"postgresql://user:{CANARY}@other/name",
        "DATABASE_URL": f"postgresql://user:{CANARY}@host/name",
        "DATABASE_PASSWORD": CANARY,
        "SECRET_KEY": CANARY,
        "CONFIG_ENCRYPTION_KEY": f"{CANARY},{CANARY}",
        "APP_INSIGHTS_CONNECTION_STRING": f"InstrumentationKey={CANARY}",
    }
    settings = load(secrets)
    assert CANARY not in repr(settings) + str(settings) + f"{settings}"
    assert "database_password=***" in repr(settings)
    for wrong in ({"SERVICE_PORT": "x"}, {"DATABASE_POOL_MIN_SIZE": "11"}):
        with pytest.raises(SettingsError) as failure:
            load(secrets | wrong)
        assert CANARY not in _everything(failure.value)


@pytest.mark.parametrize(
    "url",
    [
        CANARY,
        f"mysql://user:{CANARY}@host/name",
        f"postgresql:/user:{CANARY}@host/name",
        f"postgresql://user:{CANARY}",
        f"postgresql://user:{CANARY}/x@host/name",
        f"postgresql://user:1/{CANARY}@host/name",
        f"postgresql://user:1?{CANARY}@host/name",
        f"postgresql://user:1#{CANARY}@host/name",
        f"postgresql://user:{CANARY}@{CANARY}@host/name",
        f"postgresql://user:[{CANARY}@host/name",
        f"postgresql://user:%{CANARY}@host/name",
        f"postgresql://user:1@host:{CANARY}/name",
        f"postgresql://host/name?{CANARY}=1",
        f"postgresql://host/name?password={CANARY}@",
    ],
)
def test_malformed_database_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^DATABASE_URL must be of the form postgresql://") as failure:
        load({"DATABASE_URL": url})
    assert CANARY not in _everything(failure.value)


def test_environment_overrides_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SERVICE_PORT=1111\nLOG_LEVEL='debug'\n# SERVICE_WORKERS=9\nJWT_ISSUER=file\n")
    settings = load({"SERVICE_PORT": "2222", "JWT_ISSUER": ""})
    assert (settings.service_port, settings.log_level, settings.service_workers) == (2222, "debug", 1)
    assert settings.jwt_issuer == "file", "an empty variable is not set, so the file's value counts"


def test_error_in_file_is_reported_like_any_other(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SERVICE_PORT=none\n")
    with pytest.raises(SettingsError, match="SERVICE_PORT must be a port number"):
        load({})


@pytest.mark.parametrize("name", [field.encode_name for field in msgspec.structs.fields(Settings)])
def test_empty_variable_counts_as_not_set(name: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"{name}=\n")
    assert load({name: ""}) == Settings()


@pytest.mark.parametrize("mode", ["disable", "prefer", "require", "verify-ca", "verify-full"])
def test_address_from_parts_survives_special_characters(mode: str) -> None:
    settings = load(
        {
            "DATABASE_HOST": "/run/my sockets+more",
            "DATABASE_PORT": "6432",
            "DATABASE_NAME": SPECIAL,
            "DATABASE_USER": SPECIAL,
            "DATABASE_PASSWORD": SPECIAL,
            "DATABASE_SSL_MODE": mode,
        }
    )
    assert settings.dsn is not None
    assert conninfo_to_dict(settings.dsn) == {
        "host": "/run/my sockets+more",
        "port": "6432",
        "dbname": SPECIAL,
        "user": SPECIAL,
        "password": SPECIAL,
        "sslmode": mode,
    }


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "PostgreSQL", "postgresql+psycopg", "postgresql+asyncpg"])
@pytest.mark.parametrize("host", ["db.example:6432", "[::1]:6432", "one:1,two:2", "", "?host=/run"])
def test_address_from_url_is_accepted_by_libpq(scheme: str, host: str) -> None:
    rest = host.replace("?", "/name?") if "?" in host else f"{host}/name?application_name=x"
    settings = load({"DATABASE_URL": f"{scheme}://me:{quote(SPECIAL, safe='')}@{rest}", "DATABASE_HOST": "ignored"})
    target = "&target_session_attrs=read-write" if "," in host else ""
    assert settings.dsn == f"postgresql://me:{quote(SPECIAL, safe='')}@{rest}{target}"
    assert conninfo_to_dict(settings.dsn)["password"] == SPECIAL


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql://host", "verify-full"),
        ("postgresql://host/name?application_name=x", "verify-full"),
        ("postgresql://host/name?sslmode=require", "require"),
        ("postgresql://host/name?application_name=x&sslmode=disable", "disable"),
    ],
)
def test_ssl_mode_applies_to_url_without_one(url: str, mode: str) -> None:
    settings = load({"DATABASE_URL": url, "DATABASE_SSL_MODE": "verify-full"})
    assert settings.dsn is not None
    assert conninfo_to_dict(settings.dsn)["sslmode"] == mode


def test_several_hosts_mean_the_one_that_takes_writes() -> None:
    parts = conninfo_to_dict(load({"DATABASE_HOST": "a, b", "DATABASE_PORT": "5432,5433"}).dsn or "")
    assert {name: parts[name] for name in ("host", "port", "target_session_attrs")} == {
        "host": "a,b",
        "port": "5432,5433",
        "target_session_attrs": "read-write",
    }
    assert "target_session_attrs" not in conninfo_to_dict(load({"DATABASE_HOST": "a"}).dsn or "")


def test_replica_is_reached_with_login_of_primary() -> None:
    settings = load({"DATABASE_URL": f"postgresql://me:{CANARY}@a,b/d", "DATABASE_READ_URL": "postgresql://a,b:6432"})
    parts = conninfo_to_dict(settings.read_dsn or "")
    assert {name: parts[name] for name in ("host", "port", "user", "password", "dbname", "target_session_attrs")} == {
        **{"host": "a,b", "port": ",6432", "user": "me", "password": CANARY, "dbname": "d"},
        "target_session_attrs": "standby",
    }
    assert load({"DATABASE_URL": "postgresql://me@a/d"}).read_dsn is None


def test_demanded_server_of_url_takes_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://a,b/d?target_session_attrs=primary"
    assert conninfo_to_dict(load({"DATABASE_URL": url}).dsn or "")["target_session_attrs"] == "primary"
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "any")
    assert "target_session_attrs" not in conninfo_to_dict(load({"DATABASE_URL": "postgresql://a,b/d"}).dsn or "")


def test_origins_are_read_as_list() -> None:
    assert load({"ALLOWED_ORIGINS": "https://a.example, https://b.example,"}).origins == [
        "https://a.example",
        "https://b.example",
    ]


def _everything(error: BaseException) -> str:
    """Returns all that a traceback of `error` and its causes would show."""
    chain = [error.__cause__, None if error.__suppress_context__ else error.__context__]
    return repr(error) + "".join(_everything(cause) for cause in chain if cause is not None)
