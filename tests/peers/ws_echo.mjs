// The benchmark's other side: an echo tool on Node's ws, as plainly as it can be written.
//
// usage: node ws_echo.mjs PORT        (0: a free one; says "listening on port N" on stderr)
import { WebSocketServer } from "ws";

const tool = { name: "echo", description: "Answers its arguments", inputSchema: { type: "object" } };

function answer(request) {
  switch (request.method) {
    case "initialize":
      return {
        result: {
          protocolVersion: request.params?.protocolVersion ?? "2024-11-05",
          capabilities: { tools: {} },
          serverInfo: { name: "ws-echo", version: "1.0.0" },
        },
      };
    case "ping":
      return { result: {} };
    case "tools/list":
      return { result: { tools: [tool] } };
    case "tools/call":
      return { result: { content: [{ type: "text", text: JSON.stringify(request.params.arguments) }] } };
    default:
      return { error: { code: -32601, message: "Method not found" } };
  }
}

const server = new WebSocketServer({ port: Number(process.argv[2]), perMessageDeflate: false });
server.on("listening", () => console.error(`listening on port ${server.address().port}`));
server.on("connection", (socket) => {
  socket.on("message", (message) => {
    const request = JSON.parse(message);
    if (request.id !== undefined) {
      socket.send(JSON.stringify({ jsonrpc: "2.0", id: request.id, ...answer(request) }));
    }
  });
});
