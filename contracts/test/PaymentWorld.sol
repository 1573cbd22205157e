// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {Payments} from "../src/Payments.sol";
import {IMorpho} from "../src/lenders.sol";
import {GateWorld} from "./GateWorld.sol";
import {MockToken} from "./Mocks.sol";

/// A market of Compound III of one collateral at one price. `skim` is withheld from what it books, `paused` takes nothing.
contract MockComet {
    address public baseToken;
    MockToken private _collateral;
    uint256 public price; // whole collateral in base units
    uint256 public skim;
    mapping(address => uint256) public borrowBalanceOf;
    mapping(address => uint256) private _lent;

    constructor(address base, MockToken collateral_, uint256 price_) {
        (baseToken, _collateral, price) = (base, collateral_, price_);
    }

    function set(uint256 price_, uint256 skim_) external {
        (price, skim) = (price_, skim_);
    }

    function owe(address who, uint256 debt, uint256 lent) external {
        (borrowBalanceOf[who], _lent[who]) = (debt, lent);
    }

    function userCollateral(address who, address) external view returns (uint128, uint128) {
        return (uint128(_lent[who]), 0);
    }

    function isLiquidatable(address who) external view returns (bool) {
        return _lent[who] * price / 1e18 * 88 / 100 < borrowBalanceOf[who];
    }

    function supplyTo(address who, address asset, uint256 amount) external {
        MockToken(payable(asset)).transferFrom(msg.sender, address(this), amount);
        if (asset == baseToken) borrowBalanceOf[who] -= amount - skim;
        else _lent[who] += amount - skim;
    }
}

contract MockOracle {
    uint256 private _price;
    bool public down;

    function set(uint256 price_) external {
        _price = price_;
    }

    function fail() external {
        down = true;
    }

    function price() external view returns (uint256) {
        require(!down, "no price");
        return _price;
    }
}

/// One market of Morpho Blue, with its share arithmetic. `calls` counts the callbacks it would have made.
contract MockMorpho {
    IMorpho.MarketParams private _p;
    bytes32 public id;
    uint128 public assets;
    uint128 public all;
    uint256 public skim;
    uint256 public calls;
    mapping(address => uint128) private _shares;
    mapping(address => uint128) private _lent;

    constructor(IMorpho.MarketParams memory p) {
        _p = p;
        id = keccak256(abi.encode(p));
    }

    function setSkim(uint256 amount) external {
        skim = amount;
    }

    function owe(address who, uint128 shares, uint128 lent, uint128 assets_, uint128 all_) external {
        (_shares[who], _lent[who], assets, all) = (shares, lent, assets_, all_);
    }

    function idToMarketParams(bytes32 which) external view returns (IMorpho.MarketParams memory none) {
        return which == id ? _p : none;
    }

    function position(bytes32, address who) external view returns (uint256, uint128, uint128) {
        return (0, _shares[who], _lent[who]);
    }

    function market(bytes32) external view returns (uint128, uint128, uint128, uint128, uint128, uint128) {
        return (0, 0, assets, all, 0, 0);
    }

    function accrueInterest(IMorpho.MarketParams calldata) external {
        assets += assets / 1_000_000;
    }

    function repay(IMorpho.MarketParams calldata p, uint256 amount, uint256 shares, address who, bytes calldata data)
        external
        returns (uint256, uint256)
    {
        require(keccak256(abi.encode(p)) == id, "market not created");
        require((amount == 0) != (shares == 0), "inconsistent input");
        if (amount > 0) shares = amount * (uint256(all) + 1e6) / (uint256(assets) + 1);
        else amount = (shares * (uint256(assets) + 1) + all + 1e6 - 1) / (uint256(all) + 1e6);
        _shares[who] -= uint128(shares);
        all -= uint128(shares);
        assets = amount > assets ? 0 : assets - uint128(amount);
        if (skim > 0) _shares[who] += uint128(skim * 1e6);
        if (data.length > 0) calls++;
        MockToken(payable(p.loanToken)).transferFrom(msg.sender, address(this), amount);
        return (amount, shares);
    }

    function supplyCollateral(IMorpho.MarketParams calldata p, uint256 amount, address who, bytes calldata data) external {
        require(keccak256(abi.encode(p)) == id, "market not created");
        _lent[who] += uint128(amount - skim);
        if (data.length > 0) calls++;
        MockToken(payable(p.collateralToken)).transferFrom(msg.sender, address(this), amount);
    }
}

/// A token that calls back in the middle of being taken.
contract CallingToken is MockToken {
    address private _to;
    bytes private _data;
    bytes public answer;

    constructor() MockToken(6) {}

    function arm(address to, bytes calldata data) external {
        (_to, _data) = (to, data);
    }

    function transferFrom(address from, address to, uint256 amount) external override returns (bool) {
        if (_to != address(0)) {
            (bool ok, bytes memory told) = _to.call(_data);
            require(!ok, "it went in again");
            answer = told;
        }
        allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
        return true;
    }
}

/// A Safe with a loan of 30,000 USD against 20 WETH at each of the two, and an open Payments with a rule for each way in.
abstract contract PaymentWorld is GateWorld {
    uint128 internal constant ONCE = 5_000e6;
    uint128 internal constant DAY = 4_000e6;
    uint128 internal constant ONCE_ETH = 5e18;
    uint128 internal constant DAY_ETH = 3e18;

    Payments internal payments;
    MockComet internal comet;
    MockMorpho internal morpho;
    MockOracle internal oracle;

    function paymentWorld() internal {
        world();
        comet = new MockComet(address(usd), eth, 3_000e6);
        oracle = new MockOracle();
        oracle.set(3_000e24); // 36 + 6 - 18 decimals
        morpho = new MockMorpho(IMorpho.MarketParams(address(usd), address(eth), address(oracle), address(1), 0.86e18));
        comet.owe(address(safe), 30_000e6, 20e18);
        morpho.owe(address(safe), 30_000e12, 20e18, 90_000e6, 90_000e12);
        payments = new Payments(address(gate), rulesNow());
        safe.call(address(payments), abi.encodeCall(Payments.open, (AGENT)));
        vm.warp(block.timestamp + 1 days);
        refresh();
        safe.call(address(usd), abi.encodeCall(MockToken.approve, (address(payments), type(uint256).max)));
        safe.call(address(eth), abi.encodeCall(MockToken.approve, (address(payments), type(uint256).max)));
    }

    function rulesNow() internal view returns (Payments.Rule[] memory r) {
        r = new Payments.Rule[](4);
        r[0] = Payments.Rule(address(comet), 1, 8, address(usd), 0, ONCE, DAY);
        r[1] = Payments.Rule(address(comet), 1, 1, address(eth), 0, ONCE_ETH, DAY_ETH);
        r[2] = Payments.Rule(address(morpho), 2, 8, address(usd), morpho.id(), ONCE, DAY);
        r[3] = Payments.Rule(address(morpho), 2, 1, address(eth), morpho.id(), ONCE_ETH, DAY_ETH);
    }

    function pay(uint256 rule, uint256 amount) internal {
        vm.prank(AGENT);
        payments.pay(rule, amount, block.timestamp + 60);
    }

    function owedAtMorpho() internal view returns (uint256) {
        (, uint128 shares,) = morpho.position(0, address(safe));
        uint256 d = uint256(morpho.all()) + 1e6;
        return (uint256(shares) * (uint256(morpho.assets()) + 1) + d - 1) / d;
    }

    function lentAt(bool atComet) internal view returns (uint256 lent) {
        if (atComet) (lent,) = comet.userCollateral(address(safe), address(eth));
        else (,, lent) = morpho.position(0, address(safe));
    }

    /// Nothing of its own, and nobody may take anything from it.
    function bare() internal view returns (bool) {
        bool empty = usd.balanceOf(address(payments)) == 0 && eth.balanceOf(address(payments)) == 0;
        bool comets =
            usd.allowance(address(payments), address(comet)) == 0 && eth.allowance(address(payments), address(comet)) == 0;
        return empty && comets && usd.allowance(address(payments), address(morpho)) == 0
            && eth.allowance(address(payments), address(morpho)) == 0;
    }
}
