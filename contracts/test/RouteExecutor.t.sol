// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {RouteExecutor} from "../src/RouteExecutor.sol";
import {Tokens} from "../src/Tokens.sol";
import {HostileManager} from "./HostileManager.sol";
import {MockToken} from "./Mocks.sol";
import {RouteWorld} from "./RouteWorld.sol";
import {CallingToken, MockPair} from "./VenueMocks.sol";

contract RouteExecutorTest is RouteWorld {
    uint256 private constant AMOUNT = 1_000e18;

    function setUp() public {
        world();
        give(a, address(this), 10 * AMOUNT);
    }

    function run(address[] memory tokens, uint256 amount, RouteExecutor.Hop[] memory hops) private returns (uint256) {
        return executor.route(tokens, amount, 1, START, hops);
    }

    function nothingStays() private view {
        MockToken[4] memory all = [a, b, c, MockToken(payable(address(weth)))];
        address[6] memory venues =
            [address(ab), address(bc), address(solid), address(v3), address(vault), address(curve)];
        for (uint256 i; i < all.length; i++) {
            same(all[i].balanceOf(address(executor)), 0, "stays");
            for (uint256 j; j < venues.length; j++) {
                same(all[i].allowance(address(executor), venues[j]), 0, "stays allowed");
            }
        }
        same(address(executor).balance, 0, "ether stays");
    }

    // ------------------------------------------------------------------ every kind of venue
    function test_v2_gives_what_the_pair_owes() public {
        uint256 due = ab.getAmountOut(AMOUNT, address(a));
        same(run(two(a, b), AMOUNT, only(hop(0, 0, 1, false, AMOUNT, address(ab), 3000))), due, "out");
        same(b.balanceOf(address(this)), due, "paid");
        nothingStays();
    }

    function test_v2_at_a_fee_too_low_is_the_pairs_to_refuse() public {
        vm.expectRevert(bytes("K"));
        run(two(a, b), AMOUNT, only(hop(0, 0, 1, false, AMOUNT, address(ab), 2900)));
    }

    function test_solidly_prices_itself() public {
        uint256 due = solid.getAmountOut(AMOUNT, address(a));
        same(run(two(a, b), AMOUNT, only(hop(5, 0, 1, false, AMOUNT, address(solid), 0))), due, "out");
        nothingStays();
    }

    function test_v3_both_ways() public {
        same(run(two(a, b), AMOUNT, only(hop(1, 0, 1, false, AMOUNT, FACTORY, 500))), AMOUNT, "out");
        b.approve(address(executor), AMOUNT);
        same(run(two(b, a), AMOUNT, only(hop(1, 0, 1, false, AMOUNT, FACTORY, 500))), AMOUNT, "back");
        nothingStays();
    }

    function test_v4_tokens_and_ether() public {
        same(run(two(a, b), AMOUNT, only(hop(2, 0, 1, false, AMOUNT, address(manager), (500 << 32) | (10 << 8)))), AMOUNT, "out");
        same(run(two(a, weth), AMOUNT, only(hop(2, 0, 1, false, AMOUNT, address(manager), (500 << 32) | (10 << 8) | 2))), AMOUNT, "ether");
        weth.approve(address(executor), AMOUNT);
        same(run(two(weth, b), AMOUNT, only(hop(2, 0, 1, false, AMOUNT, address(manager), (500 << 32) | (10 << 8) | 1))), AMOUNT, "back");
        nothingStays();
    }

    function test_v4_ether_that_a_limit_left_is_wrapped_again() public {
        run(two(a, weth), AMOUNT, only(hop(2, 0, 1, false, AMOUNT, address(manager), 2)));
        weth.approve(address(executor), AMOUNT);
        manager.misbehave(6_000);
        run(two(weth, b), AMOUNT, only(hop(2, 0, 1, false, AMOUNT, address(manager), 1)));
        same(weth.balanceOf(address(this)), 400e18, "left");
        nothingStays();
    }

    function test_balancer_and_curve() public {
        same(run(two(a, b), AMOUNT, only(hop(3, 0, 1, false, AMOUNT, address(vault), 7))), AMOUNT, "vault");
        b.approve(address(executor), AMOUNT);
        same(run(two(b, c), AMOUNT, only(hop(4, 0, 1, false, AMOUNT, address(curve), 1))), AMOUNT, "curve");
        nothingStays();
    }

    // ------------------------------------------------------------------ shapes
    function merging() private view returns (RouteExecutor.Hop[] memory hops) {
        hops = new RouteExecutor.Hop[](4);
        hops[0] = hop(0, 0, 2, false, 300e18, address(ab), 3000);
        hops[1] = hop(1, 0, 2, true, ALL, FACTORY, 500);
        hops[2] = hop(0, 2, 1, true, ALL / 3, address(bc), 2500);
        hops[3] = hop(4, 2, 1, true, ALL, address(curve), 1);
    }

    function test_paths_split_and_merge() public {
        uint256 middle = ab.getAmountOut(300e18, address(a)) + 700e18;
        uint256 third = middle * (ALL / 3) / ALL;
        uint256 due = bc.getAmountOut(third, address(b)) + middle - third;
        same(run(three(), AMOUNT, merging()), due, "out");
        nothingStays();
    }

    function test_what_is_not_spent_comes_back() public {
        v3.misbehave(10_000, 1, 600e18);
        same(run(two(a, b), AMOUNT, only(hop(1, 0, 1, false, AMOUNT, FACTORY, 500))), 600e18, "out");
        same(a.balanceOf(address(this)), 9_400e18, "back");
        nothingStays();
    }

    function test_what_lay_here_is_neither_used_nor_given() public {
        a.mint(address(executor), 5e18);
        b.mint(address(executor), 6e18);
        c.mint(address(executor), 7e18);
        run(three(), AMOUNT, merging());
        same(a.balanceOf(address(executor)), 5e18, "sold");
        same(b.balanceOf(address(executor)), 6e18, "between");
        same(c.balanceOf(address(executor)), 7e18, "bought");
    }

    // ------------------------------------------------------------------ rules
    function test_the_minimum_holds() public {
        vm.expectRevert(abi.encodeWithSelector(RouteExecutor.ReceivedBelowMinimum.selector, AMOUNT, AMOUNT + 1));
        executor.route(two(a, b), AMOUNT, AMOUNT + 1, START, only(hop(1, 0, 1, false, AMOUNT, FACTORY, 500)));
    }

    function test_the_deadline_holds() public {
        vm.expectRevert(abi.encodeWithSelector(RouteExecutor.DeadlinePassed.selector, START - 1));
        executor.route(two(a, b), AMOUNT, 1, START - 1, only(hop(1, 0, 1, false, AMOUNT, FACTORY, 500)));
    }

    function test_more_than_the_route_holds_is_not_spent() public {
        a.mint(address(executor), AMOUNT);
        vm.expectRevert(abi.encodeWithSelector(RouteExecutor.AmountUnavailable.selector, 0, AMOUNT + 1, AMOUNT));
        run(two(a, b), AMOUNT, only(hop(1, 0, 1, false, AMOUNT + 1, FACTORY, 500)));
    }

    function test_odd_hops_and_lists_are_refused() public {
        vm.expectPartialRevert(RouteExecutor.BadHop.selector);
        run(two(a, b), AMOUNT, only(hop(6, 0, 1, false, AMOUNT, FACTORY, 500)));
        vm.expectPartialRevert(RouteExecutor.BadHop.selector);
        run(two(a, b), AMOUNT, only(hop(1, 0, 2, false, AMOUNT, FACTORY, 500)));
        vm.expectPartialRevert(RouteExecutor.BadHop.selector);
        run(two(a, b), AMOUNT, only(hop(1, 0, 0, false, AMOUNT, FACTORY, 500)));
        vm.expectPartialRevert(RouteExecutor.BadHop.selector);
        run(two(a, b), AMOUNT, only(hop(1, 0, 1, true, ALL + 1, FACTORY, 500)));
        vm.expectPartialRevert(RouteExecutor.BadTokens.selector);
        run(two(a, a), AMOUNT, only(hop(1, 0, 1, false, AMOUNT, FACTORY, 500)));
        vm.expectPartialRevert(RouteExecutor.BadTokens.selector);
        run(new address[](1), AMOUNT, only(hop(1, 0, 0, false, AMOUNT, FACTORY, 500)));
        vm.expectPartialRevert(RouteExecutor.AmountUnavailable.selector);
        run(two(a, b), AMOUNT, only(hop(1, 0, 1, false, 0, FACTORY, 500)));
        b.mint(address(this), AMOUNT);
        b.approve(address(executor), AMOUNT);
        vm.expectPartialRevert(RouteExecutor.BadHop.selector);
        run(two(b, c), AMOUNT, only(hop(4, 0, 1, false, AMOUNT, address(curve), 1 << 8)));
    }

    function test_without_hops_the_caller_has_it_back_or_nothing_happens() public {
        vm.expectPartialRevert(RouteExecutor.ReceivedBelowMinimum.selector);
        run(two(a, b), AMOUNT, new RouteExecutor.Hop[](0));
    }

    // ------------------------------------------------------------------ only the caller's money
    function test_nobody_spends_what_others_allowed() public {
        address victim = address(0xF00);
        give(a, victim, AMOUNT);
        vm.prank(address(0xBAD));
        vm.expectPartialRevert(Tokens.TokenCallFailed.selector);
        executor.route(two(a, b), AMOUNT, 0, START, only(hop(1, 0, 1, false, AMOUNT, FACTORY, 500)));
        same(a.balanceOf(victim), AMOUNT, "victim");
    }

    function test_strangers_are_not_paid() public {
        a.mint(address(executor), AMOUNT);
        bytes memory owed = abi.encode(address(a), AMOUNT);
        vm.expectPartialRevert(RouteExecutor.NotTheVenue.selector);
        executor.uniswapV3SwapCallback(int256(AMOUNT), 0, owed);
        vm.prank(address(v3));
        vm.expectPartialRevert(RouteExecutor.NotTheVenue.selector);
        executor.uniswapV3SwapCallback(int256(AMOUNT), 0, owed);
        vm.expectPartialRevert(RouteExecutor.NotTheVenue.selector);
        executor.unlockCallback(abi.encode(bytes32(0), address(a), address(b), AMOUNT));
    }

    function test_a_pool_is_paid_once_and_no_more_than_agreed() public {
        a.mint(address(executor), AMOUNT);
        v3.misbehave(10_000, 2, type(uint256).max);
        vm.expectPartialRevert(RouteExecutor.NotTheVenue.selector);
        run(two(a, b), AMOUNT, only(hop(1, 0, 1, false, AMOUNT, FACTORY, 500)));
        v3.misbehave(10_001, 1, type(uint256).max);
        vm.expectPartialRevert(RouteExecutor.NotTheVenue.selector);
        run(two(a, b), AMOUNT, only(hop(1, 0, 1, false, AMOUNT, FACTORY, 500)));
        manager.misbehave(10_001);
        vm.expectPartialRevert(RouteExecutor.NotTheVenue.selector);
        run(two(a, b), AMOUNT, only(hop(2, 0, 1, false, AMOUNT, address(manager), 0)));
    }

    function test_allowances_end_with_the_hop() public {
        vault.misbehave(4_000);
        same(run(two(a, b), AMOUNT, only(hop(3, 0, 1, false, AMOUNT, address(vault), 7))), 400e18, "out");
        same(a.balanceOf(address(this)), 9_600e18, "back");
        nothingStays();
        a.setStuck(true);
        vm.expectPartialRevert(RouteExecutor.AllowanceRemains.selector);
        run(two(a, b), AMOUNT, only(hop(3, 0, 1, false, AMOUNT, address(vault), 7)));
    }

    /// What a V4 hop owes, read as what a V3 hop owes, would name any token at all, and an amount without end.
    function test_a_manager_is_not_paid_as_a_pool() public {
        MockToken lost = MockToken(payable(address(0xD000)));
        vm.etch(address(lost), type(MockToken).runtimeCode);
        lost.mint(address(executor), AMOUNT);
        HostileManager manager_ = new HostileManager();
        manager_.will(AMOUNT, false);
        vm.expectPartialRevert(RouteExecutor.NotTheVenue.selector);
        executor.route(two(a, b), AMOUNT, 0, START, only(hop(2, 0, 1, false, AMOUNT, address(manager_), uint160(address(lost)))));
        same(lost.balanceOf(address(executor)), AMOUNT, "what lay here");
    }

    function test_ether_is_taken_only_where_a_hop_is_about_it() public {
        vm.deal(address(this), 2);
        (bool ok,) = address(executor).call{value: 1}("");
        isTrue(!ok, "ether by mistake");
        HostileManager pair = new HostileManager{value: 1}();
        pair.will(0, true);
        vm.expectRevert(bytes("ether"));
        executor.route(two(a, b), AMOUNT, 0, START, only(hop(0, 0, 1, false, AMOUNT, address(pair), 3000)));
    }

    // ------------------------------------------------------------------ odd tokens
    function test_a_token_that_takes_a_fee_is_not_sold() public {
        a.setFee(10);
        vm.expectPartialRevert(RouteExecutor.AmountUnavailable.selector);
        run(two(a, b), AMOUNT, only(hop(1, 0, 1, false, AMOUNT, FACTORY, 500)));
    }

    function test_a_token_bought_counts_for_what_arrives() public {
        b.setFee(100);
        vm.expectPartialRevert(RouteExecutor.ReceivedBelowMinimum.selector);
        executor.route(two(a, b), AMOUNT, 981e18, START, only(hop(1, 0, 1, false, AMOUNT, FACTORY, 500)));
        same(run(two(a, b), AMOUNT, only(hop(1, 0, 1, false, AMOUNT, FACTORY, 500))), 980.1e18, "twice one per cent");
        same(b.balanceOf(address(this)), 980.1e18, "arrived");
    }

    function test_a_token_that_answers_false_is_refused() public {
        a.setLies(true);
        vm.expectPartialRevert(Tokens.TokenCallFailed.selector);
        run(two(a, b), AMOUNT, only(hop(3, 0, 1, false, AMOUNT, address(vault), 7)));
    }

    function test_a_token_cannot_enter_again() public {
        CallingToken evil = new CallingToken();
        MockPair pair = new MockPair(evil, b, 3000);
        evil.mint(address(pair), MILLION);
        b.mint(address(pair), MILLION);
        pair.sync();
        evil.mint(address(this), AMOUNT);
        evil.approve(address(executor), AMOUNT);
        evil.mint(address(evil), AMOUNT);
        bytes memory again = abi.encodeCall(
            RouteExecutor.route,
            (two(evil, b), AMOUNT, 0, START, only(hop(0, 0, 1, false, AMOUNT, address(pair), 3000)))
        );
        evil.calls(address(executor), again);
        run(two(evil, b), AMOUNT, only(hop(0, 0, 1, false, AMOUNT, address(pair), 3000)));
        isTrue(!evil.succeeded(), "entered");
        nothingStays();
    }

    // ------------------------------------------------------------------ any amounts
    function testFuzz_a_share_is_the_amount_it_was_made_from(uint128 amount, uint128 held) public {
        vm.assume(held != 0 && amount <= held);
        uint256 x = uint256(amount) * ALL;
        uint256 share = (x + held - 1) / held;
        same(uint256(held) * share / ALL, amount, "share");
    }

    function testFuzz_routes_leave_nothing(uint256 amount, uint256 first, uint256 part, uint8 venue) public {
        amount = within(amount, 1e6, 10 * AMOUNT);
        RouteExecutor.Hop[] memory hops = merging();
        hops[0].amount = within(first, 1e3, amount - 1e3);
        hops[2].amount = within(part, ALL / 1_000, ALL - ALL / 1_000);
        if (venue & 1 != 0) hops[1] = hop(5, 0, 2, true, ALL, address(solid), 0);
        if (venue & 2 != 0) hops[3] = hop(3, 2, 1, true, ALL, address(vault), 0);
        if (venue & 4 != 0) hops[2] = hop(2, 2, 1, true, hops[2].amount, address(manager), 0);
        uint256 had = c.balanceOf(address(this));
        uint256 out = executor.route(three(), amount, 0, START, hops);
        same(c.balanceOf(address(this)) - had, out, "received");
        nothingStays();
    }
}
