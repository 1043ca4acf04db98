// What a handler calls carries its trace, and is cancelled with it: from iccm, through the package, to a server in C.
import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { call, currentCall, log } from "iccm-network";
import { BUILD, client, deferred, iccm, serve, started, until } from "./helper.mjs";

const traced = { env: { ...process.env, LOG_LEVEL: "TRACE" } };

test("a trace through three processes", async (t) => {
  const echo = await serve(t, `${BUILD}/examples/echo`, ["0"], traced);
  const component = await serve(t, process.execPath, [`${BUILD}/examples/node/component.mjs`, "0"], traced);
  const args = ["url=" + echo.url, "tool=echo", 'args={"a":1}'];
  assert.match(await iccm(t, "call", "--trace", "trace-9", component.url, "relay", ...args), /1/);
  for (const server of [component, echo]) {
    await until(() => /Tool call completed.*\[trace-9\]/.test(server.output()), "the line has the trace");
  }
});

test("the span of the caller is the parent, also once the caller's call has ended", async (t) => {
  const inner = await started(t, { span: (_, call) => call.span });
  const detached = deferred();
  const outer = await started(t, {
    now: async (_, call) => [call.span, await call_inner()],
    later: (_, call) => {
      setTimeout(() => {
        log("INFO", "detached");
        call_inner().then((span) => detached.resolve([call.ended, currentCall() === call, call.span, span]));
      }, 1);
    },
  });
  const call_inner = () => call(inner.url, "span");
  const [own, other] = await call(outer.url, "now", {}, { traceId: "t" });
  assert.deepEqual([own[0], other[0], other[2]], ["t", "t", own[1]]);
  await call(outer.url, "later", {}, { traceId: "u" });
  const [ended, same, before, after] = await detached.promise;
  assert.deepEqual([ended, same, after[0], after[2]], [true, true, "u", before[1]]);
});

test("a cancellation travels through all hops", async (t) => {
  const reasons = [];
  const far = await started(t, {
    wait: async (_, call) => {
      arrived.resolve();
      await sleep(2 ** 30, undefined, { signal: call.signal }).catch(() => reasons.push(call.cancelReason));
    },
  });
  const near = await started(t, { relay: () => peer.call("wait", {}, { timeout: 2 ** 30 }) });
  const peer = client(t, far.url), arrived = deferred(), controller = new AbortController();
  const aborted = assert.rejects(client(t, near.url).call("relay", {}, { signal: controller.signal }), { name: "AbortError" });
  await arrived.promise;
  controller.abort();
  await aborted;
  await until(() => reasons.length === 1, "the far handler sees it");
  assert.deepEqual(reasons, ["requested"]);
});
