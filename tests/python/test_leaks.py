"""Many calls, and nothing is left of them: no memory of the library (mcp_memory_blocks()), none of the extension module
(pymcp_blocks()), and no object of Python (tracemalloc, gc).

usage: test_leaks.py [--long]        (5,000 calls, or 100,000, and a fifth of it of each other kind)
"""
import asyncio
import gc
import sys
import tracemalloc

from common import LONG, Case, main
from iccm_network import Client, McpError, ToolError, current_call
from iccm_network._native import lib

CALLS = 100_000 if "--long" in sys.argv else 5_000
AT_ONCE = 50


class Leaks(Case):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        server = self.tested = self.server(max_connections=100)

        @server.tool
        async def echo(**args):
            return args

        @server.tool
        def thread(n: int):
            current_call().progress(1, 2, "half")
            return n

        @server.tool
        async def fails(n: int):
            raise ToolError("on purpose", data={"n": n})

        @server.tool
        async def forever():
            await asyncio.sleep(LONG)

        @server.tool
        async def nested():
            return await self.inner.call("echo", {"a": 1}, timeout=LONG)

        self.client = await self.serve(server)
        self.inner = await self.enterAsyncContext(Client(self.client.url))
        self.url = self.client.url

    async def settled(self):
        """The library's and the module's pieces of memory, and the bytes of Python."""
        loop = self.tested._loop
        await self.eventually(lambda: not loop.calls and not loop.waiting)
        await self.client.call("echo", timeout=LONG)
        gc.collect()
        return lib.mcp_memory_blocks(), lib.pymcp_blocks(), tracemalloc.get_traced_memory()[0]

    async def check(self, call, count=CALLS // 5):
        """Runs call(number) often, after some to fill what is kept for reuse; little may be left of them."""
        async def run(rounds):
            for start in range(0, rounds, AT_ONCE):
                await asyncio.gather(*(call(number) for number in range(start, start + AT_ONCE)))

        await run(AT_ONCE * 20)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        await run(AT_ONCE * 2)
        blocks, own, size = await self.settled()
        await run(count)
        blocks_after, own_after, size_after = await self.settled()
        self.assertEqual(own_after, own)
        self.assertLess(abs(blocks_after - blocks), 50)
        self.assertLess(size_after - size, 200_000 + 10 * count)  # less than the smallest object a call
        self.assertEqual(gc.garbage, [])

    async def test_calls(self):
        args = {"text": "x" * 100}
        await self.check(lambda n: self.client.call("echo", args | {"n": n}, timeout=LONG, trace_id="a trace"), CALLS)

    async def test_calls_on_threads_with_progress(self):
        await self.check(lambda n: self.client.call("thread", {"n": n}, timeout=LONG, on_progress=lambda *_: None))

    async def test_calls_that_fail(self):
        async def fails(n):
            try:
                await self.client.call(("fails", "no_such")[n % 2], {"n": n}, timeout=LONG)
            except McpError:
                pass

        await self.check(fails)

    async def test_calls_that_are_cancelled(self):
        async def cancelled(n):
            task = asyncio.create_task(self.client.call("forever", timeout=LONG))
            for _ in range(n % 5):
                await asyncio.sleep(0)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass

        await self.check(cancelled)

    async def test_nested_calls(self):
        await self.check(lambda n: self.client.call("nested", timeout=LONG))

    async def test_clients(self):
        async def whole(_):
            async with Client(self.url) as client:
                await client.call("echo", timeout=LONG)

        await self.check(whole, CALLS // 20)

    async def test_servers_and_tools(self):
        async def whole(n):
            server = self.server(f"server {n}")
            server.tool(name="one")(lambda: 1)
            async with server, Client(f"127.0.0.1:{server.port}") as client:
                server.tool(name="two")(lambda: 2)
                server.remove_tool("one")
                self.assertEqual(await client.call("two", timeout=LONG), 2)

        await self.check(whole, CALLS // 100)


if __name__ == "__main__":
    sys.argv = [each for each in sys.argv if each != "--long"]
    main()
