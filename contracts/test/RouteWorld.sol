// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {RouteExecutor} from "../src/RouteExecutor.sol";
import {Base} from "./Base.sol";
import {MockToken} from "./Mocks.sol";
import {CallingToken, MockCurve, MockManager, MockPair, MockV3, MockVault, MockWrapped} from "./VenueMocks.sol";

/// Three tokens, a wrapper of ether, and a venue of each kind between them, every one with a million of each.
abstract contract RouteWorld is Base {
    uint256 internal constant START = 1_800_000_000;
    uint256 internal constant MILLION = 1_000_000e18;
    uint256 internal constant ALL = 1 << 128;
    address internal constant FACTORY = address(0xFAC);
    bytes32 internal constant INIT = 0xe34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54;

    RouteExecutor internal executor;
    MockToken internal a;
    MockToken internal b;
    MockToken internal c;
    MockWrapped internal weth;
    MockPair internal ab;
    MockPair internal bc;
    MockPair internal solid;
    MockV3 internal v3;
    MockManager internal manager;
    MockVault internal vault;
    MockCurve internal curve;

    function world() internal {
        vm.warp(START);
        executor = new RouteExecutor();
        (a, b, c) = (new MockToken(18), new MockToken(18), new MockToken(18));
        weth = new MockWrapped();
        (ab, bc, solid) = (new MockPair(a, b, 3000), new MockPair(b, c, 2500), new MockPair(a, b, 500));
        (manager, vault, curve) = (new MockManager(), new MockVault(), new MockCurve(address(b), address(c)));
        v3 = MockV3(poolOf(a, b, 500));
        vm.etch(address(v3), type(MockV3).runtimeCode);
        v3.init(a, b);
        address[7] memory venues =
            [address(ab), address(bc), address(solid), address(v3), address(manager), address(vault), address(curve)];
        for (uint256 i; i < venues.length; i++) {
            a.mint(venues[i], MILLION);
            b.mint(venues[i], MILLION);
            c.mint(venues[i], MILLION);
        }
        ab.sync();
        bc.sync();
        solid.sync();
        vm.deal(address(manager), MILLION);
        vm.deal(address(weth), MILLION);
    }

    function poolOf(MockToken x, MockToken y, uint24 fee) internal pure returns (address) {
        (address low, address high) = address(x) < address(y) ? (address(x), address(y)) : (address(y), address(x));
        bytes32 salt = keccak256(abi.encode(low, high, fee));
        return address(uint160(uint256(keccak256(abi.encodePacked(hex"ff", FACTORY, salt, INIT)))));
    }

    function three() internal view returns (address[] memory tokens) {
        tokens = new address[](3);
        (tokens[0], tokens[1], tokens[2]) = (address(a), address(c), address(b));
    }

    function two(MockToken x, MockToken y) internal pure returns (address[] memory tokens) {
        tokens = new address[](2);
        (tokens[0], tokens[1]) = (address(x), address(y));
    }

    function hop(uint8 kind, uint8 from, uint8 to, bool share, uint256 amount, address venue, uint256 detail)
        internal
        pure
        returns (RouteExecutor.Hop memory)
    {
        return RouteExecutor.Hop(kind, from, to, share, amount, venue, bytes32(detail));
    }

    function only(RouteExecutor.Hop memory h) internal pure returns (RouteExecutor.Hop[] memory hops) {
        hops = new RouteExecutor.Hop[](1);
        hops[0] = h;
    }

    function give(MockToken token, address who, uint256 amount) internal {
        token.mint(who, amount);
        vm.prank(who);
        token.approve(address(executor), amount);
    }
}
