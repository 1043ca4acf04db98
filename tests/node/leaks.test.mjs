// Many calls leave no memory behind, in the library and in JavaScript. TEST_CALLS: their number.
import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, McpError, memoryBlocks } from "iccm-network";
import { client, started } from "./helper.mjs";

const CALLS = Number(process.env.TEST_CALLS ?? 4000);
const AT_ONCE = 50;

/** A memory that only grows shows in the second half of the calls, too. */
async function measure(calls) {
  const figures = [];
  for (let half = 0; half < 2; half++) {
    for (let i = 0; i < CALLS / 2; i += AT_ONCE) await Promise.all(Array.from({ length: AT_ONCE }, (_, j) => calls(i + j)));
    for (let i = 0; i < 3; i++) {
      globalThis.gc();
      await sleep(10);
    }
    figures.push({ blocks: memoryBlocks(), heap: process.memoryUsage().heapUsed });
  }
  const [first, second] = figures;
  assert.ok(second.blocks <= first.blocks + 20, JSON.stringify(figures));
  assert.ok(second.heap < first.heap + 100 * CALLS + 1e6, JSON.stringify(figures));
}

test("calls of every outcome", async (t) => {
  const { url } = await started(t, {
    echo: async (args) => args,
    fail: async () => { throw new McpError("no", { data: { a: 1 } }); },
    progress: (_, call) => { call.progress(1); return call.signal.aborted; },
    wait: (_, call) => new Promise((resolve) => call.signal.addEventListener("abort", resolve)),
    nested: () => peer.call("echo", { nested: true }),
  });
  const peer = client(t, url);
  const kinds = [
    () => peer.call("echo", { text: "x".repeat(100) }),
    () => peer.call("fail").catch(() => {}),
    () => peer.call("progress", {}, { onProgress: () => {} }),
    () => peer.call("nested"),
    () => { // cancelled
      const controller = new AbortController();
      setImmediate(() => controller.abort());
      return peer.call("wait", {}, { signal: controller.signal }).catch(() => {});
    },
  ];
  await measure((i) => kinds[i % kinds.length]());
});

test("clients that are closed, and clients that are lost", async (t) => {
  const { url } = await started(t, { echo: (args) => args });
  let lost = 0;
  await measure(async (i) => {
    if (i % 50 !== 0) return;
    const used = new Client(url);
    await used.call("echo");
    new Client(url); // never used
    if (lost++ % 2) await used.close(); // else the collector closes it
  });
});
