// A host of the TypeScript SDK that starts one of our servers on stdio.
//
// usage: node ts_own_stdio.mjs COMMAND ARGUMENT...
//
// Prints one line of JSON {"server", "tools", "result", "errors"}: name and version of the server, its tools, the result
// of echo, and the errors of the transport. Any other error: exit status 1.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

const [command, ...args] = process.argv.slice(2);
const client = new Client({ name: "ts-own-stdio", version: "1.0.0" }, { capabilities: {} });
const transport = new StdioClientTransport({ command, args, env: process.env });
const errors = [];
transport.onerror = (error) => errors.push(String(error));
await client.connect(transport);
await client.ping();
const { tools } = await client.listTools();
const result = await client.callTool({ name: "echo", arguments: { text: "grüße\n", list: [1, 2.5, null] } });
const server = client.getServerVersion();
await client.close();
console.log(JSON.stringify({ server, tools: tools.map((each) => each.name), result, errors }));
