"use strict";
// A client: calls of the tools of one server.
const native = require("./native.js");
const { McpError, codes, check } = require("./errors.js");
const { checkOptions, checkType, toJson } = require("./options.js");
const { currentCall } = require("./call.js");

const SETTINGS = {
  maxMessageBytes: "number", authToken: "any", tlsCa: "any", tlsVerify: "boolean", failFast: "boolean",
};
const OPTIONS = { ...SETTINGS, onState: "function", onNotification: "function" };
const CALL_OPTIONS = { timeout: "number", signal: "object", onProgress: "function", traceId: "string" };

// The kinds of requests of the addon's clientCall().
const KINDS = { tool: 0, request: 1, listTools: 2 };

const parse = (text) => (text === null ? undefined : JSON.parse(text));

/** The error of a result, or null. */
function errorOf(status, isError, data, message) {
  if (status === 0 && !isError) return null;
  return new McpError(message, { code: status === 0 ? codes.MCP_TOOL_ERROR : status, data });
}

class Client {
  #handle;
  #closed = null; // the promise of close()

  constructor(url, options) {
    const { onState, onNotification, ...settings } = checkOptions(options, OPTIONS, "options of a client");
    checkType(url, "string", "the address");
    this.#handle = native.clientNew(
      url,
      onState && ((status, reason) => onState(errorOf(status, false, undefined, reason))),
      onNotification && ((method, params) => onNotification(method, parse(params))));
    for (const [name, value] of Object.entries(settings)) if (value !== undefined) this.#set(name, value);
  }

  #set(name, value) {
    if (SETTINGS[name] === "any" && value !== null) checkType(value, "string", `option ${name}`);
    const status = native.clientSet(this.#handle, name, value);
    check(status, name === "tlsCa" ? native.lastError() : `option ${name}: ${native.strerror(status)}`);
  }

  connect() {
    check(native.clientConnect(this.#handle));
    return this;
  }

  async call(tool, args, options) {
    checkType(tool, "string", "the name of the tool");
    return this.#send(KINDS.tool, tool, args, options);
  }

  async request(method, params, options) {
    checkType(method, "string", "the method");
    return this.#send(KINDS.request, method, params, options);
  }

  async listTools(options) {
    return this.#send(KINDS.listTools, null, undefined, options);
  }

  #send(kind, name, args, options) {
    const { timeout = 0, signal, onProgress, traceId } = checkOptions(options, CALL_OPTIONS, "options of a call");
    if (args !== undefined && (typeof args !== "object" || args === null || Array.isArray(args))) {
      throw new TypeError("the arguments are not an object");
    }
    const json = toJson(args, "the arguments");
    const parent = traceId === undefined ? currentCall() : undefined;
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      const onResult = (status, isError, text, message) => {
        signal?.removeEventListener("abort", onAbort);
        const value = parse(text);
        const error = errorOf(status, isError, value, message);
        if (error === null) resolve(value);
        else reject(signal?.aborted ? signal.reason : error);
      };
      const id = native.clientCall(
        this.#handle, kind, name, json, timeout, traceId, parent?.number, parent?.span, onProgress, onResult);
      const onAbort = () => native.clientCancel(this.#handle, id);
      if (id < 0) return reject(errorOf(id, false, undefined, native.strerror(id)));
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  close() {
    this.#closed ??= new Promise((resolve) => {
      if (!native.clientClose(this.#handle, resolve)) resolve();
    });
    return this.#closed;
  }
}

/** One call of a tool over a separate connection. */
async function call(url, tool, args, options) {
  const client = new Client(url);
  try {
    return await client.call(tool, args, options);
  } finally {
    await client.close();
  }
}

module.exports = { Client, call };
