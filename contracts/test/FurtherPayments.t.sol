// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {FurtherPayments} from "../src/FurtherPayments.sol";
import {Settings} from "../src/Settings.sol";
import {FurtherWorld, MockJoin, MockJug, MockSecondPool, MockVat} from "./FurtherWorld.sol";
import {MockToken} from "./Mocks.sol";
import {CallingToken} from "./PaymentWorld.sol";

/// A Jug of that Vat that accrues nothing, and answers what it likes; of a rate of 0 it fails.
contract OddJug {
    MockVat public vat;
    uint256 private _rate;

    constructor(MockVat vat_, uint256 rate) {
        (vat, _rate) = (vat_, rate);
    }

    function drip(bytes32) external view returns (uint256) {
        require(_rate != 0, "Jug/invalid-now");
        return _rate;
    }
}

contract FurtherPaymentsTest is FurtherWorld {
    function setUp() public {
        furtherWorld();
    }

    // ------------------------------------------------------------------ what it does
    function testRepaysAtAPoolOnTheSafesAccount() public {
        pay(0, 2_000e6);
        same(owedAtPool(), 28_000e6, "owed");
        same(usd.balanceOf(address(safe)), 998_000e6, "paid");
        isTrue(bare(), "nothing stays");
    }

    function testAddsCollateralAtAPool() public {
        pay(1, 2e18);
        same(lentAtPool(), 22e18, "lent");
        same(eth.balanceOf(address(safe)), 998e18, "paid");
        isTrue(bare(), "nothing stays");
    }

    function testRepaysAVault() public {
        pay(2, 2_000e18);
        isTrue(owedAtMaker() <= 28_000e18 + 0.04e18, "owed, with the fee of one drip");
        same(dai.balanceOf(address(safe)), 998_000e18, "paid");
        isTrue(bare(), "nothing stays");
        isTrue(vat.dai(address(payments)) < 2 * vat.rate(), "but what of a unit the rate leaves");
    }

    function testAddsCollateralToAVault() public {
        pay(3, 2e18);
        same(vat.ink(URN), 22e18, "locked");
        same(eth.balanceOf(address(safe)), 998e18, "paid");
        isTrue(bare(), "nothing stays");
    }

    function testOfADebtNoMoreThanIsOwed() public {
        second.owe(address(safe), 1_000e6, 20e18);
        pay(0, 5_000e6);
        same(owedAtPool(), 0, "all of it");
        same(usd.balanceOf(address(safe)), 999_000e6, "and no more");
        same(payments.left(0), ONCE - 1_000e6, "only what was paid is charged");
        vat.put(URN, 20e18, 1_000e18 + 1); // its debt is no whole number of base units
        pay(2, 5_000e18);
        same(vat.art(URN), 0, "to the last unit of it");
        isTrue(dai.balanceOf(address(safe)) >= 1_000_000e18 - 1_050.01e18, "at its rate");
        isTrue(bare(), "nothing stays");
    }

    function testTheFeeIsAccruedBeforeAnythingIsJudged() public {
        // Covered at the rate of the last drip, not at the next one's.
        vat.set(1.05e27, vat.art(URN) * 1.05e27 / 20e18 + 1, 0);
        isTrue(!liquidatable(), "not yet");
        for (uint256 rule = 2; rule < 4; rule++) {
            vm.expectRevert(abi.encodeWithSelector(FurtherPayments.StillLiquidatable.selector, rule));
            this.paying(rule, 1e10);
        }
    }

    function testThroughAModifierWhoseTargetItIs() public {
        bytes memory call = abi.encodeCall(FurtherPayments.pay, (0, 1e6, block.timestamp));
        vm.prank(AGENT);
        payments.execTransactionFromModule(address(payments), 0, call, 0);
        same(owedAtPool(), 29_999e6, "owed");
    }

    function testFuzzAPaymentOnlyMovesMoneyIntoTheLoan(uint8 which, uint96 amount, uint64 price) public {
        uint256 rule = which % 4;
        amount = uint96(within(amount, 1, payments.rules(rule).burst + 10));
        second.set(within(price, 1_000e6, 4_000e6), 0, false);
        MockToken token = tokenOf(rule);
        (uint256 had, uint256 owed, uint256 lent) = (token.balanceOf(address(safe)), owedAtPool(), lentAtPool());
        (uint256 art, uint256 ink) = (vat.art(URN), vat.ink(URN));
        vm.prank(AGENT);
        try payments.pay(rule, amount, block.timestamp) {
            uint256 paid = had - token.balanceOf(address(safe));
            isTrue(paid <= amount && paid > 0, "paid no more than was said");
            if (rule == 0) same(owed - owedAtPool(), paid, "all of it off the debt");
            if (rule == 1) same(lentAtPool() - lent, paid, "all of it lent");
            if (rule == 2) isTrue((art - vat.art(URN)) * vat.rate() + vat.rate() > paid * 1e27, "all of it off the art");
            if (rule == 3) same(vat.ink(URN) - ink, paid, "all of it locked");
            (,,,,, uint256 health) = second.getUserAccountData(address(safe));
            isTrue(rule > 1 || health >= 1e18, "beyond liquidation");
        } catch {
            same(token.balanceOf(address(safe)), had, "nothing went");
        }
        isTrue(bare(), "nothing stays");
    }

    // ------------------------------------------------------------------ what it refuses
    function testNothingButPayThroughAModifier() public {
        bytes memory honest = abi.encodeCall(FurtherPayments.pay, (0, 1e6, block.timestamp));
        bytes4 rule = FurtherPayments.NotThroughPayments.selector;
        vm.expectPartialRevert(rule);
        this.module(address(usd), 0, abi.encodeCall(MockToken.approve, (THIEF, 1e6)), 0);
        vm.expectPartialRevert(rule);
        this.module(address(second), 0, abi.encodeCall(MockSecondPool.repay, (address(usd), 1e6, 2, THIEF)), 0);
        vm.expectPartialRevert(rule);
        this.module(address(vat), 0, abi.encodeCall(MockVat.frob, (ILK, URN, THIEF, THIEF, -1, 0)), 0);
        vm.expectPartialRevert(rule);
        this.module(address(payments), 1, honest, 0);
        vm.expectPartialRevert(rule);
        this.module(address(payments), 0, honest, 1);
        vm.expectPartialRevert(rule);
        this.module(address(payments), 0, abi.encodeCall(FurtherPayments.open, (THIEF)), 0);
        vm.expectPartialRevert(rule);
        this.module(address(payments), 0, bytes.concat(honest, hex"00"), 0);
    }

    function testOnlyTheAgent() public {
        vm.expectRevert(abi.encodeWithSelector(FurtherPayments.NotTheAgent.selector, address(this)));
        payments.pay(0, 1e6, block.timestamp);
    }

    function testNoRuleBesidesAndNoStrangeAmount() public {
        vm.expectRevert(abi.encodeWithSelector(FurtherPayments.RuleNotListed.selector, 4));
        this.paying(4, 1e6);
        vm.expectPartialRevert(FurtherPayments.AmountOutOfRange.selector);
        this.paying(0, 0);
        vm.expectPartialRevert(FurtherPayments.AmountOutOfRange.selector);
        this.paying(3, 1 << 128);
        vm.expectPartialRevert(FurtherPayments.AmountOutOfRange.selector);
        this.paying(2, 1); // less than one unit of the ilk's art
    }

    function testTheBudgetOfEachRuleIsItsOwn() public {
        pay(0, ONCE);
        vm.expectRevert(abi.encodeWithSelector(FurtherPayments.OverPaymentBudget.selector, 0, 1, 0));
        this.paying(0, 1);
        pay(2, ONCE_DAI);
        vm.warp(block.timestamp + 12 hours);
        vm.expectRevert(abi.encodeWithSelector(FurtherPayments.OverPaymentBudget.selector, 0, DAY / 2 + 1, DAY / 2));
        this.paying(0, DAY / 2 + 1);
        pay(0, DAY / 2);
        vm.expectPartialRevert(FurtherPayments.OverPaymentBudget.selector);
        this.paying(3, ONCE_ETH + 1);
    }

    function testWithoutADebtNothingIsPaid() public {
        second.owe(address(safe), 0, 20e18);
        vat.put(URN, 20e18, 0);
        for (uint256 rule; rule < 4; rule++) {
            vm.expectRevert(abi.encodeWithSelector(FurtherPayments.NothingOwed.selector, rule));
            this.paying(rule, 1e6);
        }
    }

    function testALostAccountIsNotPaidInto() public {
        second.set(1_500e6, 0, false);
        vat.set(1.05e27, 1_400e27, 0);
        for (uint256 rule; rule < 4; rule++) {
            vm.expectRevert(abi.encodeWithSelector(FurtherPayments.StillLiquidatable.selector, rule));
            this.paying(rule, rule == 0 ? 1_000e6 : rule == 2 ? 1_000e18 : 1e18);
        }
        second.set(1_690e6, 0, false); // 29,744 of 30,000 covered: what puts it right is paid
        pay(0, 1_000e6);
        vat.set(1.05e27, 1_495e27, 0);
        pay(2, 1_000e18);
    }

    function testCollateralThatSecuresNothingIsNotPaid() public {
        second.set(3_000e6, 0, true);
        vm.expectRevert(abi.encodeWithSelector(FurtherPayments.NoCollateral.selector, 1));
        this.paying(1, 1e18);
    }

    function testALenderThatBooksLessIsNotPaid() public {
        second.set(3_000e6, 3, false);
        ethJoin.setSkim(3);
        for (uint256 rule; rule < 4; rule++) {
            if (rule == 2) continue;
            vm.expectPartialRevert(FurtherPayments.ReceivedBelowAmount.selector);
            this.paying(rule, rule == 0 ? 1_000e6 : 1e18);
        }
        daiJoin.setSkim(1e18);
        vm.expectRevert(); // the Vat has not so much to take
        this.paying(2, 1_000e18);
    }

    function testATokenThatTakesAFeeIsNotPaid() public {
        usd.setFee(10);
        vm.expectRevert(abi.encodeWithSelector(FurtherPayments.ReceivedBelowAmount.selector, 999e6, 1_000e6));
        this.paying(0, 1_000e6);
    }

    function testGoneIntoFromWithinItIsBusy() public {
        CallingToken token = new CallingToken();
        MockSecondPool pool = new MockSecondPool(token, eth, 3_000e6);
        pool.owe(address(safe), 10_000e6, 20e18);
        token.mint(address(safe), 10_000e6);
        FurtherPayments.Rule[] memory r = new FurtherPayments.Rule[](1);
        address owes = address(pool.debtToken());
        r[0] = FurtherPayments.Rule(address(pool), 3, 8, address(token), owes, 0, address(0), ONCE, DAY);
        FurtherPayments other = new FurtherPayments(address(gate), r);
        safe.call(address(other), abi.encodeCall(FurtherPayments.open, (AGENT)));
        vm.warp(block.timestamp + 1 days);
        safe.call(address(token), abi.encodeCall(MockToken.approve, (address(other), type(uint256).max)));
        token.arm(address(other), abi.encodeCall(FurtherPayments.pay, (0, 1_000e6, block.timestamp)));
        vm.prank(AGENT);
        other.pay(0, 1_000e6, block.timestamp);
        isTrue(bytes4(token.answer()) == FurtherPayments.Busy.selector, "busy");
        same(pool.debtToken().balanceOf(address(safe)), 9_000e6, "once");
    }

    function testWhatLiesHereIsNobodysProceeds() public {
        usd.mint(address(payments), 77);
        pay(0, 1_000e6);
        same(usd.balanceOf(address(payments)), 77, "as it was");
        same(usd.balanceOf(address(safe)), 999_000e6, "nothing more came back");
    }

    function testADebtOfDustIsPaidWholeOrNotAtAll() public {
        vat.put(URN, 20e18, uint256(8_000e18) * 100 / 105);
        vat.set(1.05e27, 2_068e27, 7_500e45);
        vm.expectRevert("Vat/dust");
        this.paying(2, 1_000e18);
        pay(2, 400e18); // above it still
        vat.put(URN, 2e18, uint256(4_000e18) * 100 / 105); // below it, since it was raised
        vm.expectRevert("Vat/dust");
        this.paying(3, 1e18);
        vm.expectRevert("Vat/dust");
        this.paying(2, 3_999e18);
        pay(2, 4_100e18);
        same(vat.art(URN), 0, "whole");
        isTrue(bare(), "nothing stays");
    }

    function testWhatIsBookedForItInTheVatPaysForNobody() public {
        vat.suck(address(payments), 1_000e45);
        vat.slip(ILK, address(payments), 7e18);
        uint256 art = vat.art(URN);
        pay(2, 2_000e18);
        isTrue((art - vat.art(URN)) * vat.rate() <= 2_000e45, "no more debt than was paid");
        isTrue(vat.dai(address(payments)) >= 1_000e45 && vat.dai(address(payments)) < 1_000e45 + 2 * vat.rate(), "as it was");
        pay(3, 2e18);
        same(vat.ink(URN), 22e18, "what was paid");
        same(vat.gem(ILK, address(payments)), 7e18, "as it was");
        ethJoin.setSkim(3);
        vm.expectPartialRevert(FurtherPayments.ReceivedBelowAmount.selector); // not made up out of that
        this.paying(3, 1e18);
    }

    function testWhatAJugAnswersIsNotBelieved() public {
        for (uint256 answer; answer <= 2.1e27; answer += 0.7e27) {
            FurtherPayments.Rule[] memory r = new FurtherPayments.Rule[](1);
            r[0] = rulesNow()[2];
            r[0].fees = address(new OddJug(vat, answer));
            FurtherPayments other = new FurtherPayments(address(gate), r);
            safe.call(address(other), abi.encodeCall(FurtherPayments.open, (AGENT)));
            vm.warp(block.timestamp + 1 days);
            safe.call(address(dai), abi.encodeCall(MockToken.approve, (address(other), type(uint256).max)));
            uint256 art = vat.art(URN);
            if (answer == 0) vm.expectRevert("Jug/invalid-now");
            vm.prank(AGENT);
            other.pay(0, 1_000e18, block.timestamp);
            same(art - vat.art(URN), answer == 0 ? 0 : 1_000e45 / vat.rate(), "at the Vat's own rate");
            isTrue(vat.dai(address(other)) < 2 * vat.rate(), "and next to nothing stays there");
        }
    }

    // ------------------------------------------------------------------ the Gate's rules are its own
    function testTheGatesFreezeAndTermAndDeadlineHold() public {
        vm.prank(AGENT);
        vm.expectRevert(abi.encodeWithSelector(FurtherPayments.DeadlinePassed.selector, block.timestamp - 1));
        payments.pay(0, 1e6, block.timestamp - 1);
        vm.prank(AGENT);
        vm.expectPartialRevert(FurtherPayments.DeadlineTooFar.selector);
        payments.pay(0, 1e6, block.timestamp + 601);
        vm.prank(OWNER);
        gate.freeze();
        vm.expectRevert(FurtherPayments.GateFrozen.selector);
        this.paying(0, 1e6);
    }

    function testTheGatesTermEndsIt() public {
        vm.warp(gate.expiry() + 1);
        vm.expectPartialRevert(FurtherPayments.GateLapsed.selector);
        this.paying(0, 1e6);
        fromSafe(abi.encodeCall(Settings.renew, ()));
        pay(0, 1e6);
    }

    function testOpenedLateItWaitsTheGatesDelayAndAnyOneOwnerClosesIt() public {
        vm.prank(OWNER);
        payments.close();
        vm.expectRevert(FurtherPayments.Closed.selector);
        this.paying(0, 1e6);
        safe.call(address(payments), abi.encodeCall(FurtherPayments.open, (AGENT)));
        vm.expectRevert(abi.encodeWithSelector(FurtherPayments.NotOpenYet.selector, block.timestamp + 1 days));
        this.paying(0, 1e6);
    }

    function testStrangersNeitherOpenNorClose() public {
        for (uint256 i; i < 3; i++) {
            address who = [AGENT, THIEF, OWNER][i];
            vm.prank(who);
            vm.expectRevert(abi.encodeWithSelector(FurtherPayments.NotTheSafe.selector, who));
            payments.open(who);
            if (who == OWNER) continue;
            vm.prank(who);
            vm.expectRevert(abi.encodeWithSelector(FurtherPayments.NotAnOwner.selector, who));
            payments.close();
        }
        for (uint256 i; i < 3; i++) {
            vm.expectPartialRevert(FurtherPayments.NotTheAgent.selector);
            address none = [address(0), address(safe), address(payments)][i];
            safe.call(address(payments), abi.encodeCall(FurtherPayments.open, (none)));
        }
    }

    // ------------------------------------------------------------------ its rules
    function testARuleHasToFitItsLender() public {
        FurtherPayments.Rule[] memory r;
        for (uint256 rule; rule < 4; rule++) {
            r = rulesNow();
            r[rule].asset = rule == 0 ? address(eth) : address(usd);
            refused(r, rule);
            r = rulesNow();
            r[rule].account = address(0);
            refused(r, rule);
            r = rulesNow();
            (r[rule].market, r[rule].fees) = (bytes32("ETH-B"), address(jug));
            refused(r, rule);
            r = rulesNow();
            r[rule].kind = 2;
            refused(r, rule);
            r = rulesNow();
            r[rule].action = 4; // to borrow
            refused(r, rule);
            r = rulesNow();
            r[rule].lender = THIEF;
            refused(r, rule);
            r = rulesNow();
            r[rule].burst = 0;
            refused(r, rule);
        }
        r = rulesNow();
        r[0].account = address(new MockSecondPool(usd, eth, 1).debtToken()); // another pool's, of the same asset
        refused(r, 0);
        r = rulesNow();
        r[2].fees = address(new MockJug(new MockVat()));
        refused(r, 2);
        r = rulesNow();
        r[3].fees = address(0);
        refused(r, 3);
        refused(new FurtherPayments.Rule[](0), 0);
        refused(new FurtherPayments.Rule[](33), 33);
    }

    function testAnAdapterOfAnotherVaultKindDoesNotFit() public {
        FurtherPayments.Rule[] memory r = rulesNow();
        r[3].lender = address(new MockJoin(vat, address(eth), "ETH-B"));
        refused(r, 3);
    }

    function testTheWrongOneOfAPoolsTwoTokensPaysNothing() public {
        FurtherPayments.Rule[] memory r = new FurtherPayments.Rule[](1);
        r[0] = rulesNow()[1];
        second.owe(address(safe), 30_000e6, 20e18);
        r[0].action = 8; // repays WETH, of which nothing is owed
        FurtherPayments other = new FurtherPayments(address(gate), r);
        safe.call(address(other), abi.encodeCall(FurtherPayments.open, (AGENT)));
        vm.warp(block.timestamp + 1 days);
        safe.call(address(eth), abi.encodeCall(MockToken.approve, (address(other), type(uint256).max)));
        vm.prank(AGENT);
        vm.expectRevert("no such debt");
        other.pay(0, 1e18, block.timestamp);
    }

    function testAllHaveTheSameCode() public {
        FurtherPayments.Rule[] memory r = new FurtherPayments.Rule[](1);
        r[0] = rulesNow()[0];
        isTrue(address(new FurtherPayments(address(gate), r)).codehash == address(payments).codehash, "one code");
        same(payments.count(), 4, "rules");
        isTrue(payments.rules(2).account == URN, "as told");
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

    function refused(FurtherPayments.Rule[] memory r, uint256 which) private {
        // An account that is no contract of the kind answers nothing, which reverts on its own.
        try new FurtherPayments(address(gate), r) {
            isTrue(false, "a rule that does not fit");
        } catch (bytes memory why) {
            isTrue(why.length == 0 || keccak256(why) == keccak256(abi.encodeWithSelector(FurtherPayments.BadRule.selector, which)), "why");
        }
    }
}
