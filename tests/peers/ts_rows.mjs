// What the TypeScript SDK's WebSocket client asks of a server, one case for each row of that table: plays the case, and
// says what that client saw. What ought to be seen is known to the test that starts it.
//
// usage: node ts_rows.mjs CASE URL
//
// Prints one line of JSON. Any error that is not part of the case: its text on stderr and exit status 1.
import { once } from "node:events";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { WebSocketClientTransport } from "@modelcontextprotocol/sdk/client/websocket.js";
import { Protocol } from "@modelcontextprotocol/sdk/shared/protocol.js";
import { CallToolResultSchema, SUPPORTED_PROTOCOL_VERSIONS } from "@modelcontextprotocol/sdk/types.js";
import WebSocket, { WebSocketServer } from "ws";

const [name, url] = process.argv.slice(2);

// The client's socket, which records all messages in both directions.
class Recorded extends WebSocket {
  static last;
  sent = [];
  received = [];
  binary = 0;

  constructor(address, protocols) {
    super(address, protocols, { finishRequest: Recorded.finishRequest });
    Recorded.last = this;
    this.on("message", (data, binary) => {
      this.received.push(JSON.parse(data));
      this.binary += binary;
    });
    this.closed = new Promise((resolve) => this.on("close", resolve));
  }

  static finishRequest(request, socket) {
    socket.offered = request.getHeaders();
    request.end();
  }

  send(text, ...words) {
    this.sent.push(JSON.parse(text));
    super.send(text, ...words);
  }

  answer(id) {
    return this.received.find((message) => message.id === id);
  }
}
globalThis.WebSocket = Recorded;

function fresh() {
  const client = new Client({ name: "ts-rows", version: "1.0.0" }, { capabilities: {} });
  const errors = [];
  client.onerror = (error) => errors.push(String(error));
  return { client, errors, transport: new WebSocketClientTransport(new URL(url)) };
}

async function connected() {
  const scene = fresh();
  await scene.client.connect(scene.transport);
  return { ...scene, socket: Recorded.last };
}

const call = (client, tool, args, options) => client.callTool({ name: tool, arguments: args }, undefined, options);
const failure = (promise) => promise.then(() => "no error", (error) => ({ code: error.code, message: error.message }));

// Calls tamper(message) for each message before it is sent, and then() after.
function intercept(transport, tamper, then = () => {}) {
  const send = transport.send.bind(transport);
  transport.send = (message) => {
    const sent = send(tamper(message));
    then(message);
    return sent;
  };
}

// What the client makes of a server that answers initialize with result; options are those of the WebSocket server.
async function standIn(options, result) {
  const server = new WebSocketServer({ port: 0, ...options });
  server.on("connection", (socket) =>
    socket.on("message", (data) => socket.send(JSON.stringify({ jsonrpc: "2.0", id: JSON.parse(data).id, result }))),
  );
  await once(server, "listening");
  const transport = new WebSocketClientTransport(new URL(`ws://127.0.0.1:${server.address().port}`));
  const { message } = await failure(fresh().client.connect(transport));
  await Recorded.last.closed;
  server.close();
  return message;
}

const cases = {
  async handshake() {
    const { client, socket } = await connected();
    const said = {
      offered: socket.offered,
      protocol: socket.protocol,
      extensions: socket.extensions,
      tools: (await client.listTools()).tools.length,
    };
    await client.close();
    return said;
  },

  async subprotocol() {
    return {
      none: await standIn({ handleProtocols: () => false }),
      other: await standIn({ handleProtocols: () => "other" }),
    };
  },

  async ids() {
    const { client, socket } = await connected();
    await client.ping();
    await client.listTools();
    await client.close();
    return {
      sent: socket.sent.map(({ id, method }) => [method, id ?? null]),
      answered: socket.received.map(({ id }) => id),
    };
  },

  // A call without initialize, so that it is the one with id 0 and progressToken 0.
  async token_zero() {
    const { client, transport } = fresh();
    const heard = [];
    await Protocol.prototype.connect.call(client, transport);
    const socket = Recorded.last;
    const params = { name: "later", arguments: { ms: 80, steps: 4 } };
    const result = await client.request({ method: "tools/call", params }, CallToolResultSchema, {
      onprogress: ({ progress }) => heard.push(progress),
    });
    await client.close();
    return { sent: socket.sent[0], received: socket.received, heard, result };
  },

  async versions() {
    const answers = {};
    for (const version of SUPPORTED_PROTOCOL_VERSIONS) {
      const { client, transport } = fresh();
      intercept(transport, (message) =>
        message.method === "initialize"
          ? { ...message, params: { ...message.params, protocolVersion: version } }
          : message,
      );
      await client.connect(transport);
      await client.ping();
      answers[version] = Recorded.last.answer(0).result.protocolVersion;
      await client.close();
    }
    const strange = { protocolVersion: "1999-01-01", capabilities: {}, serverInfo: { name: "s", version: "1" } };
    return { answers, unknown: await standIn({}, strange) };
  },

  // Given up as soon as it is sent. The client would close then; it is kept from that, to see the connection go on.
  async abandoned() {
    const { client, transport } = fresh();
    const patience = new AbortController();
    const close = transport.close.bind(transport);
    transport.close = async () => {};
    intercept(
      transport,
      (message) => message,
      ({ method }) => method === "initialize" && patience.abort("given up"),
    );
    const { code } = await failure(client.connect(transport, { signal: patience.signal }));
    const socket = Recorded.last;
    await client.ping();
    await close();
    const again = await connected();
    await again.client.ping();
    await again.client.close();
    return { code, sent: socket.sent.map(({ method, params }) => [method, params?.requestId ?? null]) };
  },

  async binary() {
    const { client, socket } = await connected();
    await call(client, "later", { ms: 0, text: "\u20ac" });
    await failure(call(client, "fail", {}));
    WebSocket.prototype.send.call(socket, Buffer.from('{"jsonrpc":"2.0","id":9,"method":"ping"}'));
    return { closed: await socket.closed, received: socket.received.length, binary: socket.binary };
  },

  async no_batch() {
    const { client, socket, errors } = await connected();
    const before = socket.received.length;
    const texts = [
      '[{"jsonrpc":"2.0","id":70,"method":"ping"}]',
      "[]",
      "{",
      '{"jsonrpc":"2.0","method":5}',
      '{"jsonrpc":"2.0","id":71}',
      '{"jsonrpc":"2.0","id":"72","method":"nothing"}',
      '{"jsonrpc":"2.0","id":73,"method":"tools/call","params":[]}',
    ];
    for (const text of texts) {
      WebSocket.prototype.send.call(socket, text);
    }
    await client.ping();
    await client.close();
    const answers = socket.received.slice(before).map((answer) => [answer.id, answer.error?.code ?? null]);
    return { answers, complaints: errors.length };
  },

  async pings() {
    const { client, socket } = await connected();
    const answer = await client.ping();
    socket.ping("there?");
    const [pong] = await once(socket, "pong");
    await client.close();
    return { answer, pong: String(pong) };
  },

  // Says nothing until the server asks whether it is still there.
  async idle() {
    const { client, socket } = await connected();
    await once(socket, "ping");
    const answer = await client.ping();
    await client.close();
    return { answer };
  },

  // Says "in flight" when its calls are; the server is then killed, and started again.
  async lost() {
    const { client, socket } = await connected();
    const calls = [1, 2, 3].map(() => failure(call(client, "later", { ms: 600000 })));
    await client.ping(); // the calls came before it
    console.log("in flight");
    await socket.closed;
    const failures = await Promise.all(calls);
    const after = await failure(client.ping());
    const deadline = Date.now() + 60000 * Number(process.env.TEST_TIMEOUT_MULTIPLIER ?? 1);
    for (;;) {
      try {
        const again = await connected();
        const result = await call(again.client, "later", { ms: 0, again: true });
        await again.client.close();
        return { failures, after, result, sent: again.socket.sent.map(({ method }) => method) };
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  },

  // One call is given up by its time limit, one by its caller after its first progress; the third outlasts both.
  async cancelled() {
    const { client, socket, errors } = await connected();
    const patience = new AbortController();
    const timed = failure(call(client, "later", { ms: 1000 }, { timeout: 50 }));
    const aborted = failure(
      call(
        client,
        "later",
        { ms: 250, steps: 4 },
        { signal: patience.signal, onprogress: () => patience.abort("enough") },
      ),
    );
    const [first, second] = socket.sent.slice(-2).map(({ id }) => id);
    const told = await Promise.all([timed, aborted]);
    const at = socket.received.length;
    const last = await call(client, "later", { ms: 1500 });
    await client.close();
    return {
      told: told.map(({ code }) => code),
      ids: [first, second],
      cancelled: socket.sent
        .filter(({ method }) => method === "notifications/cancelled")
        .map(({ params }) => params.requestId),
      after: socket.received.slice(at).map(({ id, method }) => method ?? id),
      last: socket.sent.at(-1).id,
      content: last.content,
      errors,
    };
  },

  async order() {
    const { client, socket } = await connected();
    const heard = [];
    const onprogress = ({ progress }) => heard.push(progress);
    const result = await call(client, "later", { ms: 80, steps: 5 }, { onprogress });
    await client.close();
    const frames = socket.received.slice(1).map(({ method, params }) => (method ? params.progress : "result"));
    return { frames, heard, result };
  },

  // What is sent comes back twice: as text, and structured. The client itself takes 100 MiB.
  async large() {
    const send = async (bytes) => {
      const { client, socket, errors } = await connected();
      const echo = call(client, "later", { ms: 0, text: "x".repeat(bytes) });
      const length = await echo.then(({ content }) => content[0].text.length, () => null);
      await client.close();
      return { length, closed: await socket.closed, errors };
    };
    return { fine: await send(20_000_000), theirs: await send(55_000_000), ours: await send(67_108_864) };
  },

  async output() {
    const { client, socket } = await connected();
    const { tools } = await client.listTools();
    const before = socket.received.length;
    const said = { promised: tools.find((tool) => tool.name === "shaped").outputSchema };
    said.right = (await call(client, "shaped", { how: "right" })).structuredContent;
    said.wrong = (await failure(call(client, "shaped", { how: "wrong" }))).code;
    said.bare = (await failure(call(client, "shaped", { how: "bare" }))).code;
    said.refused = (await call(client, "shaped", { how: "refused" })).isError;
    await client.close();
    said.frames = socket.received.slice(before).map(({ result, error }) => ({
      structured: result?.structuredContent ?? null,
      is_error: result?.isError ?? false,
      code: error?.code ?? null,
    }));
    return said;
  },

  async one_page() {
    const { client, socket } = await connected();
    const { tools, nextCursor } = await client.listTools();
    await client.close();
    return { tools: tools.map((tool) => tool.name), nextCursor: nextCursor ?? null, sent: socket.sent.length };
  },
};

console.log(JSON.stringify(await cases[name]()));
