// SPDX-License-Identifier: Apache-2.0
// Test code: sets accounts as the caller gives them and asks the published library what it makes of each.
pragma solidity ^0.8.10;

import "@aave/core-v3/contracts/protocol/libraries/logic/GenericLogic.sol";
import "@aave/core-v3/contracts/protocol/libraries/logic/LiquidationLogic.sol";

contract Balance {
    uint256 public held;

    function set(uint256 amount) external {
        held = amount;
    }

    function scaledBalanceOf(address) external view returns (uint256) {
        return held;
    }

    function balanceOf(address) external view returns (uint256) {
        return held;
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
    uint256 stableDebt;
    uint256 price;
}

struct Given {
    Row[] rows;
    uint256 flags;
    uint8 mode;
    uint16 ltv;
    uint16 threshold;
    uint16 bonus;
    uint128 members;
    uint128 ltvzero;
    uint256 modePrice;
}

contract Harness {
    uint256 constant MOST = 8;
    mapping(address => DataTypes.ReserveData) reserves;
    mapping(uint256 => address) list;
    mapping(uint8 => DataTypes.EModeCategory) modes;
    mapping(address => uint256) price;
    Balance[3][MOST] tokens;

    constructor() {
        for (uint256 i; i < MOST; i++) {
            list[i] = address(uint160(0x1000 + i));
            for (uint256 j; j < 3; j++) tokens[i][j] = new Balance();
        }
    }

    function getAssetPrice(address asset) external view returns (uint256) {
        return price[asset];
    }

    function set(Given calldata given) internal {
        for (uint256 i; i < given.rows.length; i++) {
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
            reserve.stableDebtTokenAddress = address(tokens[i][2]);
            tokens[i][0].set(row.supply);
            tokens[i][1].set(row.debt);
            tokens[i][2].set(row.stableDebt);
            price[list[i]] = row.price;
        }
        DataTypes.EModeCategory storage mode = modes[given.mode];
        mode.ltv = given.ltv;
        mode.liquidationThreshold = given.threshold;
        mode.liquidationBonus = given.bonus;
        mode.priceSource = given.modePrice == 0 ? address(0) : address(0x77); price[address(0x77)] = given.modePrice;
    }

    function run(Given[] calldata all) external returns (uint256[5][] memory found) {
        found = new uint256[5][](all.length);
        for (uint256 n; n < all.length; n++) {
            set(all[n]);
            DataTypes.CalculateUserAccountDataParams memory params;
            params.userConfig.data = all[n].flags;
            params.reservesCount = MOST;
            params.user = address(1);
            params.oracle = address(this);
            params.userEModeCategory = all[n].mode;
            (found[n][0], found[n][1], found[n][2], found[n][3], found[n][4], ) =
                GenericLogic.calculateUserAccountData(reserves, list, modes, params);
        }
    }

    // Each: collateral's config, price, unit; debt's price, unit; cover; balance; bonus.
    function seize(uint256[8][] calldata all) external returns (uint256[3][] memory found) {
        found = new uint256[3][](all.length);
        for (uint256 n; n < all.length; n++) {
            uint256[8] calldata x = all[n];
            DataTypes.ReserveConfigurationMap memory config = DataTypes.ReserveConfigurationMap(x[0]);
            DataTypes.ReserveData storage held = reserves[list[0]]; held.configuration = config; price[list[0]] = x[1]; price[list[1]] = x[3];
            DataTypes.ReserveCache memory owed; uint256 digits; for (uint256 u = x[4]; u > 1; u /= 10) digits++;
            owed.reserveConfiguration.data = digits << 48;
            (found[n][0], found[n][1], found[n][2]) = LiquidationLogic._calculateAvailableCollateralToLiquidate(held, owed, list[0], list[1], x[5], x[6], x[7], IPriceOracleGetter(address(this)));
        }
    }
}
