// Loaded before Alto (node --require), which has no option for the address it listens on: every server of the process on 127.0.0.1.
"use strict";
const net = require("node:net");
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (first, ...rest) {
  if (typeof first === "object" && first !== null && "port" in first) {
    return listen.call(this, { ...first, host: "127.0.0.1" }, ...rest);
  }
  if (typeof first === "number" || /^\d+$/.test(String(first))) {
    return listen.call(this, { port: Number(first), host: "127.0.0.1" }, ...rest.filter((r) => typeof r === "function"));
  }
  throw new Error("this process listens on 127.0.0.1 ports only");
};
