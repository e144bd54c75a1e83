const assert = require("node:assert");
const test = require("node:test");

const { greeting } = require("../src/greeting.js");

test("a greeting names whom it greets", () => {
  assert.match(greeting("Ada"), /\bAda!$/);
});
