// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

interface ICalled {
    function uniswapV3SwapCallback(int256 amount0Delta, int256 amount1Delta, bytes calldata data) external;
}

/// A manager of the route's author's that asks for its payment as a V3 pool would, or sends ether where none is due.
contract HostileManager {
    uint256 public due;
    bool public sends;

    constructor() payable {}

    function will(uint256 due_, bool sends_) external {
        (due, sends) = (due_, sends_);
    }

    function unlock(bytes calldata data) external returns (bytes memory) {
        if (due != 0) ICalled(msg.sender).uniswapV3SwapCallback(int256(due), -1, data);
        return "";
    }

    /// As a token that wraps ether.
    function balanceOf(address) external pure returns (uint256) {
        return 0;
    }

    function deposit() external payable {}

    /// As a pair.
    function getReserves() external pure returns (uint112, uint112, uint32) {
        return (1e18, 1e18, 0);
    }

    function swap(uint256, uint256, address to, bytes calldata) external {
        if (!sends) return;
        (bool ok,) = to.call{value: 1}("");
        require(ok, "ether");
    }
}
