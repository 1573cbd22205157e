// node compile.cjs SOURCE NODE_MODULES COMPILER: {abi, bytecode, libraries} of the contract `Harness` in SOURCE, imports taken from NODE_MODULES;
// `libraries` are those it calls, code by address.
const { readFileSync } = require("fs");
const { join } = require("path");

const [source, modules, compiler] = process.argv.slice(2);
const solc = require(join(modules, compiler));
const moved = (path) => path.replace(/^openzeppelin-contracts\/contracts/, "@openzeppelin/contracts");
const LIBRARIES = {
  "@aave-dao/aave-v3-origin/src/contracts/protocol/libraries/logic/LiquidationLogic.sol": "LiquidationLogic",
  "@aave/core-v3/contracts/protocol/libraries/logic/LiquidationLogic.sol": "LiquidationLogic",
};
const address = (n) => "0x" + (0x11b0000 + n).toString(16).padStart(40, "0");
const linked = Object.fromEntries(Object.entries(LIBRARIES).map(([path, name], n) => [path, { [name]: address(n) }]));
const called = Object.fromEntries(Object.entries(LIBRARIES).map(([path, name]) => [path, { [name]: ["evm.deployedBytecode.object"] }]));
const input = {
  language: "Solidity",
  sources: { "Harness.sol": { content: readFileSync(source, "utf8") } },
  settings: {
    optimizer: { enabled: true, runs: 200 }, viaIR: false, evmVersion: "paris",
    libraries: linked,
    outputSelection: { "Harness.sol": { Harness: ["abi", "evm.bytecode.object"] }, ...called },
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
const libraries = {};
Object.entries(LIBRARIES).forEach(([path, name], n) => {
  const found = told.contracts[path]?.[name];
  if (found) libraries[address(n)] = found.evm.deployedBytecode.object;
});
console.log(JSON.stringify({ abi: contract.abi, bytecode: contract.evm.bytecode.object, libraries }));
