"""Downloads jars with Maven, once, into a cache folder outside the repository."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>local</groupId><artifactId>jars</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
{dependencies}
</dependencies></project>
"""
DEPENDENCY = " <dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"
LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5"


def fetch_jars(name: str, *dependencies: str) -> Path:
    """Downloads jars and their dependencies. A second process that needs the same folder waits for the first.

    Args:
        name: the name of the cache folder.
        dependencies: the artifacts, each as ``group:artifact:version``.

    Returns:
        The folder with the jars.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ccstream" / name
    jars, partial = cache / "libs", cache / "libs.partial"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if jars.exists():
            return jars
        shutil.rmtree(partial, ignore_errors=True)
        lines = "\n".join(DEPENDENCY.format(*one.split(":")) for one in dependencies)
        (cache / "pom.xml").write_text(POM.format(dependencies=lines))
        subprocess.run(
            [
                *("mvn", "-B", "-ntp", "-q", "-Dstyle.color=never", "-f", str(cache / "pom.xml")),
                "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies",
                *("-DincludeScope=runtime", f"-DoutputDirectory={partial}"),
            ],
            check=True,
            timeout=600,
        )
        partial.rename(jars)
    return jars
