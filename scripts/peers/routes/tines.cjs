// Sushi's Tines over the pools it is told of: a market in the first line of standard input, then an order a line, an answer a line.
//
// Pools of constant product and of ranges are Tines' own classes; weighted and stable ones, which it has none of (or none with
// these fees), are pairs of the same formula behind its abstract pool. Gas is each pool's own. Every number of flows is tried.
"use strict";
const readline = require("node:readline");
const tines = require("@sushiswap/tines");

const FLOWS = [1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 100];

class Product extends tines.ConstantProductRPool {}

class Ranges extends tines.UniV3Pool {
  calcOutByIn(amount, direction, strict) {
    const sold = super.calcOutByIn(amount, direction, strict);
    // Its own constants of gas a step give way to the pool's.
    const crossed = Math.max(Math.round((sold.gasSpent - Ranges.first) / Ranges.step), 0);
    return { out: sold.out, gasSpent: this.gas + this.perTick * crossed };
  }
}

class Formula extends tines.RPool {
  // `curve(amount, direction)` is what comes out; reserves only say how deep the pool is.
  constructor(address, a, b, fee, reserves, gas, curve) {
    super(address, a, b, fee, reserves[0], reserves[1], 1, gas);
    this.curve = curve;
  }
  calcOutByIn(amount, direction) {
    const out = amount > 0 ? this.curve(amount, direction) : 0;
    if (!(out >= 0)) throw "OutOfLiquidity";
    return { out, gasSpent: this.swapGasCost };
  }
  calcInByOut() {
    throw "only exact inputs are asked for";
  }
  calcCurrentPriceWithoutFee(direction) {
    const dust = Number(direction ? this.reserve0 : this.reserve1) * 1e-9;
    return this.curve(dust, direction) / dust / (1 - this.fee);
  }
}

function weighted(pool, i, j) {
  const keep = 1 - pool.fee;
  return (amount, direction) => {
    const [a, b] = direction ? [i, j] : [j, i];
    const net = amount * keep;
    if (net > 0.3 * pool.balances[a]) return NaN;
    return pool.balances[b] * -Math.expm1((-pool.weights[a] / pool.weights[b]) * Math.log1p(net / pool.balances[a]));
  };
}

// The rows of knots that every curve of the market is told by, between which liquidity is constant.
function knots(pool, i, j) {
  const rows = [pool.rows[`${i}>${j}`], pool.rows[`${j}>${i}`]];
  return (amount, direction) => {
    const row = rows[direction ? 0 : 1];
    if (!row) return NaN;
    const net = amount * row.keep;
    let k = row.ins.length - 1;
    while (k > 0 && row.ins[k] > net) k--;
    if (k === row.ins.length - 1) return NaN;
    const inverse = 1 / row.s[k] + (net - row.ins[k]) / row.lin[k];
    return row.outs[k] + row.lout[k] * (row.s[k] - 1 / inverse);
  };
}

function pairs(pool, tokens, number) {
  const found = [];
  const name = (i, j) => `0x${number.toString(16).padStart(36, "0")}${(i * 16 + j).toString(16).padStart(4, "0")}`;
  const n = pool.assets.length;
  for (let i = 0; i < n; i++)
    for (let j = i + 1; j < n; j++) {
      let one;
      const [a, b] = [tokens[pool.assets[i]], tokens[pool.assets[j]]];
      if (pool.kind === "product") {
        one = new Product(name(i, j), a, b, pool.fee, BigInt(pool.reserves[0]), BigInt(pool.reserves[1]));
        one.swapGasCost = pool.gas;
      } else if (pool.kind === "ranges") {
        const ticks = pool.ticks.map(([index, net]) => ({ index, DLiquidity: BigInt(net) }));
        // Only whether there is something to take matters here.
        const held = [BigInt(pool.held[0]), BigInt(pool.held[1])];
        one = new Ranges(name(i, j), a, b, pool.fee, held[0], held[1], pool.tick, BigInt(pool.liquidity), BigInt(pool.sqrt), ticks);
        one.gas = pool.gas;
        one.perTick = pool.perTick;
      } else {
        const reserves = [BigInt(Math.floor(pool.balances[i])), BigInt(Math.floor(pool.balances[j]))];
        const curve = pool.kind === "weighted" ? weighted(pool, i, j) : knots(pool, i, j);
        one = new Formula(name(i, j), a, b, pool.fee, reserves, pool.gas, curve);
      }
      found.push([one, number, i, j]);
    }
  return found;
}

// What Tines charges for the first and for each further range, read off a pool with ticks.
function readGas() {
  const t = (n) => ({ address: `0x${"0".repeat(39)}${n}`, name: `${n}`, symbol: `${n}`, chainId: 1, decimals: 18 });
  const nets = [[-887220, 10n ** 20n], [-10, 10n ** 20n], [10, -(10n ** 20n)], [887220, -(10n ** 20n)]];
  const ticks = nets.map(([index, DLiquidity]) => ({ index, DLiquidity }));
  const pool = new tines.UniV3Pool("0x1", t(1), t(2), 0, 10n ** 30n, 10n ** 30n, 0, 2n * 10n ** 20n, 2n ** 96n, ticks);
  Ranges.first = pool.calcOutByIn(1e9, true).gasSpent;
  Ranges.step = pool.calcOutByIn(1e18, true).gasSpent - Ranges.first;
}

let market = null;
function answer(line) {
  const told = JSON.parse(line);
  if (told.market) {
    readGas();
    const tokens = told.market.nodes.map((decimals, k) => ({
      address: `0x${(k + 1).toString(16).padStart(40, "0")}`, name: `${k}`, symbol: `${k}`, chainId: 1, decimals,
    }));
    const all = told.market.pools.flatMap((pool, number) => pairs(pool, tokens, number));
    market = { tokens, native: told.market.native, pools: all.map(([one]) => one), known: new Map(all.map((p) => [p[0].address, p])) };
    return { ready: all.length };
  }
  const { tokens } = market;
  const networks = [{ chainId: 1, baseToken: tokens[market.native], gasPrice: told.gasPrice }];
  const plans = [];
  for (const flows of FLOWS) {
    const begun = process.hrtime.bigint();
    let route = null;
    let fault = "";
    try {
      route = tines.findMultiRouteExactIn(tokens[told.sell], tokens[told.buy], BigInt(told.amount), market.pools, networks, told.gasPrice, flows);
    } catch (error) {
      fault = `${error && error.message ? error.message : error}`;
    }
    const ms = Number(process.hrtime.bigint() - begun) / 1e6;
    const ok = route && route.status === "Success";
    const legs = ok
      ? route.legs.map((leg) => {
          const [, number, i, j] = market.known.get(leg.poolAddress);
          const forward = leg.tokenFrom.address === tokens[told.assets[number][i]].address;
          return [number, forward ? i : j, forward ? j : i, leg.assumedAmountIn];
        })
      : [];
    plans.push({ name: `${flows} flows`, legs, ms, fault: ok ? "" : fault || (route ? route.status : "none") });
  }
  return { plans };
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    if (!line) continue;
    process.stdout.write(`${JSON.stringify(answer(line))}\n`);
  }
})();
