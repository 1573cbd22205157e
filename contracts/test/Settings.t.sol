// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {Gate} from "../src/Gate.sol";
import {Settings} from "../src/Settings.sol";
import {GateWorld} from "./GateWorld.sol";
import {MockAave, MockAaveToken, MockFeed, MockRouter, MockToken, MockV3Pool} from "./Mocks.sol";

contract GateSettingsTest is GateWorld {
    function setUp() public {
        world();
    }

    /// Every widening there is: refused to the Safe once sealed, refused to strangers, done by the queue after the delay.
    function widenings() private returns (bytes[] memory all) {
        Settings.Limits memory l = limitsNow();
        all = new bytes[](17);
        l.burst++;
        all[0] = abi.encodeCall(Settings.setLimits, (l));
        l = limitsNow();
        l.ratePerDay++;
        all[1] = abi.encodeCall(Settings.setLimits, (l));
        l = limitsNow();
        l.slackBps++;
        all[2] = abi.encodeCall(Settings.setLimits, (l));
        l = limitsNow();
        l.divergenceBps++;
        all[3] = abi.encodeCall(Settings.setLimits, (l));
        l = limitsNow();
        l.deadlineSeconds++;
        all[4] = abi.encodeCall(Settings.setLimits, (l));
        l = limitsNow();
        l.termSeconds++;
        all[5] = abi.encodeCall(Settings.setLimits, (l));
        l = limitsNow();
        l.healthFloor--;
        all[6] = abi.encodeCall(Settings.setLimits, (l));
        all[7] = abi.encodeCall(Settings.setAgent, (THIEF));
        all[8] = abi.encodeCall(Settings.setToken, (address(new MockToken(18)), address(new MockFeed(8, 1)), 1));
        all[9] = abi.encodeCall(Settings.setToken, (address(eth), address(ethFeed), 7200));
        all[10] = abi.encodeCall(Settings.setPair, (address(usd), address(eth), address(pool), 900, 0));
        all[11] = abi.encodeCall(Settings.setRoute, (address(new MockRouter()), MockRouter.swap.selector, 1));
        all[12] = abi.encodeCall(Settings.setRoute, (address(router), MockRouter.swap.selector, 2));
        all[13] = abi.encodeCall(Settings.setGas, (Settings.Gas(THIEF, 0.05e18, address(eth), 0.1e18, 0.2e18)));
        all[14] = abi.encodeCall(Settings.setGas, (Settings.Gas(AGENT, 0.05e18, address(eth), 0.1e18, 0.3e18)));
        all[15] = abi.encodeCall(Settings.setSequencer, (address(new MockFeed(0, 0)), 3600));
        all[16] = abi.encodeCall(Settings.unfreeze, ());
    }

    function testEveryWideningWaitsInTheQueue() public {
        bytes[] memory all = widenings();
        for (uint256 i; i < all.length; i++) {
            vm.expectRevert(Settings.Widens.selector);
            fromSafe(all[i]);
            (bool ok, bytes memory why) = address(gate).call(all[i]);
            isTrue(!ok && bytes4(why) == Settings.NotTheSafe.selector, "a stranger");
            vm.prank(AGENT);
            (ok, why) = address(gate).call(all[i]);
            isTrue(!ok && bytes4(why) == Settings.NotTheSafe.selector, "the agent");
            widen(all[i]);
            Settings.Limits memory l = limitsNow();
            fromSafe(abi.encodeCall(Settings.setLimits, (l))); // back: every one of them narrows
        }
        same(gate.routes(address(router), MockRouter.swap.selector), 2, "the last of a route stays");
        isTrue(gate.agent() == THIEF, "the queue's word counts");
    }

    function testNarrowingIsAtOnce() public {
        Settings.Limits memory l = limitsNow();
        (l.burst, l.ratePerDay, l.slackBps, l.termSeconds, l.healthFloor) = (1e18, 2e18, 1, 1 hours, 2e18);
        fromSafe(abi.encodeCall(Settings.setLimits, (l)));
        same(gate.expiry(), START + 1 hours, "the running term too");
        same(gate.budgetLeft(), 1e18, "budget");
        fromSafe(abi.encodeCall(Settings.setRoute, (address(router), MockRouter.swap.selector, 0)));
        fromSafe(abi.encodeCall(Settings.setPair, (address(usd), address(eth), address(0), 0, 0)));
        fromSafe(abi.encodeCall(Settings.setToken, (address(usd), address(0), 0)));
        fromSafe(abi.encodeCall(Settings.setReserve, (address(eth), address(aToken), address(debtToken), 9)));
        fromSafe(abi.encodeCall(Settings.setReserve, (address(eth), address(0), address(0), 0)));
        fromSafe(abi.encodeCall(Settings.setGas, (Settings.Gas(AGENT, 0.01e18, address(eth), 0, 0.2e18))));
        fromSafe(abi.encodeCall(Settings.setAgent, (address(0))));
        isTrue(gate.agent() == address(0), "no agent");
        vm.expectRevert(Settings.Widens.selector);
        fromSafe(abi.encodeCall(Settings.setReserve, (address(eth), address(aToken), address(debtToken), 1)));
    }

    function testNarrowingIsForTheSafeAlone() public {
        bytes memory data = abi.encodeCall(Settings.setAgent, (address(0)));
        vm.expectRevert(abi.encodeWithSelector(Settings.NotTheSafe.selector, OWNER));
        vm.prank(OWNER);
        gate.setAgent(address(0));
        vm.expectPartialRevert(Settings.NotTheSafe.selector);
        gate.renew();
        vm.expectPartialRevert(Settings.NotTheSafe.selector);
        gate.queue(data);
        vm.expectPartialRevert(Settings.NotTheSafe.selector);
        gate.seal(1 days);
        vm.expectPartialRevert(Settings.NotAnOwner.selector);
        gate.freeze();
        vm.expectPartialRevert(Settings.NotAnOwner.selector);
        gate.run(data);
        vm.expectPartialRevert(Settings.NotAnOwner.selector);
        gate.cancel(bytes32(0));
    }

    function testTheQueue() public {
        bytes memory data = abi.encodeCall(Settings.setAgent, (THIEF));
        vm.prank(OWNER);
        vm.expectPartialRevert(Settings.NotQueued.selector);
        gate.run(data);
        fromSafe(abi.encodeCall(Settings.queue, (data)));
        vm.warp(START + 1 days - 1);
        vm.prank(OWNER);
        vm.expectRevert(abi.encodeWithSelector(Settings.TooEarly.selector, START + 1 days));
        gate.run(data);
        vm.warp(START + 8 days + 1);
        vm.prank(OWNER);
        vm.expectRevert(abi.encodeWithSelector(Settings.QueueLapsed.selector, START + 8 days));
        gate.run(data);
        vm.warp(START + 8 days);
        vm.prank(OWNER);
        gate.run(data);
        isTrue(gate.agent() == THIEF, "ran");
        vm.prank(OWNER);
        vm.expectPartialRevert(Settings.NotQueued.selector);
        gate.run(data);
    }

    function testOneOwnerCancels() public {
        vm.prank(OWNER);
        vm.expectPartialRevert(Settings.NotQueued.selector);
        gate.cancel(bytes32(uint256(1)));
        bytes memory data = abi.encodeCall(Settings.setAgent, (THIEF));
        fromSafe(abi.encodeCall(Settings.queue, (data)));
        bytes32 id = gate.idOf(data);
        vm.prank(OWNER);
        gate.cancel(id);
        vm.warp(START + 2 days);
        vm.prank(OWNER);
        vm.expectRevert(abi.encodeWithSelector(Settings.NotQueued.selector, id));
        gate.run(data);
    }

    function testAFreezeVoidsWhatIsQueued() public {
        bytes memory data = abi.encodeCall(Settings.unfreeze, ());
        fromSafe(abi.encodeCall(Settings.queue, (data)));
        vm.warp(START + 1 days);
        vm.prank(OWNER);
        gate.freeze();
        vm.prank(OWNER);
        vm.expectPartialRevert(Settings.NotQueued.selector);
        gate.run(data);
        isTrue(gate.frozen(), "an unfreezing kept in stock is worth nothing");
    }

    function testTheQueueReachesNothingButSettings() public {
        Gate.Trade memory t = fair(1e18);
        bytes memory data = abi.encodeCall(Gate.trade, (t));
        fromSafe(abi.encodeCall(Settings.queue, (data)));
        vm.warp(START + 1 days);
        refresh();
        vm.prank(OWNER);
        vm.expectPartialRevert(Settings.Busy.selector);
        gate.run(data);
    }

    function testTheSeal() public {
        vm.expectRevert(Settings.AlreadySealed.selector);
        fromSafe(abi.encodeCall(Settings.seal, (1 days)));
        Gate fresh = new Gate(address(safe));
        vm.expectPartialRevert(Settings.DelayTooShort.selector);
        safe.call(address(fresh), abi.encodeCall(Settings.seal, (3599)));
        vm.expectRevert(Settings.NotSealed.selector);
        safe.call(address(fresh), abi.encodeCall(Settings.queue, ("")));
        vm.expectRevert(Settings.BadSetting.selector);
        new Gate(address(0));
        safe.call(address(fresh), abi.encodeCall(Settings.setAgent, (AGENT)));
        Gate.Trade memory t = fair(1e18);
        vm.expectRevert(Settings.NotSealed.selector);
        vm.prank(AGENT);
        fresh.trade(t);
    }

    function testNumbersNobodyShouldSet() public {
        Gate fresh = new Gate(address(safe));
        Settings.Limits memory l = limitsNow();
        l.slackBps = 1001;
        refused(fresh, abi.encodeCall(Settings.setLimits, (l)));
        l = limitsNow();
        l.divergenceBps = 1001;
        refused(fresh, abi.encodeCall(Settings.setLimits, (l)));
        l = limitsNow();
        l.deadlineSeconds = 3601;
        refused(fresh, abi.encodeCall(Settings.setLimits, (l)));
        l = limitsNow();
        l.termSeconds = 90 days + 1;
        refused(fresh, abi.encodeCall(Settings.setLimits, (l)));
        l = limitsNow();
        l.healthFloor = 1.05e18 - 1;
        refused(fresh, abi.encodeCall(Settings.setLimits, (l)));
        refused(fresh, abi.encodeCall(Settings.setToken, (address(eth), address(ethFeed), 0)));
        refused(fresh, abi.encodeCall(Settings.setToken, (address(new MockToken(19)), address(ethFeed), 1)));
        refused(fresh, abi.encodeCall(Settings.setToken, (address(eth), address(new MockFeed(19, 1)), 1)));
        refused(fresh, abi.encodeCall(Settings.setPair, (address(usd), address(eth), address(pool), 1800, 0)));
        safe.call(address(fresh), abi.encodeCall(Settings.setToken, (address(eth), address(ethFeed), 1)));
        safe.call(address(fresh), abi.encodeCall(Settings.setToken, (address(usd), address(usdFeed), 1)));
        refused(fresh, abi.encodeCall(Settings.setPair, (address(eth), address(usd), address(pool), 1800, 0)));
        refused(fresh, abi.encodeCall(Settings.setPair, (address(usd), address(eth), address(pool), 299, 0)));
        refused(fresh, abi.encodeCall(Settings.setPair, (address(usd), address(eth), address(ethFeed), 0, 60)));
        refused(fresh, abi.encodeCall(Settings.setPair, (address(usd), address(eth), address(new MockFeed(8, 1)), 0, 0)));
        MockV3Pool other = new MockV3Pool(address(eth), address(usd), 0);
        refused(fresh, abi.encodeCall(Settings.setPair, (address(usd), address(eth), address(other), 1800, 0)));
        refused(fresh, abi.encodeCall(Settings.setAgent, (address(safe))));
        refused(fresh, abi.encodeCall(Settings.setAgent, (address(fresh))));
        refused(fresh, abi.encodeCall(Settings.setRoute, (address(router), bytes4(0), 3)));
    }

    function testARouteIsNeverSomethingTheGateHasPowerOver() public {
        address[8] memory never = [
            address(safe),
            address(gate),
            address(eth),
            address(usd),
            address(ethFeed),
            address(aave),
            address(aToken),
            address(debtToken)
        ];
        for (uint256 i; i < never.length; i++) {
            queuedAndRefused(abi.encodeCall(Settings.setRoute, (never[i], MockToken.transfer.selector, 1)));
        }
        queuedAndRefused(abi.encodeCall(Settings.setRoute, (THIEF, MockToken.transfer.selector, 1))); // no code
        queuedAndRefused(abi.encodeCall(Settings.setToken, (address(router), address(ethFeed), 60)));
        queuedAndRefused(abi.encodeCall(Settings.setToken, (address(new MockToken(18)), address(router), 60)));
        queuedAndRefused(abi.encodeCall(Settings.setGas, (Settings.Gas(AGENT, 0, address(router), 0, 0))));
        queuedAndRefused(abi.encodeCall(Settings.setAgent, (address(router))));
        queuedAndRefused(abi.encodeCall(Settings.setSequencer, (address(safe), 1)));
        queuedAndRefused(abi.encodeCall(Settings.setSequencer, (address(gate), 1)));
        queuedAndRefused(abi.encodeCall(Settings.setLendingPool, (address(new MockAave())))); // once
        // A delisted token stays what it was: allowances may have outlived its listing.
        fromSafe(abi.encodeCall(Settings.setToken, (address(eth), address(0), 0)));
        queuedAndRefused(abi.encodeCall(Settings.setRoute, (address(eth), MockToken.transfer.selector, 1)));
    }

    function testAPairIsTwoListedTokensInOrderAndASourceOfItsOwn() public {
        address cross = address(new MockFeed(18, 1));
        address other = address(new MockToken(18));
        (address low, address high) = (address(usd), address(eth));
        queuedAndRefused(abi.encodeCall(Settings.setPair, (high, low, cross, 0, 60)));
        queuedAndRefused(abi.encodeCall(Settings.setPair, (low, low, cross, 0, 60)));
        address stranger = address(1); // below both
        queuedAndRefused(abi.encodeCall(Settings.setPair, (stranger, high, cross, 0, 60)));
        queuedAndRefused(abi.encodeCall(Settings.setPair, (low, address(type(uint160).max), cross, 0, 60)));
        queuedAndRefused(abi.encodeCall(Settings.setPair, (low, high, address(usdFeed), 0, 60)));
        queuedAndRefused(abi.encodeCall(Settings.setPair, (low, high, address(ethFeed), 0, 60)));
        queuedAndRefused(abi.encodeCall(Settings.setPair, (low, high, address(new MockFeed(19, 1)), 0, 60)));
        queuedAndRefused(abi.encodeCall(Settings.setPair, (low, high, address(new MockV3Pool(other, high, 0)), 1800, 0)));
        queuedAndRefused(abi.encodeCall(Settings.setPair, (low, high, address(new MockV3Pool(low, other, 0)), 1800, 0)));
    }

    function testTheAgentIsNoRoute() public {
        address contractual = address(new MockRouter());
        widen(abi.encodeCall(Settings.setAgent, (contractual)));
        queuedAndRefused(abi.encodeCall(Settings.setRoute, (contractual, MockRouter.swap.selector, 1)));
    }

    function testAReserveIsThePoolsOwn() public {
        MockAave other = new MockAave();
        other.init(eth);
        address a = address(other.aToken());
        address d = address(other.debtToken());
        queuedAndRefused(abi.encodeCall(Settings.setReserve, (address(eth), a, address(debtToken), 15)));
        queuedAndRefused(abi.encodeCall(Settings.setReserve, (address(eth), address(aToken), d, 15)));
        queuedAndRefused(abi.encodeCall(Settings.setReserve, (address(usd), address(aToken), address(debtToken), 15)));
        queuedAndRefused(abi.encodeCall(Settings.setReserve, (address(eth), address(aToken), address(debtToken), 16)));
        address unlisted = address(new MockToken(18));
        a = address(new MockAaveToken(unlisted, address(aave)));
        d = address(new MockAaveToken(unlisted, address(aave)));
        queuedAndRefused(abi.encodeCall(Settings.setReserve, (unlisted, a, d, 15)));
        queuedAndRefused(
            abi.encodeCall(Settings.setReserve, (address(new MockToken(18)), address(aToken), address(debtToken), 1))
        );
    }

    function refused(Gate which, bytes memory data) private {
        vm.expectRevert(Settings.BadSetting.selector);
        safe.call(address(which), data);
    }

    function queuedAndRefused(bytes memory data) private {
        fromSafe(abi.encodeCall(Settings.queue, (data)));
        vm.warp(block.timestamp + 1 days);
        vm.prank(OWNER);
        vm.expectRevert(Settings.BadSetting.selector);
        gate.run(data);
    }
}
