// Writes the flow: GET /greet/:name → src/greeting.js → answer.
const fs = require("node:fs");
const path = require("node:path");

const { greeting } = require("../src/greeting.js");

const flow = { z: "flow", x: 0, y: 0 };
const nodes = [
  { id: "flow", type: "tab", label: "Greeter" },
  { ...flow, id: "in", type: "http in", url: "/greet/:name", method: "get", wires: [["words"]] },
  { ...flow, id: "words", type: "function", outputs: 1, wires: [["out"]],
    func: `${greeting}\nmsg.payload = greeting(msg.req.params.name);\nreturn msg;` },
  { ...flow, id: "out", type: "http response", statusCode: "200", wires: [] },
];

const target = process.argv[2];
fs.mkdirSync(path.dirname(target), { recursive: true });
fs.writeFileSync(target, JSON.stringify(nodes, null, 2));
console.log(`${nodes.length} nodes in ${target}`);
