// The benchmark's other side over HTTP: an echo tool on Node's own http, as plainly as it can be written. It knows
// revision 2026-07-28 alone, and checks nothing.
//
// usage: node http_echo.mjs PORT        (0: a free one; says "listening on port N" on stderr)
import { createServer } from "node:http";

const tool = { name: "echo", description: "Answers its arguments", inputSchema: { type: "object" } };
const cached = { resultType: "complete", ttlMs: 0, cacheScope: "private" };

function answer(request) {
  switch (request.method) {
    case "server/discover":
      return { result: { ...cached, supportedVersions: ["2026-07-28"], capabilities: { tools: {} } } };
    case "tools/list":
      return { result: { ...cached, tools: [tool] } };
    case "tools/call":
      return {
        result: {
          resultType: "complete",
          content: [{ type: "text", text: JSON.stringify(request.params.arguments) }],
        },
      };
    default:
      return { error: { code: -32601, message: "Method not found" } };
  }
}

const server = createServer((request, response) => {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", () => {
    const message = JSON.parse(Buffer.concat(pieces));
    const body = JSON.stringify({ jsonrpc: "2.0", id: message.id, ...answer(message) });
    response.writeHead(200, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) });
    response.end(body);
  });
});
server.keepAliveTimeout = 60000;
server.listen(Number(process.argv[2]), () => console.error(`listening on port ${server.address().port}`));
