// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {MockToken} from "./Mocks.sol";
import {CallingToken} from "./VenueMocks.sol";

interface IFlashed {
    function uniswapV3SwapCallback(int256 amount0Delta, int256 amount1Delta, bytes calldata data) external;
}

/// A pool that sells exactly what is asked for, at `price` (1e18) of the other token, and misbehaves as told. Lives where a genuine
/// pool would: see `vm.etch`.
contract MockExactOut {
    MockToken public token0;
    MockToken public token1;
    uint256 public price;
    uint256 public times;
    uint256 public gives; // bps of what was asked for
    bool private entered;

    /// `price_` of token1 in token0.
    function init(MockToken a, MockToken b, uint256 price_) external {
        (token0, token1) = (a, b);
        (price, times, gives) = (price_, 1, 10_000);
    }

    function misbehave(uint256 times_, uint256 gives_) external {
        (times, gives) = (times_, gives_);
    }

    function swap(address to, bool zeroForOne, int256 amount, uint160 limit, bytes calldata data)
        external
        returns (int256, int256)
    {
        require(!entered && amount < 0, "LOK");
        require(zeroForOne ? limit == 4295128740 : limit > 1 << 159, "SPL");
        entered = true;
        uint256 out = uint256(-amount);
        uint256 due = zeroForOne ? (out * price + 1e18 - 1) / 1e18 : (out * 1e18 + price - 1) / price;
        (MockToken sold, MockToken bought) = zeroForOne ? (token0, token1) : (token1, token0);
        out = out * gives / 10_000;
        if (out != 0) bought.transfer(to, out);
        uint256 had = sold.balanceOf(address(this));
        for (uint256 i; i < times; i++) {
            IFlashed(msg.sender).uniswapV3SwapCallback(
                zeroForOne ? int256(due) : -int256(out), zeroForOne ? -int256(out) : int256(due), data
            );
        }
        require(times == 0 || sold.balanceOf(address(this)) >= had + due, "IIA");
        entered = false;
        return (0, 0);
    }
}

/// An aToken of scaled balances: amounts are rounded to the nearest unit as Aave V3.0 does, or against the holder as from 3.5 on.
contract MockScaled {
    uint256 private constant RAY = 1e27;
    MockMarket public immutable POOL;
    address public immutable UNDERLYING_ASSET_ADDRESS;
    uint256 public index = RAY;
    bool public directed;
    mapping(address => uint256) public scaled;
    mapping(address => mapping(address => uint256)) public allowance;

    constructor(address asset) {
        POOL = MockMarket(msg.sender);
        UNDERLYING_ASSET_ADDRESS = asset;
    }

    function set(uint256 index_, bool directed_) external {
        (index, directed) = (index_, directed_);
    }

    function balanceOf(address who) public view returns (uint256) {
        return (scaled[who] * index + (directed ? 0 : RAY / 2)) / RAY;
    }

    function units(uint256 amount) public view returns (uint256) {
        return (amount * RAY + (directed ? index - 1 : index / 2)) / index;
    }

    function mint(address who, uint256 amount) external {
        scaled[who] += amount * RAY / index;
    }

    function burn(address who, uint256 amount) external {
        require(msg.sender == address(POOL), "only the pool");
        uint256 gone = units(amount);
        scaled[who] = amount == balanceOf(who) ? 0 : scaled[who] - gone;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
        return true;
    }

    function _move(address from, address to, uint256 amount) private {
        uint256 gone = units(amount);
        scaled[from] -= gone;
        scaled[to] += gone;
        require(POOL.healthOf(from) >= 1e18, "35");
    }
}

/// One collateral at `price` (1e18 of the debt's units), one debt: health is collateral times 0.8 over debt.
contract MockMarket {
    MockToken public immutable collateral;
    MockToken public immutable debtAsset;
    MockScaled public immutable aToken;
    mapping(address => uint256) public debt;
    uint256 public price;
    uint256 public skim;

    constructor(MockToken collateral_, MockToken debt_, uint256 price_) {
        (collateral, debtAsset, price) = (collateral_, debt_, price_);
        aToken = new MockScaled(address(collateral_));
    }

    function setPrice(uint256 price_) external {
        price = price_;
    }

    function setSkim(uint256 amount) external {
        skim = amount;
    }

    function owe(address who, uint256 amount) external {
        debt[who] += amount;
    }

    function getReserveData(address asset) external view returns (uint256[8] memory none, address token, uint256[6] memory more) {
        return (none, asset == address(collateral) ? address(aToken) : address(0), more);
    }

    function healthOf(address who) public view returns (uint256) {
        return debt[who] == 0 ? type(uint256).max : aToken.balanceOf(who) * price / 1e18 * 0.8e18 / debt[who];
    }

    function getUserAccountData(address who) external view returns (uint256, uint256, uint256, uint256, uint256, uint256) {
        return (0, 0, 0, 0, 0, healthOf(who));
    }

    function repay(address asset, uint256 amount, uint256 mode, address who) external returns (uint256) {
        require(asset == address(debtAsset) && mode == 2, "asset");
        if (amount > debt[who]) amount = debt[who];
        debtAsset.transferFrom(msg.sender, address(this), amount);
        debt[who] -= amount;
        return amount;
    }

    function withdraw(address asset, uint256 amount, address to) external returns (uint256) {
        require(asset == address(collateral) && amount <= aToken.balanceOf(msg.sender), "32");
        aToken.burn(msg.sender, amount);
        require(healthOf(msg.sender) >= 1e18, "35");
        collateral.transfer(to, amount - skim);
        return amount - skim;
    }
}

/// A market of somebody's own making that says another market's aToken is its collateral's.
contract FalseMarket {
    address public immutable aToken;

    constructor(address aToken_) {
        aToken = aToken_;
    }

    function getReserveData(address) external view returns (uint256[8] memory none, address token) {
        return (none, aToken);
    }

    /// Takes whatever it was allowed, and more than that where it lies there.
    function repay(address asset, uint256 amount, uint256, address) external returns (uint256) {
        MockToken(payable(asset)).transferFrom(msg.sender, address(this), amount);
        return amount;
    }
}

/// An aToken of somebody's own making for a market that knows another.
contract FalseAToken {
    address public immutable POOL;
    address public immutable UNDERLYING_ASSET_ADDRESS;

    constructor(address pool, address asset) {
        (POOL, UNDERLYING_ASSET_ADDRESS) = (pool, asset);
    }

    function balanceOf(address) external pure returns (uint256) {
        return 1e30;
    }

    function transferFrom(address, address, uint256) external pure returns (bool) {
        return true;
    }
}

/// A token that makes its call when a pool pays it out, while another pool waits to be paid.
contract CallingOnTheWay is CallingToken {
    uint256 public tried;

    function transfer(address to, uint256 amount) external override returns (bool) {
        _move(msg.sender, to, amount);
        if (target != address(0)) {
            (succeeded,) = target.call(what);
            tried++;
        }
        return true;
    }
}
