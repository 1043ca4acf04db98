#!/usr/bin/env node
// component.mjs: a tool that waits for the system, a tool that responds later, a tool with progress and cancellation, and a
// tool that calls another one.
import { statfs } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, McpError, Server, log } from "iccm-network";

const server = new Server("component", { port: Number(process.argv[2] ?? 9000) });

server.tool("disk", { description: "Free bytes of the root file system" }, async () => {
  const { bavail, bsize } = await statfs("/");
  return bavail * bsize;
});

let waiting = null; // the call of meet that waits for a second one

server.tool("meet", { description: "Answers two callers at once" }, (_, call) => {
  if (waiting !== null) {
    waiting.resolve("met");
    waiting = null;
    return "met";
  }
  return new Promise((resolve, reject) => {
    waiting = { resolve };
    call.signal.addEventListener("abort", () => {
      waiting = null;
      reject(new McpError("no second caller"));
    });
  });
});

const counted = { type: "object", properties: { to: { type: "integer" } }, required: ["to"] };

server.tool("count", { description: "Counts, and reports its progress", schema: counted }, async ({ to }, call) => {
  let done = 0;
  for (; done < to && !call.signal.aborted; done++) {
    await sleep(10);
    call.progress(done + 1, to); // sent if the caller supplied a token
  }
  log("INFO", done < to ? "cancelled" : "done"); // with the trace of the call
  return done; // also after a cancellation
});

const relayed = {
  type: "object",
  properties: { url: { type: "string" }, tool: { type: "string" }, args: { type: "object" } },
  required: ["url", "tool"],
};

server.tool("relay", { description: "Calls a tool of another server", schema: relayed }, async ({ url, tool, args }) => {
  const client = new Client(url);
  try {
    return await client.call(tool, args ?? undefined); // carries the trace of this call, and is cancelled with it
  } finally {
    await client.close();
  }
});

await server.run();
