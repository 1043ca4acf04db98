"use strict";
// The levels of log lines.
const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"];

function levelNumber(name) {
  const number = LEVELS.indexOf(name);
  if (number < 0) throw new TypeError(`unknown level ${String(name)}: expected one of ${LEVELS.join(", ")}`);
  return number;
}

module.exports = { levelNumber };
