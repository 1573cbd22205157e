// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {FurtherPayments} from "../src/FurtherPayments.sol";
import {GateWorld} from "./GateWorld.sol";
import {MockAaveToken, MockToken} from "./Mocks.sol";

/// A pool of Aave V3's kind that lends USD against WETH. `skim` is withheld from what it books; where WETH is `off`, it secures nothing.
contract MockSecondPool {
    MockToken private _usd;
    MockToken private _eth;
    MockAaveToken public aToken;
    MockAaveToken public debtToken;
    uint256 public price; // USD base units for 1e18 WETH
    uint256 public skim;
    bool public off;
    uint256 private _counted;

    constructor(MockToken usd, MockToken eth, uint256 price_) {
        (_usd, _eth, price) = (usd, eth, price_);
        aToken = new MockAaveToken(address(eth), address(this));
        debtToken = new MockAaveToken(address(usd), address(this));
    }

    function set(uint256 price_, uint256 skim_, bool off_) external {
        (price, skim, off) = (price_, skim_, off_);
    }

    function owe(address who, uint256 debt, uint256 lent) external {
        debtToken.burn(who, debtToken.balanceOf(who));
        aToken.burn(who, aToken.balanceOf(who));
        debtToken.mint(who, debt);
        aToken.mint(who, lent);
        _counted = lent;
    }

    function supply(address asset, uint256 amount, address who, uint16) external {
        require(asset == address(_eth), "no such reserve");
        _eth.transferFrom(msg.sender, address(this), amount);
        aToken.mint(who, amount - skim);
        if (!off) _counted += amount - skim;
    }

    function repay(address asset, uint256 amount, uint256 mode, address who) external returns (uint256) {
        require(asset == address(_usd) && mode == 2, "no such debt");
        uint256 owed = debtToken.balanceOf(who);
        if (amount > owed) amount = owed;
        _usd.transferFrom(msg.sender, address(this), amount);
        debtToken.burn(who, amount - skim);
        return amount;
    }

    function getUserAccountData(address who) external view returns (uint256, uint256, uint256, uint256, uint256, uint256) {
        uint256 debt = debtToken.balanceOf(who);
        uint256 health = debt == 0 ? type(uint256).max : _counted * price / 1e18 * 0.88e18 / debt;
        return (0, debt, 0, 0, 0, health);
    }
}

/// The Vat with its own consent rules, and with adapters and Jug that it trusts.
contract MockVat {
    bytes32 public constant ILK = "ETH-A";
    uint256 public rate = 1.05e27;
    uint256 public spot;
    uint256 public dust;
    mapping(bytes32 => mapping(address => uint256)) public gem;
    mapping(address => uint256) public dai;
    mapping(address => uint256) public ink;
    mapping(address => uint256) public art;

    function set(uint256 rate_, uint256 spot_, uint256 dust_) external {
        (rate, spot, dust) = (rate_, spot_, dust_);
    }

    function put(address urn, uint256 ink_, uint256 art_) external {
        (ink[urn], art[urn]) = (ink_, art_);
    }

    function ilks(bytes32 ilk) external view returns (uint256, uint256, uint256, uint256, uint256) {
        return ilk == ILK ? (0, rate, spot, 0, dust) : (0, 0, 0, 0, 0);
    }

    function urns(bytes32, address urn) external view returns (uint256, uint256) {
        return (ink[urn], art[urn]);
    }

    function slip(bytes32 ilk, address who, uint256 wad) external {
        gem[ilk][who] += wad;
    }

    function suck(address who, uint256 rad) external {
        dai[who] += rad;
    }

    function frob(bytes32 ilk, address u, address v, address w, int256 dink, int256 dart) external {
        require(dart <= 0 && dink >= 0, "Vat/not-allowed-u");
        require((dink <= 0 || v == msg.sender) && (dart >= 0 || w == msg.sender), "Vat/not-allowed");
        ink[u] += uint256(dink);
        art[u] -= uint256(-dart);
        require(art[u] == 0 || art[u] * rate >= dust, "Vat/dust");
        gem[ilk][v] -= uint256(dink);
        dai[w] -= uint256(-dart) * rate;
    }
}

contract MockJug {
    MockVat public vat;

    constructor(MockVat vat_) {
        vat = vat_;
    }

    function drip(bytes32) external returns (uint256 rate) {
        rate = vat.rate();
        rate += rate / 1_000_000;
        vat.set(rate, vat.spot(), vat.dust());
    }
}

/// DaiJoin where `ilk` is 0, else a GemJoin. `skim` is withheld from what it books.
contract MockJoin {
    MockVat public vat;
    address public dai;
    address public gem;
    bytes32 public ilk;
    uint256 public dec;
    uint256 public skim;

    constructor(MockVat vat_, address token, bytes32 ilk_) {
        (vat, ilk, dec) = (vat_, ilk_, MockToken(payable(token)).decimals());
        if (ilk_ == 0) dai = token;
        else gem = token;
    }

    function setSkim(uint256 amount) external {
        skim = amount;
    }

    function join(address who, uint256 wad) external {
        address token = ilk == 0 ? dai : gem;
        MockToken(payable(token)).transferFrom(msg.sender, address(this), wad);
        if (ilk == 0) vat.suck(who, (wad - skim) * 1e27);
        else vat.slip(ilk, who, (wad - skim) * 10 ** (18 - dec));
    }
}

/// A Safe with a loan of 30,000 USD against 20 WETH at a second pool, a vault of 30,000 DAI against 20 WETH, and an open
/// FurtherPayments with a rule for each way in.
abstract contract FurtherWorld is GateWorld {
    uint128 internal constant ONCE = 5_000e6;
    uint128 internal constant DAY = 4_000e6;
    uint128 internal constant ONCE_ETH = 5e18;
    uint128 internal constant DAY_ETH = 3e18;
    uint128 internal constant ONCE_DAI = 5_000e18;
    uint128 internal constant DAY_DAI = 4_000e18;
    address internal constant URN = address(0x7A7A);
    bytes32 internal constant ILK = "ETH-A";

    FurtherPayments internal payments;
    MockSecondPool internal second;
    MockToken internal dai;
    MockVat internal vat;
    MockJug internal jug;
    MockJoin internal daiJoin;
    MockJoin internal ethJoin;

    function furtherWorld() internal {
        world();
        second = new MockSecondPool(usd, eth, 3_000e6);
        second.owe(address(safe), 30_000e6, 20e18);
        dai = new MockToken(18);
        dai.mint(address(safe), 1_000_000e18);
        vat = new MockVat();
        vat.set(1.05e27, 2_068e27, 100e45);
        vat.put(URN, 20e18, uint256(30_000e18) * 100 / 105);
        jug = new MockJug(vat);
        (daiJoin, ethJoin) = (new MockJoin(vat, address(dai), 0), new MockJoin(vat, address(eth), ILK));
        payments = new FurtherPayments(address(gate), rulesNow());
        safe.call(address(payments), abi.encodeCall(FurtherPayments.open, (AGENT)));
        vm.warp(block.timestamp + 1 days);
        refresh();
        for (uint256 i; i < 3; i++) {
            address token = [address(usd), address(eth), address(dai)][i];
            safe.call(token, abi.encodeCall(MockToken.approve, (address(payments), type(uint256).max)));
        }
    }

    function rulesNow() internal view returns (FurtherPayments.Rule[] memory r) {
        r = new FurtherPayments.Rule[](4);
        (address lends, address owes) = (address(second.aToken()), address(second.debtToken()));
        r[0] = FurtherPayments.Rule(address(second), 3, 8, address(usd), owes, 0, address(0), ONCE, DAY);
        r[1] = FurtherPayments.Rule(address(second), 3, 1, address(eth), lends, 0, address(0), ONCE_ETH, DAY_ETH);
        r[2] = FurtherPayments.Rule(address(daiJoin), 4, 8, address(dai), URN, ILK, address(jug), ONCE_DAI, DAY_DAI);
        r[3] = FurtherPayments.Rule(address(ethJoin), 4, 1, address(eth), URN, ILK, address(jug), ONCE_ETH, DAY_ETH);
    }

    function tokenOf(uint256 rule) internal view returns (MockToken) {
        return rule == 0 ? usd : rule == 2 ? dai : eth;
    }

    function pay(uint256 rule, uint256 amount) internal {
        vm.prank(AGENT);
        payments.pay(rule, amount, block.timestamp + 60);
    }

    function owedAtPool() internal view returns (uint256) {
        return second.debtToken().balanceOf(address(safe));
    }

    function lentAtPool() internal view returns (uint256) {
        return second.aToken().balanceOf(address(safe));
    }

    /// In whole base units, rounded up.
    function owedAtMaker() internal view returns (uint256) {
        return (vat.art(URN) * vat.rate() + 1e27 - 1) / 1e27;
    }

    function liquidatable() internal view returns (bool) {
        return vat.art(URN) * vat.rate() > vat.ink(URN) * vat.spot();
    }

    /// Nothing of its own but what of a base unit the Vat's rounding leaves, and nobody may take anything from it.
    function bare() internal view returns (bool) {
        for (uint256 rule; rule < 4; rule++) {
            if (tokenOf(rule).balanceOf(address(payments)) != 0) return false;
            if (tokenOf(rule).allowance(address(payments), payments.rules(rule).lender) != 0) return false;
        }
        return vat.gem(ILK, address(payments)) == 0;
    }
}
