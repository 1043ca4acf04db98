"""One import of the maximum message size beside a thousand small callers: Godot and Dewey serve all of them."""
import asyncio
import resource
import unittest

from caller import CallError, Caller
from services import System, main, wait_until_async

MESSAGE = 200 * 2**20
CALLERS, AT_ONCE = 1000, 50
OTHER_DESCRIPTORS = 300  # of a server: its handshakes and spare ones; of the test: next to none
ENTRY = {"component": "c", "level": "INFO", "message": "m"}


def caller_count():
    """As many as descriptors allow, where these are few."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most >= CALLERS + OTHER_DESCRIPTORS:
        return CALLERS
    count = (most - OTHER_DESCRIPTORS) // AT_ONCE * AT_ONCE
    print(f"NOT RUN: memory: {CALLERS} callers, since {most} descriptors are allowed here: {count} instead")
    return count


def largest_import():
    """As it is sent: 200 MiB less what the relay and Godot may add to it."""
    content = "x" * (2**20 - 100)
    messages = [{"role": "user", "content": content} for _ in range(MESSAGE // 2**20 - 1)]
    return {"messages": messages, "session_id": "s"}


class Memory(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.system = self.enterContext(System())
        await asyncio.to_thread(self.system.start)

    async def open(self):
        """All callers, some at a time: no handshake waits for more than a few others."""
        callers = [Caller(self.system.godot_url, ping_interval=None) for _ in range(caller_count())]
        for at in range(0, len(callers), AT_ONCE):
            await asyncio.gather(*(caller.__aenter__() for caller in callers[at : at + AT_ONCE]))
        return callers

    async def log(self, caller):
        """Until it is taken: on a slow machine Redis may be called unavailable meanwhile."""

        async def taken():
            try:
                return (await caller.call("logger_log", ENTRY))["status"] == "ok"
            except CallError as error:
                self.assertEqual(str(error), "-32000: queue unavailable, retry")
                return False

        await wait_until_async(taken, "the line is taken")

    async def import_messages(self):
        async with Caller(self.system.godot_url, max_size=None, ping_interval=None) as caller:
            return await caller.call("conversation_store_messages_bulk", largest_import())

    async def test_the_largest_import_beside_a_thousand_callers(self):
        callers = await self.open()
        importing = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(self.import_messages())))
        rounds = 0
        while rounds < 2 or not importing.done():
            for at in range(0, len(callers), AT_ONCE):
                await asyncio.gather(*(self.log(caller) for caller in callers[at : at + AT_ONCE]))
            rounds += 1
        self.assertEqual((await importing)["messages_stored"], MESSAGE // 2**20 - 1)
        await asyncio.gather(*(caller.__aexit__() for caller in callers))


if __name__ == "__main__":
    main()
