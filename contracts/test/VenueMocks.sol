// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {IBalancerVault, IPoolManager} from "../src/venues.sol";
import {MockToken} from "./Mocks.sol";

interface IV3Called {
    function uniswapV3SwapCallback(int256 amount0Delta, int256 amount1Delta, bytes calldata data) external;
}

interface IV4Called {
    function unlockCallback(bytes calldata data) external returns (bytes memory);
}

/// A pair that keeps x * y = k net of its fee in millionths, as the V2 pair does; and, as Solidly's, tells its own price.
contract MockPair {
    MockToken public token0;
    MockToken public token1;
    uint256 public fee;
    uint112 public reserve0;
    uint112 public reserve1;

    constructor(MockToken a, MockToken b, uint256 fee_) {
        (token0, token1, fee) = address(a) < address(b) ? (a, b, fee_) : (b, a, fee_);
    }

    function sync() external {
        (reserve0, reserve1) = (uint112(token0.balanceOf(address(this))), uint112(token1.balanceOf(address(this))));
    }

    function getReserves() external view returns (uint112, uint112, uint32) {
        return (reserve0, reserve1, 0);
    }

    function getAmountOut(uint256 amount, address sold) external view returns (uint256) {
        (uint256 a, uint256 b) = sold == address(token0) ? (reserve0, reserve1) : (reserve1, reserve0);
        uint256 kept = amount * (1e6 - fee);
        return kept * b / (a * 1e6 + kept);
    }

    function swap(uint256 out0, uint256 out1, address to, bytes calldata) external {
        if (out0 != 0) token0.transfer(to, out0);
        if (out1 != 0) token1.transfer(to, out1);
        uint256 b0 = token0.balanceOf(address(this));
        uint256 b1 = token1.balanceOf(address(this));
        uint256 in0 = b0 > reserve0 - out0 ? b0 - (reserve0 - out0) : 0;
        uint256 in1 = b1 > reserve1 - out1 ? b1 - (reserve1 - out1) : 0;
        require((b0 * 1e6 - in0 * fee) * (b1 * 1e6 - in1 * fee) >= uint256(reserve0) * reserve1 * 1e12, "K");
        (reserve0, reserve1) = (uint112(b0), uint112(b1));
    }
}

/// A pool that asks as Uniswap V3's do, at one for one, and misbehaves as told. Lives where a genuine pool would: see `vm.etch`.
contract MockV3 {
    MockToken public token0;
    MockToken public token1;
    uint256 public asks; // bps of what it should ask
    uint256 public times;
    uint256 public most;

    function init(MockToken a, MockToken b) external {
        (token0, token1) = address(a) < address(b) ? (a, b) : (b, a);
        (asks, times, most) = (10_000, 1, type(uint256).max);
    }

    function misbehave(uint256 asks_, uint256 times_, uint256 most_) external {
        (asks, times, most) = (asks_, times_, most_);
    }

    function swap(address to, bool zeroForOne, int256 amount, uint160, bytes calldata data) external returns (int256, int256) {
        uint256 takes = uint256(amount) > most ? most : uint256(amount);
        (MockToken sold, MockToken bought) = zeroForOne ? (token0, token1) : (token1, token0);
        bought.transfer(to, takes);
        uint256 had = sold.balanceOf(address(this));
        int256 due = int256(takes * asks / 10_000);
        for (uint256 i; i < times; i++) {
            IV3Called(msg.sender).uniswapV3SwapCallback(zeroForOne ? due : -int256(takes), zeroForOne ? -int256(takes) : due, data);
        }
        require(sold.balanceOf(address(this)) >= had + takes, "IIA");
        return (0, 0);
    }
}

/// A manager that keeps accounts as Uniswap V4's does, at one for one, for tokens and for ether.
contract MockManager {
    mapping(address => int256) public owes;
    address public synced;
    uint256 public reserves;
    uint256 public asks = 10_000;

    receive() external payable {}

    function misbehave(uint256 asks_) external {
        asks = asks_;
    }

    function unlock(bytes calldata data) external returns (bytes memory answer) {
        answer = IV4Called(msg.sender).unlockCallback(data);
    }

    function swap(IPoolManager.PoolKey memory key, IPoolManager.SwapParams memory p, bytes calldata) external returns (int256 delta) {
        require(p.amountSpecified < 0 && key.hooks == address(0) && key.currency0 < key.currency1, "key");
        int256 paid = p.amountSpecified * int256(asks) / 10_000;
        (int256 d0, int256 d1) = p.zeroForOne ? (paid, -p.amountSpecified) : (-p.amountSpecified, paid);
        owes[key.currency0] -= d0;
        owes[key.currency1] -= d1;
        delta = (d0 << 128) | int256(uint256(uint128(int128(d1))));
    }

    function sync(address currency) external {
        synced = currency;
        reserves = currency == address(0) ? 0 : MockToken(payable(currency)).balanceOf(address(this));
    }

    function settle() external payable returns (uint256 paid) {
        paid = synced == address(0) ? msg.value : MockToken(payable(synced)).balanceOf(address(this)) - reserves;
        owes[synced] -= int256(paid);
        require(owes[synced] == 0, "CurrencyNotSettled");
    }

    function take(address currency, address to, uint256 amount) external {
        owes[currency] += int256(amount);
        require(owes[currency] == 0, "CurrencyNotSettled");
        if (currency != address(0)) {
            MockToken(payable(currency)).transfer(to, amount);
            return;
        }
        (bool ok,) = to.call{value: amount}("");
        require(ok);
    }
}

/// A vault that swaps one for one; `takes` bps of the amount are pulled.
contract MockVault {
    uint256 public takes = 10_000;

    function misbehave(uint256 takes_) external {
        takes = takes_;
    }

    function swap(IBalancerVault.SingleSwap memory s, IBalancerVault.FundManagement memory f, uint256, uint256) external payable returns (uint256) {
        MockToken(payable(s.assetIn)).transferFrom(f.sender, address(this), s.amount * takes / 10_000);
        MockToken(payable(s.assetOut)).transfer(f.recipient, s.amount * takes / 10_000);
        return s.amount;
    }
}

/// Curve's shape: says its coins, pulls, pays one for one, returns nothing.
contract MockCurve {
    address[] public coins;

    constructor(address a, address b) {
        coins.push(a);
        coins.push(b);
    }

    function exchange(int128 i, int128 j, uint256 dx, uint256) external {
        MockToken(payable(coins[uint128(i)])).transferFrom(msg.sender, address(this), dx);
        MockToken(payable(coins[uint128(j)])).transfer(msg.sender, dx);
    }
}

/// WETH9's two functions over MockToken's accounts.
contract MockWrapped is MockToken {
    constructor() MockToken(18) {}

    function deposit() external payable {
        balanceOf[msg.sender] += msg.value;
    }
}

/// A token that calls back into whatever it was told before it moves.
contract CallingToken is MockToken {
    address public target;
    bytes public what;
    bool public succeeded;

    constructor() MockToken(18) {}

    function calls(address target_, bytes calldata what_) external {
        (target, what) = (target_, what_);
    }

    function transferFrom(address from, address to, uint256 amount) external override returns (bool) {
        allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
        if (target != address(0)) (succeeded,) = target.call(what);
        return true;
    }
}
