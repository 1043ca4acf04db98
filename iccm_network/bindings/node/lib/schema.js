"use strict";
// Schemas of tools: JSON Schema as an object, or a schema of zod or of another library that implements Standard JSON Schema.
const { toJson } = require("./options.js");

const TARGET = { target: "draft-2020-12" };

/** The JSON text of a schema. direction is "input" for arguments and "output" for results. */
function schemaText(schema, direction) {
  const standard = schema?.["~standard"];
  if (standard === undefined) return toJson(schema, "the schema");
  const convert = standard.jsonSchema?.[direction];
  if (convert === undefined) {
    throw new TypeError(`this schema of ${standard.vendor} has no JSON Schema: use zod 4.2 or newer, or a JSON Schema`);
  }
  return JSON.stringify(convert(TARGET));
}

/** The arguments for the handler, or the problem with them. zod applies defaults and transformations. */
function parseArguments(schema, args) {
  const standard = schema?.["~standard"];
  return standard === undefined ? { args } : parseBy(standard, args);
}

async function parseBy(standard, args) {
  const result = await standard.validate(args);
  if (result.issues === undefined) return { args: result.value };
  const [{ path = [], message }] = result.issues;
  const place = path.map((step) => step?.key ?? step).join(".");
  return { problem: place === "" ? message : `${place}: ${message}` };
}

module.exports = { schemaText, parseArguments };
