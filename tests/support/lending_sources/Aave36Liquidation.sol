// SPDX-License-Identifier: Apache-2.0
// Test code: sets a borrower of two reserves as the caller gives them and has the published library liquidate him, as much as it takes.
pragma solidity ^0.8.10;

import "@aave-dao/aave-v3-origin/src/contracts/protocol/libraries/logic/LiquidationLogic.sol";

// A token of a reserve: scaled balances of one holder, and what was last moved out of them.
contract Ledger {
    address public constant RESERVE_TREASURY_ADDRESS = address(0x7e);
    uint256 public held;
    uint256 public took;
    uint256 public fee;

    function set(uint256 amount) external { (held, took, fee) = (amount, 0, 0); }
    function scaledBalanceOf(address) external view returns (uint256) { return held; }
    function scaledTotalSupply() external view returns (uint256) { return held; }

    function burn(address, address, uint256 amount, uint256 scaled, uint256) external returns (bool) {
        (held, took) = (held - scaled, amount);
        return held == 0;
    }

    function burn(address, uint256 scaled, uint256) external returns (bool, uint256) {
        held -= scaled;
        return (held == 0, held);
    }

    function transferOnLiquidation(address, address, uint256 amount, uint256 scaled, uint256) external {
        (held, fee) = (held - scaled, amount);
    }
}

contract Money {
    uint256 public paid;

    function transferFrom(address, address, uint256 amount) external returns (bool) {
        paid = amount;
        return true;
    }
}

struct Row {
    uint256 config;
    uint128 liquidityIndex;
    uint128 liquidityRate;
    uint128 borrowIndex;
    uint128 borrowRate;
    uint40 age;
    uint256 supply;
    uint256 debt;
    uint256 price;
}

struct Given {
    Row[2] rows;
    uint256 flags;
}

contract Harness {
    address constant BORROWER = address(1);
    mapping(address => DataTypes.ReserveData) reserves;
    mapping(uint256 => address) list;
    mapping(address => DataTypes.UserConfigurationMap) users;
    mapping(uint8 => DataTypes.EModeCategory) modes;
    mapping(address => uint256) price;
    Ledger[2][2] tokens;

    constructor() {
        for (uint256 i; i < 2; i++) {
            list[i] = address(new Money());
            for (uint256 j; j < 2; j++) tokens[i][j] = new Ledger();
        }
    }

    function getAssetPrice(address asset) external view returns (uint256) { return price[asset]; }

    function calculateInterestRates(DataTypes.CalculateInterestRatesParams memory) external pure returns (uint256, uint256) {
        return (0, 0);
    }

    function set(Given calldata given) internal {
        for (uint256 i; i < 2; i++) {
            Row calldata row = given.rows[i];
            DataTypes.ReserveData storage reserve = reserves[list[i]];
            reserve.configuration.data = row.config;
            reserve.liquidityIndex = row.liquidityIndex;
            reserve.currentLiquidityRate = row.liquidityRate;
            reserve.variableBorrowIndex = row.borrowIndex;
            reserve.currentVariableBorrowRate = row.borrowRate;
            reserve.lastUpdateTimestamp = uint40(block.timestamp) - row.age;
            reserve.id = uint16(i);
            reserve.aTokenAddress = address(tokens[i][0]);
            reserve.variableDebtTokenAddress = address(tokens[i][1]);
            reserve.virtualUnderlyingBalance = type(uint128).max / 2;
            reserve.deficit = 0;
            tokens[i][0].set(row.supply);
            tokens[i][1].set(row.debt);
            price[list[i]] = row.price;
        }
        users[BORROWER].data = given.flags;
    }

    function act() external {
        DataTypes.ExecuteLiquidationCallParams memory params;
        params.liquidator = address(2);
        params.debtToCover = type(uint256).max;
        (params.collateralAsset, params.debtAsset) = (list[0], list[1]);
        params.borrower = BORROWER;
        params.priceOracle = params.interestRateStrategyAddress = address(this);
        LiquidationLogic.executeLiquidationCall(reserves, list, users, modes, params);
    }

    // Each: the first four bytes of what it reverted with, or zero; debt paid; collateral taken; the fee; the deficit.
    function liquidate(Given[] calldata all) external returns (uint256[5][] memory found) {
        found = new uint256[5][](all.length);
        for (uint256 n; n < all.length; n++) {
            set(all[n]);
            try this.act() {
                found[n][1] = Money(list[1]).paid();
                found[n][2] = tokens[0][0].took();
                found[n][3] = tokens[0][0].fee();
                found[n][4] = reserves[list[1]].deficit;
            } catch (bytes memory why) {
                found[n][0] = uint256(uint32(bytes4(why)));
            }
        }
    }
}
