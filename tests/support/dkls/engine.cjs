// A threshold engine over the owner's own installation of a DKLs23 library: `node engine.cjs FOLDER`, FOLDER being that package's.
// It speaks the lines of keys/mpc_engine.py. Nothing of the library is here, and nothing here is installed with Fairlead.
"use strict";
const readline = require("node:readline");
const { KeygenSession, Keyshare, Message, SignSession } = require(process.argv[2]);

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const hex = (bytes) => Buffer.from(bytes).toString("hex");
const say = (message) => process.stdout.write(JSON.stringify(message) + "\n");

async function hear() {
  const { value, done } = await lines.next();
  if (done) process.exit(1);
  return JSON.parse(value);
}

async function main() {
  const asked = await hear();
  const me = asked.party;
  const out = (messages) =>
    messages.map((m) => ({ to: m.to_id ?? null, data: Buffer.from(m.payload).toString("base64") }));
  const read = (got, all) =>
    got.filter((g) => g.all === all).map((g) => new Message(Buffer.from(g.data, "base64"), g.from, all ? undefined : me));
  const round = async (send) => {
    say({ send });
    return (await hear()).got;
  };

  if (asked.do === "sign") {
    const session = new SignSession(Keyshare.fromBytes(Buffer.from(asked.share, "hex")), "m");
    let got = await round(out([session.createFirstMessage()]));
    got = await round(out(session.handleMessages(read(got, true))));
    got = await round(out(session.handleMessages(read(got, false))));
    session.handleMessages(read(got, false));
    got = await round(out([session.lastMessage(Buffer.from(asked.digest, "hex"))]));
    const [r, s] = session.combine(read(got, true));
    say({ done: { r: hex(r), s: hex(s) } });
    return;
  }

  const session =
    asked.do === "keygen"
      ? new KeygenSession(asked.total, asked.threshold, me)
      : KeygenSession.initKeyRotation(Keyshare.fromBytes(Buffer.from(asked.share, "hex")));
  let got = await round(out([session.createFirstMessage()]));
  const second = out(session.handleMessages(read(got, true)));
  const commitments = [];
  commitments[me] = session.calculateChainCodeCommitment();
  const mine = Buffer.from(commitments[me]).toString("base64");
  got = await round([...second, { to: null, data: mine }]);
  for (const g of got.filter((m) => m.all)) commitments[g.from] = new Uint8Array(Buffer.from(g.data, "base64"));
  got = await round(out(session.handleMessages(read(got, false))));
  got = await round(out(session.handleMessages(read(got, false), commitments)));
  session.handleMessages(read(got, true));
  const share = session.keyshare();
  say({ done: { public: hex(share.publicKey), share: hex(share.toBytes()) } });
}

// Ends by itself once the last line is written: exit() would cut it off.
main()
  .catch((error) => say({ fail: String(error).slice(0, 200), party: null }))
  .finally(() => process.stdin.destroy());
