// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {Gate} from "../src/Gate.sol";
import {Prices} from "../src/Prices.sol";
import {Settings} from "../src/Settings.sol";
import {Tokens} from "../src/Tokens.sol";
import {GateWorld} from "./GateWorld.sol";
import {MockFeed, MockModifier, MockRouter, MockToken} from "./Mocks.sol";

contract GateTradeTest is GateWorld {
    function setUp() public {
        world();
    }

    function testAFairSalePaysTheSafe() public {
        (uint256 floor, uint256 worth) = gate.floorOf(address(eth), address(usd), 1e18);
        same(worth, 3000e18, "value");
        isTrue(floor >= 2970e6 && floor < 2971e6, "1 % below the better of two sources that nearly agree");
        asAgent(fair(1e18));
        same(eth.balanceOf(address(safe)), 999e18, "paid");
        same(usd.balanceOf(address(safe)), 1_000_000e6 + floor, "received");
        same(eth.balanceOf(address(gate)) + usd.balanceOf(address(gate)), 0, "nothing stays");
        same(eth.allowance(address(gate), address(router)), 0, "no allowance");
        same(gate.budgetLeft(), BURST - worth, "budget");
    }

    function testAPurchaseIsPricedTheOtherWay() public {
        (uint256 floor, uint256 worth) = gate.floorOf(address(usd), address(eth), 3000e6);
        same(worth, 3000e18, "value");
        isTrue(floor >= 0.99e18 && floor < 0.9902e18, "floor in WETH");
        bytes memory data = abi.encodeCall(MockRouter.swap, (usd, eth, 3000e6, floor, address(gate)));
        asAgent(Gate.Trade(address(usd), address(eth), 3000e6, floor, block.timestamp, address(router), data));
        same(eth.balanceOf(address(safe)), 1_000e18 + floor, "received");
    }

    function testAPushedPaymentAndWhatIsNotTakenComesBack() public {
        (uint256 floor,) = gate.floorOf(address(eth), address(usd), 1e18);
        Gate.Trade memory t = sale(1e18, floor, 0, address(gate));
        t.data = abi.encodeCall(MockRouter.keep, (usd, floor, address(gate)));
        asAgent(t);
        same(eth.balanceOf(address(router)), 1e18, "pushed");
        t = sale(1e18, floor, floor, address(gate));
        t.data = abi.encodeCall(MockRouter.swap, (eth, usd, 0.4e18, floor, address(gate)));
        asAgent(t);
        same(eth.balanceOf(address(safe)), 998.6e18, "0.6 came back");
        same(eth.allowance(address(gate), address(router)), 0, "and the allowance with it");
    }

    function testOnlyTheAgent() public {
        Gate.Trade memory t = fair(1e18);
        address[3] memory others = [THIEF, OWNER, address(safe)];
        for (uint256 i; i < 3; i++) {
            vm.expectRevert(abi.encodeWithSelector(Settings.NotTheAgent.selector, others[i]));
            vm.prank(others[i]);
            gate.trade(t);
        }
    }

    function testTheRecipientIsTheGateAndNobodyElse() public {
        (uint256 floor,) = gate.floorOf(address(eth), address(usd), 1e18);
        vm.expectRevert(abi.encodeWithSelector(Gate.ReceivedBelowMinimum.selector, 0, floor));
        asAgent(sale(1e18, floor, floor, THIEF));
        vm.expectRevert(abi.encodeWithSelector(Gate.ReceivedBelowMinimum.selector, 0, floor));
        asAgent(sale(1e18, floor, floor, address(safe)));
    }

    function testMoneyTheSafeIsDueAnywayIsNotProceeds() public {
        (uint256 floor,) = gate.floorOf(address(eth), address(usd), 1e18);
        Gate.Trade memory t = sale(1e18, floor, 0, address(gate));
        t.data = abi.encodeCall(MockRouter.settleSomethingElse, (eth, usd, 1e18, floor * 2, address(safe)));
        vm.expectRevert(abi.encodeWithSelector(Gate.ReceivedBelowMinimum.selector, 0, floor));
        asAgent(t);
    }

    function testAMinimumBelowTheFloorIsRefused() public {
        (uint256 floor,) = gate.floorOf(address(eth), address(usd), 1e18);
        vm.expectRevert(abi.encodeWithSelector(Gate.MinimumBelowFloor.selector, 0, floor));
        asAgent(sale(1e18, 0, floor, address(gate)));
        vm.expectRevert(abi.encodeWithSelector(Gate.MinimumBelowFloor.selector, floor - 1, floor));
        asAgent(sale(1e18, floor - 1, floor, address(gate)));
        vm.expectRevert(abi.encodeWithSelector(Gate.ReceivedBelowMinimum.selector, floor - 1, floor));
        asAgent(sale(1e18, floor, floor - 1, address(gate)));
    }

    function testTheWorseSourceDecides() public {
        (uint256 agreed,) = gate.floorOf(address(eth), address(usd), 1e18);
        pool.set(196_156, 0); // the pool says 1.005 % more
        (uint256 floor,) = gate.floorOf(address(eth), address(usd), 1e18);
        isTrue(floor > agreed * 10099 / 10000 && floor < agreed * 10102 / 10000, "the pool's price");
        pool.set(196_356, 0); // and 1 % less: the feed's
        (floor,) = gate.floorOf(address(eth), address(usd), 1e18);
        same(floor, 2970e6, "the feed's price");
        pool.set(196_056, 0);
        vm.expectPartialRevert(Gate.SourcesDisagree.selector);
        gate.floorOf(address(eth), address(usd), 1e18);
        pool.set(196_456, 0);
        vm.expectPartialRevert(Gate.SourcesDisagree.selector);
        gate.floorOf(address(eth), address(usd), 1e18);
    }

    function testASecondFeedDoesAsASource() public {
        MockFeed cross = new MockFeed(18, int256(uint256(1e18) / 3000)); // WETH per USD
        widen(abi.encodeCall(Settings.setPair, (address(usd), address(eth), address(cross), 0, 3600)));
        cross.set(cross.answer(), block.timestamp);
        (uint256 floor,) = gate.floorOf(address(eth), address(usd), 1e18);
        same(floor, 2970e6 + 1, "rounded up, against the agent");
        (floor,) = gate.floorOf(address(usd), address(eth), 3000e6);
        same(floor, 0.99e18, "and the other way");
        vm.warp(block.timestamp + 3601);
        refresh();
        vm.expectPartialRevert(Prices.PriceStale.selector);
        gate.floorOf(address(eth), address(usd), 1e18);
    }

    function testPricesThatAreNotKnown() public {
        vm.warp(START + 3601);
        vm.expectRevert(abi.encodeWithSelector(Prices.PriceStale.selector, ethFeed, START, 3600));
        gate.floorOf(address(eth), address(usd), 1e18);
        ethFeed.set(0, block.timestamp);
        vm.expectRevert(abi.encodeWithSelector(Prices.PriceUnknown.selector, ethFeed));
        gate.floorOf(address(eth), address(usd), 1e18);
        ethFeed.set(-1, block.timestamp);
        vm.expectPartialRevert(Prices.PriceUnknown.selector);
        gate.floorOf(address(eth), address(usd), 1e18);
        ethFeed.set(3000e8, block.timestamp + 1);
        vm.expectPartialRevert(Prices.PriceUnknown.selector);
        gate.floorOf(address(eth), address(usd), 1e18);
        ethFeed.set(3000e8, 0);
        vm.expectPartialRevert(Prices.PriceUnknown.selector);
        gate.floorOf(address(eth), address(usd), 1e18);
    }

    function testTheSequencer() public {
        MockFeed up = new MockFeed(0, 0);
        widen(abi.encodeCall(Settings.setSequencer, (address(up), 1 hours)));
        gate.floorOf(address(eth), address(usd), 1e18);
        up.set(1, START);
        vm.expectRevert(abi.encodeWithSelector(Prices.SequencerDown.selector, START));
        gate.floorOf(address(eth), address(usd), 1e18);
        up.set(0, block.timestamp - 1 hours);
        vm.expectPartialRevert(Prices.SequencerDown.selector);
        gate.floorOf(address(eth), address(usd), 1e18);
        up.set(0, 0); // a feed that has not begun
        vm.expectPartialRevert(Prices.SequencerDown.selector);
        gate.floorOf(address(eth), address(usd), 1e18);
        up.set(0, block.timestamp + 1);
        vm.expectPartialRevert(Prices.SequencerDown.selector);
        gate.floorOf(address(eth), address(usd), 1e18);
        up.set(0, block.timestamp - 1 hours - 1);
        gate.floorOf(address(eth), address(usd), 1e18);
    }

    function testWhatIsNotListed() public {
        MockToken other = new MockToken(18);
        Gate.Trade memory t = fair(1e18);
        t.tokenOut = address(other);
        vm.expectRevert(abi.encodeWithSelector(Gate.TokenNotListed.selector, other));
        asAgent(t);
        t = fair(1e18);
        t.tokenIn = address(other);
        vm.expectRevert(abi.encodeWithSelector(Gate.TokenNotListed.selector, other));
        asAgent(t);
        t = fair(1e18);
        t.tokenIn = address(usd);
        vm.expectRevert(abi.encodeWithSelector(Gate.PairNotListed.selector, usd, usd));
        asAgent(t);
        t = fair(1e18);
        t.router = THIEF;
        vm.expectRevert(abi.encodeWithSelector(Gate.RouteNotListed.selector, THIEF, MockRouter.swap.selector));
        asAgent(t);
        t = fair(1e18);
        t.data = hex"12345678";
        vm.expectRevert(abi.encodeWithSelector(Gate.RouteNotListed.selector, router, bytes4(0x12345678)));
        asAgent(t);
        t.data = "";
        vm.expectPartialRevert(Gate.RouteNotListed.selector);
        asAgent(t);
        t = fair(1e18);
        fromSafe(abi.encodeCall(Settings.setPair, (address(usd), address(eth), address(0), 0, 0)));
        vm.expectRevert(abi.encodeWithSelector(Gate.PairNotListed.selector, eth, usd));
        asAgent(t);
    }

    function testCalldataTooShortForAFunctionIsNone() public {
        widen(abi.encodeCall(Settings.setRoute, (address(router), bytes4(0), 1)));
        Gate.Trade memory t = fair(1e18);
        t.data = hex"0000";
        vm.expectRevert(abi.encodeWithSelector(Gate.RouteNotListed.selector, router, bytes4(0)));
        asAgent(t);
    }

    function testATickOutOfAnyPricesRange() public {
        pool.set(500_001, 0);
        vm.expectRevert(abi.encodeWithSelector(Prices.TickOutOfRange.selector, int56(500_001)));
        gate.floorOf(address(eth), address(usd), 1e18);
    }

    function testDeadlines() public {
        Gate.Trade memory t = fair(1e18);
        t.deadline = block.timestamp - 1;
        vm.expectRevert(abi.encodeWithSelector(Gate.DeadlinePassed.selector, t.deadline));
        asAgent(t);
        t.deadline = block.timestamp + 601;
        vm.expectRevert(abi.encodeWithSelector(Gate.DeadlineTooFar.selector, t.deadline, block.timestamp + 600));
        asAgent(t);
        t.deadline = block.timestamp + 600;
        asAgent(t);
    }

    function testAmounts() public {
        Gate.Trade memory t = fair(1e18);
        t.amountIn = 0;
        vm.expectRevert(abi.encodeWithSelector(Gate.AmountOutOfRange.selector, 0));
        asAgent(t);
        t.amountIn = 1 << 128;
        vm.expectRevert(abi.encodeWithSelector(Gate.AmountOutOfRange.selector, t.amountIn));
        asAgent(t);
    }

    function testTheBudget() public {
        asAgent(fair(10e18));
        Gate.Trade memory t = fair(1);
        vm.expectPartialRevert(Gate.OverBudget.selector);
        asAgent(t);
        vm.warp(START + 1200); // a day's 60,000 in twenty minutes: 833 USD
        refresh();
        t = fair(0.28e18);
        vm.expectPartialRevert(Gate.OverBudget.selector);
        asAgent(t);
        asAgent(fair(0.27e18));
    }

    function testAroundMidnightNoMoreThanAnywhere() public {
        vm.warp(START - START % 1 days + 1 days - 1);
        refresh();
        asAgent(fair(10e18));
        vm.warp(block.timestamp + 2);
        refresh();
        Gate.Trade memory t = fair(0.01e18);
        vm.expectPartialRevert(Gate.OverBudget.selector);
        asAgent(t);
    }

    function testTokensThatCheat() public {
        Gate.Trade memory t = fair(1e18);
        eth.setFee(1);
        vm.expectRevert(abi.encodeWithSelector(Gate.ReceivedBelowMinimum.selector, 0.9999e18, 1e18));
        asAgent(t);
        eth.setFee(0);
        usd.setFee(1);
        vm.expectPartialRevert(Gate.ReceivedBelowMinimum.selector);
        asAgent(t);
        usd.setFee(0);
        eth.setStuck(true);
        t.data = abi.encodeCall(MockRouter.swap, (eth, usd, 0.5e18, t.minimumOut, address(gate)));
        vm.expectRevert(abi.encodeWithSelector(Gate.AllowanceRemains.selector, eth, router));
        asAgent(t);
    }

    function testATokenThatAnswersNo() public {
        Gate.Trade memory t = fair(1e18);
        eth.setLies(true);
        vm.expectRevert(abi.encodeWithSelector(Tokens.TokenCallFailed.selector, eth, MockToken.approve.selector));
        asAgent(t);
    }

    /// Between two ticks the mean is rounded to the one that asks for more, in both directions and on both sides of zero.
    function testAMeanBetweenTwoTicks() public {
        for (uint256 i; i < 4; i++) {
            (bool up, bool fromZero) = (i % 2 == 0, i < 2);
            int56 tick = up ? int56(1000) : int56(-1001);
            pool.set(tick, 900); // half a tick of 1,800 seconds above
            uint256 got = Prices.twap(address(pool), 1800, 1e18, fromZero);
            same(got, Prices.atTick(fromZero ? tick + 1 : tick, 1e18, fromZero), "the dearer tick");
            pool.set(tick, 0);
            same(Prices.twap(address(pool), 1800, 1e18, fromZero), Prices.atTick(tick, 1e18, fromZero), "on the tick");
        }
    }

    function testWithoutTheSafesAllowanceNothingMoves() public {
        Gate.Trade memory t = fair(1e18);
        safe.call(address(eth), abi.encodeCall(MockToken.approve, (address(gate), 1e18 - 1)));
        vm.expectRevert(abi.encodeWithSelector(Tokens.TokenCallFailed.selector, eth, MockToken.transferFrom.selector));
        asAgent(t);
    }

    function testARouteCannotComeBackIn() public {
        MockModifier thief = new MockModifier();
        widen(abi.encodeCall(Settings.setAgent, (address(thief))));
        Gate.Trade memory inner = fair(1e18);
        Gate.Trade memory t = fair(1e18);
        bytes memory again = abi.encodeCall(Gate.trade, (inner));
        bytes memory step = abi.encodeCall(MockModifier.exec, (gate, address(gate), 0, again, 0));
        t.data = abi.encodeCall(MockRouter.reenter, (address(thief), step));
        vm.expectPartialRevert(Settings.Busy.selector);
        thief.exec(gate, address(gate), 0, abi.encodeCall(Gate.trade, (t)), 0);
    }

    function testAModifierReachesTheThreeVerbsAndNothingElse() public {
        MockModifier roles = new MockModifier();
        widen(abi.encodeCall(Settings.setAgent, (address(roles))));
        bytes memory data = abi.encodeCall(Gate.trade, (fair(1e18)));
        roles.exec(gate, address(gate), 0, data, 0);
        same(eth.balanceOf(address(safe)), 999e18, "traded");
        uint256 soon = block.timestamp + 60;
        roles.exec(gate, address(gate), 0, abi.encodeCall(Gate.lend, (1, address(eth), 5e18, soon)), 0);
        same(aToken.balanceOf(address(safe)), 5e18, "lent");
        roles.exec(gate, address(gate), 0, abi.encodeCall(Gate.refuel, (0.01e18, soon)), 0);
        same(AGENT.balance, 0.01e18, "refuelled");

        vm.expectRevert(abi.encodeWithSelector(Gate.NotThroughGate.selector, eth, 0, 0));
        roles.exec(gate, address(eth), 0, abi.encodeCall(MockToken.transfer, (THIEF, 1)), 0);
        vm.expectRevert(abi.encodeWithSelector(Gate.NotThroughGate.selector, gate, 0, 1));
        roles.exec(gate, address(gate), 0, data, 1);
        vm.expectRevert(abi.encodeWithSelector(Gate.NotThroughGate.selector, gate, 1, 0));
        roles.exec(gate, address(gate), 1, data, 0);
        vm.expectPartialRevert(Gate.NotThroughGate.selector);
        roles.exec(gate, address(gate), 0, hex"123456", 0);
        bytes4 verb = Settings.setAgent.selector;
        vm.expectRevert(abi.encodeWithSelector(Gate.RouteNotListed.selector, gate, verb));
        roles.exec(gate, address(gate), 0, abi.encodeCall(Settings.setAgent, (THIEF)), 0);
        vm.expectRevert(abi.encodeWithSelector(Settings.NotTheAgent.selector, this));
        gate.execTransactionFromModule(address(gate), 0, data, 0);
    }

    function testFrozenLapsedAndRenewed() public {
        Gate.Trade memory t = fair(1e18);
        vm.prank(OWNER);
        gate.freeze();
        vm.expectPartialRevert(Gate.IsFrozen.selector);
        asAgent(t);
        widen(abi.encodeCall(Settings.unfreeze, ()));
        asAgent(fair(1e18));
        vm.warp(START + 7 days + 1);
        refresh();
        t = fair(1e18);
        vm.expectRevert(abi.encodeWithSelector(Gate.Lapsed.selector, START + 7 days));
        asAgent(t);
        fromSafe(abi.encodeCall(Settings.renew, ()));
        asAgent(t);
    }

    function testRefuelling() public {
        uint256 soon = block.timestamp + 60;
        vm.prank(AGENT);
        gate.refuel(0.05e18, soon);
        same(AGENT.balance, 0.05e18, "gas money");
        same(eth.balanceOf(address(safe)), 999.95e18, "out of the Safe");
        vm.expectRevert(abi.encodeWithSelector(Gate.AmountOutOfRange.selector, 0));
        vm.prank(AGENT);
        gate.refuel(0, soon);
        vm.expectRevert(abi.encodeWithSelector(Gate.AmountOutOfRange.selector, uint256(1) << 96));
        vm.prank(AGENT);
        gate.refuel(1 << 96, soon);
        vm.expectRevert(abi.encodeWithSelector(Gate.OverGasBudget.selector, 1, 0));
        vm.prank(AGENT);
        gate.refuel(1, soon);
        vm.warp(block.timestamp + 1 days);
        vm.deal(AGENT, 0.18e18);
        vm.expectRevert(abi.encodeWithSelector(Gate.FloatFull.selector, 0.18e18, 0.2e18));
        vm.prank(AGENT);
        gate.refuel(0.03e18, block.timestamp);
        vm.expectPartialRevert(Settings.NotTheAgent.selector);
        gate.refuel(0.01e18, block.timestamp);
        (bool ok,) = address(gate).call{value: 1}("");
        isTrue(!ok, "the Gate takes no ether from strangers");
    }
}
