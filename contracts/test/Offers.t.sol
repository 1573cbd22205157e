// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {Gate} from "../src/Gate.sol";
import {Offers} from "../src/Offers.sol";
import {Prices} from "../src/Prices.sol";
import {Settings} from "../src/Settings.sol";
import {IOffers} from "../src/interfaces.sol";
import {Full, OfferWorld} from "./OfferWorld.sol";
import {MockFeed, MockModifier, MockToken} from "./Mocks.sol";

contract OffersTest is OfferWorld {
    function setUp() public {
        offerWorld();
    }

    // ------------------------------------------------------------------ what it is for
    function testASaleIsSettledInPartsAndPaysTheSafe() public {
        IOffers.Order memory o = order(4e18);
        (, uint256 worth) = gate.floorOf(address(eth), address(usd), 4e18);
        offerAs(o);
        same(gate.budgetLeft(), BURST - worth - worth / 50, "a fiftieth above its value is charged");
        same(eth.balanceOf(address(safe)), 996e18, "it lies apart");
        same(eth.allowance(address(offers), relayer), 4e18, "exactly what it sells");
        same(eth.allowance(address(safe), relayer), 0, "nothing of the Safe's own");
        uint256 bought = fill(o, 1e18);
        isTrue(!offers.over(address(eth)), "three are left");
        bought += fill(o, 3e18);
        same(usd.balanceOf(address(safe)), 1_000_000e6 + bought, "the Safe is paid");
        isTrue(bought >= o.buyAmount, "by the floor");
        isTrue(offers.over(address(eth)), "over");
        isBare(eth);
    }

    function testAPurchaseReturnsWhatItDidNotSpend() public {
        IOffers.Order memory o = order(1e18);
        (o.buys, o.partiallyFillable) = (true, false);
        offerAs(o);
        settlement.settle(address(offers), full(o), 0.98e18, o.buyAmount, address(0), "");
        isTrue(offers.over(address(eth)), "all of it was bought");
        same(eth.balanceOf(address(offers)), 0.02e18, "not needed");
        endAs(THIEF, address(eth));
        same(eth.balanceOf(address(safe)), 999.02e18, "back, by whoever asks");
        isBare(eth);
    }

    function testThroughAModifierWhoseTargetIsTheGate() public {
        MockModifier roles = new MockModifier();
        widen(abi.encodeCall(Settings.setAgent, (address(roles))));
        IOffers.Order memory o = order(1e18);
        roles.exec(gate, address(gate), 0, abi.encodeCall(Gate.offer, (o)), 0);
        fill(o, 0.5e18);
        roles.exec(gate, address(gate), 0, abi.encodeCall(Gate.endOffer, (address(eth), block.timestamp)), 0);
        same(eth.balanceOf(address(safe)), 999.5e18, "half came back");
        vm.expectPartialRevert(Gate.NotThroughGate.selector);
        roles.exec(gate, address(offers), 0, abi.encodeCall(Offers.end, (address(eth))), 0);
        isBare(eth);
    }

    function testTheNextOrderTakesTheRestOfTheLastHome() public {
        IOffers.Order memory o = order(2e18);
        offerAs(o);
        fill(o, 0.5e18);
        vm.warp(o.validTo + 1);
        refresh();
        IOffers.Order memory next = order(1e18);
        offerAs(next);
        same(eth.balanceOf(address(safe)), 998.5e18, "1000 - 0.5 settled - 1 offered");
        same(eth.balanceOf(address(offers)), 1e18, "the new one's alone");
        fill(next, 1e18);
        isBare(eth);
    }

    // ------------------------------------------------------------------ what the order is
    function testNoOtherFieldIsAnswered() public {
        IOffers.Order memory o = order(1e18);
        offerAs(o);
        for (uint256 i; i < 12; i++) {
            Full memory f = full(o);
            if (i == 0) f.receiver = THIEF;
            if (i == 1) f.receiver = address(0); // the owner: Offers itself
            if (i == 2) f.appData = keccak256('{"metadata":{"hooks":{}}}');
            if (i == 3) f.appData = 0;
            if (i == 4) f.feeAmount = 1;
            if (i == 5) f.validTo += 1;
            if (i == 6) f.buyAmount -= 1;
            if (i == 7) f.sellAmount += 1;
            if (i == 8) f.kind = keccak256("buy");
            if (i == 9) f.partiallyFillable = false;
            if (i == 10) f.sellTokenBalance = keccak256("internal");
            if (i == 11) f.buyTokenBalance = keccak256("internal");
            vm.expectPartialRevert(Offers.NotLive.selector);
            settlement.settle(address(offers), f, 1e18, 3000e6, address(0), "");
        }
        bytes32 digest = settlement.digestOf(full(o));
        vm.expectPartialRevert(Offers.NotLive.selector);
        offers.isValidSignature(digest, abi.encode(address(usd)));
        vm.expectPartialRevert(Offers.NotLive.selector);
        offers.isValidSignature(0, abi.encode(address(usd)));
        isTrue(offers.isValidSignature(digest, abi.encode(address(eth))) == 0x1626ba7e, "this one");
        isTrue(keccak256(offers.uidOf(address(eth))) == keccak256(abi.encodePacked(digest, address(offers), o.validTo)), "uid");
    }

    function testOnlyTheGateOpensAndOnlyTheAgentAsksIt() public {
        IOffers.Order memory o = order(1e18);
        address[4] memory others = [AGENT, OWNER, THIEF, address(safe)];
        for (uint256 i; i < 4; i++) {
            vm.expectRevert(abi.encodeWithSelector(Offers.NotTheGate.selector, others[i]));
            vm.prank(others[i]);
            offers.open(o, 1);
            if (others[i] == AGENT) continue;
            vm.expectRevert(abi.encodeWithSelector(Settings.NotTheAgent.selector, others[i]));
            vm.prank(others[i]);
            gate.offer(o);
            vm.expectRevert(abi.encodeWithSelector(Settings.NotTheAgent.selector, others[i]));
            vm.prank(others[i]);
            gate.endOffer(address(eth), block.timestamp);
        }
    }

    function testTheGatesRulesHoldForIt() public {
        IOffers.Order memory o = order(1e18);
        o.buyAmount -= 1;
        vm.expectPartialRevert(Gate.MinimumBelowFloor.selector);
        offerAs(o);
        o = order(1e18);
        o.validTo = uint32(block.timestamp + 601);
        vm.expectPartialRevert(Gate.DeadlineTooFar.selector);
        offerAs(o);
        o.validTo = uint32(block.timestamp - 1);
        vm.expectPartialRevert(Gate.DeadlinePassed.selector);
        offerAs(o);
        o = order(1e18);
        (o.sellToken, o.buyToken) = (address(eth), address(eth));
        vm.expectPartialRevert(Gate.PairNotListed.selector);
        offerAs(o);
        o = order(1e18);
        o.buyToken = address(new MockToken(6));
        vm.expectPartialRevert(Gate.TokenNotListed.selector);
        offerAs(o);
        o = order(1e18);
        o.sellAmount = 0;
        vm.expectPartialRevert(Gate.AmountOutOfRange.selector);
        offerAs(o);
        o = order(9.9e18); // 29,700 USD, and a fiftieth: above 30,000
        vm.expectPartialRevert(Gate.OverBudget.selector);
        offerAs(o);
        pool.set(196_056, 0);
        o = IOffers.Order(address(eth), address(usd), 1e18, 4000e6, uint32(block.timestamp + 60), false, true);
        vm.expectPartialRevert(Gate.SourcesDisagree.selector);
        offerAs(o);
        same(eth.balanceOf(address(safe)), 1_000e18, "nothing moved");
        same(gate.budgetLeft(), BURST, "nothing was charged");
    }

    // ------------------------------------------------------------------ a second order of the same money
    function testOneOrderOfATokenAtATime() public {
        IOffers.Order memory o = order(1e18);
        offerAs(o);
        vm.expectRevert(abi.encodeWithSelector(Offers.StillOpen.selector, address(eth), o.validTo));
        offerAs(o);
        o.buyAmount += 1;
        vm.expectPartialRevert(Offers.StillOpen.selector);
        offerAs(o);
        same(eth.allowance(address(offers), relayer), 1e18, "of one");
    }

    function testTheSameFieldsAreNeverOpenedAgain() public {
        IOffers.Order memory o = order(1e18);
        offerAs(o);
        fill(o, 1e18);
        vm.expectPartialRevert(Offers.Used.selector);
        offerAs(o);
        o.buyAmount += 1;
        offerAs(o);
        endAs(AGENT, address(eth));
        vm.expectPartialRevert(Offers.Used.selector);
        offerAs(o);
        same(eth.balanceOf(address(safe)), 999e18, "one was sold");
        isBare(eth);
    }

    function testWhatEndedUnfilledStaysCharged() public {
        offerAs(order(1e18));
        uint256 left = gate.budgetLeft();
        endAs(AGENT, address(eth));
        same(gate.budgetLeft(), left, "not given back");
        uint256 late = block.timestamp - 1;
        vm.expectRevert(abi.encodeWithSelector(Gate.DeadlinePassed.selector, late));
        vm.prank(AGENT);
        gate.endOffer(address(eth), late);
        same(eth.balanceOf(address(safe)), 1_000e18, "the money is");
    }

    // ------------------------------------------------------------------ between opening and settling
    function testAPriceThatMovedIsNotSettledAt() public {
        IOffers.Order memory o = order(1e18);
        offerAs(o);
        ethFeed.set(3010e8, block.timestamp);
        vm.expectPartialRevert(Offers.BelowFloor.selector);
        settlement.settle(address(offers), full(o), 1e18, 5000e6, address(0), "");
        ethFeed.set(3000e8, block.timestamp);
        fill(o, 1e18);
    }

    function testAValueBeyondWhatWasChargedIsNotSettled() public {
        IOffers.Order memory o = order(1e18);
        o.buyAmount = 3_500e6; // far above any floor to come
        offerAs(o);
        ethFeed.set(3_061e8, block.timestamp); // 2.03 % up
        pool.set(196_054, 0);
        vm.expectPartialRevert(Offers.AboveWorth.selector);
        settlement.settle(address(offers), full(o), 1e18, 5000e6, address(0), "");
        ethFeed.set(3_059e8, block.timestamp);
        fill(o, 1e18);
    }

    function testAStalePriceAFreezeALapseAndTheOwnersNarrowingStopIt() public {
        IOffers.Order memory o = order(1e18);
        offerAs(o);
        bytes32 digest = settlement.digestOf(full(o));
        bytes memory signature = abi.encode(address(eth));
        usdFeed.set(1e8, block.timestamp - 86_401);
        vm.expectPartialRevert(Prices.PriceStale.selector);
        offers.isValidSignature(digest, signature);
        refresh();
        vm.prank(OWNER);
        gate.freeze();
        vm.expectRevert(Offers.GateSaysNo.selector);
        offers.isValidSignature(digest, signature);
        o = order(0.5e18);
        vm.expectRevert(Gate.IsFrozen.selector);
        offerAs(o);
        endAs(AGENT, address(eth)); // loosens nothing: a freeze does not forbid it
        same(eth.balanceOf(address(safe)), 1_000e18, "back");
        isBare(eth);
    }

    function testATermThatEndsEndsIt() public {
        vm.warp(gate.expiry() - 10);
        refresh();
        pool.set(196_256, 0);
        IOffers.Order memory o = order(1e18);
        offerAs(o);
        bytes32 digest = settlement.digestOf(full(o));
        vm.warp(gate.expiry() + 1);
        vm.expectRevert(Offers.GateSaysNo.selector);
        offers.isValidSignature(digest, abi.encode(address(eth)));
        endAs(AGENT, address(eth));
        same(eth.balanceOf(address(safe)), 1_000e18, "back");
    }

    function testThePowerTakenFromTheAgentIsTakenFromWhatItOpened() public {
        IOffers.Order memory o = order(1e18);
        offerAs(o);
        fromSafe(abi.encodeCall(Settings.setAgent, (address(0))));
        diesWithItsAgent(o);
    }

    function testThePowerGivenToAnotherIsTakenFromWhatTheFirstOpened() public {
        bytes memory another = abi.encodeCall(Settings.setAgent, (address(0xA9E47)));
        fromSafe(abi.encodeCall(Settings.queue, (another)));
        vm.warp(block.timestamp + 1 days);
        refresh();
        IOffers.Order memory o = order(1e18);
        offerAs(o);
        isTrue(offers.isValidSignature(settlement.digestOf(full(o)), abi.encode(address(eth))) == 0x1626ba7e, "until then");
        vm.prank(OWNER);
        gate.run(another);
        diesWithItsAgent(o);
    }

    function diesWithItsAgent(IOffers.Order memory o) private {
        bytes32 digest = settlement.digestOf(full(o));
        vm.expectRevert(Offers.GateSaysNo.selector);
        offers.isValidSignature(digest, abi.encode(address(eth)));
        vm.expectRevert(Offers.GateSaysNo.selector);
        settlement.settle(address(offers), full(o), 1e18, 5000e6, address(0), "");
        endAs(OWNER, address(eth));
        same(eth.balanceOf(address(safe)), 1_000e18, "back");
        isBare(eth);
    }

    function testWithoutOffersTheGateMakesNoneAndALiveOneDies() public {
        IOffers.Order memory o = order(1e18);
        offerAs(o);
        fromSafe(abi.encodeCall(Settings.setOffers, (address(0))));
        bytes32 digest = settlement.digestOf(full(o));
        vm.expectRevert(Offers.GateSaysNo.selector);
        offers.isValidSignature(digest, abi.encode(address(eth)));
        o = order(2e18);
        vm.expectRevert(abi.encodeWithSelector(Gate.RouteNotListed.selector, address(0), Gate.offer.selector));
        offerAs(o);
        endAs(OWNER, address(eth));
        same(eth.balanceOf(address(safe)), 1_000e18, "back");
        vm.expectRevert(Settings.Widens.selector);
        fromSafe(abi.encodeCall(Settings.setOffers, (address(offers))));
        vm.expectRevert(abi.encodeWithSelector(Settings.NotTheSafe.selector, AGENT));
        vm.prank(AGENT);
        gate.setOffers(address(offers));
        cannotWiden(abi.encodeCall(Settings.setOffers, (address(router))));
        cannotWiden(abi.encodeCall(Settings.setRoute, (address(offers), Offers.end.selector, 1)));
    }

    // ------------------------------------------------------------------ ending
    function testWhoMayEndALiveOrder() public {
        address[3] memory may = [AGENT, OWNER, address(safe)];
        for (uint256 i; i < 3; i++) {
            IOffers.Order memory o = order(1e18 + i);
            offerAs(o);
            vm.expectRevert(abi.encodeWithSelector(Offers.MayNotEnd.selector, THIEF));
            endAs(THIEF, address(eth));
            endAs(may[i], address(eth));
            isBare(eth);
            same(eth.balanceOf(address(safe)), 1_000e18, "all of it is back");
            same(
                settlement.filledAmount(abi.encodePacked(settlement.digestOf(full(o)), address(offers), o.validTo)),
                type(uint256).max,
                "and ended where it would be settled"
            );
            vm.expectPartialRevert(Offers.NotLive.selector);
            settlement.settle(address(offers), full(o), 1e18, 5000e6, address(0), "");
        }
    }

    function testWhatLapsedGoesBackByAnybody() public {
        IOffers.Order memory o = order(2e18);
        offerAs(o);
        fill(o, 0.5e18);
        vm.warp(o.validTo);
        isTrue(!offers.over(address(eth)), "its last second");
        vm.warp(o.validTo + 1);
        endAs(THIEF, address(eth));
        same(eth.balanceOf(address(safe)), 999.5e18, "back");
        same(eth.balanceOf(THIEF), 0, "not to who asked");
        eth.mint(address(offers), 7);
        endAs(THIEF, address(eth));
        same(eth.balanceOf(address(safe)), 999.5e18 + 7, "and what was sent here by mistake");
    }

    function testAnEndInTheMiddleOfASettlementTakesNothingFromTheSafe() public {
        IOffers.Order memory o = order(1e18);
        o.buys = true;
        offerAs(o);
        bytes memory ends = abi.encodeCall(Offers.end, (address(eth)));
        settlement.settle(address(offers), full(o), 0.99e18, o.buyAmount, address(offers), ends);
        same(eth.balanceOf(address(safe)), 999.01e18, "the rest");
        same(usd.balanceOf(address(safe)), 1_000_000e6 + o.buyAmount, "and the price");
        o = order(1e18 + 1);
        offerAs(o);
        Full memory f = full(o);
        vm.expectRevert(); // of a live one it is no stranger's to end
        settlement.settle(address(offers), f, 0.5e18, 5000e6, address(offers), ends);
    }

    function testATokenThatKeepsAFeeIsNotOffered() public {
        eth.setFee(10);
        IOffers.Order memory o = order(1e18);
        vm.expectPartialRevert(Gate.ReceivedBelowMinimum.selector);
        offerAs(o);
    }

    // ------------------------------------------------------------------ whatever is tried
    /// Whatever is settled of an order, at whatever price of that moment: by the floor of then, or not at all.
    function testFuzz_EverySettlementBringsTheFloorOfItsMoment(
        uint96 amount,
        uint16 cents,
        uint96 sold,
        uint96 paid,
        uint16 later,
        bool buys
    ) public {
        IOffers.Order memory o = order(within(amount, 1e14, 9e18));
        (o.buys, o.buyAmount) = (buys, o.buyAmount + uint128(within(cents, 0, 20e6)));
        offerAs(o);
        vm.warp(block.timestamp + later % 400);
        ethFeed.set(int256(within(cents, 2_980e8, 3_080e8)), block.timestamp);
        uint256 takes = within(sold, 1, o.sellAmount);
        uint256 pays = within(paid, 1, uint256(o.buyAmount) + 1);
        uint256 before = usd.balanceOf(address(safe));
        (uint256 floor, uint256 usdNow) = gate.floorOf(address(eth), address(usd), o.sellAmount);
        (,,,,,, uint96 worth,) = offers.live(address(eth));
        try settlement.settle(address(offers), full(o), takes, pays, address(0), "") {
            uint256 won = usd.balanceOf(address(safe)) - before;
            isTrue(won == pays && won * o.sellAmount >= floor * takes, "the floor of now");
            isTrue(usdNow <= worth, "charged before");
            isTrue(block.timestamp <= o.validTo, "in time");
        } catch {
            bool fair = pays * o.sellAmount >= takes * o.buyAmount && (!buys || pays <= o.buyAmount);
            bool now_ = o.buyAmount >= floor && block.timestamp <= o.validTo;
            isTrue(!fair || !now_ || usdNow > worth, "refused for a reason");
            same(usd.balanceOf(address(safe)), before, "untouched");
        }
        vm.warp(uint256(o.validTo) + 1);
        offers.end(address(eth));
        isBare(eth);
    }

    /// The digest is that of all twelve fields, five of which nobody chooses.
    function testFuzz_TheDigestIsTheSettlementContracts(IOffers.Order calldata o) public view {
        isTrue(offers.digestOf(o) == settlement.digestOf(full(o)), "digest");
    }

    /// Strangers call anything with anything: nothing leaves but to the Safe, and only of what is over.
    function testFuzz_NobodyElseMovesALiveOrder(bytes4 verb, bytes calldata rest, bool owner) public {
        vm.assume(!owner || verb != Offers.end.selector);
        IOffers.Order memory o = order(1e18);
        offerAs(o);
        vm.prank(owner ? OWNER : THIEF);
        (bool ok,) = address(offers).call(abi.encodePacked(verb, rest));
        ok;
        same(eth.balanceOf(address(offers)), 1e18, "it lies there");
        fill(o, 1e18);
    }

    function cannotWiden(bytes memory data) private {
        fromSafe(abi.encodeCall(Settings.queue, (data)));
        vm.warp(block.timestamp + 1 days);
        vm.expectRevert(Settings.BadSetting.selector);
        vm.prank(OWNER);
        gate.run(data);
    }
}
