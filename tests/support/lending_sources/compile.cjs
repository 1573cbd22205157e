// node compile.cjs SOURCE NODE_MODULES COMPILER: {abi, bytecode} of the contract `Harness` in SOURCE, imports taken from NODE_MODULES.
const { readFileSync } = require("fs");
const { join } = require("path");

const [source, modules, compiler] = process.argv.slice(2);
const solc = require(join(modules, compiler));
const moved = (path) => path.replace(/^openzeppelin-contracts\/contracts/, "@openzeppelin/contracts");
const input = {
  language: "Solidity",
  sources: { "Harness.sol": { content: readFileSync(source, "utf8") } },
  settings: {
    optimizer: { enabled: true, runs: 200 }, viaIR: false, evmVersion: "paris",
    outputSelection: { "Harness.sol": { Harness: ["abi", "evm.bytecode.object"] } },
  },
};
const found = (path) => {
  try {
    return { contents: readFileSync(join(modules, moved(path)), "utf8") };
  } catch {
    return { error: "not there" };
  }
};
const told = JSON.parse(solc.compile(JSON.stringify(input), { import: found }));
const wrong = (told.errors || []).filter((e) => e.severity === "error");
if (wrong.length) {
  console.error(wrong.map((e) => e.formattedMessage).join("\n"));
  process.exit(1);
}
const contract = told.contracts["Harness.sol"].Harness;
console.log(JSON.stringify({ abi: contract.abi, bytecode: contract.evm.bytecode.object }));
