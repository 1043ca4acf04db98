"""Runs the real Fiedler on free ports, with a model file whose models are the behaviours of a ChatProvider.

Happy path: `with Fiedler(provider.url, ["stream", "hang"]) as fiedler`; fiedler.url serves the tools, fiedler.proxy_url is
the address of the proxy. The directory `files` is the one that callers may name files of, `output` the one for results.
Failure modes: those of services.ProgramGroup.
"""
import json
import os
from pathlib import Path

from services import BUILD, SOURCE, ProgramGroup

COMMAND = ["/usr/bin/python3", "-m", "fiedler"]
PACKAGES = [BUILD / "iccm_network/bindings/python", SOURCE / "examples", SOURCE / "tests/fiedler"]
KEY = "sk-0123456789abcdefghij"


def environment(directory, models_file):
    # A sanitizer must be loaded before Python, which itself frees little at its end.
    return {
        "LD_PRELOAD": os.environ.get("TEST_PRELOAD", ""),
        "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0:quarantine_size_mb=4",
        "PYTHONPATH": ":".join(map(str, PACKAGES)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",  # no keyring of the machine is touched
        "FIEDLER_MCP_PORT": "0",
        "FIEDLER_PROXY_PORT": "0",
        "FIEDLER_MODELS_FILE": str(models_file),
        "FIEDLER_IMPORT_PATHS": str(directory / "files"),
        "FIEDLER_OUTPUT_PATH": str(directory / "output"),
        "ICCM_DATA": str(directory / "data"),
    }


def models_file(url, models, needs_key=False, **limits):
    """models: behaviours, or tables by name."""
    tables = models if isinstance(models, dict) else {name: {} for name in models}
    lines = ["[providers.test]", f"base_url = {json.dumps(url)}", f"needs_key = {json.dumps(needs_key)}"]
    for name, table in tables.items():
        table = {"provider": "test", "max_tokens": 1000, "timeout_s": 3600} | limits | table
        lines += [f"[models.{json.dumps(name)}]", *(f"{key} = {toml(value)}" for key, value in table.items())]
    return "\n".join(lines)


def toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(member)}" for key, member in value.items()) + "}"
    return json.dumps(value)


class Fiedler(ProgramGroup):
    def __init__(self, url, models, settings=None, **more):
        super().__init__()
        self.files, self.output = self.directory / "files", self.directory / "output"
        self.data = self.directory / "data"
        self.files.mkdir()
        self.data.mkdir()
        self.models = self.directory / "models.toml"
        self.models.write_text(models_file(url, models, **more))
        self.settings |= environment(self.directory, self.models) | (settings or {})
        self.program = self.add("fiedler", *COMMAND)

    def __enter__(self):
        try:
            return self.start()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise

    def start(self):
        self.program.start()
        self.port = int(self.program.wait_for(r"Server running: listening on port (\d+)")[1])
        self.proxy_port = int(self.program.wait_for(r"the proxy is listening on port (\d+)")[1])
        scheme = "https" if "ICCM_TLS_CERT" in self.settings else "http"
        self.url = f"ws://127.0.0.1:{self.port}"
        self.proxy_url = f"{scheme}://127.0.0.1:{self.proxy_port}"
        return self

    def restart(self):
        self.program.stop()
        return self.start()

    def memory_peak(self):
        """Bytes that the process has held at most."""
        status = Path(f"/proc/{self.program.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
