// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

interface IToken {
    function transfer(address to, uint256 amount) external returns (bool);
}

interface IPool3 {
    function token0() external view returns (address);
    function token1() external view returns (address);
    function swap(address to, bool down, int256 amount, uint160 limit, bytes calldata data) external returns (int256, int256);
}

struct Key {
    address currency0;
    address currency1;
    uint24 fee;
    int24 tickSpacing;
    address hooks;
}

struct Params {
    bool zeroForOne;
    int256 amountSpecified;
    uint160 sqrtPriceLimitX96;
}

interface IManager {
    function unlock(bytes calldata data) external returns (bytes memory);
    function swap(Key memory key, Params memory params, bytes calldata data) external returns (int256);
    function sync(address currency) external;
    function settle() external payable returns (uint256);
    function take(address currency, address to, uint256 amount) external;
}

/// Swaps at pools that call back for what is owed, out of its own tokens; what moved is its answer.
contract Harness {
    function v3(address pool, bool down, int256 amount, uint160 limit) external returns (int256, int256) {
        return IPool3(pool).swap(address(this), down, amount, limit, "");
    }

    function uniswapV3SwapCallback(int256 amount0, int256 amount1, bytes calldata) external {
        if (amount0 > 0) IToken(IPool3(msg.sender).token0()).transfer(msg.sender, uint256(amount0));
        if (amount1 > 0) IToken(IPool3(msg.sender).token1()).transfer(msg.sender, uint256(amount1));
    }

    function v4(address manager, Key calldata key, Params calldata params) external returns (int128, int128) {
        bytes memory told = IManager(manager).unlock(abi.encode(key, params));
        int256 delta = abi.decode(told, (int256));
        return (int128(delta >> 128), int128(delta));
    }

    function unlockCallback(bytes calldata data) external returns (bytes memory) {
        (Key memory key, Params memory params) = abi.decode(data, (Key, Params));
        int256 delta = IManager(msg.sender).swap(key, params, "");
        _even(key.currency0, int128(delta >> 128));
        _even(key.currency1, int128(delta));
        return abi.encode(delta);
    }

    function _even(address currency, int128 owed) private {
        if (owed < 0) {
            IManager(msg.sender).sync(currency);
            IToken(currency).transfer(msg.sender, uint256(-int256(owed)));
            IManager(msg.sender).settle();
        } else if (owed > 0) {
            IManager(msg.sender).take(currency, address(this), uint128(owed));
        }
    }
}
