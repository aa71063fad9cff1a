"""Commands and portal steps that mend faults of an Azure Database for PostgreSQL."""

_DOMAINS = (
    ".postgres.database.azure.com",
    ".postgres.database.chinacloudapi.cn",
    ".postgres.database.usgovcloudapi.net",
)


def is_azure(host: str) -> bool:
    """Returns whether a host is an Azure Database for PostgreSQL."""
    return host.lower().rstrip(".").endswith(_DOMAINS)


def server_name(host: str) -> str:
    """Returns the name of the server for the az command."""
    return host.partition(".")[0]


def open_firewall(host: str, address: str | None) -> str:
    """Returns the command that lets an address through the firewall of a server with public access."""
    shown = address or "ADDRESS"
    return (
        f"az postgres flexible-server firewall-rule create --resource-group GROUP --name {server_name(host)} "
        f"--rule-name amplifier --start-ip-address {shown} --end-ip-address {shown}\n"
        "(portal: the server, Networking, Add current client IP address); with private access connect from the "
        "server's virtual network"
    )


def set_parameter(host: str, name: str, value: str) -> str:
    """Returns the command that sets a server parameter."""
    return (
        f"az postgres flexible-server parameter set --resource-group GROUP --server-name {server_name(host)} "
        f"--name {name} --value {value}"
    )
