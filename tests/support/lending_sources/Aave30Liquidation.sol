// SPDX-License-Identifier: Apache-2.0
// Test code: sets a borrower of two reserves as the caller gives them and has the published library liquidate him, as much as it takes.
pragma solidity ^0.8.10;

import "@aave/core-v3/contracts/protocol/libraries/logic/LiquidationLogic.sol";

interface Pool {
    function index(address token) external view returns (uint256);
}

// A token of a reserve as the protocol's own keep them: scaled balances of one holder, told at the index of now; and what was last moved.
contract Ledger {
    using WadRayMath for uint256;

    address public constant RESERVE_TREASURY_ADDRESS = address(0x7e);
    Pool immutable pool = Pool(msg.sender);
    uint256 public held;
    uint256 public took;
    uint256 public fee;

    function set(uint256 amount) external { (held, took, fee) = (amount, 0, 0); }
    function scaledBalanceOf(address) external view returns (uint256) { return held; }
    function scaledTotalSupply() external view returns (uint256) { return held; }
    function balanceOf(address) external view returns (uint256) { return held.rayMul(pool.index(address(this))); }
    function getSupplyData() external pure returns (uint256, uint256, uint256, uint40) { return (0, 0, 0, 0); }
    function handleRepayment(address, address, uint256) external {}

    function burn(address, address, uint256 amount, uint256 index) external {
        (held, took) = (held - amount.rayDiv(index), amount);
    }

    function burn(address, uint256 amount, uint256 index) external returns (uint256) {
        return held -= amount.rayDiv(index);
    }

    function transferOnLiquidation(address, address, uint256 amount) external {
        (held, fee) = (held - amount.rayDiv(pool.index(address(this))), amount);
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
    using ReserveLogic for DataTypes.ReserveData;

    address constant BORROWER = address(1);
    mapping(address => DataTypes.ReserveData) reserves;
    mapping(uint256 => address) list;
    mapping(address => DataTypes.UserConfigurationMap) users;
    mapping(uint8 => DataTypes.EModeCategory) modes;
    mapping(address => uint256) price;
    Ledger[3][2] tokens;

    constructor() {
        for (uint256 i; i < 2; i++) {
            list[i] = address(new Money());
            for (uint256 j; j < 3; j++) tokens[i][j] = new Ledger();
        }
    }

    function getAssetPrice(address asset) external view returns (uint256) { return price[asset]; }

    function index(address token) external view returns (uint256) {
        for (uint256 i; i < 2; i++) {
            if (token == address(tokens[i][0])) return reserves[list[i]].getNormalizedIncome();
            if (token == address(tokens[i][1])) return reserves[list[i]].getNormalizedDebt();
        }
        return 1e27;
    }

    function calculateInterestRates(DataTypes.CalculateInterestRatesParams memory) external pure returns (uint256, uint256, uint256) {
        return (0, 0, 0);
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
            reserve.stableDebtTokenAddress = address(tokens[i][2]);
            reserve.interestRateStrategyAddress = address(this);
            tokens[i][0].set(row.supply);
            tokens[i][1].set(row.debt);
            price[list[i]] = row.price;
        }
        users[BORROWER].data = given.flags;
    }

    function act() external {
        DataTypes.ExecuteLiquidationCallParams memory params;
        params.reservesCount = 2;
        params.debtToCover = type(uint256).max;
        (params.collateralAsset, params.debtAsset) = (list[0], list[1]);
        params.user = BORROWER;
        params.priceOracle = address(this);
        LiquidationLogic.executeLiquidationCall(reserves, list, users, modes, params);
    }

    // Each: the first four bytes of what it reverted with, or zero; debt paid; collateral taken; the fee; no deficit, which this version has not.
    function liquidate(Given[] calldata all) external returns (uint256[5][] memory found) {
        found = new uint256[5][](all.length);
        for (uint256 n; n < all.length; n++) {
            set(all[n]);
            try this.act() {
                found[n][1] = Money(list[1]).paid();
                found[n][2] = tokens[0][0].took();
                found[n][3] = tokens[0][0].fee();
            } catch (bytes memory why) {
                found[n][0] = uint256(uint32(bytes4(why)));
            }
        }
    }
}
