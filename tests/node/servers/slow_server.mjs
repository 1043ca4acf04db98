// slow_server.mjs: tests/system/slow_server.c on the package: the same tools, for the same tests.
import fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Content, McpError, Server } from "iccm-network";

const integer = (minimum) => ({ type: "integer", minimum });
const msSchema = (more) => ({ type: "object", properties: { ms: integer(0), ...more }, required: ["ms"] });

const server = new Server("slow", { port: Number(process.argv[2] ?? 0) });

// A handler in Node must not block: this one waits as later does.
server.tool("sleep", { schema: msSchema() }, async (args) => {
  await sleep(args.ms);
  return args;
});
server.tool("later", { schema: msSchema({ steps: integer(1) }) }, async (args, call) => {
  const steps = args.steps ?? 1;
  for (let step = 1; step <= steps; step++) {
    await sleep(args.ms, undefined, { signal: call.signal });
    call.progress(step, steps);
  }
  return args;
});
server.tool("forget", {}, () => {
  throw new Error("a handler always answers: this is as near as it gets");
});
server.tool("refuse", {}, () => {
  throw new McpError("refused on purpose");
});
server.tool("fail", {}, () => {
  throw new McpError("failed on purpose", { code: -32050, data: { error_code: "ON_PURPOSE" } });
});
server.tool("nonsense", {}, () => 1n);
server.tool("print", {}, () => {
  console.log("printed by a handler");
  fs.writeSync(1, "written by a handler\n");
  return fs.readSync(0, Buffer.alloc(64));
});
server.tool("lines", {}, () => ({ two: "li\nes" }));

const how = { type: "object", properties: { how: { enum: ["right", "wrong", "bare", "refused"] } }, required: ["how"] };
const outputSchema = { type: "object", properties: { n: { type: "integer" } }, required: ["n"] };
server.tool("shaped", { schema: how, outputSchema }, ({ how }) => {
  if (how === "refused") throw new McpError("refused on purpose");
  if (how === "bare") return new Content([{ type: "text", text: '{"n":1}' }]);
  return { n: how === "wrong" ? "no number" : 1 };
});

await server.run();
