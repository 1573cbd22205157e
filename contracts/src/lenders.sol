// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

/// Only what Payments calls, written from the contracts' public ABIs.

/// The Gate, as Payments asks it.
interface IGateState {
    function safe() external view returns (address);
    function isSealed() external view returns (bool);
    function frozen() external view returns (bool);
    function expiry() external view returns (uint64);
    function delay() external view returns (uint64);
    function limits()
        external
        view
        returns (
            uint128 burst,
            uint128 ratePerDay,
            uint16 slackBps,
            uint16 divergenceBps,
            uint32 deadlineSeconds,
            uint32 termSeconds,
            uint64 healthFloor
        );
}

/// A market of Compound III (Comet).
interface IComet {
    function baseToken() external view returns (address);
    function borrowBalanceOf(address account) external view returns (uint256);
    function userCollateral(address account, address asset) external view returns (uint128 balance, uint128 reserved);
    function isLiquidatable(address account) external view returns (bool);
    function supplyTo(address dst, address asset, uint256 amount) external;
}

/// Morpho Blue.
interface IMorpho {
    struct MarketParams {
        address loanToken;
        address collateralToken;
        address oracle;
        address irm;
        uint256 lltv;
    }

    function idToMarketParams(bytes32 id) external view returns (MarketParams memory);
    function position(bytes32 id, address user)
        external
        view
        returns (uint256 supplyShares, uint128 borrowShares, uint128 collateral);
    function market(bytes32 id)
        external
        view
        returns (
            uint128 totalSupplyAssets,
            uint128 totalSupplyShares,
            uint128 totalBorrowAssets,
            uint128 totalBorrowShares,
            uint128 lastUpdate,
            uint128 fee
        );
    function accrueInterest(MarketParams calldata params) external;
    function repay(MarketParams calldata params, uint256 assets, uint256 shares, address onBehalf, bytes calldata data)
        external
        returns (uint256, uint256);
    function supplyCollateral(MarketParams calldata params, uint256 assets, address onBehalf, bytes calldata data) external;
}

/// The price source of a market of Morpho Blue: collateral in the loan's token, times 1e36.
interface IMorphoOracle {
    function price() external view returns (uint256);
}
