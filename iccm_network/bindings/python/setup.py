"""Builds the wheel: `make wheel`. It contains the library, statically linked, and needs the other libraries of the system.

ICCM_BUILD names the release build, whose static library and pkg-config file are used.
"""
import os
import shlex
import subprocess
import sys
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent
BUILD = Path(os.environ["ICCM_BUILD"]).resolve()
# -llibrary of the uninstalled pkg-config file would be the shared one, which is nowhere on the machine of a user.
LIBRARY = BUILD / "iccm_network/libiccm_network.a"


def pkg_config(*words):
    environment = os.environ | {"PKG_CONFIG_PATH": str(BUILD / "meson-uninstalled")}
    out = subprocess.run(["pkg-config", *words], env=environment, check=True, capture_output=True, text=True).stdout
    return shlex.split(out)


def extension():
    sys.path.insert(0, str(HERE))
    from native import ffi

    module = ffi.distutils_extension(str(HERE / "build"), verbose=False)
    module.sources.append("shim.c")
    module.include_dirs.append(str(HERE))
    module.extra_compile_args += ["-O2", "-fvisibility=hidden", *pkg_config("--cflags", "iccm-network", "libuv")]
    static = {"-liccm_network": str(LIBRARY), "-lllhttp": "-l:libllhttp.a"}
    needed = [static.get(word, word) for word in pkg_config("--static", "--libs", "iccm-network", "libuv")]
    module.extra_link_args += [*needed, "-Wl,--exclude-libs,ALL", "-Wl,-z,now"]
    module.py_limited_api = True
    return module


os.chdir(HERE)
setup(
    name="iccm-network",
    version=pkg_config("--modversion", "iccm-network")[0],
    description="MCP servers and clients over WebSocket and HTTP, on asyncio",
    license="MIT",
    python_requires=">=3.11",
    install_requires=["cffi>=1.15"],
    packages=["iccm_network"],
    package_data={"iccm_network": ["py.typed", "*.pyi"]},
    ext_modules=[extension()],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
