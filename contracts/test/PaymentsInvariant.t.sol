// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {Payments} from "../src/Payments.sol";
import {Settings} from "../src/Settings.sol";
import {Base} from "./Base.sol";
import {PaymentWorld} from "./PaymentWorld.sol";

/// A thief with the agent's key who pays whenever and whatever he likes, while prices fall, debts grow and owners look away.
contract Payer is PaymentWorld {
    struct Act {
        uint256 at;
        uint256 rule;
        uint256 amount;
    }

    Act[] public acts;
    uint256 public wrong;
    int256 public lost; // of the Safe's worth, loans included, in USD base units; interest is nobody's payment

    constructor() {
        paymentWorld();
    }

    function count() external view returns (uint256) {
        return acts.length;
    }

    function payIt(uint8 which, uint96 amount, uint16 ahead) external {
        uint256 rule = which % 5;
        uint256 most = rule == 4 ? 1 : payments.left(rule);
        uint256 wanted = which % 3 == 0 ? most : within(amount, 1, most + 2);
        bool dead = payments.closed() || gate.frozen() || block.timestamp > gate.expiry();
        uint256 had = rule % 2 == 0 ? usd.balanceOf(address(safe)) : eth.balanceOf(address(safe));
        int256 was = worth();
        uint256 interest = morpho.assets() / 1_000_000 + 2;
        vm.prank(AGENT);
        try payments.pay(rule, wanted, block.timestamp + ahead % 700) {
            uint256 has = rule % 2 == 0 ? usd.balanceOf(address(safe)) : eth.balanceOf(address(safe));
            acts.push(Act(block.timestamp, rule, had - has));
            lost += was - worth() - int256(interest);
            if (dead || rule > 3 || wanted > most || ahead % 700 > 600 || had - has > wanted) wrong++;
            if (rule < 2 && comet.isLiquidatable(address(safe))) wrong++;
        } catch {}
    }

    function anything(bytes4 verb, bytes calldata rest) external {
        vm.prank(AGENT);
        (bool ok,) = address(payments).call(abi.encodePacked(verb, rest));
        ok;
    }

    function through(uint8 to, bytes4 verb, bytes calldata rest) external {
        address target = [address(usd), address(eth), address(comet), address(morpho), address(safe), address(payments)][to % 6];
        vm.prank(AGENT);
        try payments.execTransactionFromModule(target, 0, abi.encodePacked(verb, rest), 0) {
            wrong++;
        } catch {}
    }

    function fall(uint16 usd_) external {
        uint256 px = within(usd_, 1_500, 3_000);
        comet.set(px * 1e6, 0);
        oracle.set(px * 1e24);
    }

    function owe(uint96 more, bool atComet) external {
        uint256 debt = within(more, 0, 30_000e6);
        if (atComet) comet.owe(address(safe), debt, lentAt(true));
        else morpho.owe(address(safe), uint128(debt * 1e6), uint128(lentAt(false)), 90_000e6, 90_000e12);
    }

    function wait(uint32 time) external {
        vm.warp(block.timestamp + within(time, 1, 6 hours));
    }

    function heartbeat(uint8 die) external {
        if (die % 3 == 0) fromSafe(abi.encodeCall(Settings.renew, ()));
    }

    /// The Safe's money and its loans at 3,000 USD a WETH.
    function worth() public view returns (int256) {
        uint256 eths = eth.balanceOf(address(safe)) + lentAt(true) + lentAt(false);
        uint256 owes = comet.borrowBalanceOf(address(safe)) + owedAtMorpho();
        return int256(usd.balanceOf(address(safe)) + eths * 3_000e6 / 1e18) - int256(owes);
    }

    function nothingStays() external view returns (bool) {
        return bare() && payments.agent() == AGENT;
    }

    function budgetOf(uint256 rule) external view returns (uint256 burst, uint256 rate) {
        Payments.Rule memory r = payments.rules(rule);
        return (r.burst, r.ratePerDay);
    }
}

contract PaymentsInvariantTest is Base {
    Payer private payer;

    function setUp() public {
        payer = new Payer();
    }

    function targetContracts() external view returns (address[] memory all) {
        all = new address[](1);
        all[0] = address(payer);
    }

    /// Of each rule in any day burst + rate, in any hour burst and a twenty-fourth of the rate.
    function invariant_NoWindowHoldsMoreThanItsBudget() public view {
        uint256 count = payer.count();
        for (uint256 i; i < count; i++) {
            (uint256 from, uint256 rule,) = payer.acts(i);
            (uint256 day, uint256 hour) = (0, 0);
            for (uint256 j = i; j < count; j++) {
                (uint256 at, uint256 of_, uint256 amount) = payer.acts(j);
                if (of_ != rule) continue;
                if (at <= from + 1 days) day += amount;
                if (at <= from + 1 hours) hour += amount;
            }
            (uint256 burst, uint256 rate) = payer.budgetOf(rule);
            isTrue(day <= burst + rate, "a day");
            isTrue(hour <= burst + rate / 24, "an hour");
        }
    }

    function invariant_NothingLeavesTheSafesOwnership() public view {
        isTrue(payer.lost() <= int256(payer.count() * 4), "more than rounding was lost");
    }

    function invariant_NothingStaysInItAndNoAllowance() public view {
        isTrue(payer.nothingStays(), "something stayed");
    }

    function invariant_NothingPassesThatNoRuleAllows() public view {
        same(payer.wrong(), 0, "a payment that no rule allows");
    }
}
