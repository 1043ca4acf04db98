// Log lines of the package, as Godot gets them: a server of this process takes the place of Godot.
import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { call, log, logEnabled } from "iccm-network";
import { started, until } from "./helper.mjs";

test("lines are shipped with level, component, trace and data, without secrets", async (t) => {
  const lines = [];
  const godot = await started(t, {
    logger_log: [{ logTraffic: true }, (line) => { lines.push(line); return { status: "ok" }; }],
  }, { name: "godot" });
  const { url } = await started(t, {
    work: async (_, call) => {
      log("WARN", "at once", { password: "p", deep: [{ api_key: "k", kept: 1 }] });
      await sleep(1);
      log("ERROR", "after an await: ä\u0000𝄞");
      call.log("INFO", "by the call");
      setTimeout(() => log("INFO", "after the end"), 1);
    },
  }, { logUrl: godot.url });
  await call(url, "work", {}, { traceId: "trace-5" });
  log("INFO", "outside of calls", undefined, "test");
  log("DEBUG", "below the level");

  const find = (message) => lines.find((line) => line.message.startsWith(message));
  for (const message of ["at once", "after an await", "by the call", "after the end", "outside"]) {
    await until(() => find(message), message);
  }
  const { level, component, trace_id, data } = find("at once");
  assert.deepEqual([level, component, trace_id, data.password], ["WARN", "test", "trace-5", "[REDACTED]"]);
  assert.deepEqual(data.deep, [{ api_key: "[REDACTED]", kept: 1 }]);
  assert.match(find("after an await").message, /ä.*𝄞/);
  for (const message of ["after an await", "by the call", "after the end"]) assert.equal(find(message).trace_id, "trace-5", message);
  assert.equal(find("after the end").data.span_id, data.span_id);
  assert.equal(find("outside").trace_id ?? null, null);
  assert.equal(find("below the level"), undefined);
  assert.deepEqual([logEnabled("DEBUG"), logEnabled("INFO")], [false, true]);
});
