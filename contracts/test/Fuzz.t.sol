// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {Gate} from "../src/Gate.sol";
import {Prices} from "../src/Prices.sol";
import {Settings} from "../src/Settings.sol";
import {GateWorld} from "./GateWorld.sol";
import {MockRouter} from "./Mocks.sol";

contract GateFuzzTest is GateWorld {
    function setUp() public {
        world();
    }

    /// Whatever the router does, either the trade reverts or the Safe lost no more than the slack at either source's price.
    function testFuzz_TheSafeNeverLosesMoreThanTheSlack(
        uint96 amount,
        uint96 pulled,
        uint96 paid,
        uint96 minimum,
        uint8 who,
        int16 tick
    ) public {
        uint256 amountIn = within(amount, 1e14, 10e18);
        pool.set(196_256 + int56(tick) % 190, 0);
        address to = [address(gate), address(safe), THIEF, address(router)][who % 4];
        uint256 ethBefore = eth.balanceOf(address(safe));
        uint256 usdBefore = usd.balanceOf(address(safe));
        (uint256 floor, uint256 worth) = gate.floorOf(address(eth), address(usd), amountIn);
        Gate.Trade memory t = sale(amountIn, 0, 0, to);
        // Around the floor on both sides as often as anywhere.
        t.minimumOut = minimum % 3 == 0 ? minimum : within(minimum, floor > 3 ? floor - 3 : 0, floor + 3);
        uint256 pays = paid % 3 == 0 ? paid : within(paid, floor > 3 ? floor - 3 : 0, floor + 3);
        uint256 takes = pulled % 3 == 0 ? pulled : within(pulled, 0, amountIn + 1);
        t.data = abi.encodeCall(MockRouter.swap, (eth, usd, takes, pays, to));
        vm.prank(AGENT);
        try gate.trade(t) {
            uint256 lost = ethBefore - eth.balanceOf(address(safe));
            uint256 won = usd.balanceOf(address(safe)) - usdBefore;
            isTrue(lost <= amountIn && lost == takes, "no more than was asked for");
            isTrue(won >= floor && won * 1e12 * 10_000 >= lost * 3000 * (10_000 - uint256(SLACK)), "the floor");
            isTrue(to == address(gate) && pays >= t.minimumOut && t.minimumOut >= floor, "by the rules");
            same(gate.budgetLeft(), BURST - worth, "charged in full");
        } catch {
            isTrue(to != address(gate) || pays < t.minimumOut || t.minimumOut < floor || takes > amountIn, "refused for a reason");
            same(eth.balanceOf(address(safe)), ethBefore, "untouched");
            same(usd.balanceOf(address(safe)), usdBefore, "untouched");
            same(gate.budgetLeft(), BURST, "nothing charged");
        }
        same(eth.allowance(address(gate), address(router)), 0, "no allowance");
        same(eth.balanceOf(address(gate)) + usd.balanceOf(address(gate)), 0, "nothing stays");
    }

    /// The floor is that of the source which asks for more.
    function testFuzz_TheFloorIsTheHigherOfBoth(uint96 amount, int8 drift, uint16 cents) public {
        uint256 amountIn = within(amount, 1e14, 1_000e18);
        ethFeed.set(int256(within(cents, 2_980e8, 3_020e8)), block.timestamp);
        pool.set(196_256 + int56(drift) % 40, 0);
        (uint256 floor, uint256 worth) = gate.floorOf(address(eth), address(usd), amountIn);
        uint256 first = (worth * 1e6 + 1e18 - 1) / 1e18;
        uint256 second = Prices.twap(address(pool), 1800, amountIn, false);
        uint256 high = first > second ? first : second;
        same(floor, (high * (10_000 - uint256(SLACK)) + 9_999) / 10_000, "floor");
    }

    /// There and back at one tick never loses a unit, and the two directions agree to the precision of 128 bits.
    function testFuzz_TicksRoundAgainstTheAgent(int24 tick, uint128 amount) public pure {
        int56 at = int56(tick) % 200_000;
        uint256 x = within(amount, 1, type(uint96).max);
        uint256 out = Prices.atTick(at, x, true);
        vm_assume(out < type(uint128).max);
        uint256 back = Prices.atTick(at, out, false);
        isTrue(back >= x, "never less");
        isTrue(Prices.atTick(at, x, true) >= Prices.atTick(at - 1, x, true), "monotone");
    }

    /// In any 24 hours no more than burst + rate passes, however it is spread.
    function testFuzz_AnyDayHoldsNoMoreThanTheBudget(uint256 seed) public {
        uint256[48] memory at;
        uint256[48] memory usdValue;
        uint256 count;
        for (uint256 i; i < 48; i++) {
            seed = uint256(keccak256(abi.encode(seed)));
            vm.warp(block.timestamp + within(seed, 0, 2 hours));
            refresh();
            fromSafe(abi.encodeCall(Settings.renew, ()));
            uint256 left = gate.budgetLeft();
            // Greedy: all that is left, or a part of it.
            uint256 amount = (seed >> 200) % 3 == 0 ? within(seed >> 64, 0, 5e18) : left / 3000;
            if (amount == 0) continue;
            (, uint256 worth) = gate.floorOf(address(eth), address(usd), amount);
            Gate.Trade memory t = fair(amount);
            vm.prank(AGENT);
            try gate.trade(t) {
                (at[count], usdValue[count]) = (block.timestamp, worth);
                count++;
                isTrue(worth <= left, "inside what was left");
            } catch {
                isTrue(worth > left, "refused only above it");
            }
        }
        isTrue(count > 4, "it did trade");
        for (uint256 i; i < count; i++) {
            uint256 sum;
            for (uint256 j = i; j < count && at[j] <= at[i] + 1 days; j++) {
                sum += usdValue[j];
            }
            isTrue(sum <= uint256(BURST) + RATE, "a day's budget");
        }
    }

    /// The agent, an owner and a stranger call anything with anything: no setting moves but a freeze.
    function testFuzz_NobodyButTheSafeSets(bytes4 verb, bytes calldata rest, uint8 who) public {
        vm.assume(verb != Gate.trade.selector && verb != Settings.freeze.selector);
        address caller = [AGENT, OWNER, THIEF][who % 3];
        bytes32 before = fingerprint();
        vm.prank(caller);
        (bool ok,) = address(gate).call(abi.encodePacked(verb, rest));
        ok;
        isTrue(fingerprint() == before, "a setting moved");
    }

    function fingerprint() private view returns (bytes32) {
        (uint128 burst, uint128 rate, uint16 slack, uint16 divergence, uint32 deadline, uint32 term, uint64 health) =
            gate.limits();
        bytes32 numbers = keccak256(abi.encode(burst, rate, slack, divergence, deadline, term, health));
        return keccak256(
            abi.encode(
                numbers, gate.agent(), gate.safe(), gate.expiry(), gate.delay(), gate.frozen(), gate.epoch(), gate.lendingPool()
            )
        );
    }

    function vm_assume(bool yes) private pure {
        Assume(address(vm)).assume(yes);
    }
}

/// The same cheat code, callable where nothing is read.
interface Assume {
    function assume(bool condition) external pure;
}
