"""Settings from the environment.

Happy path: read_settings() returns Settings and the Models of the model file. Failure: BadSetting, or the McpError of
iccm_network.env, after a line in the log that names the variable, its value and what is allowed.
"""
import logging
import os
import ssl
from dataclasses import dataclass

from iccm_network import env

from .admission import Admission
from .models import BadModelFile, load

log = logging.getLogger("fiedler")
MIB = 1 << 20


class BadSetting(Exception):
    pass


@dataclass(frozen=True)
class Settings:
    port: int
    proxy_port: int
    import_paths: list
    output_path: str
    keys_path: str
    state_path: str
    max_package_bytes: int
    max_answer_bytes: int
    max_requests: int  # to providers at once: of the tools, and of the proxy


def read_settings():
    settings = Settings(
        port=env.int("FIEDLER_MCP_PORT", 8080, 0, 65535),
        proxy_port=env.int("FIEDLER_PROXY_PORT", 8081, 0, 65535),
        import_paths=env.directories("FIEDLER_IMPORT_PATHS"),
        output_path=read_output_path(),
        keys_path=os.path.abspath(env.data_path("FIEDLER_KEYS_PATH", "fiedler-keys.json")),
        state_path=os.path.abspath(env.data_path("FIEDLER_STATE_PATH", "fiedler-state.json")),
        max_package_bytes=env.int("FIEDLER_MAX_PACKAGE_BYTES", MIB, 1024, 64 * MIB),
        max_answer_bytes=env.int("FIEDLER_MAX_ANSWER_BYTES", MIB, 1024, 16 * MIB),
        max_requests=env.int("FIEDLER_MAX_REQUESTS", 32, 1, 256),
    )
    refuse_secrets_below(settings.import_paths, settings.keys_path)
    return settings, read_models()


def read_models():
    path = env.text("FIEDLER_MODELS_FILE")
    if path is None:
        raise bad("FIEDLER_MODELS_FILE is not set: expected the path of a model file, see models.example.toml")
    try:
        return load(path)
    except BadModelFile as error:
        raise bad(f'FIEDLER_MODELS_FILE is "{path}": {error}') from None


def read_output_path():
    """A real directory, so that no symbolic link above it can be exchanged later."""
    path = env.data_path("FIEDLER_OUTPUT_PATH", "fiedler-output")
    try:
        os.makedirs(path, mode=0o750, exist_ok=True)
    except OSError as error:
        raise bad(f'FIEDLER_OUTPUT_PATH is "{path}": expected a directory that can be used: {error.strerror}') from None
    return os.path.realpath(path)


def refuse_secrets_below(roots, *paths):
    """A caller of fiedler_send could have the keys sent to a provider."""
    for root in map(os.path.realpath, roots):
        for path in map(os.path.realpath, paths):
            if os.path.commonpath((root, path)) == root:
                raise bad(f'FIEDLER_IMPORT_PATHS has "{root}": expected directories without the file of the keys, "{path}"')


def read_admission():
    """Whom the proxy admits, and its TLS: as the library, which has checked these variables when the server was made."""
    certificate, key = env.text("ICCM_TLS_CERT"), env.text("ICCM_TLS_KEY")
    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(certificate, key)
        except OSError as error:
            raise bad(f'ICCM_TLS_CERT is "{certificate}": expected a certificate with its key: {error.strerror}') from None
    tokens = env.text("ICCM_TOKENS")
    if tokens is not None and env.text("ICCM_AUTH_TOKEN") is None:
        raise bad(f'ICCM_TOKENS is "{tokens}" without ICCM_AUTH_TOKEN: expected both; the proxy knows only the latter')
    admission = Admission(
        env.text("ICCM_AUTH_TOKEN"),
        env.bool("ICCM_ALLOW_PUBLIC", False),
        env.text("ICCM_ALLOWED_ORIGINS"),
        env.text("ICCM_ALLOWED_HOSTS"),
        context is not None,
    )
    return admission, context


def bad(line):
    log.error("%s", line)
    return BadSetting(line)
