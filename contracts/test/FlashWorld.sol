// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {FlashRepay} from "../src/FlashRepay.sol";
import {Base} from "./Base.sol";
import {MockExactOut, MockMarket, MockScaled} from "./FlashMocks.sol";
import {MockToken} from "./Mocks.sol";

/// A market where `eth` secures what is owed in `usd`, at 2,000 each, and pools between them: one directly, two by way of `mid`.
abstract contract FlashWorld is Base {
    uint256 internal constant START = 1_800_000_000;
    uint256 internal constant PRICE = 2_000e18;
    address internal constant FACTORY = address(0xFAC);
    bytes32 internal constant INIT = 0xe34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54;

    FlashRepay internal flash;
    MockToken internal eth;
    MockToken internal usd;
    MockToken internal mid;
    MockMarket internal market;
    MockScaled internal aEth;
    MockExactOut internal direct;
    MockExactOut internal first;
    MockExactOut internal second;

    function world() internal {
        vm.warp(START);
        flash = new FlashRepay();
        (eth, usd, mid) = (new MockToken(18), new MockToken(18), new MockToken(18));
        market = new MockMarket(eth, usd, PRICE);
        aEth = market.aToken();
        eth.mint(address(market), 1e24);
        // The pools' prices are 0.3 % beside the market's, against whoever sells eth.
        direct = pool(eth, usd, 500, 1_994e18);
        first = pool(mid, usd, 100, 1e18);
        second = pool(eth, mid, 3000, 1_994e18);
    }

    /// A pool where one `x` costs `price` of `y`.
    function pool(MockToken x, MockToken y, uint24 fee, uint256 price) internal returns (MockExactOut made) {
        bool ordered = address(x) < address(y);
        (MockToken low, MockToken high) = ordered ? (x, y) : (y, x);
        bytes32 salt = keccak256(abi.encode(low, high, fee));
        address at = address(uint160(uint256(keccak256(abi.encodePacked(hex"ff", FACTORY, salt, INIT)))));
        vm.etch(at, type(MockExactOut).runtimeCode);
        made = MockExactOut(at);
        made.init(low, high, ordered ? 1e36 / price : price);
        x.mint(at, 1e24);
        y.mint(at, 1e27);
    }

    /// `collateral` eth and `owed` usd at the market, and the allowance that the batch gives.
    function indebted(address who, uint256 collateral, uint256 owed, uint256 allowed) internal {
        aEth.mint(who, collateral);
        market.owe(who, owed);
        vm.prank(who);
        aEth.approve(address(flash), allowed);
    }

    function straight(uint256 repays, uint256 most) internal view returns (FlashRepay.Repayment memory r) {
        r = FlashRepay.Repayment(
            address(market), address(aEth), repays, most, 1e18, START, FACTORY, new address[](2), new uint24[](1)
        );
        (r.tokens[0], r.tokens[1], r.fees[0]) = (address(usd), address(eth), 500);
    }

    function around(uint256 repays, uint256 most) internal view returns (FlashRepay.Repayment memory r) {
        r = straight(repays, most);
        (r.tokens, r.fees) = (new address[](3), new uint24[](2));
        (r.tokens[0], r.tokens[1], r.tokens[2]) = (address(usd), address(mid), address(eth));
        (r.fees[0], r.fees[1]) = (100, 3000);
    }

    function nothingStays() internal view {
        same(usd.balanceOf(address(flash)), 0, "usd stays");
        same(eth.balanceOf(address(flash)), 0, "eth stays");
        same(mid.balanceOf(address(flash)), 0, "mid stays");
        same(aEth.scaled(address(flash)), 0, "aTokens stay");
        same(usd.allowance(address(flash), address(market)), 0, "stays allowed");
    }
}
