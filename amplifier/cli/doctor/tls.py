"""TLS of a database or a service: the handshake, the certificate, and remedies for what is wrong with it."""

import asyncio
import datetime
import ssl
from typing import NamedTuple

from cryptography import x509

from amplifier.cli.doctor.findings import Fault
from amplifier.cli.doctor.network import Host, Streams

SOON = 14  # days before a certificate expires, in which there is a warning
# X509_V_ERR_* of OpenSSL
_NOT_YET_VALID, _EXPIRED = (9, 13), (10, 14)
_UNKNOWN_AUTHORITY = (2, 18, 19, 20, 21, 27)
_MISNAMED = (62, 64)


class Secured(NamedTuple):
    """The protocol and the certificate that a handshake showed."""

    protocol: str
    certificate: x509.Certificate

    @property
    def days_left(self) -> int:
        """Days until the certificate expires."""
        return (self.certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)).days

    def __str__(self) -> str:
        names = ", ".join(_names(self.certificate)) or "nobody"
        return f"{self.protocol}, certificate for {names}, valid until {self.certificate.not_valid_after_utc:%Y-%m-%d}"


async def handshake(streams: Streams, context: ssl.SSLContext, host: Host) -> Secured:
    """Begins TLS on a connection and returns what was seen. Raises ssl.SSLError and OSError."""
    _, writer = streams
    await writer.start_tls(context, server_hostname=host.name)
    found = writer.get_extra_info("ssl_object")
    certificate = x509.load_der_x509_certificate(found.getpeercert(binary_form=True))
    return Secured(found.version(), certificate)


def unverified() -> ssl.SSLContext:
    """Returns a context that accepts any certificate, to see which one a server shows."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def fault(error: Exception, host: Host, shown: Secured | None, roots: str) -> Fault:
    """Returns the fault for an error of a handshake.

    `shown` is what the server shows to those who verify nothing; `roots` names the setting of the root certificates.
    """
    seen = str(shown or f"{host}: {error}")
    if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
        return Fault(seen, "the port does not speak TLS", f"correct the port, or use http, in {host.setting}")
    if not isinstance(error, ssl.SSLCertVerificationError):
        return Fault(
            seen if shown is None else f"{seen}: {error}",
            "the handshake failed",
            "see whether the server speaks TLS 1.2 or newer on this port, and its log; a proxy on the way may break it",
        )
    code = error.verify_code
    if code in _MISNAMED:
        return Fault(
            seen,
            f"the certificate is not for {host.name}",
            f"use a name that the certificate is for in {host.setting}, or give the server one for {host.name}",
        )
    if code in _EXPIRED:
        return Fault(seen, "the certificate has expired", "renew it on the server, and see this machine's clock: date")
    if code in _NOT_YET_VALID:
        return Fault(seen, "the certificate is not valid yet", "see this machine's clock (date), and the certificate")
    if code in _UNKNOWN_AUTHORITY:
        issuer = shown.certificate.issuer.rfc4514_string() if shown else "its authority"
        return Fault(
            seen,
            f"the root certificates on this machine do not contain the one that signed it: {issuer}",
            f"name a file with the root certificate of the authority in {roots}; if you do not know this authority, "
            "you may be speaking with another server",
        )
    return Fault(seen, f"the certificate is refused: {error.verify_message}", "see the certificate, and its authority")


async def closed(streams: Streams) -> None:
    """Closes a connection without waiting long for the other side."""
    _, writer = streams
    writer.close()
    try:
        async with asyncio.timeout(0.5):
            await writer.wait_closed()
    except (TimeoutError, OSError, ssl.SSLError):
        pass


def _names(certificate: x509.Certificate) -> list[str]:
    """Returns the names and addresses that a certificate is for."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return [str(name.value) for name in common]
    return [*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))]
