// A host that only speaks stdio, made with the TypeScript SDK, whose server is killed and comes back.
//
// usage: node ts_stdio.mjs COMMAND ARGUMENT...
//
// Starts the command as its server. Prints "calling" once a call is on its way that will not end by itself, and after that
// has failed one line of JSON {"server", "tools", "first", "lost", "again", "progress"}: the answers of three calls of
// slow_server's tools, "lost" being the error of the one that was under way. Any other error: exit status 1.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

const [command, ...args] = process.argv.slice(2);
const client = new Client({ name: "ts-stdio", version: "1.0.0" }, { capabilities: {} });
await client.connect(new StdioClientTransport({ command, args, env: process.env }));
const { tools } = await client.listTools();
const first = await client.callTool({ name: "sleep", arguments: { ms: 1 } });
const lost = client.callTool({ name: "later", arguments: { ms: 600000, steps: 1 } }).then(
  () => null,
  (error) => ({ code: error.code, message: error.message, data: error.data }),
);
await client.ping();
console.log("calling");
await lost;
const progress = [];
const again = await client.callTool({ name: "later", arguments: { ms: 20, steps: 3 } }, undefined, {
  onprogress: (each) => progress.push(each.progress),
});
console.log(
  JSON.stringify({
    server: client.getServerVersion().name,
    tools: tools.map((each) => each.name),
    first: first.structuredContent,
    lost: await lost,
    again: again.structuredContent,
    progress,
  }),
);
await client.close();
