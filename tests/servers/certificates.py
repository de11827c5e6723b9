"""A certificate authority of our own and a server certificate for 127.0.0.1, made on the spot."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LIFETIME = datetime.timedelta(days=1)


class Authority:
    """A certificate authority that lives as long as the test session."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = common_name("authority of the fault tests")
        builder = (
            start(self.name, self.name, self.key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(subject_key(self.key), critical=False)
            .add_extension(signs_certificates(), critical=True)
        )
        self.bundle = directory / "ca.pem"
        self.bundle.write_bytes(pem(builder.sign(self.key, hashes.SHA256())))

    def server_context(self, *names: str) -> ssl.SSLContext:
        """Return a server-side context with a certificate for these names or addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = x509.SubjectAlternativeName([general_name(name) for name in names])
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        certificate = (
            start(common_name(names[0]), self.name, key)
            .add_extension(alternatives, critical=False)
            .add_extension(authority, critical=False)
            .sign(self.key, hashes.SHA256())
        )
        chain = self.directory / f"server-{certificate.serial_number}.pem"
        chain.write_bytes(private_pem(key) + pem(certificate))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        return context


def start(subject: x509.Name, issuer: x509.Name, key) -> x509.CertificateBuilder:
    """Begin a certificate that is valid now."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - LIFETIME)
        .not_valid_after(now + LIFETIME)
    )


def common_name(text: str) -> x509.Name:
    """Return a name that is only a common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def general_name(name: str) -> x509.GeneralName:
    """Return an address for an IP literal, else a DNS name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def subject_key(key) -> x509.SubjectKeyIdentifier:
    """Return the identifier that issued certificates point to."""
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def signs_certificates() -> x509.KeyUsage:
    """Return the key usage of an authority."""
    uses = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment")
    others = ("key_agreement", "encipher_only", "decipher_only")
    return x509.KeyUsage(
        **dict.fromkeys((*uses, *others), False), key_cert_sign=True, crl_sign=True
    )


def pem(certificate: x509.Certificate) -> bytes:
    """Return the certificate as PEM text."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def private_pem(key) -> bytes:
    """Return the private key as unencrypted PEM text."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
