// The split search of Uniswap's smart-order-router over quotes it is told: an order a line of standard input, an answer a line.
//
// Finding pools (a subgraph) and quoting (a chain) need the network, so routes and their quotes are ours, each of an exact pool;
// what is theirs is the whole choice of percentages and routes, by the package's own exported function.
"use strict";
const readline = require("node:readline");
const root = require("@uniswap/smart-order-router");
const { ChainId, Token, TradeType } = require("@uniswap/sdk-core");
const { Protocol } = require("@uniswap/router-sdk");
const { BigNumber } = require("@ethersproject/bignumber");
const base = "@uniswap/smart-order-router/build/main";
const amounts = require(`${base}/util/amounts`);
const routes = require(`${base}/util/routes`);
const { getBestSwapRouteBy } = require(`${base}/routers/alpha-router/functions/best-swap-route`);
const { usdGasTokensByChain } = require(`${base}/routers/alpha-router/gas-models`);
if (!root.AlphaRouter) throw new Error("the package exports no AlphaRouter");

routes.routeToString = () => "";
routes.routeAmountsToString = () => "";
const chain = ChainId.MAINNET;
const dollar = usdGasTokensByChain[chain][0];
const portions = { getRouteWithQuotePortionAdjusted: (_type, found) => found };
const token = (n) => new Token(chain, `0x${(n + 1).toString(16).padStart(40, "0")}`, 18);

async function answer(line) {
  const told = JSON.parse(line);
  const [sell, buy] = [token(1), token(2)];
  const raw = (value) => amounts.CurrencyAmount.fromRawAmount(buy, `${value}`);
  const begun = process.hrtime.bigint();
  const quotes = {};
  const percents = told.percents;
  told.routes.forEach((route, index) => {
    percents.forEach((percent, at) => {
      const quote = route.quotes[at];
      if (!quote) return;
      const [out, net] = quote;
      (quotes[percent] ??= []).push({
        index, percent, protocol: Protocol.MIXED, poolIdentifiers: route.pools, quoteToken: buy, quote: raw(out), rawQuote: BigNumber.from(out),
        quoteAdjustedForGas: raw(net), gasEstimate: BigNumber.from(0), gasCostInToken: raw(0),
        gasCostInUSD: amounts.CurrencyAmount.fromRawAmount(dollar, 0), amount: amounts.CurrencyAmount.fromRawAmount(sell, told.parts[at]),
        route: { input: sell, output: buy, chainId: chain }, toString: () => "",
      });
    });
  });
  const plans = [];
  for (const maxSplits of told.splits) {
    const copy = Object.fromEntries(Object.entries(quotes).map(([percent, list]) => [percent, [...list]]));
    const from = process.hrtime.bigint();
    let found = null;
    let fault = "";
    try {
      found = await getBestSwapRouteBy(
        TradeType.EXACT_INPUT, copy, percents, chain, (quote) => quote.quoteAdjustedForGas,
        { minSplits: 1, maxSplits, forceCrossProtocol: false, distributionPercent: told.percents[0] }, portions,
      );
    } catch (error) {
      fault = `${error && error.message ? error.message : error}`;
    }
    const parts = found ? found.routes.map((part) => [part.index, part.percent]) : [];
    plans.push({ name: `${maxSplits} splits`, parts, ms: Number(process.hrtime.bigint() - from) / 1e6, fault: found ? "" : fault || "none" });
  }
  return { plans, objects_ms: Number(process.hrtime.bigint() - begun) / 1e6 };
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    if (!line) continue;
    process.stdout.write(`${JSON.stringify(await answer(line))}\n`);
  }
})();
