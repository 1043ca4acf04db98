"use strict";
// Lines for the log, with the trace of the call that is being served.
const native = require("./native.js");
const { checkType } = require("./options.js");
const { currentCall, writeLog } = require("./call.js");
const { levelNumber } = require("./level.js");

function log(level, message, data, part) {
  const call = currentCall();
  if (part === undefined && call !== undefined) return call.log(level, message, data);
  if (part !== undefined) checkType(part, "string", "part");
  writeLog(level, message, data, part, call?.span);
}

const logEnabled = (level) => native.logEnabled(levelNumber(level));

module.exports = { log, logEnabled };
