"""Provides the programs that are compared with ccstream: a typical script, and others, each in a separate venv."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

from workbench import Program

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "flink"))

import flink
from apache_kafka import missing_tools
from maven import LOGGING, fetch_jars

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = Program("ccstream", (sys.executable, "-m", "ccstream", "consume", "--quiet"))
SCRIPT = "bench/peers/usual_script.py"
USUAL = [
    Program("usual script, row by row", (sys.executable, SCRIPT, "1")),
    Program("usual script, batches of 1,000", (sys.executable, SCRIPT, "1000")),
]
FLOATS = "ALTER TABLE orders ALTER value TYPE DOUBLE PRECISION, ALTER discount TYPE DOUBLE PRECISION"
"""Changes the columns for Pathway, which has no decimal numbers."""
OTHERS: dict[str, dict[str, tuple[str, ...]]] = {
    "quixstreams[postgresql]==3.28.1": {"Quix Streams": ("quix.py",)},
    "pathway==0.33.0": {"Pathway": ("pathway_rows.py",)},
    "mq-bridge==1.2.0": {
        "mq-bridge, columns": ("mq_bridge_rows.py", "columns"),
        "mq-bridge, bulk copy": ("mq_bridge_rows.py", "copy"),
    },
}
DRIVER = "org.postgresql:postgresql:42.7.7"
FAUCET = ("faucet-cli", "1.15.1", "source-kafka,sink-postgres,sink-jsonl,transforms")
"""The name, version and features of a crate."""
FAUCET_HEADERS = ("curl/curl.h", "sasl/sasl.h")
"""The headers that its build of librdkafka needs."""
DEBEZIUM_JARS = (
    *(f"org.apache.kafka:connect-{part}:4.3.1" for part in ("runtime", "json", "transforms")),
    "io.debezium:debezium-connector-jdbc:3.5.0.Final",
    DRIVER,
    LOGGING,
)

VERSIONS = [*OTHERS, *flink.RUNTIME[:-1], *flink.CONNECTORS, *DEBEZIUM_JARS[:-1], "==".join(FAUCET[:2])]
"""The versions of the other programs, for the results."""


def installed(requirement: str, folder: Path) -> Path:
    """Returns the interpreter of a program's virtual environment, which is created if it does not exist."""
    home = folder / requirement.partition("==")[0].partition("[")[0]
    python = home / "bin" / "python"
    if not python.exists():
        print(f"Installing {requirement} into {home}", flush=True)
        venv.create(home, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", requirement], check=True)
    return python


def others(folder: Path | None) -> Iterator[Program]:
    """Yields all programs but ccstream. Without a folder for virtual environments, only the typical script."""
    yield from USUAL
    if folder is None:
        print("skipped: the other programs; give --peers FOLDER to install them", file=sys.stderr)
        return
    for requirement, variants in OTHERS.items():
        python = installed(requirement, folder.absolute())
        for name, (script, *arguments) in variants.items():
            before = FLOATS if name == "Pathway" else ""
            yield Program(name, (str(python), f"bench/peers/{script}", *arguments), before=before)
    yield from on_java()
    yield from on_rust(folder.absolute())


def on_java() -> Iterator[Program]:
    """Yields the programs that run on Java, whose jars Maven downloads."""
    if missing := missing_tools():
        print(f"skipped: Flink SQL and Debezium's sink, which need {missing}", file=sys.stderr)
        return
    flink.fetch()
    yield Program("Flink SQL", (sys.executable, "bench/peers/flink_sql.py"))
    jars = fetch_jars("debezium-3.5.0", *DEBEZIUM_JARS)
    yield Program("Debezium's sink", (sys.executable, "bench/peers/debezium_sink.py", str(jars)))


def on_rust(folder: Path) -> Iterator[Program]:
    """Yields faucet-stream. Cargo builds it once, which takes a quarter of an hour on two cores."""
    crate, version, features = FAUCET
    faucet = folder / crate / "bin" / "faucet"
    if not faucet.exists():
        includes = [Path("/usr/include"), *Path("/usr/include").glob("*-linux-gnu")]
        missing = [name for name in FAUCET_HEADERS if not any((place / name).exists() for place in includes)]
        if missing:
            print(f"skipped: faucet-stream, which needs the headers {', '.join(missing)}", file=sys.stderr)
            return
        print(f"Building {crate} {version} into {folder / crate}", flush=True)
        wanted = ("--version", version, "--no-default-features", "--features", features, "--root", str(folder / crate))
        # The crate demands a newer Rust than it needs.
        build = ["cargo", "install", "-q", "--locked", "--ignore-rust-version", *wanted, crate]
        subprocess.run(build, check=True)
    for variant in ("append", "upsert"):
        script = (sys.executable, "bench/peers/faucet_rows.py", str(faucet), variant)
        yield Program(f"faucet-stream, {variant}", script)
