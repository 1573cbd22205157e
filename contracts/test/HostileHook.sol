// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

interface IManager {
    function take(address currency, address to, uint256 amount) external;
}

struct PoolKey {
    address currency0;
    address currency1;
    uint24 fee;
    int24 tickSpacing;
    address hooks;
}

struct SwapParams {
    bool zeroForOne;
    int256 amountSpecified;
    uint160 sqrtPriceLimitX96;
}

/// A Uniswap V4 hook that does to the swap whatever the swapper's own hookData says: `abi.encode(what, amount, to, data)`.
/// In a pool with this hook, who makes the calldata owns both sides of the trade.
contract HostileHook {
    uint256 public constant NOTHING = 0;
    uint256 public constant KEEP_INPUT = 1;
    uint256 public constant KEEP_OUTPUT = 2;
    uint256 public constant REENTER = 3;
    uint256 public constant REENTER_QUIETLY = 4;
    uint256 public constant PROMISE_MORE = 5;
    uint256 public constant WHOLE_FEE = 6;
    uint24 private constant OVERRIDE = 0x400000;

    event Reentered(bool ok, bytes answer);

    function beforeSwap(address, PoolKey calldata key, SwapParams calldata p, bytes calldata said)
        external
        returns (bytes4, int256 kept, uint24 fee)
    {
        (uint256 what, uint256 amount, address to, bytes memory data) = abi.decode(said, (uint256, uint256, address, bytes));
        if (what == KEEP_INPUT) {
            IManager(msg.sender).take(p.zeroForOne ? key.currency0 : key.currency1, to, amount);
            kept = int256(amount) << 128; // of the specified currency, in the upper half
        } else if (what == REENTER || what == REENTER_QUIETLY) {
            (bool ok, bytes memory answer) = to.call(data);
            if (!ok && what == REENTER) {
                assembly {
                    revert(add(answer, 32), mload(answer))
                }
            }
            emit Reentered(ok, answer);
        } else if (what == WHOLE_FEE) {
            fee = OVERRIDE | 1_000_000;
        }
        return (this.beforeSwap.selector, kept, fee);
    }

    /// `amount` is what the swapper is left with (KEEP_OUTPUT), or what he is told he gets on top (PROMISE_MORE).
    function afterSwap(address, PoolKey calldata key, SwapParams calldata p, int256 delta, bytes calldata said)
        external
        returns (bytes4, int128 kept)
    {
        (uint256 what, uint256 amount, address to,) = abi.decode(said, (uint256, uint256, address, bytes));
        if (what == KEEP_OUTPUT) {
            int128 out = p.zeroForOne ? int128(delta) : int128(delta >> 128);
            kept = out - int128(uint128(amount));
            IManager(msg.sender).take(p.zeroForOne ? key.currency1 : key.currency0, to, uint128(kept));
        } else if (what == PROMISE_MORE) {
            kept = -int128(uint128(amount));
        }
        return (this.afterSwap.selector, kept);
    }
}

/// Code for the agent's own account (EIP-7702): calls, as the agent, whatever anybody asks; on bare ether what `data` holds.
contract Puppet {
    /// the account has no storage but this.
    bytes private onEther;
    address private towards;

    function prepare(address to, bytes calldata data) external {
        (towards, onEther) = (to, data);
    }

    function call(address to, bytes calldata data) external {
        _call(to, data);
    }

    receive() external payable {
        if (towards != address(0)) _call(towards, onEther);
    }

    function _call(address to, bytes memory data) private {
        (bool ok, bytes memory answer) = to.call(data);
        if (!ok) {
            assembly {
                revert(add(answer, 32), mload(answer))
            }
        }
    }
}
