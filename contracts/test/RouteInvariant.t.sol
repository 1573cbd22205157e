// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {RouteExecutor} from "../src/RouteExecutor.sol";
import {HostileManager} from "./HostileManager.sol";
import {MockToken} from "./Mocks.sol";
import {RouteWorld} from "./RouteWorld.sol";

/// Three people with standing allowances route what they like, over venues that misbehave as they like; strangers try the callbacks.
contract RouteHandler is RouteWorld {
    uint256 public constant PEOPLE = 3;
    uint256 public routed;
    uint256 public stolen;
    uint256[3] public lying; // what was sent here by mistake, of a, b and c
    MockToken public lost = MockToken(payable(address(0xD000))); // what lies here, too, and is on nobody's list
    HostileManager private hostile;

    constructor() {
        world();
        vm.etch(address(lost), type(MockToken).runtimeCode);
        lost.mint(address(executor), MILLION);
        hostile = new HostileManager();
        for (uint256 i; i < PEOPLE; i++) {
            give(a, person(i), MILLION);
            give(b, person(i), MILLION);
            give(c, person(i), MILLION);
        }
    }

    function keeper() external view returns (address) {
        return address(executor);
    }

    function person(uint256 i) public pure returns (address) {
        return address(uint160(0xA000 + i));
    }

    function token(uint256 i) public view returns (MockToken) {
        return i % 3 == 0 ? a : i % 3 == 1 ? b : c;
    }

    function others(uint256 me) public view returns (uint256 sum) {
        for (uint256 i; i < PEOPLE; i++) {
            if (i == me) continue;
            for (uint256 t; t < 3; t++) {
                sum += token(t).balanceOf(person(i)) + token(t).allowance(person(i), address(executor));
            }
        }
    }

    /// Mostly a hop that can work; now and then one whose venue is another kind of contract.
    function random(uint256 x) private view returns (RouteExecutor.Hop memory h) {
        address[9] memory venues = [
            address(ab), address(bc), address(solid), FACTORY, address(manager), address(vault), address(curve), address(a), person(0)
        ];
        uint8[7] memory own = [0, 3, 4, 5, 6, 2, 7];
        h.kind = uint8(x % 7);
        h.venue = x & (1 << 40) == 0 ? venues[own[h.kind]] : venues[(x >> 60) % 9];
        h.detail = bytes32(h.kind == 0 ? 3000 : h.kind == 1 ? 500 : h.kind == 4 ? (x >> 70) & 0x101 : (x >> 80) & 3);
        if (h.kind == 2 && x & (1 << 41) != 0) (h.venue, h.detail) = (address(hostile), bytes32(uint256(uint160(address(lost)))));
        (h.tokenIn, h.tokenOut) = (uint8((x >> 20) % 3), uint8((x >> 24) % 3));
        h.share = (x >> 90) & 1 == 0;
        h.amount = h.share ? within(x >> 100, 1, ALL) : within(x >> 100, 1, 1_000e18);
    }

    function anything(uint256 seed, uint256 amount, uint8 length) external {
        uint256 me = seed % PEOPLE;
        uint256 had = others(me);
        RouteExecutor.Hop[] memory hops = new RouteExecutor.Hop[](length % 5);
        for (uint256 i; i < hops.length; i++) {
            hops[i] = random(uint256(keccak256(abi.encode(seed, i))));
        }
        vm.prank(person(me));
        try executor.route(three(), within(amount, 1, 1_000e18), 0, block.timestamp, hops) {
            routed++;
        } catch {}
        if (others(me) != had) stolen++;
    }

    function good(uint256 seed, uint256 amount) external {
        v3.misbehave(10_000, 1, type(uint256).max);
        RouteExecutor.Hop[] memory hops = new RouteExecutor.Hop[](3);
        hops[0] = hop(0, 0, 2, true, within(seed, ALL / 10, ALL / 2), address(ab), 3000);
        hops[1] = hop(1, 0, 2, true, ALL, FACTORY, 500);
        hops[2] = hop(0, 2, 1, true, ALL, address(bc), 2500);
        vm.prank(person(seed % PEOPLE));
        try executor.route(three(), within(amount, 1e9, 1_000e18), 1, block.timestamp, hops) {
            routed++;
        } catch {}
    }

    function misbehave(uint256 x) external {
        v3.misbehave(9_000 + x % 2_000, x % 3, x >> 8);
        manager.misbehave(9_000 + (x >> 16) % 2_000);
        vault.misbehave((x >> 32) % 11_000);
        hostile.will((x >> 50) % 3 == 0 ? 0 : within(x >> 60, 1, 1_000e18), false);
    }

    function byMistake(uint256 i, uint256 amount) external {
        amount = within(amount, 1, 1e24);
        token(i).mint(address(executor), amount);
        lying[i % 3] += amount;
    }

    function asIfAPool(uint256 seed, int256 due, bytes calldata data) external {
        vm.prank(seed % 2 == 0 ? address(v3) : person(seed % PEOPLE));
        try executor.uniswapV3SwapCallback(due, -1, data) {
            stolen++;
        } catch {}
        vm.prank(address(manager));
        try executor.unlockCallback(data) {
            stolen++;
        } catch {}
    }

    function rest(uint256 i) external view returns (uint256 held, uint256 put) {
        return (token(i).balanceOf(address(executor)), lying[i]);
    }

    function allowed(uint256 i) external view returns (uint256 sum) {
        address[8] memory spenders =
            [address(ab), address(bc), address(solid), address(v3), address(manager), address(vault), address(curve), address(a)];
        for (uint256 s; s < spenders.length; s++) {
            sum += token(i).allowance(address(executor), spenders[s]);
        }
    }
}

contract RouteInvariantTest is RouteWorld {
    RouteHandler private handler;

    function setUp() public {
        handler = new RouteHandler();
    }

    function targetContracts() public view returns (address[] memory found) {
        found = new address[](1);
        found[0] = address(handler);
    }

    function invariant_nothing_stays_and_nothing_that_lay_here_leaves() public view {
        for (uint256 i; i < 3; i++) {
            (uint256 held, uint256 put) = handler.rest(i);
            same(held, put, "rest");
            same(handler.allowed(i), 0, "allowance");
        }
    }

    /// The runs were not all refusals.
    function afterInvariant() public view {
        isTrue(handler.routed() != 0, "nothing was ever routed");
    }

    function invariant_nobody_but_the_callers_funds_move() public view {
        same(handler.stolen(), 0, "others' funds moved");
        same(handler.lost().balanceOf(handler.keeper()), 1_000_000e18, "what lay here");
    }
}
