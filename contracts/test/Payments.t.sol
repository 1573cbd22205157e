// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {Payments} from "../src/Payments.sol";
import {Settings} from "../src/Settings.sol";
import {CallingToken, MockComet, PaymentWorld} from "./PaymentWorld.sol";
import {MockToken} from "./Mocks.sol";

contract PaymentsTest is PaymentWorld {
    function setUp() public {
        paymentWorld();
    }

    // ------------------------------------------------------------------ what it does
    function testRepaysAtCompoundOnTheSafesAccount() public {
        pay(0, 2_000e6);
        same(comet.borrowBalanceOf(address(safe)), 28_000e6, "owed");
        same(usd.balanceOf(address(safe)), 998_000e6, "paid");
        isTrue(bare(), "nothing stays");
    }

    function testAddsCollateralAtCompound() public {
        pay(1, 2e18);
        same(lentAt(true), 22e18, "lent");
        same(eth.balanceOf(address(safe)), 998e18, "paid");
        isTrue(bare(), "nothing stays");
    }

    function testRepaysAtMorphoWithoutAnyCallback() public {
        pay(2, 2_000e6);
        isTrue(owedAtMorpho() <= 28_000e6 + 30_000, "owed, with the interest of one block");
        same(usd.balanceOf(address(safe)), 998_000e6, "paid");
        same(morpho.calls(), 0, "nobody was called");
        isTrue(bare(), "nothing stays");
    }

    function testAddsCollateralAtMorpho() public {
        pay(3, 2e18);
        same(lentAt(false), 22e18, "lent");
        same(morpho.calls(), 0, "nobody was called");
        isTrue(bare(), "nothing stays");
    }

    function testOfADebtNoMoreThanIsOwed() public {
        comet.owe(address(safe), 1_000e6, 20e18);
        morpho.owe(address(safe), 1_000e12 + 1, 20e18, 90_000e6, 90_000e12);
        pay(0, 5_000e6);
        same(comet.borrowBalanceOf(address(safe)), 0, "all of it");
        same(usd.balanceOf(address(safe)), 999_000e6, "and no more");
        pay(2, 5_000e6);
        same(owedAtMorpho(), 0, "to the last share");
        isTrue(usd.balanceOf(address(safe)) >= 998_000e6 - 1_100, "the interest of one block besides");
        same(payments.left(0), ONCE - 1_000e6, "only what was paid is charged");
        isTrue(bare(), "nothing stays");
    }

    function testAnOracleThatIsDownKeepsNobodyInDebt() public {
        morpho.owe(address(safe), 1_000e12 + 1, 20e18, 90_000e6, 90_000e12);
        oracle.fail();
        vm.expectRevert(bytes("no price"));
        this.paying(2, 500e6); // a part: whether it is enough nobody can say
        pay(2, 5_000e6);
        same(owedAtMorpho(), 0, "all of it");
    }

    function testThroughAModifierWhoseTargetItIs() public {
        vm.prank(AGENT);
        payments.execTransactionFromModule(address(payments), 0, abi.encodeCall(Payments.pay, (0, 1e6, block.timestamp)), 0);
        same(comet.borrowBalanceOf(address(safe)), 29_999e6, "owed");
    }

    // ------------------------------------------------------------------ what it refuses
    function testNothingButPayThroughAModifier() public {
        bytes memory honest = abi.encodeCall(Payments.pay, (0, 1e6, block.timestamp));
        bytes memory approving = abi.encodeCall(MockToken.approve, (THIEF, 1e6));
        bytes4 rule = Payments.NotThroughPayments.selector;
        vm.expectPartialRevert(rule);
        this.module(address(usd), 0, approving, 0);
        vm.expectPartialRevert(rule);
        this.module(address(comet), 0, abi.encodeCall(MockComet.supplyTo, (THIEF, address(usd), 1e6)), 0);
        vm.expectPartialRevert(rule);
        this.module(address(payments), 1, honest, 0);
        vm.expectPartialRevert(rule);
        this.module(address(payments), 0, honest, 1);
        vm.expectPartialRevert(rule);
        this.module(address(payments), 0, abi.encodeCall(Payments.open, (THIEF)), 0);
        vm.expectPartialRevert(rule);
        this.module(address(payments), 0, bytes.concat(honest, hex"00"), 0);
        vm.expectPartialRevert(rule);
        this.module(address(payments), 0, "", 0);
    }

    function testOnlyTheAgent() public {
        vm.expectRevert(abi.encodeWithSelector(Payments.NotTheAgent.selector, address(this)));
        payments.pay(0, 1e6, block.timestamp);
        vm.prank(OWNER);
        vm.expectRevert(abi.encodeWithSelector(Payments.NotTheAgent.selector, OWNER));
        payments.pay(0, 1e6, block.timestamp);
    }

    function testNoRuleBesides() public {
        vm.expectRevert(abi.encodeWithSelector(Payments.RuleNotListed.selector, 4));
        this.paying(4, 1e6);
        vm.expectPartialRevert(Payments.RuleNotListed.selector);
        payments.rules(4);
    }

    function testAmountsAreAboveZeroAndOfThisWorld() public {
        vm.expectPartialRevert(Payments.AmountOutOfRange.selector);
        this.paying(0, 0);
        vm.expectPartialRevert(Payments.AmountOutOfRange.selector);
        this.paying(1, 1 << 128);
    }

    function testTheBudgetOfEachRuleIsItsOwn() public {
        pay(0, ONCE);
        vm.expectRevert(abi.encodeWithSelector(Payments.OverPaymentBudget.selector, 0, 1, 0));
        this.paying(0, 1);
        pay(2, ONCE);
        vm.warp(block.timestamp + 12 hours);
        vm.expectRevert(abi.encodeWithSelector(Payments.OverPaymentBudget.selector, 0, DAY / 2 + 1, DAY / 2));
        this.paying(0, DAY / 2 + 1);
        pay(0, DAY / 2);
        vm.expectPartialRevert(Payments.OverPaymentBudget.selector);
        this.paying(1, ONCE_ETH + 1);
    }

    function testClosedAndOpenedAgainTheBudgetIsNotFullAgain() public {
        pay(0, ONCE);
        vm.prank(OWNER);
        payments.close();
        safe.call(address(payments), abi.encodeCall(Payments.open, (AGENT)));
        vm.warp(block.timestamp + 1 days);
        refresh();
        same(payments.left(0), DAY, "a day's refill, and no more");
        vm.expectRevert(abi.encodeWithSelector(Payments.OverPaymentBudget.selector, 0, DAY + 1, DAY));
        this.paying(0, DAY + 1);
    }

    /// Each payment rounds what has leaked down: a thief who pays a unit at every second keeps the owners' refill back by less than a unit each.
    function testPaidAUnitASecondTheBudgetRefillsAllTheSame() public {
        pay(0, ONCE);
        for (uint256 i; i < 50; i++) {
            vm.warp(block.timestamp + 1);
            pay(0, 1);
        }
        uint256 leaked = uint256(DAY) * 50 / 1 days;
        isTrue(payments.left(0) <= leaked - 50 && payments.left(0) + 100 >= leaked, "a unit each, and a unit of rounding");
    }

    function testWithoutADebtNothingIsPaid() public {
        comet.owe(address(safe), 0, 20e18);
        morpho.owe(address(safe), 0, 20e18, 90_000e6, 90_000e12);
        for (uint256 rule; rule < 4; rule++) {
            vm.expectRevert(abi.encodeWithSelector(Payments.NothingOwed.selector, rule));
            this.paying(rule, 1);
        }
    }

    function testALostAccountIsNotPaidInto() public {
        comet.set(1_500e6, 0);
        oracle.set(1_500e24);
        for (uint256 rule; rule < 4; rule++) {
            vm.expectRevert(abi.encodeWithSelector(Payments.StillLiquidatable.selector, rule));
            this.paying(rule, rule % 2 == 0 ? 1_000e6 : 1e18);
        }
        comet.set(1_690e6, 0); // 29,744 of 30,000 covered: what puts it right is paid
        pay(0, 1_000e6);
        oracle.set(1_740e24); // 29,928 of 30,000 and the interest
        pay(3, 1e18);
    }

    function testALenderThatBooksLessIsNotPaid() public {
        comet.set(3_000e6, 3);
        morpho.setSkim(3);
        for (uint256 rule; rule < 4; rule++) {
            vm.expectPartialRevert(Payments.ReceivedBelowAmount.selector);
            this.paying(rule, 1_000e6);
        }
    }

    function testATokenThatTakesAFeeIsNotPaid() public {
        usd.setFee(10);
        vm.expectRevert(abi.encodeWithSelector(Payments.ReceivedBelowAmount.selector, 999e6, 1_000e6));
        this.paying(0, 1_000e6);
    }

    function testAnAllowanceThatStaysIsRefused() public {
        usd.setStuck(true);
        comet.set(3_000e6, 0);
        Payments.Rule[] memory r = new Payments.Rule[](1);
        LazyComet lazy = new LazyComet(address(usd));
        r[0] = Payments.Rule(address(lazy), 1, 8, address(usd), 0, ONCE, DAY);
        Payments other = opened(r);
        safe.call(address(usd), abi.encodeCall(MockToken.approve, (address(other), 1_000e6)));
        vm.prank(AGENT);
        vm.expectRevert(abi.encodeWithSelector(Payments.AllowanceRemains.selector, address(usd), address(lazy)));
        other.pay(0, 1_000e6, block.timestamp);
    }

    function testWhatTheLenderLeavesGoesBackToTheSafe() public {
        Payments.Rule[] memory r = new Payments.Rule[](1);
        LazyComet lazy = new LazyComet(address(usd));
        r[0] = Payments.Rule(address(lazy), 1, 8, address(usd), 0, ONCE, DAY);
        Payments other = opened(r);
        safe.call(address(usd), abi.encodeCall(MockToken.approve, (address(other), 1_000e6)));
        vm.prank(AGENT);
        other.pay(0, 1_000e6, block.timestamp);
        same(usd.balanceOf(address(safe)), 1_000_000e6, "it took nothing");
        same(usd.allowance(address(other), address(lazy)), 0, "and may take nothing");
    }

    function testGoneIntoFromWithinItIsBusy() public {
        CallingToken token = new CallingToken();
        MockComet market = new MockComet(address(token), eth, 3_000e6);
        market.owe(address(safe), 10_000e6, 20e18);
        token.mint(address(safe), 10_000e6);
        Payments.Rule[] memory r = new Payments.Rule[](1);
        r[0] = Payments.Rule(address(market), 1, 8, address(token), 0, ONCE, DAY);
        Payments other = opened(r);
        safe.call(address(token), abi.encodeCall(MockToken.approve, (address(other), type(uint256).max)));
        token.arm(address(other), abi.encodeCall(Payments.pay, (0, 1_000e6, block.timestamp)));
        vm.prank(AGENT);
        other.pay(0, 1_000e6, block.timestamp);
        isTrue(bytes4(token.answer()) == Payments.Busy.selector, "busy");
        same(market.borrowBalanceOf(address(safe)), 9_000e6, "once");
    }

    function testWhatLiesHereIsNobodysProceeds() public {
        usd.mint(address(payments), 77);
        pay(0, 1_000e6);
        same(usd.balanceOf(address(payments)), 77, "as it was");
        same(usd.balanceOf(address(safe)), 999_000e6, "nothing more came back");
    }

    // ------------------------------------------------------------------ the Gate's rules are its own
    function testTheGatesFreezeStopsIt() public {
        vm.prank(OWNER);
        gate.freeze();
        vm.expectRevert(Payments.GateFrozen.selector);
        this.paying(0, 1e6);
    }

    function testTheGatesTermEndsIt() public {
        vm.warp(gate.expiry() + 1);
        vm.expectPartialRevert(Payments.GateLapsed.selector);
        this.paying(0, 1e6);
        fromSafe(abi.encodeCall(Settings.renew, ()));
        pay(0, 1e6);
    }

    function testDeadlines() public {
        vm.prank(AGENT);
        vm.expectRevert(abi.encodeWithSelector(Payments.DeadlinePassed.selector, block.timestamp - 1));
        payments.pay(0, 1e6, block.timestamp - 1);
        vm.prank(AGENT);
        vm.expectPartialRevert(Payments.DeadlineTooFar.selector);
        payments.pay(0, 1e6, block.timestamp + 601);
    }

    function testOpenedLateItWaitsTheGatesDelay() public {
        Payments other = new Payments(address(gate), rulesNow());
        vm.prank(AGENT);
        vm.expectRevert(abi.encodeWithSelector(Payments.NotTheAgent.selector, AGENT));
        other.pay(0, 1e6, block.timestamp);
        safe.call(address(other), abi.encodeCall(Payments.open, (AGENT)));
        vm.prank(AGENT);
        vm.expectRevert(abi.encodeWithSelector(Payments.NotOpenYet.selector, block.timestamp + 1 days));
        other.pay(0, 1e6, block.timestamp);
    }

    function testAnyOneOwnerClosesIt() public {
        vm.prank(OWNER);
        payments.close();
        isTrue(payments.closed(), "closed");
        vm.expectRevert(Payments.Closed.selector);
        this.paying(0, 1e6);
        safe.call(address(payments), abi.encodeCall(Payments.open, (AGENT)));
        vm.expectPartialRevert(Payments.NotOpenYet.selector);
        this.paying(0, 1e6);
    }

    function testStrangersNeitherOpenNorClose() public {
        for (uint256 i; i < 3; i++) {
            address who = [AGENT, THIEF, OWNER][i];
            vm.prank(who);
            vm.expectRevert(abi.encodeWithSelector(Payments.NotTheSafe.selector, who));
            payments.open(who);
            if (who == OWNER) continue;
            vm.prank(who);
            vm.expectRevert(abi.encodeWithSelector(Payments.NotAnOwner.selector, who));
            payments.close();
        }
    }

    function testTheAgentIsSomebodyElse() public {
        for (uint256 i; i < 3; i++) {
            vm.expectPartialRevert(Payments.NotTheAgent.selector);
            safe.call(address(payments), abi.encodeCall(Payments.open, ([address(0), address(safe), address(payments)][i])));
        }
    }

    // ------------------------------------------------------------------ its rules
    function testARuleHasToFitItsMarket() public {
        Payments.Rule[] memory r = rulesNow();
        r[0].asset = address(eth);
        refused(r, 0);
        r = rulesNow();
        r[1].asset = address(usd); // the base asset is no collateral
        refused(r, 1);
        r = rulesNow();
        r[2].asset = address(eth);
        refused(r, 2);
        r = rulesNow();
        r[3].market = keccak256("another market");
        refused(r, 3);
        r = rulesNow();
        r[0].market = morpho.id();
        refused(r, 0);
        r = rulesNow();
        r[0].action = 2; // to withdraw
        refused(r, 0);
        r = rulesNow();
        r[0].kind = 3;
        refused(r, 0);
        r = rulesNow();
        r[0].lender = THIEF;
        refused(r, 0);
        r = rulesNow();
        r[1].burst = 0;
        refused(r, 1);
        refused(new Payments.Rule[](0), 0);
        refused(new Payments.Rule[](33), 33);
    }

    function testAllHaveTheSameCode() public {
        Payments.Rule[] memory r = new Payments.Rule[](1);
        r[0] = rulesNow()[0];
        isTrue(address(new Payments(address(gate), r)).codehash == address(payments).codehash, "one code");
        same(payments.count(), 4, "rules");
        isTrue(payments.rules(2).market == morpho.id(), "as told");
    }

    // ------------------------------------------------------------------ inside
    /// For a call that has to revert: seen from outside.
    function paying(uint256 rule, uint256 amount) external {
        pay(rule, amount);
    }

    function module(address to, uint256 value, bytes calldata data, uint8 operation) external {
        vm.prank(AGENT);
        payments.execTransactionFromModule(to, value, data, operation);
    }

    function refused(Payments.Rule[] memory r, uint256 which) private {
        vm.expectRevert(abi.encodeWithSelector(Payments.BadRule.selector, which));
        new Payments(address(gate), r);
    }

    function opened(Payments.Rule[] memory r) private returns (Payments other) {
        other = new Payments(address(gate), r);
        safe.call(address(other), abi.encodeCall(Payments.open, (AGENT)));
        vm.warp(block.timestamp + 1 days);
    }
}

/// Books what it is told, and takes nothing.
contract LazyComet {
    address public baseToken;
    mapping(address => uint256) private _paid;

    constructor(address base) {
        baseToken = base;
    }

    function borrowBalanceOf(address who) external view returns (uint256) {
        return 10_000e6 - _paid[who];
    }

    function isLiquidatable(address) external pure returns (bool) {
        return false;
    }

    function supplyTo(address who, address, uint256 amount) external {
        _paid[who] += amount;
    }
}
