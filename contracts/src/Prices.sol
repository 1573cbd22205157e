// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {IFeed, IUniswapV3Pool} from "./interfaces.sol";

/// @title Prices out of Chainlink feeds and Uniswap V3 time-weighted means
/// @notice Whatever is not known reverts: there is no price "by default".
library Prices {
    error PriceUnknown(address feed);
    error PriceStale(address feed, uint256 updatedAt, uint256 maxAge);
    error SequencerDown(uint256 since);
    error TickOutOfRange(int56 tick);

    /// 1 / 1.0001 with 128 fractional bits, rounded down.
    uint256 private constant BASE_X128 = 340248342086729790484326174814286782777;
    /// 1.0001 ** 500000 is 5.2e21: beyond that 128 fractional bits keep too few digits.
    uint256 private constant MAX_TICK = 500_000;

    /// @notice A feed's answer, positive and no older than `maxAge` seconds.
    function read(address feed, uint256 maxAge) internal view returns (uint256) {
        (, int256 answer,, uint256 updatedAt,) = IFeed(feed).latestRoundData();
        if (answer <= 0 || updatedAt == 0 || updatedAt > block.timestamp) revert PriceUnknown(feed);
        if (block.timestamp - updatedAt > maxAge) revert PriceStale(feed, updatedAt, maxAge);
        return uint256(answer);
    }

    /// @notice Reverts while an L2's sequencer is down, and for `grace` seconds after it came back.
    function requireSequencer(address feed, uint256 grace) internal view {
        (, int256 answer, uint256 startedAt,,) = IFeed(feed).latestRoundData();
        if (answer != 0 || startedAt == 0 || startedAt > block.timestamp || block.timestamp - startedAt <= grace) {
            revert SequencerDown(startedAt);
        }
    }

    /// @notice What `amount` of token0 (or of token1, where not `fromZero`) is at the pool's mean tick of `window` seconds.
    /// @dev Rounded up by at most one unit and the tick's own rounding: a floor computed from it errs against the agent.
    function twap(address pool, uint32 window, uint256 amount, bool fromZero) internal view returns (uint256) {
        uint32[] memory ago = new uint32[](2);
        ago[0] = window;
        (int56[] memory cumulative,) = IUniswapV3Pool(pool).observe(ago);
        int56 moved = cumulative[1] - cumulative[0];
        int56 span = int56(uint56(window));
        int56 tick = moved / span;
        // Solidity rounds towards zero; the mean is rounded so that the answer grows.
        if (moved % span != 0) {
            if (fromZero && moved > 0) tick++;
            if (!fromZero && moved < 0) tick--;
        }
        return atTick(tick, amount, fromZero);
    }

    /// @notice `amount` (below 2**128) times 1.0001**tick, or divided by it where not `fromZero`; rounded up.
    function atTick(int56 tick, uint256 amount, bool fromZero) internal pure returns (uint256) {
        uint256 steps = uint256(int256(tick < 0 ? -tick : tick));
        if (steps > MAX_TICK) revert TickOutOfRange(tick);
        uint256 inverse = 1 << 128; // 1.0001 ** -steps by squaring, each product rounded down
        uint256 power = BASE_X128;
        for (uint256 left = steps; left != 0; left >>= 1) {
            if (left & 1 == 1) inverse = (inverse * power) >> 128;
            power = (power * power) >> 128;
        }
        // The product grows where the direction and the tick's sign agree.
        if ((tick >= 0) == fromZero) return ((amount << 128) + inverse - 1) / inverse;
        return (amount * (inverse + 1)) / (1 << 128) + 1;
    }
}
