// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {FlashRepay} from "../src/FlashRepay.sol";
import {Tokens} from "../src/Tokens.sol";
import {CallingOnTheWay, FalseAToken, FalseMarket, MockMarket} from "./FlashMocks.sol";
import {FlashWorld} from "./FlashWorld.sol";
import {MockToken} from "./Mocks.sol";
import {CallingToken} from "./VenueMocks.sol";

contract FlashRepayTest is FlashWorld {
    address private constant THIEF = address(0xBAD);
    address private me;

    /// Ten eth at 2,000 and 15,000 owed: a health factor of 1.0666.
    function setUp() public {
        world();
        me = address(this);
        indebted(me, 10e18, 15_000e18, 5e18);
    }

    /// 1,994 usd an eth, but for what a price in whole units of 1e-18 rounds.
    function atThePoolsPrice(uint256 taken, uint256 repaid) private pure {
        uint256 due = repaid * 1e18 / 1_994e18;
        isTrue(taken + due / 1e12 >= due && taken <= due + due / 1e12, "at the pool's price");
    }

    // ------------------------------------------------------------------ what it is for
    function test_a_debt_is_repaid_out_of_the_collateral() public {
        uint256 had = aEth.balanceOf(me);
        (uint256 repaid, uint256 taken) = flash.repay(straight(5_000e18, 5e18));
        same(repaid, 5_000e18, "repaid");
        same(market.debt(me), 10_000e18, "owed");
        same(had - aEth.balanceOf(me), taken, "taken");
        atThePoolsPrice(taken, 5_000e18);
        isTrue(market.healthOf(me) > 1.19e18, "health");
        same(usd.balanceOf(me) + eth.balanceOf(me), 0, "the wallet has nothing of it");
        nothingStays();
    }

    function test_by_way_of_another_token() public {
        (uint256 repaid, uint256 taken) = flash.repay(around(5_000e18, 5e18));
        same(repaid, 5_000e18, "repaid");
        atThePoolsPrice(taken, 5_000e18);
        same(mid.balanceOf(address(second)), 1e27 - 5_000e18, "one pool pays the other");
        nothingStays();
    }

    function test_health_below_one_is_mended_too() public {
        market.setPrice(1_850e18);
        isTrue(market.healthOf(me) < 1e18, "liquidatable");
        flash.repay(straight(8_000e18, 5e18));
        isTrue(market.healthOf(me) > 1e18, "mended");
        nothingStays();
    }

    function test_more_than_is_owed_repays_all_and_the_rest_is_the_callers() public {
        indebted(me, 10e18, 0, 10e18);
        (uint256 repaid,) = flash.repay(straight(15_100e18, 10e18));
        same(repaid, 15_000e18, "repaid");
        same(market.debt(me), 0, "owed");
        same(usd.balanceOf(me), 100e18, "back");
        nothingStays();
    }

    function test_what_rounding_takes_is_pulled_and_what_it_adds_goes_back() public {
        for (uint256 i; i < 40; i++) {
            aEth.set(1e27 + i * 57_330_000_000_000_000_000_000_123, i % 2 == 0);
            flash.repay(straight(100e18 + i, 1e18));
            nothingStays();
            aEth.approve(address(flash), 5e18);
        }
    }

    // ------------------------------------------------------------------ the caller's bounds
    function test_no_more_collateral_than_said() public {
        vm.expectPartialRevert(FlashRepay.CollateralAboveMost.selector);
        flash.repay(straight(5_000e18, 2.5e18));
        same(market.debt(me), 15_000e18, "untouched");
    }

    function test_no_health_below_what_was_said() public {
        FlashRepay.Repayment memory r = straight(5_000e18, 5e18);
        r.leastHealth = 1.3e18;
        vm.expectPartialRevert(FlashRepay.HealthBelowLeast.selector);
        flash.repay(r);
    }

    function test_the_markets_own_check_of_health_holds() public {
        market.setPrice(1_500e18); // what is sold at the pool counts for more there than it repays
        FlashRepay.Repayment memory r = straight(100e18, 5e18);
        r.leastHealth = 0;
        vm.expectPartialRevert(Tokens.TokenCallFailed.selector);
        flash.repay(r);
    }

    function test_not_after_the_deadline() public {
        vm.warp(START + 1);
        vm.expectPartialRevert(FlashRepay.DeadlinePassed.selector);
        flash.repay(straight(1e18, 5e18));
    }

    function test_shapes_that_mean_nothing() public {
        FlashRepay.Repayment memory r = straight(0, 5e18);
        vm.expectPartialRevert(FlashRepay.BadAmount.selector);
        flash.repay(r);
        r.repays = 1 << 127;
        vm.expectPartialRevert(FlashRepay.BadAmount.selector);
        flash.repay(r);
        r = straight(1e18, 5e18);
        r.tokens[1] = address(usd);
        vm.expectPartialRevert(FlashRepay.BadPath.selector);
        flash.repay(r);
        (r.tokens, r.fees) = (new address[](1), new uint24[](0));
        vm.expectPartialRevert(FlashRepay.BadPath.selector);
        flash.repay(r);
        (r.tokens, r.fees) = (new address[](6), new uint24[](5));
        vm.expectPartialRevert(FlashRepay.BadPath.selector);
        flash.repay(r);
        (r.tokens, r.fees) = (new address[](4), new uint24[](2));
        vm.expectPartialRevert(FlashRepay.BadPath.selector);
        flash.repay(r);
    }

    /// A pool that runs dry, or a token that takes a fee, gives less than was asked for: what is told is what the market took.
    function test_less_bought_than_asked_for_is_not_told_as_repaid() public {
        direct.misbehave(1, 9_950);
        aEth.approve(address(flash), 10e18);
        (uint256 repaid,) = flash.repay(straight(15_100e18, 10e18));
        same(repaid, 15_000e18, "repaid");
        same(market.debt(me), 0, "owed");
        same(usd.balanceOf(me), 24.5e18, "back");
        nothingStays();
    }

    /// What one of the batch's pools costs once somebody has moved its price before it: never above what was said, or nothing happens.
    function testFuzz_a_price_moved_before_costs_no_more_than_said(uint256 price, bool two) public {
        second = pool(eth, mid, 3000, within(price, 1e15, 1e25));
        direct = pool(eth, usd, 500, within(price, 1e15, 1e25));
        uint256 had = aEth.balanceOf(me);
        try flash.repay(two ? around(5_000e18, 2.6e18) : straight(5_000e18, 2.6e18)) {
            isTrue(had - aEth.balanceOf(me) <= 2.6e18, "above");
            same(market.debt(me), 10_000e18, "owed");
        } catch {
            same(aEth.balanceOf(me), had, "held as before");
            same(market.debt(me), 15_000e18, "owed as before");
        }
        nothingStays();
    }

    function test_a_call_repeated_finds_no_allowance() public {
        (, uint256 taken) = flash.repay(straight(5_000e18, 5e18));
        aEth.approve(address(flash), 0); // as the batch's last call does
        vm.expectPartialRevert(Tokens.TokenCallFailed.selector);
        flash.repay(straight(5_000e18, 5e18));
        same(aEth.balanceOf(me), 10e18 - taken, "taken once");
    }

    function test_without_the_allowance_nothing_happens() public {
        aEth.approve(address(flash), 0);
        vm.expectPartialRevert(Tokens.TokenCallFailed.selector);
        flash.repay(straight(5_000e18, 5e18));
    }

    // ------------------------------------------------------------------ only the caller's
    function test_nobody_repays_out_of_anothers_collateral() public {
        vm.prank(THIEF);
        vm.expectPartialRevert(Tokens.TokenCallFailed.selector);
        flash.repay(straight(5_000e18, 5e18));
        same(market.debt(me), 15_000e18, "owed");
    }

    function test_strangers_and_pools_that_are_not_asked_are_not_paid() public {
        aEth.mint(address(flash), 5e18);
        bytes memory data = abi.encode(straight(5_000e18, 5e18), me, uint256(0));
        vm.prank(THIEF);
        vm.expectPartialRevert(FlashRepay.NotThePool.selector);
        flash.uniswapV3SwapCallback(1e18, -1, data);
        vm.prank(address(direct));
        vm.expectPartialRevert(FlashRepay.NotThePool.selector);
        flash.uniswapV3SwapCallback(1e18, -1, data);
    }

    function test_a_pool_is_paid_once() public {
        direct.misbehave(2, 10_000);
        vm.expectPartialRevert(FlashRepay.NotThePool.selector);
        flash.repay(straight(5_000e18, 5e18));
    }

    function test_a_pool_that_never_asks_ends_it() public {
        direct.misbehave(0, 10_000);
        vm.expectPartialRevert(FlashRepay.NotThePool.selector);
        flash.repay(straight(5_000e18, 5e18));
    }

    function test_a_pool_that_gives_less_ends_it_whatever_lies_here() public {
        usd.mint(address(flash), 1_000_000e18);
        direct.misbehave(1, 9_999);
        vm.expectPartialRevert(FlashRepay.AmountUnavailable.selector);
        flash.repay(straight(5_000e18, 5e18));
    }

    function test_what_lay_here_is_neither_used_nor_given() public {
        usd.mint(address(flash), 7e18);
        eth.mint(address(flash), 8e18);
        mid.mint(address(flash), 9e18);
        aEth.mint(address(flash), 3e18);
        flash.repay(straight(5_000e18, 5e18));
        flash.repay(around(1_000e18, 2e18));
        same(usd.balanceOf(address(flash)), 7e18, "usd");
        same(eth.balanceOf(address(flash)), 8e18, "eth");
        same(mid.balanceOf(address(flash)), 9e18, "mid");
        same(aEth.balanceOf(address(flash)), 3e18, "aTokens");
    }

    /// aTokens of the caller's own making, pulled for nothing, would have the market withdraw the ones that lie here.
    function test_an_atoken_of_ones_own_making_takes_nothing_of_what_lies_here() public {
        aEth.mint(address(flash), 5e18);
        market.owe(THIEF, 5_000e18);
        FlashRepay.Repayment memory r = straight(5_000e18, 5e18);
        r.aToken = address(new FalseAToken(address(market), address(eth)));
        vm.prank(THIEF);
        vm.expectPartialRevert(FlashRepay.NotTheReservesToken.selector);
        flash.repay(r);
        r.aToken = address(aEth);
        r.pool = address(new FalseMarket(address(aEth)));
        vm.prank(THIEF);
        vm.expectPartialRevert(FlashRepay.NotTheReservesToken.selector);
        flash.repay(r);
        FalseMarket own = new FalseMarket(address(0));
        r.pool = address(own);
        vm.prank(THIEF);
        vm.expectPartialRevert(FlashRepay.NotTheReservesToken.selector);
        flash.repay(r);
        same(aEth.balanceOf(address(flash)), 5e18, "what lay here");
    }

    function test_a_market_that_pays_less_than_it_takes_ends_it() public {
        market.setSkim(1);
        vm.expectPartialRevert(FlashRepay.AmountUnavailable.selector);
        flash.repay(straight(5_000e18, 5e18));
    }

    // ------------------------------------------------------------------ odd tokens
    function test_a_debt_in_a_token_that_takes_a_fee_is_not_repaid() public {
        usd.setFee(10);
        usd.mint(address(flash), 1_000_000e18);
        vm.expectPartialRevert(FlashRepay.AmountUnavailable.selector);
        flash.repay(straight(5_000e18, 5e18));
    }

    function test_a_collateral_that_takes_a_fee_is_not_sold() public {
        eth.setFee(10);
        vm.expectRevert(bytes("IIA"));
        flash.repay(straight(5_000e18, 5e18));
    }

    function test_a_token_that_answers_false_is_refused() public {
        usd.setLies(true);
        vm.expectPartialRevert(Tokens.TokenCallFailed.selector);
        flash.repay(straight(5_000e18, 5e18));
    }

    function test_an_allowance_that_stays_ends_it() public {
        usd.setStuck(true);
        vm.expectPartialRevert(FlashRepay.AllowanceRemains.selector);
        flash.repay(straight(15_100e18, 10e18));
    }

    function test_a_token_cannot_enter_again() public {
        CallingToken evil = new CallingToken();
        usd = evil;
        oweIn(evil);
        bytes memory again = abi.encodeCall(FlashRepay.repay, (straight(1_000e18, 5e18)));
        evil.calls(address(flash), again);
        flash.repay(straight(1_000e18, 5e18));
        isTrue(!evil.succeeded(), "entered");
        evil.calls(
            address(flash),
            abi.encodeCall(
                FlashRepay.uniswapV3SwapCallback, (int256(1e18), -1, abi.encode(straight(1_000e18, 5e18), me, uint256(0)))
            )
        );
        flash.repay(straight(1_000e18, 5e18));
        isTrue(!evil.succeeded(), "called back");
        nothingStays();
    }

    /// A token in the middle that calls while a pool is being asked: neither a stranger nor the token itself is taken for that pool.
    function test_a_token_of_the_way_cannot_be_the_pool_that_is_asked() public {
        CallingOnTheWay evil = new CallingOnTheWay();
        first = pool(evil, usd, 100, 1e18);
        second = pool(eth, evil, 3000, 1_994e18);
        FlashRepay.Repayment memory r = around(1_000e18, 5e18);
        r.tokens[1] = address(evil);
        for (uint256 at; at < 2; at++) {
            bytes memory data = abi.encode(r, me, at);
            evil.calls(address(flash), abi.encodeCall(FlashRepay.uniswapV3SwapCallback, (int256(1e18), -1, data)));
            flash.repay(r);
            isTrue(evil.tried() == at + 1 && !evil.succeeded(), "called back");
        }
        nothingStays();
    }

    /// An allowance that somebody left standing is drawn on by his own calls alone, whoever's account the data names.
    function test_a_standing_allowance_is_nobodys_elses(address who) public {
        vm.assume(who != me);
        aEth.approve(address(flash), type(uint256).max);
        FlashRepay.Repayment memory r = straight(1_000e18, 5e18);
        r.leastHealth = 0;
        vm.prank(who);
        try flash.repay(r) {
            isTrue(false, "repaid");
        } catch {}
        same(aEth.balanceOf(me), 10e18, "held");
    }

    function oweIn(MockToken owed) private {
        market = new MockMarket(eth, owed, PRICE);
        aEth = market.aToken();
        eth.mint(address(market), 1e24);
        direct = pool(eth, owed, 500, 1_994e18);
        indebted(me, 10e18, 15_000e18, 5e18);
    }

    // ------------------------------------------------------------------ any amounts
    function testFuzz_nothing_stays_and_nobody_pays_more_than_he_said(uint256 repays, uint256 most, uint256 index, uint8 how)
        public
    {
        aEth.set(within(index, 1e27, 3e27), how & 1 == 0);
        repays = within(repays, 1, 16_000e18);
        most = within(most, 1, 8e18);
        aEth.approve(address(flash), most);
        uint256 had = aEth.balanceOf(me);
        FlashRepay.Repayment memory r = how & 2 == 0 ? straight(repays, most) : around(repays, most);
        try flash.repay(r) returns (uint256 repaid, uint256 taken) {
            same(15_000e18 - market.debt(me), repaid, "repaid");
            same(repaid + usd.balanceOf(me), repays, "bought");
            same(had - aEth.balanceOf(me), taken, "taken");
            isTrue(taken <= most, "most");
            isTrue(market.healthOf(me) >= 1e18, "health");
        } catch {
            same(market.debt(me), 15_000e18, "owed as before");
            same(aEth.balanceOf(me), had, "held as before");
        }
        nothingStays();
    }
}
