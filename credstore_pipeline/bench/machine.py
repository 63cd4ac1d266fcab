"""What the numbers were measured on."""

import os
import platform
import socket
from pathlib import Path


def describe_machine() -> str:
    """Processor, cores, memory, system and Python in one line; nothing that names the machine."""
    model = _after("/proc/cpuinfo", "model name") or platform.processor() or "unknown processor"
    memory_kb = (_after("/proc/meminfo", "MemTotal") or "0").split()[0]
    return (
        f"{os.cpu_count()} cores ({model}), {int(memory_kb) / 2**20:.0f} GiB, "
        f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}"
    )


def kept_port(file: Path) -> int:
    """A TCP port of loopback, chosen once: a server that a killed bench left behind is taken over on its port."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            file.write_text(str(probe.getsockname()[1]))
    return int(file.read_text())


def _after(path: str, name: str) -> str | None:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), None)
