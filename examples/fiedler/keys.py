"""The providers' API keys: in the system's keyring, or in a file of mode 0600 where there is none.

Happy path: open_store() chooses the place once; Keys serves it from one thread, because a keyring may block. Failure: a
keyring that is locked, or that does not answer in TIMEOUT_S, is PROVIDER_ERROR; no key is ever part of a message. The
thread is a daemon: a keyring that hangs does not keep the program from ending.
"""
import asyncio
import queue
import re
import threading

from .failure import INVALID_INPUT, PROVIDER_ERROR, Failure
from .private_file import PrivateFile

SERVICE = "fiedler"
KEY = re.compile(r"[!-~]{8,4096}")  # what an HTTP header can carry, and long enough to be recognised in texts
TIMEOUT_S = 30
MAX_WAITING = 64


class SystemStore:
    name = "system keyring"

    def __init__(self, keyring):
        self.keyring = keyring

    def get(self, provider):
        return self.keyring.get_password(SERVICE, provider)

    def set(self, provider, key):
        self.keyring.set_password(SERVICE, provider, key)

    def delete(self, provider):
        if self.get(provider) is None:
            return False
        self.keyring.delete_password(SERVICE, provider)
        return True


class FileStore:
    name = "file"

    def __init__(self, path):
        self.file = PrivateFile(path)

    def get(self, provider):
        return self.file.read().get(provider)

    def set(self, provider, key):
        self.file.write(self.file.read() | {provider: key})

    def delete(self, provider):
        keys = self.file.read()
        found = keys.pop(provider, None) is not None
        if found:
            self.file.write(keys)
        return found


def open_store(path):
    """The system's keyring if this machine has one, else the file."""
    try:
        import keyring  # python3-keyring is optional
        import keyring.backends.fail
        import keyring.backends.null
    except ImportError:
        return FileStore(path)
    backend = keyring.get_keyring()
    if isinstance(backend, (keyring.backends.fail.Keyring, keyring.backends.null.Keyring)):
        return FileStore(path)
    return SystemStore(backend)


class Keys:
    def __init__(self, store, providers, secrets):
        self.store, self.providers, self.secrets = store, providers, secrets
        self.jobs = queue.SimpleQueue()
        threading.Thread(target=self.work, name="keys", daemon=True).start()

    def work(self):
        while True:
            loop, future, function, arguments = self.jobs.get()
            try:
                value, error = function(*arguments), None
            except Failure as failure:
                value, error = None, failure
            except Exception as refused:  # a backend's own, whose text is not ours to show
                value, error = None, Failure(PROVIDER_ERROR, f"the {self.store.name} failed ({type(refused).__name__}): "
                                                             "unlock it, or set PYTHON_KEYRING_BACKEND")
            try:
                loop.call_soon_threadsafe(finish, future, value, error)
            except RuntimeError:  # the loop is closed: the program ends
                return

    async def run(self, function, *arguments):
        if self.jobs.qsize() >= MAX_WAITING:
            raise Failure(PROVIDER_ERROR, f"the {self.store.name} is busy, retry later")
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self.jobs.put((loop, future, function, arguments))
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await future
        except TimeoutError:
            raise Failure(PROVIDER_ERROR, f"the {self.store.name} did not answer in {TIMEOUT_S} s: unlock it") from None

    async def get(self, provider):
        """The provider's key, or None."""
        key = await self.run(self.store.get, provider)
        return self.secrets.add(key) if isinstance(key, str) and KEY.fullmatch(key) else None

    async def set(self, provider, key):
        if not KEY.fullmatch(key):
            raise Failure(INVALID_INPUT, "a key has 8 to 4096 printable ASCII characters without spaces")
        self.secrets.add(key)
        await self.run(self.store.set, provider, key)

    async def delete(self, provider):
        return await self.run(self.store.delete, provider)

    async def list(self):
        return [provider for provider in self.providers if await self.get(provider) is not None]


def finish(future, value, error):
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
