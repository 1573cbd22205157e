// SPDX-License-Identifier: Apache-2.0
// Test code: a market of one collateral that keeps to what Compound III documents of its accounts, interest and health, in words of our own.
// Its own contract is on no package index, so that this stands for it.
pragma solidity 0.8.19;

interface Token {
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
    function transfer(address to, uint256 amount) external returns (bool);
}

interface Feed {
    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80);
}

contract Harness {
    error BadAsset();
    error Paused();
    error NotCollateralized();
    error NotLiquidatable();

    event Supply(address indexed from, address indexed dst, uint256 amount);
    event Withdraw(address indexed src, address indexed to, uint256 amount);
    event Transfer(address indexed from, address indexed to, uint256 amount);
    event SupplyCollateral(address indexed from, address indexed dst, address indexed asset, uint256 amount);
    event WithdrawCollateral(address indexed src, address indexed to, address indexed asset, uint256 amount);
    event AbsorbDebt(address indexed absorber, address indexed borrower, uint256 basePaidOut, uint256 usdValue);
    event AbsorbCollateral(
        address indexed absorber, address indexed borrower, address indexed asset, uint256 collateralAbsorbed, uint256 usdValue
    );

    address public immutable baseToken;
    address public immutable baseTokenPriceFeed;
    address public immutable asset;
    address public immutable assetFeed;
    uint256 public constant baseScale = 1e6;
    uint8 public constant numAssets = 1;
    uint64 constant ASSET_SCALE = 1e18;
    uint64 constant BORROW_FACTOR = 0.825e18;
    uint64 constant LIQUIDATE_FACTOR = 0.88e18;
    uint64 constant LIQUIDATION_FACTOR = 0.93e18;
    uint256 constant INDEX = 1e15;
    uint256 constant RATE = 1585489599;

    uint64 supplyIndex = 1e15;
    uint64 borrowIndex = 1.2e15;
    uint40 accruedAt = uint40(block.timestamp);
    bool public paused;
    mapping(address => int104) principal;
    mapping(address => uint128) collateral;

    constructor(address base, address baseFeed, address other, address otherFeed) {
        (baseToken, baseTokenPriceFeed, asset, assetFeed) = (base, baseFeed, other, otherFeed);
    }

    function pause(bool on) external {
        paused = on;
    }

    function supply(address token, uint256 amount) external {
        supplyTo(msg.sender, token, amount);
    }

    // Anybody may pay into anybody's account out of his own.
    function supplyTo(address who, address token, uint256 amount) public {
        if (paused) revert Paused();
        if (token == asset) {
            collateral[who] += uint128(amount);
            emit SupplyCollateral(msg.sender, who, asset, amount);
        } else {
            if (token != baseToken) revert BadAsset();
            accrue();
            int256 present = presentValue(principal[who]);
            if (amount == type(uint256).max) amount = present < 0 ? uint256(-present) : 0;
            principal[who] = principalValue(present + int256(amount));
            emit Supply(msg.sender, who, amount);
        }
        require(Token(token).transferFrom(msg.sender, address(this), amount), "not paid");
    }

    function withdraw(address token, uint256 amount) external {
        if (token == asset) {
            collateral[msg.sender] -= uint128(amount);
            emit WithdrawCollateral(msg.sender, msg.sender, asset, amount);
        } else {
            if (token != baseToken) revert BadAsset();
            accrue();
            principal[msg.sender] = principalValue(presentValue(principal[msg.sender]) - int256(amount));
            emit Withdraw(msg.sender, msg.sender, amount);
        }
        if (!isBorrowCollateralized(msg.sender)) revert NotCollateralized();
        Token(token).transfer(msg.sender, amount);
    }

    // Base from one account to another. Only what was lent before, or is lent after, is logged.
    function transfer(address dst, uint256 amount) external {
        accrue();
        (int104 from, int104 to) = (principal[msg.sender], principal[dst]);
        principal[msg.sender] = principalValue(presentValue(from) - int256(amount));
        principal[dst] = principalValue(presentValue(to) + int256(amount));
        if (!isBorrowCollateralized(msg.sender)) revert NotCollateralized();
        if (from > 0) emit Transfer(msg.sender, address(0), amount);
        if (principal[dst] > 0) emit Transfer(address(0), dst, amount);
    }

    // All of the collateral for the debt; what it is worth more, at a discount, is lent then.
    function absorb(address absorber, address[] calldata accounts) external {
        accrue();
        for (uint256 n; n < accounts.length; n++) {
            address who = accounts[n];
            if (!isLiquidatable(who)) revert NotLiquidatable();
            uint256 seized = collateral[who];
            uint256 value = seized * getPrice(assetFeed) / ASSET_SCALE;
            int256 left = presentValue(principal[who])
                + int256(value * LIQUIDATION_FACTOR / 1e18 * baseScale / getPrice(baseTokenPriceFeed));
            collateral[who] = 0;
            principal[who] = principalValue(left > 0 ? left : int256(0));
            emit AbsorbCollateral(absorber, who, asset, seized, value);
            emit AbsorbDebt(absorber, who, 0, 0);
        }
    }

    // Interest is simple between two accruals, each index floored.
    function accrue() internal {
        uint256 elapsed = block.timestamp - accruedAt;
        borrowIndex += uint64(uint256(borrowIndex) * (RATE * elapsed) / 1e18);
        supplyIndex += uint64(uint256(supplyIndex) * (RATE / 2 * elapsed) / 1e18);
        accruedAt = uint40(block.timestamp);
    }

    // What is owed is told rounded down and written rounded up; what is lent is told and written rounded down.
    function presentValue(int104 p) internal view returns (int256) {
        if (p >= 0) return int256(uint256(uint104(p)) * supplyIndex / INDEX);
        return -int256(uint256(uint104(-p)) * borrowIndex / INDEX);
    }

    // With the interest of this very second, which nobody has written yet.
    function borrowBalanceOf(address account) external view returns (uint256) {
        int104 p = principal[account];
        uint256 index = borrowIndex + uint256(borrowIndex) * (RATE * (block.timestamp - accruedAt)) / 1e18;
        return p >= 0 ? 0 : uint256(uint104(-p)) * index / INDEX;
    }

    function principalValue(int256 present) internal view returns (int104) {
        if (present >= 0) return int104(int256(uint256(present) * INDEX / supplyIndex));
        return -int104(int256((uint256(-present) * INDEX + borrowIndex - 1) / borrowIndex));
    }

    function covered(address account, uint256 factor) internal view returns (bool) {
        int256 present = presentValue(principal[account]);
        if (present >= 0) return true;
        uint256 owed = uint256(-present) * getPrice(baseTokenPriceFeed) / baseScale;
        return uint256(collateral[account]) * getPrice(assetFeed) / ASSET_SCALE * factor / 1e18 >= owed;
    }

    function isBorrowCollateralized(address account) public view returns (bool) {
        return covered(account, BORROW_FACTOR);
    }

    function isLiquidatable(address account) public view returns (bool) {
        return !covered(account, LIQUIDATE_FACTOR);
    }

    function getPrice(address feed) public view returns (uint256) {
        (, int256 answer,,,) = Feed(feed).latestRoundData();
        return uint256(answer);
    }

    function isAbsorbPaused() external pure returns (bool) {
        return false;
    }

    function getUtilization() external pure returns (uint256) {
        return 0.5e18;
    }

    function getBorrowRate(uint256) external pure returns (uint64) {
        return uint64(RATE);
    }

    function getSupplyRate(uint256) external pure returns (uint64) {
        return uint64(RATE / 2);
    }

    function userBasic(address account) external view returns (int104, uint64, uint64, uint16, uint8) {
        return (principal[account], 0, 0, collateral[account] > 0 ? 1 : 0, 0);
    }

    function userCollateral(address account, address token) external view returns (uint128, uint128) {
        return (token == asset ? collateral[account] : 0, 0);
    }

    function totalsBasic() external view returns (uint64, uint64, uint64, uint64, uint104, uint104, uint40, uint8) {
        return (supplyIndex, borrowIndex, 0, 0, 1e12, 5e11, accruedAt, 0);
    }

    function getAssetInfo(uint8 i) external view returns (uint8, address, address, uint64, uint64, uint64, uint64, uint128) {
        require(i == 0, "no such asset");
        return (0, asset, assetFeed, ASSET_SCALE, BORROW_FACTOR, LIQUIDATE_FACTOR, LIQUIDATION_FACTOR, type(uint128).max);
    }
}
