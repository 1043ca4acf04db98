"""Starts Fiedler: PYTHONPATH=examples python3 -m fiedler

Happy path: settings and model file are read, the proxy and the server of the tools listen, and both stop at SIGTERM.
Failure: a bad setting ends the start with status 2, a port that is in use with 1, each with a line in the log.
"""
import asyncio
import logging
import os
import signal
import sys

from iccm_network import LogHandler, McpError, Server, env

from .failure import Failure
from .keys import FileStore, Keys, open_store
from .provider import new_session
from .proxy import Proxy
from .redact import Secrets, SecretFilter
from .send import Sender
from .settings import BadSetting, read_admission, read_settings
from .state import State
from .tools import NOTE, Tools

log = logging.getLogger("fiedler")


def main():
    token = env.text("ICCM_AUTH_TOKEN")
    secrets = Secrets(*([token] if token is not None else []))
    handler = LogHandler()
    handler.addFilter(SecretFilter(secrets))
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    log.setLevel(logging.DEBUG)  # the library drops what is below LOG_LEVEL
    try:
        settings, models = read_settings()
        server = Server("fiedler", port=settings.port, call_timeout=max(model.timeout_s for model in models.all) + 60)
        admission, ssl_context = read_admission()
    except (BadSetting, McpError):  # the log has a line
        return 2
    return asyncio.run(serve(settings, models, server, admission, ssl_context, secrets))


async def serve(settings, models, server, admission, ssl_context, secrets):
    keys = Keys(open_store(settings.keys_path), models.providers, secrets)
    log.info("keys: %s", NOTE if isinstance(keys.store, FileStore) else keys.store.name)
    state = State(settings.state_path, models, settings.output_path)
    async with new_session() as session:
        try:
            state.load()
            Tools(models, keys, state, Sender(settings, keys, secrets, session)).register(server)
            proxy = Proxy(settings, models, keys, secrets, session, admission)
            await proxy.start(ssl_context)
        except Failure as error:
            log.error("cannot start: %s", error)
            return 1
        except OSError as error:
            reason = os.strerror(error.errno)
            log.error("cannot start the proxy on port %d: %s (set FIEDLER_PROXY_PORT)", settings.proxy_port, reason)
            return 1
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload, server, ssl_context)
        try:
            await server.serve()
        except McpError as error:
            log.error("%s", error)
            return 1
        finally:
            await proxy.stop()
    return 0


def reload(server, ssl_context):
    """Reads the certificate again, for the tools and for the proxy; and the tokens of the tools."""
    try:
        server.reload()
        if ssl_context is not None:
            ssl_context.load_cert_chain(env.text("ICCM_TLS_CERT"), env.text("ICCM_TLS_KEY"))
    except (McpError, OSError) as error:
        log.error("cannot reload, what was read before stays: %s", error)


if __name__ == "__main__":
    sys.exit(main())
