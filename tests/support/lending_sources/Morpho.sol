// SPDX-License-Identifier: Apache-2.0
// Test code: Morpho Blue itself, with a market and a borrower set as the caller gives them.
pragma solidity 0.8.19;

import "@morpho-org/morpho-blue/src/Morpho.sol";

struct Given {
    uint256 lltv;
    uint256 price;
    uint128 collateral;
    uint128 shares;
    uint128 totalAssets;
    uint128 totalShares;
    uint256 rate;
    uint256 age;
    uint256 seize;
}

contract Harness is Morpho {
    using MarketParamsLib for MarketParams;
    using SharesMathLib for uint256;
    uint256 rateNow;
    uint256 public price;

    constructor() Morpho(msg.sender) {}

    function borrowRate(MarketParams memory, Market memory) external view returns (uint256) {
        return rateNow;
    }

    function transfer(address, uint256) external pure returns (bool) {
        return true;
    }

    function transferFrom(address, address, uint256) external pure returns (bool) {
        return true;
    }

    function borrowRateView(MarketParams memory, Market memory) external view returns (uint256) {
        return rateNow;
    }

    function decimals() external pure returns (uint8) {
        return 18;
    }

    function symbol() external pure returns (string memory) {
        return "TOKEN";
    }

    // A market with a borrower that stay, for readers.
    function place(Given calldata g, address who) external {
        MarketParams memory params = MarketParams(address(this), address(this), address(this), address(this), g.lltv);
        Id id = params.id();
        rateNow = g.rate;
        price = g.price;
        idToMarketParams[id] = params;
        market[id] = Market(type(uint120).max, type(uint120).max, g.totalAssets, g.totalShares, uint128(block.timestamp - g.age), 0);
        position[id][who] = Position(0, g.shares, g.collateral);
    }

    function idOf(uint256 lltv) external view returns (Id) {
        return MarketParams(address(this), address(this), address(this), address(this), lltv).id();
    }

    // Debt once interest is accrued, and whether healthy.
    function look(uint256 lltv, address who) external returns (uint256, bool) {
        MarketParams memory params = MarketParams(address(this), address(this), address(this), address(this), lltv);
        Id id = params.id();
        _accrueInterest(params, id);
        uint256 debt = uint256(position[id][who].borrowShares).toAssetsUp(market[id].totalBorrowAssets, market[id].totalBorrowShares);
        return (debt, _isHealthy(params, id, who));
    }

    // Each: debt in assets, whether healthy, whether liquidating `seize` went, shares and collateral left, debt repaid, bad debt.
    function run(Given[] calldata all) external returns (uint256[6][] memory found) {
        found = new uint256[6][](all.length);
        MarketParams memory params = MarketParams(address(this), address(this), address(this), address(this), 0);
        for (uint256 n; n < all.length; n++) {
            Given calldata g = all[n];
            params.lltv = g.lltv;
            Id id = params.id();
            rateNow = g.rate;
            price = g.price;
            market[id] = Market(type(uint120).max, type(uint120).max, g.totalAssets, g.totalShares, uint128(block.timestamp - g.age), 0);
            position[id][address(1)] = Position(0, g.shares, g.collateral);
            _accrueInterest(params, id);
            found[n][0] = uint256(g.shares).toAssetsUp(market[id].totalBorrowAssets, market[id].totalBorrowShares);
            bool healthy = _isHealthy(params, id, address(1));
            found[n][1] = healthy ? 1 : 0;
            if (!healthy && g.seize > 0) {
                try this.liquidate(params, address(1), g.seize, 0, "") returns (uint256, uint256 repaid) {
                    found[n][2] = 1;
                    found[n][3] = position[id][address(1)].borrowShares;
                    found[n][4] = position[id][address(1)].collateral;
                    found[n][5] = repaid;
                } catch {}
            }
        }
    }
}
