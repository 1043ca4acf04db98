"""Shared code of the benchmarks in tests/bench that call one server repeatedly.

Happy path: `print_times(url, tool, queries, rounds)` runs each query in turn and prints a line for each.
Failure modes: an error response, or none within WAIT_S, ends the benchmark.
"""
import asyncio
import contextlib
import json
import os
import statistics
import time
from pathlib import Path

from caller import connect
from services import WAIT_S


def geometric(number):
    """Maps a number to 0 to 19; each value is half as frequent as the one before. Scattered, but deterministic."""
    mixed = (number * 2654435761 >> 7) % 2**19 + 2**19
    return (mixed & -mixed).bit_length() - 1


async def direct_call(ws, tool, arguments):
    """A direct call of a tool as a method; arguments and the returned response are JSON text."""
    await ws.send(f'{{"jsonrpc":"2.0","id":1,"method":"{tool}","params":{arguments}}}')
    answer = await asyncio.wait_for(ws.recv(), WAIT_S)
    assert '"result"' in answer, answer[:1000]
    return answer


async def elapsed_ms(waited):
    """Returns how long the awaitable takes, in milliseconds."""
    began = time.monotonic()
    await waited
    return (time.monotonic() - began) * 1000


def cpu_ms(processes):
    """CPU time of the processes and their children so far, in milliseconds."""
    ticks = 0
    for process in processes:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for pid in (process.pid, *children):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a child that has ended meanwhile
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])  # proc(5): utime and stime, counted from behind the name
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


async def print_times(url, tool, queries, rounds, count=len, servers=()):
    """Runs each query (name, share of rows that match, arguments) so many rounds, and prints the times and the CPU time per
    query; returns the longest median."""
    print(f"  {'query':36} {'fulfilled by':>12} {'found':>6} {'median ms':>10} {'longest ms':>10}{'CPU ms':>10}")
    slowest = 0
    async with connect(url) as ws:
        for name, share, filters in queries:
            arguments = json.dumps(filters)
            found = count(json.loads(await direct_call(ws, tool, arguments))["result"])
            before = cpu_ms(servers)
            times = [await elapsed_ms(direct_call(ws, tool, arguments)) for _ in range(rounds)]
            cpu = (cpu_ms(servers) - before) / rounds
            print(f"  {name:36} {share:>12} {found:6} {statistics.median(times):10.1f} {max(times):10.1f} {cpu:9.1f}", flush=True)
            slowest = max(slowest, statistics.median(times))
    return slowest
