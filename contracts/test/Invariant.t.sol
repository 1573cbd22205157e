// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {Gate} from "../src/Gate.sol";
import {Settings} from "../src/Settings.sol";
import {GateWorld} from "./GateWorld.sol";
import {MockRouter, MockToken} from "./Mocks.sol";

/// A thief with the agent's key who does what he likes, in any order, while time passes and prices move.
contract Thief is GateWorld {
    struct Act {
        uint256 at;
        uint256 usd;
    }

    Act[] public acts;
    int256 public lost; // 1e18 USD at the feed's prices of each moment
    uint256 public allowedLoss;
    uint256 public gasTaken;
    uint256 public lateTrades;

    constructor() {
        world();
    }

    function count() external view returns (uint256) {
        return acts.length;
    }

    function parts() external view returns (Gate, MockToken, MockToken, MockRouter) {
        return (gate, eth, usd, router);
    }

    /// Sells WETH or USD to his own router, which pays as little as passes, or less.
    function steal(uint96 amount, bool selling, uint8 trick) external {
        (MockToken a, MockToken b) = selling ? (eth, usd) : (usd, eth);
        uint256 left = gate.budgetLeft();
        uint256 all = selling ? left / 3000 : left / 1e12;
        uint256 amountIn = trick % 2 == 0 ? all : within(amount, 1, all + 2);
        uint256 wasWorth = worthOfSafe();
        try gate.floorOf(address(a), address(b), amountIn) returns (uint256 floor, uint256 worth) {
            uint256 paid = trick % 5 == 4 ? floor - 1 : floor;
            address to = trick % 7 == 6 ? THIEF : trick % 11 == 10 ? address(safe) : address(gate);
            bytes memory data = abi.encodeCall(MockRouter.swap, (a, b, amountIn, paid, to));
            Gate.Trade memory t = Gate.Trade(address(a), address(b), amountIn, floor, block.timestamp, address(router), data);
            vm.prank(AGENT);
            try gate.trade(t) {
                acts.push(Act(block.timestamp, worth));
                lost += int256(wasWorth) - int256(worthOfSafe());
                // A unit of USD or a wei of WETH of rounding a trade, at most.
                allowedLoss += worth * SLACK / 10_000 + 1e13;
                if (block.timestamp > gate.expiry() || gate.frozen()) lateTrades++;
            } catch {}
        } catch {}
    }

    function drinkGas(uint96 amount) external {
        uint256 wei_ = within(amount, 1, 0.06e18);
        uint256 deadline = block.timestamp;
        vm.prank(AGENT);
        try gate.refuel(wei_, deadline) {
            gasTaken += wei_;
            vm.deal(AGENT, 0); // burnt, so that the float never stops him
        } catch {}
    }

    function wait(uint32 time) external {
        vm.warp(block.timestamp + within(time, 1, 3 hours));
        refresh();
    }

    function drift(uint16 cents) external {
        ethFeed.set(int256(within(cents, 2_985e8, 3_015e8)), block.timestamp);
    }

    function heartbeat(uint8 die) external {
        if (die % 4 == 0) fromSafe(abi.encodeCall(Settings.renew, ()));
    }

    function anything(bytes4 verb, bytes calldata rest) external {
        vm.prank(AGENT);
        (bool ok,) = address(gate).call(abi.encodePacked(verb, rest));
        ok;
    }

    function worthOfSafe() public view returns (uint256) {
        return eth.balanceOf(address(safe)) * uint256(ethFeed.answer()) / 1e8 + usd.balanceOf(address(safe)) * 1e12;
    }

    function limitsHold() external view returns (bool) {
        (uint128 burst, uint128 rate, uint16 slack,,,,) = gate.limits();
        return burst == BURST && rate == RATE && slack == SLACK && gate.agent() == AGENT;
    }

    function nothingLeft() external view returns (bool) {
        bool empty = eth.balanceOf(address(gate)) == 0 && usd.balanceOf(address(gate)) == 0 && address(gate).balance == 0;
        bool bare = eth.allowance(address(gate), address(router)) == 0 && usd.allowance(address(gate), address(router)) == 0;
        return empty && bare && aToken.balanceOf(address(gate)) == 0;
    }
}

contract GateInvariantTest is GateWorld {
    Thief private thief;

    function setUp() public {
        thief = new Thief();
    }

    function targetContracts() external view returns (address[] memory all) {
        all = new address[](1);
        all[0] = address(thief);
    }

    /// In any window of a day, burst + rate; in any hour, burst and a twenty-fourth of the rate.
    function invariant_NoWindowHoldsMoreThanItsBudget() public view {
        uint256 count = thief.count();
        for (uint256 i; i < count; i++) {
            (uint256 from,) = thief.acts(i);
            (uint256 day, uint256 hour) = (0, 0);
            for (uint256 j = i; j < count; j++) {
                (uint256 at, uint256 worth) = thief.acts(j);
                if (at <= from + 1 days) day += worth;
                if (at <= from + 1 hours) hour += worth;
            }
            isTrue(day <= uint256(BURST) + RATE, "a day");
            isTrue(hour <= uint256(BURST) + RATE / 24, "an hour");
        }
    }

    function invariant_TheLossIsTheSlackOfWhatWasTraded() public view {
        isTrue(thief.lost() <= int256(thief.allowedLoss()), "more than the slack was lost");
    }

    function invariant_NothingStaysInTheGateAndNoAllowance() public view {
        isTrue(thief.nothingLeft(), "something stayed");
    }

    function invariant_TheSettingsAreTheOwners() public view {
        isTrue(thief.limitsHold(), "a setting moved");
        same(thief.lateTrades(), 0, "a trade after the power lapsed");
    }

    function invariant_GasMoneyIsBounded() public view {
        uint256 elapsed = block.timestamp - START;
        isTrue(thief.gasTaken() <= 0.05e18 + 0.1e18 * elapsed / 1 days, "gas");
    }
}
