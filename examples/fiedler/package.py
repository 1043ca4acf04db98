"""Compiles a prompt and files into the text that is sent to the models.

Happy path: compile_package() reads each file below the roots, one after the other, and appends it under a line with its
name. Failure: a file that may not be read, is not there, or is not UTF-8 text; more files or bytes than allowed. Nothing
is read beyond the limit. The functions block: call them in a thread.
"""
import json

from .beneath import below, read_file
from .failure import INVALID_INPUT, Failure, shown

MAX_FILES = 100


def compile_package(prompt, files, roots, limit):
    """Returns the messages of a request as JSON, which all models get."""
    if len(files) > MAX_FILES:
        raise Failure(INVALID_INPUT, f"{len(files)} files: at most {MAX_FILES} are allowed")
    parts, left = [prompt], limit - len(prompt.encode(errors="replace"))
    for path in files:
        root, inner = below(roots, path)
        name = "/".join(inner)
        content = read_file(root, inner, max(left, 0))
        left -= len(content)
        if left < 0:
            break
        parts.append(f"===== {name} ({len(content)} bytes) =====\n{text_of(name, content)}")
    text = "\n\n".join(parts)
    messages = json.dumps([{"role": "user", "content": text}], ensure_ascii=False).encode(errors="replace")
    if left < 0 or len(messages) > limit:
        raise Failure(INVALID_INPUT, f"prompt and files have more than {limit} bytes as JSON: send less, or raise "
                                     "FIEDLER_MAX_PACKAGE_BYTES")
    return messages


def text_of(name, content):
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise Failure(INVALID_INPUT, f'"{shown(name, 100)}" is not UTF-8 text') from None
