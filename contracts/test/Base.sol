// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

/// The few cheat codes used here, by forge's documented interface.
interface Vm {
    function warp(uint256 at) external;
    function prank(address sender) external;
    function etch(address target, bytes calldata code) external;
    function deal(address who, uint256 amount) external;
    function expectRevert() external;
    function expectRevert(bytes4 selector) external;
    function expectPartialRevert(bytes4 selector) external;
    function expectRevert(bytes calldata data) external;
    function assume(bool condition) external;
}

/// @title Assertions small enough to need no library
abstract contract Base {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    error NotEqual(uint256 got, uint256 expected, string what);
    error NotTrue(string what);

    function same(uint256 got, uint256 expected, string memory what) internal pure {
        if (got != expected) revert NotEqual(got, expected, what);
    }

    function isTrue(bool yes, string memory what) internal pure {
        if (!yes) revert NotTrue(what);
    }

    function within(uint256 x, uint256 least, uint256 most) internal pure returns (uint256) {
        return least + x % (most - least + 1);
    }
}
