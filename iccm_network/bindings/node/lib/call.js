"use strict";
// A call that is being served: the object that its handler gets, and the end of the call.
const { AsyncLocalStorage } = require("node:async_hooks");
const native = require("./native.js");
const { McpError, codes, check } = require("./errors.js");
const { levelNumber } = require("./level.js");
const { parseArguments } = require("./schema.js");
const { toJson } = require("./options.js");

const current = new AsyncLocalStorage();
const served = new Map(); // by number

// By mcp_cancel_reason_t.
const REASONS = [
  null,
  ["requested", "the caller cancelled the call"],
  ["disconnected", "the caller disconnected"],
  ["deadline", "the deadline of the call has passed"],
  ["stopping", "the server is stopping"],
];

function writeLog(level, message, data, part, span) {
  native.log(levelNumber(level), part, String(message), toJson(data, "data"), span);
}

class Call {
  #number; // undefined once it is ended
  #component;
  #controller = null;
  #reason = null; // of REASONS

  constructor(component, number, traceId, spanId, parentId) {
    this.#component = component;
    this.#number = number;
    this.traceId = traceId;
    this.span = traceId === null ? undefined : [traceId, spanId, parentId]; // valid after the end, too
    served.set(number, this);
  }

  get number() {
    return this.#number;
  }

  get ended() {
    return this.#number === undefined;
  }

  get cancelReason() {
    return this.#reason?.[0] ?? null;
  }

  get signal() {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#reason !== null) this.#abort();
    }
    return this.#controller.signal;
  }

  progress(progress, total = 0, message = undefined) {
    const status = native.callProgress(this.#number, Number(progress), Number(total), message);
    if (status !== codes.MCP_ESTATE) check(status); // a call that is cancelled or ended reports nothing
  }

  log(level, message, data) {
    if (this.ended) return writeLog(level, message, data, this.#component, this.span);
    native.callLog(this.#number, levelNumber(level), String(message), toJson(data, "data"));
  }

  #abort() {
    this.#controller.abort(new McpError(this.#reason[1], { code: codes.MCP_ECANCELED }));
  }

  /** Ends the call by a function of the addon, at most once. */
  end(function_, ...args) {
    const number = this.#number;
    if (number === undefined) return;
    this.#number = undefined;
    served.delete(number);
    function_(number, ...args);
  }

  static onCancelled(number) {
    const call = served.get(number);
    call.#reason = REASONS[native.callCancelReason(number)];
    if (call.#controller !== null) call.#abort();
  }
}
native.setOnCancelled(Call.onCancelled);

/** A result in MCP content blocks. */
class Content {
  constructor(blocks, { structured, isError = false } = {}) {
    Object.assign(this, { blocks, structured, isError });
  }
}

function reply(call, result) {
  if (result instanceof Content) {
    const structured = toJson(result.structured, "structured");
    call.end(native.callReplyContent, toJson(result.blocks, "content"), structured, result.isError);
  } else {
    call.end(native.callReply, toJson(result, "the result") ?? "null");
  }
}

/** Fails with a message for the caller. It does not know the codes of the library, nor those of other peers. */
function failWith(call, { code, message, data }) {
  const isTool = code <= -32000 && code >= -32099;
  call.end(native.callFail, isTool ? code : codes.MCP_TOOL_ERROR, String(message), toJson(data, "data"));
}

/** The stack alone: other properties of an error may hold secrets, such as the headers of a request. */
function textOf(error) {
  try {
    return String(error?.stack ?? error);
  } catch {
    return "an error that has no text";
  }
}

/** Any other error may contain paths or SQL: only the log has it. After a cancellation it is expected. */
function failInternally(call, error) {
  if (call.cancelReason === null) call.log("ERROR", `the tool failed: ${textOf(error)}`);
  call.end(native.callFail, codes.MCP_INTERNAL_ERROR, "the tool failed: see the log of the server", null);
}

async function run(call, text, { schema, handler }) {
  try {
    const { args, problem } = await parseArguments(schema, JSON.parse(text));
    if (problem === undefined) reply(call, await handler(args, call));
    else call.end(native.callFail, codes.MCP_INVALID_PARAMS, `invalid arguments: ${problem}`, null);
  } catch (error) {
    try {
      if (error instanceof McpError) failWith(call, error);
      else failInternally(call, error);
    } catch (unwritable) { // the data of the McpError is not JSON
      failInternally(call, unwritable);
    }
  }
}

/** Serves one call of a tool: { component, schema, handler }. */
function serve(tool, number, text, traceId, spanId, parentId) {
  const call = new Call(tool.component, number, traceId, spanId, parentId);
  current.run(call, run, call, text, tool);
}

module.exports = { Content, currentCall: () => current.getStore(), serve, writeLog };
