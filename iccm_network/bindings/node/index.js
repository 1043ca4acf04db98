"use strict";
// iccm-network for CommonJS. index.d.ts is the reference.
const { McpError, codes } = require("./lib/errors.js");
const { Content, currentCall } = require("./lib/call.js");
const { Server } = require("./lib/server.js");
const { Client, call } = require("./lib/client.js");
const { log, logEnabled } = require("./lib/log.js");
const env = require("./lib/env.js");
const native = require("./lib/native.js");

module.exports = {
  Server, Client, call, currentCall, Content, McpError, codes, log, logEnabled, env,
  version: native.version,
  memoryBlocks: native.memoryBlocks,
};
