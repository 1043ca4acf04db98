"""A process with a server, and how it ends: signals, sys.exit, functions that never return, fork.

Each case is a program of its own; its output tells what happened.
"""
import asyncio
import signal
from pathlib import Path

from caller import Caller
from common import AsyncTestCase, main, program
from services import ProgramGroup, wait_until_async

SERVER = """
    import asyncio, os, signal, sys, threading, time
    from iccm_network import *

    server = Server("ending", shutdown_timeout={timeout})

    @server.tool
    async def echo(**args): return args

    @server.tool
    async def forever():
        print("began", flush=True)
        try:
            await asyncio.sleep(3600)
        finally:
            print("cleaned up", flush=True)

    @server.tool
    async def stubborn():
        print("began", flush=True)
        while True:
            try: await asyncio.sleep(3600)
            except asyncio.CancelledError: print("ignored", flush=True)

    @server.tool
    async def finishes():
        print("began", flush=True)
        while not os.path.exists("{go}"): await asyncio.sleep(0.01)
        return "finished"

    @server.tool
    def hangs():
        print("began", flush=True)
        threading.Event().wait()

    @server.tool
    async def leave(): sys.exit(7)

    @server.tool
    def leave_thread(): sys.exit(7)

    {run}
    print("the end", flush=True)
"""


class Case(AsyncTestCase):
    def setUp(self):
        self.group = self.enterContext(ProgramGroup())
        self.go = f"{self.group.directory}/go"

    def start(self, run="server.run()", timeout=3600, text=SERVER):
        return self.enterContext(program(self.group, text.format(run=run, timeout=timeout, go=self.go)))

    async def calls(self, script, *tools):
        """A caller, and calls of the tools in flight."""
        caller = await self.enterAsyncContext(Caller(f"ws://127.0.0.1:{script.port()}"))
        tasks = [asyncio.create_task(caller.request("tools/call", {"name": tool, "arguments": {}})) for tool in tools]
        await wait_until_async(lambda: script.output().count("began") == len(tools), "the calls have begun")
        return tasks


class Signals(Case):
    async def test_calls_in_flight_finish(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            script = self.start()
            (call,) = await self.calls(script, "finishes")
            script.signal(number)
            await wait_until_async(lambda: "Server stopping" in script.output(), "it stops")
            open(self.go, "w").close()
            self.assertEqual((await call)["result"]["content"][0]["text"], '"finished"')
            self.assertEqual(script.wait(), 0)
            self.assertIn("the end", script.output())

    async def test_calls_that_do_not_finish_are_cancelled(self):
        script = self.start(timeout=0.1)
        calls = await self.calls(script, "forever", "stubborn", "hangs")
        script.signal(signal.SIGTERM)
        for call in calls:
            self.assertEqual((await call)["error"]["message"], "the server is stopping")
        # asyncio.run() cancels what still runs once more, and waits for it.
        await wait_until_async(lambda: script.output().count("ignored") >= 2, "asyncio ends the tasks")
        self.assertIn("cleaned up", script.output())
        self.assertIn("the tool stubborn of ending still runs", script.output())
        script.kill()

    async def test_a_thread_that_never_returns_does_not_keep_the_process(self):
        script = self.start(timeout=0.1)
        (call,) = await self.calls(script, "hangs")
        script.signal(signal.SIGTERM)
        self.assertEqual((await call)["error"]["message"], "the server is stopping")
        self.assertEqual(script.wait(), 0)
        self.assertIn("the end", script.output())

    async def test_a_second_signal_ends_it_at_once(self):
        script = self.start()
        (call,) = await self.calls(script, "forever")
        script.signal(signal.SIGTERM)
        await wait_until_async(lambda: "Server stopping" in script.output(), "it stops")
        script.signal(signal.SIGTERM)
        with self.assertRaises(ConnectionError):
            await call
        self.assertEqual(script.wait(), 128 + signal.SIGTERM)
        self.assertNotIn("the end", script.output())

    async def test_another_signal_while_it_stops_ends_it_at_once(self):
        script = self.start()
        (call,) = await self.calls(script, "forever")
        script.signal(signal.SIGTERM)
        await wait_until_async(lambda: "Server stopping" in script.output(), "it stops")
        script.signal(signal.SIGINT)
        with self.assertRaises(ConnectionError):
            await call
        self.assertEqual(script.wait(), 128 + signal.SIGINT)

    async def test_afterwards_signals_do_what_they_did(self):
        run = """
    signals = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
    signal.signal(signal.SIGTERM, lambda number, _: print("mine", number, flush=True))

    async def main(end):
        before = [signal.getsignal(number) for number in signals]
        task = asyncio.create_task(server.serve())
        while not server.port: await asyncio.sleep(0.001)
        while signal.getsignal(signal.SIGINT) == before[1]: await asyncio.sleep(0.001)
        end(task)
        await asyncio.wait([task])
        after = [signal.getsignal(number) for number in signals]
        print("the same" if after == before else after, flush=True)

    asyncio.run(main(lambda task: task.cancel()))
    asyncio.run(main(lambda task: os.kill(os.getpid(), signal.SIGTERM)))
    asyncio.run(main(lambda task: os.kill(os.getpid(), signal.SIGINT)))
    signal.raise_signal(signal.SIGTERM)
"""
        script = self.start(run)
        self.assertEqual(script.wait(), 0)
        self.assertEqual(script.output().count("the same"), 3, script.output())
        self.assertIn("mine 15", script.output())

    async def test_sighup_reads_the_tokens_again(self):
        tokens = Path(self.group.directory) / "tokens"
        tokens.write_text("")
        self.group.settings["ICCM_TOKENS"] = str(tokens)
        script = self.start()
        script.port()
        tokens.write_text(f"ada read never sha256:{'0' * 64}\n")
        script.signal(signal.SIGHUP)
        script.wait_for("tokens reloaded: 1")
        script.signal(signal.SIGTERM)
        self.assertEqual(script.wait(), 0)

    async def test_sighup_without_files_is_left_alone(self):
        script = self.start("signal.signal(signal.SIGHUP, signal.SIG_DFL); server.run()")
        script.port()
        script.signal(signal.SIGHUP)
        self.assertEqual(script.wait(), -signal.SIGHUP)

    async def test_a_signal_while_no_call_is_in_flight(self):
        script = self.start()
        script.port()
        script.signal(signal.SIGTERM)
        self.assertEqual(script.wait(), 0)
        self.assertIn("the end", script.output())


class Exit(Case):
    async def test_sys_exit_in_a_tool(self):
        for tool in ("leave", "leave_thread"):
            script = self.start(timeout=0.1)
            caller = await self.enterAsyncContext(Caller(f"ws://127.0.0.1:{script.port()}"))
            answer = await caller.request("tools/call", {"name": tool, "arguments": {}})
            self.assertEqual(answer["error"]["code"], -32603, tool)
            self.assertEqual(script.wait(), 7, tool)
            self.assertIn("Server stopped", script.output())

    async def test_sys_exit_with_other_calls_in_flight(self):
        script = self.start()
        (call,) = await self.calls(script, "forever")
        caller = await self.enterAsyncContext(Caller(f"ws://127.0.0.1:{script.port()}"))
        await caller.request("tools/call", {"name": "leave", "arguments": {}})
        self.assertEqual((await call)["error"]["message"], "the call was cancelled")
        self.assertEqual(script.wait(), 7)
        self.assertIn("cleaned up", script.output())

    def ends_with(self, status, run, output="^"):
        script = self.start(run)
        self.assertEqual(script.wait(), status)
        self.assertRegex(script.output(), output)

    async def test_a_process_may_end_without_a_stop(self):
        async_part = "asyncio.new_event_loop().run_until_complete(server.start())"
        self.ends_with(0, async_part, "the end")
        self.ends_with(5, async_part + "; sys.exit(5)")
        self.ends_with(6, async_part + "; os._exit(6)")

    async def test_a_loop_may_be_closed_without_a_stop(self):
        self.ends_with(0, "loop = asyncio.new_event_loop(); loop.run_until_complete(server.start()); loop.close()", "the end")

    async def test_an_exception_of_the_program_ends_it(self):
        run = "\n    ".join(["async def main():", "    async with server: 1 / 0", "asyncio.run(main())"])
        self.ends_with(1, run, "ZeroDivisionError")

    async def test_a_port_in_use(self):
        first = self.start()
        self.ends_with(
            1,
            f"Server('second', port={first.port()}).run()",
            rf"McpError: cannot start second on port {first.port()}: address already in use",
        )


FORK = """
    import asyncio, os, sys
    from iccm_network import *

    server = Server("parent", shutdown_timeout=1)

    @server.tool
    async def echo(**args): return args

    def child(work):
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            status = 9
            try:
                work()
                status = 0
            except McpError as error:
                print("child:", error, flush=True)
                status = 3
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    {body}
"""


class Fork(Case):
    def lines(self, *body):
        script = self.start("", text=FORK.replace("{body}", "\n    ".join(body)))
        self.assertEqual(script.wait(), 0, script.output())
        return script.output()

    async def test_a_child_of_a_process_that_has_not_begun(self):
        output = self.lines(
            "async def main():",
            "    async with server, Client(f'localhost:{{server.port}}') as client:",
            "        print('served', await client.call('echo', {{'a': 1}}), flush=True)",
            "print('status', child(lambda: asyncio.run(main())))",
            "asyncio.run(main())",
        )
        self.assertEqual(output.count("served {'a': 1}"), 2)
        self.assertIn("status 0", output)

    async def test_a_child_of_a_process_that_serves(self):
        output = self.lines(
            "async def main():",
            "    async with server, Client(f'localhost:{{server.port}}') as client:",
            "        await client.call('echo')",
            "        asyncio.events._set_running_loop(None)",
            "        print('client', child(lambda: sync_call(client.url, 'echo')))",
            "        print('server', child(lambda: Server('child')))",
            "        print('nothing', child(lambda: None))",
            "        asyncio.events._set_running_loop(loop)",
            "        print('served', await client.call('echo', {{'a': 1}}))",
            "loop = asyncio.new_event_loop()",
            "loop.run_until_complete(main())",
        )
        self.assertIn("client 3", output)
        self.assertIn("server 3", output)
        self.assertIn("nothing 0", output)
        self.assertIn("child: this process was forked from one that used iccm_network: start it by 'spawn'", output)
        self.assertIn("served {'a': 1}", output)

    async def test_a_child_of_a_process_with_a_blocking_client(self):
        output = self.lines(
            "client = SyncClient('localhost:1', fail_fast=True)",
            "try: client.call('echo')",
            "except McpError as error: print('parent:', error.name)",
            "print('status', child(lambda: client.call('echo')))",
            "client.close()",
        )
        self.assertIn("parent: MCP_ECONNECT", output)
        self.assertIn("child: this process was forked", output)
        self.assertIn("status 3", output)

    async def test_a_child_may_log(self):
        output = self.lines(
            "import logging",
            "logging.basicConfig(handlers=[LogHandler()])",
            "async def main():",
            "    async with server:",
            "        print('status', child(lambda: logging.error('from the child')))",
            "asyncio.run(main())",
        )
        self.assertIn("root: from the child", output)
        self.assertIn("status 0", output)


if __name__ == "__main__":
    main()
