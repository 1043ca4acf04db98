"use strict";
// Errors with the codes, names and texts of the library.
const native = require("./native.js");

const codes = Object.freeze({ ...native.codes });
const names = new Map(Object.entries(codes).map(([name, code]) => [code, name]));

/** The name of a code: "MCP_ETIMEOUT". Codes of tools have that of MCP_TOOL_ERROR. */
function nameOf(code) {
  const isTool = code <= -32000 && code >= -32099;
  return names.get(code) ?? (isTool ? "MCP_TOOL_ERROR" : "McpError");
}

class McpError extends Error {
  constructor(message, { code = codes.MCP_TOOL_ERROR, data, ...options } = {}) {
    super(message, options);
    this.name = nameOf(code);
    this.code = code;
    if (data !== undefined) this.data = data;
  }
}

/** Throws the error of a code that is not 0. */
function check(code, message = native.strerror(code)) {
  if (code !== 0) throw new McpError(message, { code });
}

module.exports = { McpError, codes, check };
