"use strict";
// Settings from the environment, read by the library: an invalid value is logged, and throws MCP_EENV.
const native = require("./native.js");
const { check, codes } = require("./errors.js");
const { checkType } = require("./options.js");

function read(function_, name, ...rest) {
  checkType(name, "string", "the name of the variable");
  const value = function_(name, ...rest);
  if (value === undefined) check(codes.MCP_EENV);
  return value;
}

function int(name, fallback, { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = {}) {
  if (![fallback, min, max].every(Number.isSafeInteger)) throw new TypeError("fallback, min and max must be integers");
  return read(native.envInt, name, fallback, min, max);
}

function bool(name, fallback) {
  checkType(fallback, "boolean", "the fallback");
  return read(native.envBool, name, fallback);
}

const text = (name, fallback) => read(native.envText, name) ?? fallback;

const directories = (name) => read(native.envDirectories, name).split(":").filter(Boolean);

function dataPath(name, file) {
  checkType(file, "string", "the file");
  return read(native.envDataPath, name, file);
}

module.exports = { int, bool, text, directories, dataPath };
