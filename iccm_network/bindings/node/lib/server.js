"use strict";
// A server: its tools, its settings, and its life.
const os = require("node:os");
const { isMainThread } = require("node:worker_threads");
const native = require("./native.js");
const { check } = require("./errors.js");
const { checkOptions, checkType, toJson } = require("./options.js");
const { schemaText } = require("./schema.js");
const { serve } = require("./call.js");

const SETTINGS = {
  maxMessageBytes: "number", maxMemoryBytes: "number", maxConnections: "number", maxConnectsPerSecond: "number",
  maxMessagesPerSecond: "number", callTimeout: "number", shutdownTimeout: "number", allowPublic: "boolean",
  reuseport: "boolean", allowedOrigins: "any", allowedHosts: "any", authToken: "any", logUrl: "any", tls: "any",
};
const OPTIONS = { port: "number", version: "string", ...SETTINGS };

// The flags of mcp_tool_t.
const FLAGS = { logTraffic: 2, unlisted: 4, strict: 8, admin: 32 };
const TOOL_OPTIONS = {
  description: "string", title: "string", schema: "any", outputSchema: "any", annotations: "object", icons: "object",
  unlistedProperties: "object", clientCapabilities: "object", logTraffic: "boolean", unlisted: "boolean", strict: "boolean",
  admin: "boolean",
};

/** Sets one setting. null is "none" of the settings that are text. */
function set(handle, name, value) {
  if (name === "tls" && value !== null) return setTls(handle, value);
  if (value !== null || SETTINGS[name] !== "any") {
    checkType(value, SETTINGS[name] === "any" ? "string" : SETTINGS[name], `option ${name}`);
  }
  const status = native.serverSet(handle, name, value);
  check(status, `option ${name}: ${native.strerror(status)}`);
}

function setTls(handle, { cert, key }) {
  checkType(cert, "string", "option tls.cert");
  checkType(key, "string", "option tls.key");
  check(native.serverSet(handle, "tls", cert, key), native.lastError());
}

class Server {
  #name;
  #handle;
  #stopped = null; // a promise while the server is started, and its resolve function
  #stopping = false;

  constructor(name, options) {
    const { port = 0, version = "1.0.0", ...settings } = checkOptions(options, OPTIONS, "options of a server");
    checkType(name, "string", "the name of the server");
    this.#name = name;
    this.#handle = native.serverNew(name, version, port);
    for (const [key, value] of Object.entries(settings)) if (value !== undefined) set(this.#handle, key, value);
  }

  get port() {
    return native.serverPort(this.#handle);
  }

  tool(name, options, handler) {
    checkType(name, "string", "the name of the tool");
    const tool = checkOptions(options, TOOL_OPTIONS, "options of a tool");
    checkType(handler, "function", `the handler of ${name}`);
    const flags = Object.entries(FLAGS).reduce((sum, [key, flag]) => sum | (tool[key] ? flag : 0), 0);
    const served = { component: this.#name, schema: tool.schema, handler };
    const status = native.serverAddTool(
      this.#handle, serve.bind(null, served), flags, name, tool.description, tool.title,
      schemaText(tool.schema, "input"), schemaText(tool.outputSchema, "output"), toJson(tool.annotations),
      toJson(tool.icons), toJson(tool.unlistedProperties), toJson(tool.clientCapabilities));
    check(status, `tool ${name}: ${native.strerror(status)}`);
    return this;
  }

  removeTool(name) {
    checkType(name, "string", "the name of the tool");
    check(native.serverRemoveTool(this.#handle, name));
    return this;
  }

  setDependency(name, reason = null) {
    checkType(name, "string", "the name of the dependency");
    if (reason !== null) checkType(reason, "string", "the reason");
    check(native.serverSetDependency(this.#handle, name, reason));
  }

  reload() {
    check(native.serverReload(this.#handle), native.lastError());
  }

  async start() {
    check(native.serverStart(this.#handle));
    let resolve;
    const promise = new Promise((done) => (resolve = done));
    this.#stopped = { promise, resolve };
    return this;
  }

  async stop({ timeout } = {}) {
    const stopped = this.#stopped;
    if (stopped === null) return;
    if (!this.#stopping) {
      if (timeout !== undefined) set(this.#handle, "shutdownTimeout", timeout);
      check(native.serverStop(this.#handle, () => {
        this.#stopping = false;
        this.#stopped = null;
        stopped.resolve();
      }));
      this.#stopping = true;
    }
    await stopped.promise;
  }

  async run() {
    await this.start();
    const { promise } = this.#stopped;
    const handlers = isMainThread ? this.#signalHandlers() : {};
    for (const [signal, handler] of Object.entries(handlers)) process.on(signal, handler);
    if (isMainThread) native.serverReloadOnSighup(this.#handle); // an error is logged
    await promise;
    for (const [signal, handler] of Object.entries(handlers)) process.off(signal, handler);
  }

  /**
   * The first SIGTERM or SIGINT stops the server, the second ends the process. A server of standard input (port 0) gets a
   * SIGTERM from the library at the end of the input, and hosts send one a little later.
   */
  #signalHandlers() {
    let signals = this.port === 0 ? -1 : 0;
    const end = (signal) => {
      if (++signals > 1) process.exit(128 + os.constants.signals[signal]);
      this.stop();
    };
    return { SIGTERM: end, SIGINT: end };
  }
}

module.exports = { Server };
