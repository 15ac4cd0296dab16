"""Runs Apache Kafka with a listener for logins (SASL_SSL: PLAIN, SCRAM-SHA-512) and one for certificates (SSL)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apache_kafka import SHORT_LIVED, ApacheKafka
from services import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

USER, PASSWORD = "ccstream", "to be kept"
MODULES = "org.apache.kafka.common.security"


def _plain(password: str) -> str:
    return f'{MODULES}.plain.PlainLoginModule required user_{USER}="{password}";'


class SecuredKafka(ApacheKafka):
    """Runs a broker that demands a login or a certificate of its clients.

    Args:
        authority: the certificate of the authority that must have signed clients' certificates.
        certificate: the broker's certificate.
        key: the key of the broker's certificate.
    """

    def __init__(self, authority: Path, certificate: Path, key: Path) -> None:
        super().__init__(free_port(), flags=SHORT_LIVED)
        self._ports = {"SASL_SSL": free_port(), "SSL": free_port()}
        store = self._folder / "store.pem"
        store.write_text(key.read_text() + certificate.read_text())
        self._settings = {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(store),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(authority),
            "listener.name.ssl.ssl.client.auth": "required",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": _plain(PASSWORD),
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f"{MODULES}.scram.ScramLoginModule required;",
        }
        self._configure({})

    def _configure(self, settings: Mapping[str, str]) -> None:
        more: dict[str, str] = {}
        if hasattr(self, "_settings"):
            ports = {"PLAINTEXT": self.port, **self._ports}
            listeners = {name: f"{name}://127.0.0.1:{port}" for name, port in ports.items()}
            more = {
                **self._settings,
                "listeners": ",".join([*listeners.values(), f"CONTROLLER://127.0.0.1:{self._controller_port}"]),
                "advertised.listeners": ",".join(
                    listener.replace("127.0.0.1", "localhost") for listener in listeners.values()
                ),
                "listener.security.protocol.map": ",".join(
                    [*(f"{name}:{name}" for name in ports), "CONTROLLER:PLAINTEXT"]
                ),
            }
        super()._configure({**more, **settings})

    def format(self) -> None:
        """Formats the data folder and creates the user for SCRAM."""
        self._format("--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]")

    def let_in(self, password: str) -> None:
        """Restarts the broker with another password for PLAIN."""
        self._settings["listener.name.sasl_ssl.plain.sasl.jaas.config"] = _plain(password)
        self.restart({})

    def at(self, listener: str) -> str:
        """Returns the address of a listener."""
        return f"localhost:{self._ports[listener]}"
