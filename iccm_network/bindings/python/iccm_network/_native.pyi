# The extension module, which cffi makes of native.py and shim.h.
from typing import Any

ffi: Any
lib: Any
