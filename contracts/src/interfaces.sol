// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

/// Only what Gate and Offers call, written from the contracts' public ABIs.

interface IERC20 {
    function balanceOf(address account) external view returns (uint256);
    function allowance(address owner, address spender) external view returns (uint256);
    function decimals() external view returns (uint8);
}

interface IWETH {
    function withdraw(uint256 amount) external;
}

/// A Safe, 1.3.0 or newer.
interface ISafe {
    function isOwner(address account) external view returns (bool);
}

/// Chainlink's price feed, and its L2 sequencer uptime feed (answer 0: up, 1: down; startedAt: since when).
interface IFeed {
    function decimals() external view returns (uint8);
    function latestRoundData()
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound);
}

interface IUniswapV3Pool {
    function token0() external view returns (address);
    function token1() external view returns (address);
    function observe(uint32[] calldata secondsAgos)
        external
        view
        returns (int56[] memory tickCumulatives, uint160[] memory secondsPerLiquidityCumulativeX128s);
}

interface IAavePool {
    function supply(address asset, uint256 amount, address onBehalfOf, uint16 referralCode) external;
    function withdraw(address asset, uint256 amount, address to) external returns (uint256);
    function borrow(address asset, uint256 amount, uint256 rateMode, uint16 referralCode, address onBehalfOf) external;
    function repay(address asset, uint256 amount, uint256 rateMode, address onBehalfOf) external returns (uint256);
    function getUserAccountData(address user)
        external
        view
        returns (
            uint256 collateralBase,
            uint256 debtBase,
            uint256 availableBorrowsBase,
            uint256 liquidationThreshold,
            uint256 ltv,
            uint256 healthFactor
        );
}

/// An aToken or debt token: which asset it stands for, and at which pool.
interface IAaveToken {
    function UNDERLYING_ASSET_ADDRESS() external view returns (address);
    function POOL() external view returns (address);
}

/// CoW Protocol's settlement contract.
interface ISettlement {
    function domainSeparator() external view returns (bytes32);
    function filledAmount(bytes calldata uid) external view returns (uint256);
    function invalidateOrder(bytes calldata uid) external;
}

/// The Gate, as Offers asks it.
interface IGate {
    function safe() external view returns (address);
    function agent() external view returns (address);
    function frozen() external view returns (bool);
    function expiry() external view returns (uint64);
    function offers() external view returns (address);
    function floorOf(address tokenIn, address tokenOut, uint256 amountIn) external view returns (uint256 floor, uint256 usd);
}

/// Where orders that others settle are opened and ended: Offers.
interface IOffers {
    /// What differs from order to order: a sale of exactly `sellAmount` for at least `buyAmount`, or, where it `buys`, a
    /// purchase of exactly `buyAmount` for at most `sellAmount`, until the second `validTo` of the chain's clock.
    struct Order {
        address sellToken;
        address buyToken;
        uint128 sellAmount;
        uint128 buyAmount;
        uint32 validTo;
        bool buys;
        bool partiallyFillable;
    }

    function open(Order calldata o, uint256 worth) external;
    function end(address token) external;
}
