// @uniswap/v3-sdk's own quotes of the pools it is told, timed by itself: one line of standard input, one of standard output.
// In: {pools: [{fee, spacing, sqrt, liquidity, tick, ticks: [[index, net]]}], sales: [[pool, side, amount]]}. Out: {out: [text], ms}.
const { Pool, TickListDataProvider, FeeAmount, TICK_SPACINGS } = require('@uniswap/v3-sdk');
const { Token, CurrencyAmount } = require('@uniswap/sdk-core');
const JSBI = require('jsbi');
const { readFileSync } = require('fs');
const { dirname, join } = require('path');

async function main() {
  let text = '';
  for await (const part of process.stdin) text += part;
  const told = JSON.parse(text);
  const pools = told.pools.map((pool, k) => {
    const two = [1, 2].map((n) => new Token(1, '0x' + (2 * k + n).toString(16).padStart(40, '0'), 18));
    const ticks = pool.ticks.map(([index, net]) => {
      const size = JSBI.BigInt(net.replace('-', ''));
      return { index, liquidityNet: JSBI.BigInt(net), liquidityGross: size };
    });
    const known = Object.values(FeeAmount).includes(pool.fee) && TICK_SPACINGS[pool.fee] === pool.spacing;
    if (!known) throw new Error(`a fee of ${pool.fee}`);
    return { two, pool: new Pool(two[0], two[1], pool.fee, pool.sqrt, pool.liquidity, pool.tick, ticks) };
  });
  const wanted = told.sales.map(([k, side, amount]) => [pools[k].pool, CurrencyAmount.fromRawAmount(pools[k].two[side], amount)]);
  const out = [];
  for (const [pool, amount] of wanted.slice(0, 50)) await pool.getOutputAmount(amount).catch(() => null);
  const begun = process.hrtime.bigint();
  for (const [pool, amount] of wanted) {
    try {
      out.push((await pool.getOutputAmount(amount))[0].quotient.toString());
    } catch (error) {
      out.push('');
    }
  }
  const ms = Number(process.hrtime.bigint() - begun) / 1e6;
  let folder = dirname(require.resolve('@uniswap/v3-sdk'));
  while (!folder.endsWith('v3-sdk')) folder = dirname(folder);
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  process.stdout.write(JSON.stringify({ out, ms, version }) + '\n');
}
main();
