// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {FurtherPayments} from "../src/FurtherPayments.sol";
import {Settings} from "../src/Settings.sol";
import {Base} from "./Base.sol";
import {FurtherWorld} from "./FurtherWorld.sol";

/// A thief with the agent's key who pays whenever and whatever he likes at both lenders, while prices fall and owners look away.
contract FurtherPayer is FurtherWorld {
    struct Act {
        uint256 at;
        uint256 rule;
        uint256 amount;
    }

    Act[] public acts;
    uint256 public wrong;
    int256 public lost; // of the Safe's worth, loans included, in 1e18 USD; a fee that accrues is nobody's payment

    constructor() {
        furtherWorld();
    }

    function count() external view returns (uint256) {
        return acts.length;
    }

    function payIt(uint8 which, uint96 amount, uint16 ahead) external {
        uint256 rule = which % 5;
        uint256 most = rule == 4 ? 1 : payments.left(rule);
        uint256 wanted = which % 3 == 0 ? most : within(amount, 1, most + 2);
        bool dead = payments.closed() || gate.frozen() || block.timestamp > gate.expiry();
        uint256 had = tokenOf(rule).balanceOf(address(safe));
        jug.drip(ILK);
        int256 was = worth();
        uint256 fee = owedAtMaker() / 1_000_000 + 2;
        vm.prank(AGENT);
        try payments.pay(rule, wanted, block.timestamp + ahead % 700) {
            uint256 paid = had - tokenOf(rule).balanceOf(address(safe));
            acts.push(Act(block.timestamp, rule, paid));
            lost += was - worth() - (rule > 1 ? int256(fee) : int256(0));
            if (dead || rule > 3 || wanted > most || ahead % 700 > 600 || paid > wanted) wrong++;
            (,,,,, uint256 health) = second.getUserAccountData(address(safe));
            if (rule < 2 ? health < 1e18 : liquidatable()) wrong++;
        } catch {}
    }

    function anything(bytes4 verb, bytes calldata rest) external {
        vm.prank(AGENT);
        (bool ok,) = address(payments).call(abi.encodePacked(verb, rest));
        ok;
    }

    function through(uint8 to, bytes4 verb, bytes calldata rest) external {
        address target = [address(usd), address(vat), address(second), address(daiJoin), address(safe), address(payments)][to % 6];
        vm.prank(AGENT);
        try payments.execTransactionFromModule(target, 0, abi.encodePacked(verb, rest), 0) {
            wrong++;
        } catch {}
    }

    function prices(uint64 price, uint32 spot) external {
        second.set(within(price, 1_500e6, 4_000e6), 0, false);
        vat.set(vat.rate(), within(spot, 1_400, 2_500) * 1e27, 100e45);
    }

    function debts(uint64 usdOwed, uint96 art) external {
        second.owe(address(safe), within(usdOwed, 0, 40_000e6), lentAtPool());
        vat.put(URN, vat.ink(URN), within(art, 0, 30_000e18));
    }

    function wait(uint32 time) external {
        vm.warp(block.timestamp + within(time, 1, 6 hours));
    }

    function heartbeat(uint8 die) external {
        if (die % 3 == 0) fromSafe(abi.encodeCall(Settings.renew, ()));
    }

    /// The Safe's money and its loans at 3,000 USD a WETH, in 1e18 USD.
    function worth() public view returns (int256) {
        uint256 eths = eth.balanceOf(address(safe)) + lentAtPool() + vat.ink(URN);
        uint256 has = usd.balanceOf(address(safe)) * 1e12 + dai.balanceOf(address(safe)) + eths * 3_000;
        return int256(has) - int256(owedAtPool() * 1e12 + owedAtMaker());
    }

    function nothingStays() external view returns (bool) {
        return bare() && payments.agent() == AGENT;
    }

    function budgetOf(uint256 rule) external view returns (uint256 burst, uint256 rate) {
        FurtherPayments.Rule memory r = payments.rules(rule);
        return (r.burst, r.ratePerDay);
    }
}

contract FurtherInvariantTest is Base {
    FurtherPayer private payer;

    function setUp() public {
        payer = new FurtherPayer();
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

    /// But for rounding: a base unit a payment, of USD 1e12 of these.
    function invariant_NothingLeavesTheSafesOwnership() public view {
        isTrue(payer.lost() <= int256(payer.count() * 4e12), "more than rounding was lost");
    }

    function invariant_NothingStaysInItAndNoAllowance() public view {
        isTrue(payer.nothingStays(), "something stayed");
    }

    function invariant_NothingPassesThatNoRuleAllows() public view {
        same(payer.wrong(), 0, "a payment that no rule allows");
    }
}
