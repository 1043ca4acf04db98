"use strict";
// Checks of arguments and options: a wrong one throws a TypeError that names the value and what is expected.

/** The names and types of options: { timeout: "number" }. "any" is any type. Returns options, {} if it is undefined. */
function checkOptions(options, types, what) {
  if (options === undefined) return {};
  if (options === null || typeof options !== "object") throw new TypeError(`${what} are ${options}: expected an object`);
  for (const [name, value] of Object.entries(options)) {
    const type = types[name];
    if (type === undefined) throw new TypeError(`unknown option ${name}: ${what} are ${Object.keys(types).join(", ")}`);
    if (value !== undefined && type !== "any") checkType(value, type, `option ${name}`);
  }
  return options;
}

/** A number has to be an integer of at least 0, as all numbers of the library are. */
function checkType(value, type, what) {
  const fits = type === "number" ? Number.isSafeInteger(value) && value >= 0 : typeof value === type;
  const expected = type === "number" ? "an integer of at least 0" : `a ${type}`;
  const shown = typeof value === "object" ? "an object" : String(value);
  if (!fits) throw new TypeError(`${what} is ${shown}: expected ${expected}`);
  if (type === "string" && value.includes("\0")) throw new TypeError(`${what} contains NUL`);
}

/** JSON text of a value; null if it is undefined. */
function toJson(value, what) {
  if (value === undefined) return null;
  const text = JSON.stringify(value);
  if (text === undefined) throw new TypeError(`${what} is a ${typeof value}, which is not JSON`);
  return text;
}

module.exports = { checkOptions, checkType, toJson };
