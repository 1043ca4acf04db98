// Lists the tools of an MCP server and calls one, through the TypeScript SDK over WebSocket.
//
// usage: node ts_client.mjs URL TOOL ARGUMENTS-AS-JSON
//
// Prints one line of JSON {"server", "capabilities", "tools", "result", "unknown"}; "unknown" is the error code of a call
// of a tool that does not exist. Any error: its text on stderr and exit status 1.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { WebSocketClientTransport } from "@modelcontextprotocol/sdk/client/websocket.js";
import WebSocket from "ws";

globalThis.WebSocket = WebSocket; // Node 18 and 20 do not have one

const [url, tool, text] = process.argv.slice(2);
const client = new Client({ name: "ts-client", version: "1.0.0" }, { capabilities: {} });
await client.connect(new WebSocketClientTransport(new URL(url)));
await client.ping();
const { tools } = await client.listTools();
const result = await client.callTool({ name: tool, arguments: JSON.parse(text) });
const unknown = await client.callTool({ name: "no_such_tool", arguments: {} }).then(
  (answer) => answer,
  (error) => error.code,
);
console.log(
  JSON.stringify({
    server: client.getServerVersion(),
    capabilities: client.getServerCapabilities(),
    tools: tools.map((each) => each.name),
    result,
    unknown,
  }),
);
await client.close();
